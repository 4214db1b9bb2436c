package redisproc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TLS is a certificate authority of its own with a certificate for servers on 127.0.0.1 and one for clients, as files.
type TLS struct {
	// RequireClient makes servers refuse who has no certificate of this authority.
	RequireClient bool

	CAFile         string // the authority's certificate
	CertFile       string // the server's, with KeyFile
	KeyFile        string
	ClientCertFile string // a client's, with ClientKeyFile
	ClientKeyFile  string

	client *tls.Config
}

// NewTLS makes an authority and its certificates, good for an hour, in a folder of the test's.
func NewTLS(tb testing.TB) *TLS {
	tb.Helper()
	a := &authority{tb: tb, dir: tb.TempDir()}
	a.self()
	t := &TLS{CAFile: filepath.Join(a.dir, "ca.crt")}
	t.CertFile, t.KeyFile = a.issue("server", 2, x509.ExtKeyUsageServerAuth)
	t.ClientCertFile, t.ClientKeyFile = a.issue("client", 3, x509.ExtKeyUsageClientAuth)
	own, err := tls.LoadX509KeyPair(t.ClientCertFile, t.ClientKeyFile)
	if err != nil {
		tb.Fatalf("reading the client's certificate: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	t.client = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	return t
}

// Client is a configuration that trusts the authority and shows the client's certificate.
func (t *TLS) Client() *tls.Config { return t.client.Clone() }

// arguments are the settings of a server on a port that takes TLS alone.
func (t *TLS) arguments(port int) []string {
	authenticate := "no"
	if t.RequireClient {
		authenticate = "yes"
	}
	return []string{
		"--port", "0", "--tls-port", strconv.Itoa(port), "--tls-cert-file", t.CertFile, "--tls-key-file", t.KeyFile,
		"--tls-ca-cert-file", t.CAFile, "--tls-auth-clients", authenticate,
	}
}

// authority signs certificates.
type authority struct {
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// self makes the authority's own key and certificate.
func (a *authority) self() {
	a.tb.Helper()
	a.key = a.newKey()
	template := a.template("redisproc authority", 1)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		a.tb.Fatalf("making an authority: %v", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		a.tb.Fatalf("reading the authority: %v", err)
	}
	a.write("ca.crt", "CERTIFICATE", der)
}

// issue makes a key with a certificate and returns the names of the two files.
func (a *authority) issue(name string, serial int64, use x509.ExtKeyUsage) (certFile, keyFile string) {
	a.tb.Helper()
	key := a.newKey()
	template := a.template("redisproc "+name, serial)
	template.ExtKeyUsage, template.KeyUsage = []x509.ExtKeyUsage{use}, x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.tb.Fatalf("making a certificate: %v", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatalf("writing a key: %v", err)
	}
	return a.write(name+".crt", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", private)
}

// template is what all certificates have in common.
func (a *authority) template(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatalf("making a key: %v", err)
	}
	return key
}

func (a *authority) write(name, kind string, der []byte) string {
	a.tb.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.tb.Fatalf("writing %s: %v", name, err)
	}
	return file
}
