package server

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/server/telemetry"
)

// headerRequestID carries the request's id in both directions: it ties an answer to its log lines.
const headerRequestID = "X-Request-Id"

// observe gives the request its id, writes its log line when it is over, and turns a panic into an error. It is the
// outermost room: every error that comes out of the others is written here.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		w := &watched{ResponseWriter: c.Response().Writer}
		if r.ProtoMajor >= 2 {
			w.stall = cmp.Or(s.options.Stall, stall)
		}
		c.Response().Writer = w
		defer w.finish()
		a := &telemetry.Access{
			ID: s.requestID(r), Began: s.options.Now(), Method: r.Method, Host: r.Host, ClientIP: c.RealIP(), Route: "none",
		}
		r.Host = canonicalHost(r.Host) // Echo picks the site's router by that of this very request, not of a copy
		c.SetRequest(r.WithContext(s.tel.Begin(r.Context(), a, r.Header, s.options.Traces != nil && s.fromTrustedProxy(r))))
		c.Response().Header().Set(headerRequestID, a.ID)
		defer s.tell(c, a)
		defer s.rescue(c, a)
		if err := next(c); err != nil && !w.hijacked { // what follows a takeover is not HTTP: nothing may be written into it
			letGoOfBody(c)
			c.Error(err)
		}
		if a.Code == string(bff.CodeClientGone) && !c.Response().Committed {
			panic(http.ErrAbortHandler) // net/http would make a 200 of an answer that was never written
		}
		letGoOfBody(c)
		return nil
	}
}

// watched is the server's writer: it remembers whether its connection was taken over, and breaks an HTTP/2 stream whose
// frontend opens no window for what it asked for. On HTTP/1 the connection itself does that: see impatient.
type watched struct {
	http.ResponseWriter
	stall    time.Duration // 0: not of a stream
	hijacked bool
}

// Write writes in time, or breaks the stream.
func (w *watched) Write(p []byte) (int, error) {
	w.within(w.stall)
	defer w.within(0) // what comes next may take its time: an event stream
	return w.ResponseWriter.Write(p)
}

// FlushError flushes in time, or breaks the stream.
func (w *watched) FlushError() error {
	w.within(w.stall)
	defer w.within(0)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// finish bounds what net/http still writes after the handler.
func (w *watched) finish() { w.within(w.stall) }

// within gives the stream's writes so much time; 0 takes the limit off.
func (w *watched) within(d time.Duration) {
	if w.stall == 0 {
		return
	}
	var end time.Time
	if d > 0 {
		end = time.Now().Add(d)
	}
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(end) // every HTTP/2 stream has one
}

// Hijack takes the connection over.
func (w *watched) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.hijacked = w.hijacked || err == nil
	return conn, rw, err
}

// Unwrap lets http.ResponseController reach the writer of the server.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// linger is how long a request's body may still come after its answer was decided: long enough for one on its way, short
// enough that nobody holds connections by bodies that never come (ASVS 13.1.3).
const linger = 500 * time.Millisecond

// letGoOfBody ends the wait for a body that nobody reads. On HTTP/1 net/http reads what is left before it writes the head
// of an answer, and again before it closes, for as long as the frontend likes.
func letGoOfBody(c echo.Context) {
	if r := c.Request(); r.ProtoMajor == 1 && r.ContentLength != 0 {
		_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(linger)) // a connection that has none is not one
	}
}

// tell writes the access log line.
func (s *Server) tell(c echo.Context, a *telemetry.Access) {
	a.Status, a.Bytes = c.Response().Status, c.Response().Size
	if a.Code == string(bff.CodeClientGone) {
		a.Status = 499 // nothing was sent: nobody was left to read it
	}
	a.Took = s.options.Now().Sub(a.Began)
	s.tel.Access(c.Request().Context(), a)
}

// rescue turns a panic into an internal error: nothing is proxied, the process lives. http.ErrAbortHandler is how a
// broken stream ends: it goes on to net/http, which cuts the connection.
func (s *Server) rescue(c echo.Context, a *telemetry.Access) {
	p := recover()
	switch {
	case p == nil:
		return
	case isAbort(p):
		a.Code = cmp.Or(a.Code, "aborted")
		panic(p)
	}
	s.log.Error("panic", "request_id", a.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if c.Response().Committed {
		a.Code = string(bff.CodeInternal)
		panic(http.ErrAbortHandler) // a broken answer must be seen as broken, not as a short one
	}
	letGoOfBody(c)
	c.Error(&bff.Error{Code: bff.CodeInternal, Err: fmt.Errorf("panic: %v", p)})
}

func isAbort(p any) bool {
	err, ok := p.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// requestID takes over an id that a trusted proxy in front gave, if it has the form of one, else makes one: nobody else
// may file a request under another's id (ASVS 16.4.1).
func (s *Server) requestID(r *http.Request) string {
	id := r.Header.Get(headerRequestID)
	if len(id) < 8 || len(id) > 64 || !s.fromTrustedProxy(r) {
		return rand.Text()
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return rand.Text()
		}
	}
	return id
}
