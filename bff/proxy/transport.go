package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"time"
)

// DialFunc opens a connection to an upstream, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// transportKey is what routes must agree in to share connections.
type transportKey struct {
	scheme, host string
	timeout      time.Duration
	roots        *x509.CertPool
}

// transport returns the route's transport, made once for all routes that can share it.
func (t *Table) transport(c *compiled, dial DialFunc) *http.Transport {
	key := transportKey{c.target.scheme, c.target.host, c.Timeout, c.RootCAs}
	if t.transports[key] == nil {
		t.transports[key] = newTransport(key, dial)
	}
	return t.transports[key]
}

// newTransport makes a transport. It asks no proxy of the environment: a token goes straight to its API.
func newTransport(key transportKey, dial DialFunc) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{
			Timeout:   min(5*time.Second, key.timeout), // a host that does not answer by then is down
			KeepAlive: 15 * time.Second,                // a peer that vanished is noticed within some of these
		}).DialContext
	}
	return &http.Transport{
		DialContext: dial,
		// RFC 9325 section 3.1.1; certificates are always verified: who else would get the token?
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: key.roots},
		TLSHandshakeTimeout:   min(5*time.Second, key.timeout),
		ForceAttemptHTTP2:     true, // or an own TLSClientConfig would turn it off
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		DisableCompression:    true, // bodies pass as they are: the frontend negotiates with the API
		MaxIdleConnsPerHost:   256,  // the default of 2 would have every burst open and close its connections
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: key.timeout,
		ExpectContinueTimeout: time.Second,
		// A frontend's server takes 64 KiB at most too, and Go's default of ten megabytes is a gift to a mad API.
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// bufferBytes is what ReverseProxy copies by.
const bufferBytes = 32 << 10

// buffers lends buffers to ReverseProxy.
type buffers struct{ pool sync.Pool }

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return p[:]
	}
	return make([]byte, bufferBytes)
}

// Put takes a buffer back.
func (b *buffers) Put(buf []byte) { b.pool.Put((*[bufferBytes]byte)(buf)) }
