// Package browser drives a web site the way a browser does, without one: it keeps cookies, follows
// navigations, and says in each request what a browser would say about where that request came from.
//
// It knows RFC 6265bis (cookie prefixes, SameSite over redirect chains), Fetch Metadata (Sec-Fetch-*),
// Referrer Policy, CORS and enough HTML to find links, forms and refreshes. It does not run scripts,
// paint, or load subresources: a test that needs one of those asks for it with Fetch.
//
// The journey: Navigate, Click or SubmitForm makes a request that remembers who initiated it; each
// redirect lengthens its chain; the jar decides by that chain which cookies travel; a page with an
// immediate refresh starts a new chain with itself as the initiator; the Page that ends it all carries
// every Hop on the way. A Browser is one profile: two browsers share nothing.
package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What a browser refuses to do. Errors of this package wrap one of these, or are the network's own.
var (
	// ErrTooManyHops ends a navigation or fetch that never arrives: more than 20 redirects and refreshes.
	ErrTooManyHops = errors.New("too many redirects")
	// ErrBlocked is a response or request that the same-origin policy keeps from the page (CORS, or a form-action policy).
	ErrBlocked = errors.New("blocked by the browser")
	// ErrRedirected is a fetch with Redirect "error" that met a redirect.
	ErrRedirected = errors.New("redirected, and redirects are refused")
	// ErrNotFound is a page without the form or link that was asked for.
	ErrNotFound = errors.New("not on the page")
)

const (
	maxHops        = 20               // what Chromium and the Fetch standard allow
	requestTimeout = 60 * time.Second // longer than any hold in a test, shorter than the test binary's own limit
)

// Options are what a Browser is made of; the zero value is a browser that talks to the real loopback.
type Options struct {
	// Transport carries the requests (its TLS settings too); nil means a transport of its own. It is cloned.
	Transport *http.Transport
	// Resolve names the address to dial for the host:port of a URL; "" leaves it as it is.
	// Before it is asked nothing is resolved; after it, localhost and its subdomains mean 127.0.0.1.
	Resolve func(hostport string) string
	// OnResponse sees every response, redirects, refreshes and preflights included, body read whole.
	OnResponse func(Hop)
	// Now is the clock that cookies expire by; nil means time.Now.
	Now func() time.Time
	// UserAgent is the User-Agent field; "" is a plain desktop browser's.
	UserAgent string
}

// Browser is one browser profile: a cookie jar and a way to the network. It is safe for concurrent use.
type Browser struct {
	jar        *jar
	transport  *http.Transport
	onResponse func(Hop)
	hold       func(*url.URL) bool
	userAgent  string
}

// New makes an empty browser.
func New(o Options) *Browser {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.UserAgent == "" {
		o.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) Test/1.0"
	}
	if o.OnResponse == nil {
		o.OnResponse = func(Hop) {}
	}
	return &Browser{
		jar:        newJar(o.Now),
		transport:  dialing(o.Transport, o.Resolve),
		onResponse: o.OnResponse,
		hold:       func(*url.URL) bool { return false },
		userAgent:  o.UserAgent,
	}
}

// dialing returns a copy of t that dials where resolve says.
func dialing(t *http.Transport, resolve func(string) string) *http.Transport {
	if t == nil {
		t = &http.Transport{MaxIdleConnsPerHost: 64} // many concurrent requests of one test reuse their connections
	}
	t = t.Clone()
	var dialer net.Dialer
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, dialAddress(addr, resolve))
	}
	return t
}

func dialAddress(addr string, resolve func(string) string) string {
	if resolve != nil {
		if to := resolve(addr); to != "" {
			return to
		}
	}
	host, port, err := net.SplitHostPort(addr)
	if err == nil && localhostName(host) {
		return net.JoinHostPort("127.0.0.1", port) // RFC 6761 section 6.3: localhost names are never asked of DNS
	}
	return addr
}

// HoldAt makes navigations stop before a URL that match accepts is requested: the Page is Unsent, and
// Continue sends it. It is for tests that carry a URL to another browser, or do something in between.
// nil holds nothing. Not to be called while navigations run.
func (b *Browser) HoldAt(match func(*url.URL) bool) {
	if match == nil {
		match = func(*url.URL) bool { return false }
	}
	b.hold = match
}

// Close drops idle connections. The browser stays usable.
func (b *Browser) Close() { b.transport.CloseIdleConnections() }

// Hop is one request and its response.
type Hop struct {
	Method        string
	URL           string // without fragment
	RequestHeader http.Header
	RequestBody   []byte
	Status        int
	Header        http.Header
	Body          []byte
}

// send performs one request of a chain: cookies out, cookies in, hook told.
func (b *Browser) send(r *request) (Hop, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	resp, hop, err := b.roundTrip(ctx, r)
	if err != nil {
		return hop, err
	}
	defer resp.Body.Close()
	hop.Body, err = io.ReadAll(resp.Body)
	if err != nil {
		return hop, fmt.Errorf("reading the answer of %s: %w", hop.URL, err)
	}
	b.onResponse(hop)
	return hop, nil
}

// roundTrip sends r and takes its cookies; the body is left to the caller.
func (b *Browser) roundTrip(ctx context.Context, r *request) (*http.Response, Hop, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, withoutFragment(r.url), bytes.NewReader(r.body))
	if err != nil {
		return nil, Hop{}, fmt.Errorf("making a request: %w", err)
	}
	req.Header = r.fields(b.userAgent)
	if r.withCookies() {
		if cookies := b.jar.header(r); cookies != "" {
			req.Header.Set("Cookie", cookies)
		}
	}
	hop := Hop{Method: r.method, URL: req.URL.String(), RequestHeader: req.Header.Clone(), RequestBody: r.body}
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		return nil, hop, fmt.Errorf("requesting %s: %w", hop.URL, err)
	}
	hop.Status, hop.Header = resp.StatusCode, resp.Header
	if r.withCookies() {
		for _, line := range resp.Header.Values("Set-Cookie") {
			b.jar.set(r, line)
		}
	}
	return resp, hop, nil
}

func withoutFragment(u *url.URL) string {
	text, _, _ := strings.Cut(u.String(), "#")
	return text
}
