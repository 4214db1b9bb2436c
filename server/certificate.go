package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"cloakroom/server/config"
)

// certRecheck is how often a certificate file is looked at for a change: far more often than one is renewed.
const certRecheck = 10 * time.Second

// encrypted is l with TLS, where a certificate is configured.
func (s *Server) encrypted(l net.Listener, set config.ServerTLS, protocols ...string) (net.Listener, error) {
	if set.CertFile == "" {
		return l, nil
	}
	cert := &certificate{certFile: set.CertFile, keyFile: set.KeyFile, log: s.log}
	if err := cert.load(); err != nil {
		_ = l.Close()
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, // ASVS 12.1.1
		NextProtos: protocols, GetCertificate: cert.get,
	}), nil
}

// certificate is a key pair on disk that is read again when it changes.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time // of the file that pair was read from
	looked  time.Time
}

func (c *certificate) load() error {
	info, err := os.Stat(c.certFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.pair, c.changed = &pair, info.ModTime()
	return nil
}

// get returns the pair. A new one that cannot be read keeps the old in use, and says so.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certRecheck {
		return c.pair, nil
	}
	c.looked = time.Now()
	if info, err := os.Stat(c.certFile); err == nil && info.ModTime().Equal(c.changed) {
		return c.pair, nil
	}
	if err := c.load(); err != nil {
		c.log.Error("the certificate changed and cannot be read: the old one stays in use", "error", err.Error())
	}
	return c.pair, nil
}
