package proxy

import (
	"net/http"
	"time"

	"cloakroom/bff"
)

// What one route may take of this process (ASVS 13.1.3): the size of a request's header, and how many requests are under
// way. The body's limit is in body.go, those of time are the transport's and deadline's.

// headerTooLarge refuses a header beyond the route's limit. The server's own limit, which is never below it, is net/http's
// to hold.
func (c *compiled) headerTooLarge(r *http.Request) error {
	if c.HeaderBytes == 0 || headerBytes(r) <= c.HeaderBytes {
		return nil
	}
	return &bff.Error{Code: bff.CodeHeaderTooLarge, Message: "The request's header is too large."}
}

// headerBytes is what a request's header takes as HTTP/1.1 writes it, whatever version it came in: compressed or not, this
// is what an API has to hold.
func headerBytes(r *http.Request) int64 {
	const (
		line  = len(" ") + len(" HTTP/1.1\r\n")
		field = len(": ") + len("\r\n")
	)
	n := len(r.Method) + len(r.RequestURI) + line + len("Host") + len(r.Host) + field
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + field
		}
	}
	return int64(n)
}

// busyRetry is when to come again to a route that is full: requests end all the time.
const busyRetry = time.Second

// enter counts a request in, and refuses it where as many are under way as the route bears. Call leave when it is over,
// which for a stream and a WebSocket is when that is.
func (c *compiled) enter() (leave func(), err error) {
	if c.Concurrent == 0 {
		return func() {}, nil
	}
	if c.underway.Add(1) > int64(c.Concurrent) {
		c.underway.Add(-1)
		return nil, &bff.Error{
			Code: bff.CodeUpstreamBusy, Message: "Too many requests to this service are under way. Try again in a moment.",
			RetryAfter: busyRetry,
		}
	}
	return func() { c.underway.Add(-1) }, nil
}
