// Package upstream is the way to one API: the machines that answer under its name, which of them is asked, and what is done
// when one of them does not answer. It knows connections and HTTP. It does not know routes, sessions or tokens.
//
// An API is asked under its own origin, whichever machine answers: that is its Host, the name its certificate must carry, and
// the address that proofs are made for. The journey of a request:
//
//	upstream.go   what an upstream is made of; a route's way into it (Within)
//	balance.go    which target is asked: two random ones that are in, the less busy of them
//	attempt.go    one request to one target, its time, and whether any of it was sent
//	upload.go     the request's body, kept for another attempt where it is short
//	retry.go      whether another target is asked, and how often that may be
//	answer.go     a short answer read whole, a long one broken off when it stalls
//	target.go     a target: in or out, and what moves it
//	health.go     asking targets how they are, beside all requests
//	transport.go  connections
//
// A target goes out when as many attempts in a row found nobody, and while its own word about its health is bad. The breaker
// is not a library's: it has to cost a request that goes well nothing, and to hear of two sources.
package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Protocol is what is spoken with targets.
type Protocol string

// The protocols.
const (
	Auto  Protocol = "auto"  // over TLS what both sides know of HTTP/2 and HTTP/1.1, by ALPN (RFC 7301); else HTTP/1.1
	HTTP1 Protocol = "http1" // HTTP/1.1 alone
	HTTP2 Protocol = "http2" // HTTP/2 alone, over TLS
	H2C   Protocol = "h2c"   // HTTP/2 in the clear, known beforehand (RFC 9113 section 3.3)
)

// Health is how a target is asked whether it is well.
type Health struct {
	Path    string        // asked by GET under the origin, without any credential: 200 to 399 is well; "" asks nobody
	Every   time.Duration // between two questions to one target; 0 is DefaultEvery
	Timeout time.Duration // for the head of the answer; 0 is DefaultHealthTimeout
}

// Told is what an upstream tells while it works; nil: nobody is told. All of it is called beside other requests: be quick.
type Told struct {
	// Moved says that a target came in or went out; why is one of the words Why…, and cause what the last attempt, or question,
	// that came to nothing met with; nil where it came in.
	Moved func(origin, target string, in bool, why string, cause error)
	// Retried says that a request is sent once more; why is one of the words Why….
	Retried func(origin, why string)
}

// Why a target moved, or a request was sent once more.
const (
	WhyStart    = "start"    // it is in when the gateway starts
	WhyFailures = "failures" // too many attempts in a row came to nothing
	WhyHealth   = "health"   // by its own word, or for want of one
	WhyAnswer   = "answer"   // it answers again
	WhyUnsent   = "unsent"   // no connection could be had, or it was dead before a byte of the request was written
	WhyLost     = "lost"     // the connection broke before the answer
	WhyTimeout  = "timeout"  // no answer in the attempt's share of the time
	WhyCut      = "cut"      // the answer broke off in its middle
	WhyStatus   = "status"   // the target answered 502, 503 or 504
)

// Timeouts bound the phases of a call. Zero is the default.
type Timeouts struct {
	Connect time.Duration // until a connection stands; DefaultConnect
	TLS     time.Duration // until it is encrypted; DefaultTLS
	// Stall is how long an answer of known length may pause before it is broken off, and a target take nothing of a body that
	// it is sent; DefaultStall. Answers of unknown length, event streams among them, may pause.
	Stall time.Duration
	Idle  time.Duration // that an unused connection is kept; DefaultIdle
}

// Defaults of Settings.
const (
	DefaultConnect         = 5 * time.Second // a host that does not answer by then is down
	DefaultTLS             = 5 * time.Second // three round trips around the world take one
	DefaultStall           = time.Minute     // as long as the public listener bears a frontend that takes nothing
	DefaultIdle            = 90 * time.Second
	DefaultEvery           = 5 * time.Second
	DefaultHealthTimeout   = 2 * time.Second // whoever needs longer to say that it is well is not
	DefaultAttempts        = 3
	DefaultIdleConnections = 256 // Go's two would have every burst open and close its connections
	DefaultFailures        = 5   // in a row: fewer are an accident
	DefaultOpen            = 5 * time.Second
	// MaxTargets is how many targets an upstream may have: beyond that a load balancer of their own is in order.
	MaxTargets = 64
)

// Settings are what an upstream is made of. Zero values are the defaults.
type Settings struct {
	Origin   string   // scheme://host[:port] of the API; the path of requests is not looked at
	Targets  []string // host:port that are dialled instead of the origin's own; none: that one
	Protocol Protocol // "" is Auto
	Health   Health
	// Attempts is the most targets that one safe request is tried at; 1: none is tried again.
	Attempts        int
	Connections     int // most to one target; 0: no limit. Whoever finds none free waits, as long as the route waits for an answer
	IdleConnections int // kept to one target
	Timeouts        Timeouts

	RootCAs    *x509.CertPool // who may sign the targets' certificates; nil: the system's
	ServerName string         // the name in those certificates; "" is the origin's host
	// Certificate is the client certificate for targets that ask for one; nil: there is none.
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

	Failures int           // in a row that put a target out
	Open     time.Duration // that it is out before one attempt is let through

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil is net.Dialer
	// Again is given each request that is about to be sent once more, to put into its header what is for one request alone; nil:
	// nothing is. Its error ends the request.
	Again func(*http.Request) error
	Told  Told
}

// DownError says that all targets are out, so that nobody was asked.
type DownError struct {
	Origin     string
	RetryAfter time.Duration // until an attempt is let through; at least a second
}

// Error names the origin.
func (e *DownError) Error() string { return "all targets of " + e.Origin + " are out" }

// Upstream is one API. Use it from as many goroutines as you like.
type Upstream struct {
	set     Settings
	targets []*target
	budget  budget
	views   map[time.Duration]*view
}

// New checks settings and makes an upstream of them. It connects to nothing.
func New(s Settings) (*Upstream, error) {
	s.fill()
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("upstream %s: %w", s.Origin, err)
	}
	u := &Upstream{set: s, views: make(map[time.Duration]*view)}
	for _, addr := range s.addresses() {
		t := newTarget(addr, &u.set)
		u.targets = append(u.targets, t)
		s.Told.Moved(s.Origin, t.name, true, WhyStart, nil)
	}
	return u, nil
}

// addresses are those of the targets; "" is the origin's own.
func (s *Settings) addresses() []string {
	if len(s.Targets) == 0 {
		return []string{""}
	}
	return s.Targets
}

func (s *Settings) fill() {
	or := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	or(&s.Timeouts.Connect, DefaultConnect)
	or(&s.Timeouts.TLS, DefaultTLS)
	or(&s.Timeouts.Stall, DefaultStall)
	or(&s.Timeouts.Idle, DefaultIdle)
	or(&s.Health.Every, DefaultEvery)
	or(&s.Health.Timeout, DefaultHealthTimeout)
	or(&s.Open, DefaultOpen)
	for of, value := range map[*int]int{
		&s.Attempts: DefaultAttempts, &s.IdleConnections: DefaultIdleConnections, &s.Failures: DefaultFailures,
	} {
		if *of == 0 {
			*of = value
		}
	}
	if s.Protocol == "" {
		s.Protocol = Auto
	}
	if s.Told.Moved == nil {
		s.Told.Moved = func(string, string, bool, string, error) {}
	}
	if s.Told.Retried == nil {
		s.Told.Retried = func(string, string) {}
	}
}

// check returns what is wrong with filled settings, all at once.
func (s *Settings) check() error {
	var problems []error
	wrong := func(is bool, what string) {
		if is {
			problems = append(problems, errors.New(what))
		}
	}
	u, err := url.Parse(s.Origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || s.Origin != u.Scheme+"://"+u.Host {
		return errors.New("it is no origin of http or https")
	}
	switch s.Protocol {
	case Auto, HTTP1:
	case HTTP2:
		wrong(u.Scheme != "https", "HTTP/2 in the clear is h2c")
	case H2C:
		wrong(u.Scheme != "http", "h2c is without TLS")
	default:
		wrong(true, "its protocol is unknown")
	}
	wrong(len(s.Targets) > MaxTargets, "it has too many targets")
	seen := make(map[string]bool)
	for _, t := range s.Targets {
		host, port, err := net.SplitHostPort(t)
		wrong(err != nil || host == "" || port == "", "a target is no host:port")
		wrong(seen[t], "a target is listed twice")
		seen[t] = true
	}
	wrong(s.Attempts < 0 || s.Connections < 0 || s.IdleConnections < 0 || s.Failures < 0, "a number below zero")
	wrong(min(s.Timeouts.Connect, s.Timeouts.TLS, s.Timeouts.Stall, s.Timeouts.Idle, s.Open, s.Health.Every, s.Health.Timeout) < 0,
		"a time below zero")
	wrong(s.Health.Path != "" && s.Health.Path[0] != '/', "the path of its health does not begin with a slash")
	return errors.Join(problems...)
}

// Origin is the API's own name.
func (u *Upstream) Origin() string { return u.set.Origin }

// Down reports whether all targets are out.
func (u *Upstream) Down() bool {
	for _, t := range u.targets {
		if !t.out.Load() {
			return false
		}
	}
	return true
}

// CloseIdle closes the connections that nobody uses.
func (u *Upstream) CloseIdle() {
	for _, t := range u.targets {
		for _, tr := range t.transports {
			tr.CloseIdleConnections()
		}
	}
}

// Within returns the way into the upstream for requests that wait no longer than head for the head of their answer, all
// attempts together; a request's body does not count, as long as it moves. Do not call it beside itself.
//
// Its RoundTrip returns, beside what http.Transport does, a *DownError where nobody could be asked. What took too long is a
// net.Error with Timeout.
func (u *Upstream) Within(head time.Duration) http.RoundTripper {
	if u.views[head] == nil {
		v := &view{up: u, head: head}
		if len(u.targets) == 1 && u.set.Connections == 0 {
			// A single target's connections are bounded by nothing, so that those of each time may be apart: then it is the
			// transport itself that keeps the time, and a request without a body costs nothing more than a transport's.
			v.lone = u.targets[0].plain(&u.set, head)
		}
		u.views[head] = v
	}
	return u.views[head]
}

// view is the way into an upstream for requests of one time-out.
type view struct {
	up   *Upstream
	head time.Duration
	lone *http.Transport // of the only target, where it keeps the time by itself; else nil
}

// RoundTrip asks a target, or several one after the other.
func (v *view) RoundTrip(out *http.Request) (*http.Response, error) {
	out = sentOnce(out)
	if v.lone != nil && bodyless(out) && (out.Header["Upgrade"] == nil || v.up.targets[0].handshakes == nil) {
		return v.direct(out)
	}
	return v.balance(out)
}

// direct asks the only target, which has the time of the view.
func (v *view) direct(out *http.Request) (*http.Response, error) {
	t := v.up.targets[0]
	trial, ok := t.admit(true)
	if !ok {
		return nil, v.up.down()
	}
	t.underway.Add(1)
	began := time.Now()
	res, err := v.lone.RoundTrip(out)
	if err != nil {
		t.underway.Add(-1)
		t.met(err)
		t.judge(verdictOf(out.Context(), err, nil), began, trial)
		return nil, err
	}
	t.guard(res, good, began, trial, nil)
	return res, nil
}

// bodyless reports whether a request is over with its head.
func bodyless(r *http.Request) bool { return r.Body == nil || r.Body == http.NoBody }

// safe reports whether a request may be sent again although it may have been carried out: RFC 9110 section 9.2.1. PUT and
// DELETE are idempotent by section 9.2.2, but what an API makes of them nobody here knows. A WebSocket's handshake begins more
// than it asks for.
func safe(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) && r.Header["Upgrade"] == nil
}

// sentOnce keeps http.Transport from sending a request again that is not safe, which it does for those with one of these
// fields and without a body when an old connection breaks. Names of fields are without case (RFC 9110 section 5.1), and in
// this spelling it does not see them.
func sentOnce(out *http.Request) *http.Request {
	if safe(out) {
		return out
	}
	for _, canonical := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := out.Header[canonical]; ok {
			out = out.WithContext(out.Context())
			out.Header = out.Header.Clone()
			delete(out.Header, canonical)
			out.Header[strings.ToLower(canonical)] = values
		}
	}
	return out
}
