package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ClientKey is a private key by which an app proves itself at its provider, in
// place of a secret.
type ClientKey struct {
	// ID is what the key is published under; at most 16 characters.
	ID string `yaml:"id"`
	// Key is the private key in PEM (PKCS #8), read from the file that file:
	// names: P-256, Ed25519, or RSA of 2048 bits or more. Given directly, it may
	// only come from the environment.
	Key Secret `yaml:"key" file:"file"`
}

// Signer returns the private key; nil for one that [ParseClientKey] refuses,
// which a loaded configuration does not hold.
func (k *ClientKey) Signer() crypto.Signer {
	key, err := ParseClientKey(k.Key.Reveal())
	if err != nil {
		return nil
	}
	return key
}

// Bounds of an RSA key (RFC 7518 section 3.5: 2048 or more; a larger one than
// 8192 only costs time at each sign-in).
const (
	rsaLeast = 2048
	rsaMost  = 8192
)

// What ParseClientKey finds wrong. None of them repeats the text.
var (
	errNoPEM        = errors.New("no PEM text")
	errManyPEM      = errors.New("more than one PEM block")
	errPublicPEM    = errors.New("the public half")
	errEncryptedPEM = errors.New("a key under a passphrase")
	errOldPEM       = errors.New("a key in the form of its own kind, not PKCS #8")
	errBrokenPEM    = errors.New("no private key in PKCS #8")
	errSmallKey     = errors.New("an RSA key of a size that is not accepted (2048 to 8192 bits)")
	errKindKey      = errors.New("a kind of key that is not used here")
)

// ParseClientKey reads a private key as keygen --signing prints it: one PEM block
// PRIVATE KEY (RFC 7468 section 10), P-256, Ed25519 or RSA.
func ParseClientKey(text string) (crypto.Signer, error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, errNoPEM
	case len(strings.TrimSpace(string(rest))) > 0:
		return nil, errManyPEM
	case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["Proc-Type"] != "":
		return nil, errEncryptedPEM
	case block.Type == "EC PRIVATE KEY", block.Type == "RSA PRIVATE KEY":
		return nil, errOldPEM
	case block.Type == "PUBLIC KEY", block.Type == "CERTIFICATE":
		return nil, errPublicPEM
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if block.Type != "PRIVATE KEY" || err != nil {
		return nil, errBrokenPEM
	}
	return judgeClientKey(parsed)
}

// judgeClientKey takes the kinds of FAPI 2.0 Security Profile section 5.4.
func judgeClientKey(parsed any) (crypto.Signer, error) {
	switch key := parsed.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < rsaLeast || bits > rsaMost {
			return nil, errSmallKey
		}
		return key, nil
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return nil, errKindKey
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errKindKey
}

const clientKeyHint = "it has to be one PEM block PRIVATE KEY, P-256, Ed25519 or RSA of 2048 bits or more, " +
	"as `cloakroom keygen --signing` prints"

// validateCredentials checks that each app proves itself in exactly one way
// (RFC 6749 section 2.3), and that no key proves two of them.
func (r *report) validateCredentials(c *Config) {
	ids := regexp.MustCompile(keyIDPattern)
	owner := map[string]string{} // by the public key
	for _, id := range slices.Sorted(maps.Keys(c.Apps)) {
		path, a := join("apps", id), c.Apps[id]
		r.credential(path, a, c.Providers[a.Provider])
		seen := map[string]bool{}
		for i, key := range a.ClientKeys {
			here := at(join(path, "client_keys"), i)
			r.validateKeyID(join(here, "id"), key.ID, ids, seen, "the provider could not tell which one signed")
			r.validateClientKey(here, path, key, owner)
		}
	}
}

func (r *report) credential(path string, a *App, p *Provider) {
	hasSecret := a.ClientSecret.IsSet() || r.has(join(path, "client_secret_file"))
	here := r.asWritten(path, "client_secret", "client_secret_file")
	switch {
	case len(a.ClientKeys) > 0 && hasSecret:
		r.add(here, "beside client_keys; an app proves itself in one way, so delete one of the two")
	case len(a.ClientKeys) > 0, hasSecret && (p == nil || p.TokenAuth != "private_key_jwt"):
	case p != nil && p.TokenAuth == "private_key_jwt":
		r.add(join(path, "client_keys"), "missing, but provider %s says token_auth: private_key_jwt; "+
			"list [{id: c1, file: name}] with a file that `cloakroom keygen --signing` made", a.Provider)
	default:
		r.add(join(path, "client_secret"), "missing; every app is a confidential client, so name its client_secret_file or list client_keys")
	}
}

func (r *report) validateClientKey(path, app string, key *ClientKey, owner map[string]string) {
	here := r.asWritten(path, "key", "file")
	signer, err := ParseClientKey(key.Key.Reveal())
	switch {
	case r.has(join(path, "file")):
		return
	case !key.Key.IsSet():
		r.add(join(path, "file"), "missing; name a file that `cloakroom keygen --signing` made")
		return
	case here == join(path, "key") && r.sources[here].layer == fromFile:
		r.add(here, "a key in the configuration file itself; put it into a file of its own and name that in file")
		return
	case err != nil:
		r.add(here, "%s; %s", err, clientKeyHint)
		return
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil { // the kinds above all have this form
		r.add(here, "%s; %s", errKindKey, clientKeyHint)
		return
	}
	// RFC 9700 section 2.5: whoever holds one app's key must not pass for another.
	if other := owner[string(public)]; other != "" {
		r.add(here, "the same key as one of %s; draw each with `cloakroom keygen --signing`", other)
	}
	owner[string(public)] = app
}
