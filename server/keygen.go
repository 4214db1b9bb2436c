package server

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"cloakroom/bff"
)

type keygenCommand struct {
	Signing string `enum:",es256,eddsa,ps256" default:"" help:"Print a private key for client_keys instead, in PEM: es256, eddsa or ps256."`
}

// Run prints a new key: on one line, or in PEM.
func (c *keygenCommand) Run(w *world) error {
	if c.Signing != "" {
		key, err := newSigningKey(c.Signing)
		if err != nil {
			return err
		}
		_, err = w.stdout.Write(key)
		return err
	}
	var key [bff.KeyBytes]byte
	_, _ = rand.Read(key[:]) // never fails: the runtime stops the process instead
	_, err := fmt.Fprintln(w.stdout, base64.RawURLEncoding.EncodeToString(key[:]))
	return err
}

// rsaBits are what NIST SP 800-57 counts as 128 bits of strength, like those of the other two kinds.
const rsaBits = 3072

// newSigningKey draws a private key and writes it in PEM (PKCS #8, RFC 5958).
func newSigningKey(alg string) ([]byte, error) {
	var key any
	var err error
	switch alg {
	case "es256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "eddsa":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
