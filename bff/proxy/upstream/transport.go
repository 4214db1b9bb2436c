package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// newTransport makes a transport to one target. It asks no proxy of the environment: a token goes straight to its API. head is
// how long it waits for the head of an answer; 0: whoever uses it keeps the time.
func newTransport(s *Settings, address string, p Protocol, head time.Duration) *http.Transport {
	secure := &tls.Config{
		// RFC 9325 section 3.1.1; certificates are always verified: who else would get the token?
		MinVersion: tls.VersionTLS12, RootCAs: s.RootCAs, ServerName: s.ServerName, GetClientCertificate: s.Certificate,
	}
	if p == HTTP2 {
		secure.VerifyConnection = speaksHTTP2
	}
	return &http.Transport{
		DialContext:         dialer(s, address, head),
		Protocols:           protocols(p),
		TLSClientConfig:     secure,
		TLSHandshakeTimeout: within(s.Timeouts.TLS, head),
		// A peer that vanished is noticed within both.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		// Bodies pass as they are: the frontend negotiates with the API.
		DisableCompression:    true,
		MaxIdleConnsPerHost:   s.IdleConnections,
		MaxConnsPerHost:       s.Connections,
		IdleConnTimeout:       s.Timeouts.Idle,
		ResponseHeaderTimeout: head,
		ExpectContinueTimeout: time.Second,
		// A frontend's server takes 64 KiB at most too, and Go's default of ten megabytes is a gift to a mad API.
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// speaksHTTP2 refuses a target that knows nothing of ALPN: http.Transport would speak HTTP/1.1 with it.
func speaksHTTP2(state tls.ConnectionState) error {
	if state.NegotiatedProtocol != "h2" {
		return errors.New("the target does not speak HTTP/2")
	}
	return nil
}

// within bounds a phase by the whole, if that is bounded.
func within(d, whole time.Duration) time.Duration {
	if whole == 0 {
		return d
	}
	return min(d, whole)
}

func protocols(p Protocol) *http.Protocols {
	all := new(http.Protocols)
	all.SetHTTP1(p == Auto || p == HTTP1)
	all.SetHTTP2(p == Auto || p == HTTP2)
	all.SetUnencryptedHTTP2(p == H2C)
	return all
}

// dialer opens connections to a target, whatever address it is asked for; "" dials that.
func dialer(s *Settings, address string, head time.Duration) func(context.Context, string, string) (net.Conn, error) {
	dial := s.Dial
	if dial == nil {
		dial = (&net.Dialer{
			Timeout:   within(s.Timeouts.Connect, head),
			KeepAlive: 15 * time.Second, // a peer that vanished is noticed within some of these
		}).DialContext
	}
	buffers := new(sync.Pool)
	return func(ctx context.Context, network, asked string) (net.Conn, error) {
		if address != "" {
			asked = address
		}
		conn, err := dial(ctx, network, asked)
		if err != nil {
			return nil, err
		}
		return &wire{Conn: conn, buffers: buffers}, nil
	}
}

// wire is a connection whose written bytes are counted: whether any of a request has left decides whether it may be sent
// again. It takes bodies in larger pieces than net/http's.
type wire struct {
	net.Conn
	written atomic.Int64
	buffers *sync.Pool // for bodies, shared by the connections of one target
}

// Write counts what was taken.
func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.written.Add(int64(n))
	return n, err
}

// uploadBytes is what a body is written by: each piece costs two system calls and the clocks that watch over both ends.
const uploadBytes = 128 << 10

// ReadFrom writes a body, piece by piece.
func (w *wire) ReadFrom(r io.Reader) (total int64, err error) {
	buf, ok := w.buffers.Get().(*[uploadBytes]byte)
	if !ok {
		buf = new([uploadBytes]byte)
	}
	defer w.buffers.Put(buf)
	for err == nil {
		var n int
		if n, err = r.Read(buf[:]); n == 0 {
			continue
		}
		n, failed := w.Write(buf[:n])
		if total += int64(n); failed != nil {
			return total, failed
		}
	}
	if err == io.EOF {
		err = nil
	}
	return total, err
}

// CloseWrite tells the target that nothing more comes; a connection that cannot is closed.
func (w *wire) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return w.Conn.Close()
}

// wireOf finds the counted connection below what a transport uses; nil: it is none of ours.
func wireOf(c net.Conn) *wire {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	w, _ := c.(*wire)
	return w
}
