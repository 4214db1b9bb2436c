package browser

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Request is what a page's script asks of fetch(). The zero value of each field is fetch's own default.
type Request struct {
	Method      string // GET
	URL         string // may be relative to the page
	Header      http.Header
	Body        []byte
	Redirect    string // "follow", "error", or "manual" (answered as it came; a script would see less of it)
	Credentials string // "same-origin", "include" or "omit"
	Mode        string // "cors", "no-cors" (a subresource, an <img>), "same-origin", "websocket"
	Dest        string // Sec-Fetch-Dest: "empty"; "image", "script", "iframe"… for subresources
}

// Fetch sends a request as a script (or a tag) of the page would, with the page's origin, cookies by SameSite, and
// CORS enforced: ErrBlocked where the script would see a network error.
func (b *Browser) Fetch(from *Page, q Request) (*Page, error) {
	r, err := q.from(from)
	if err != nil {
		return nil, err
	}
	var hops []Hop
	for len(hops) <= maxHops {
		if err := b.preflight(r); err != nil {
			return nil, err
		}
		hop, err := b.send(r)
		if err != nil {
			return nil, err
		}
		hops = append(hops, hop)
		if err := r.readable(hop); err != nil {
			return nil, err
		}
		next, err := r.follow(hop)
		if err != nil {
			return nil, err
		}
		switch {
		case next == nil || q.Redirect == "manual":
			return arrived(r, hops), nil
		case q.Redirect == "error":
			return nil, fmt.Errorf("fetching %s: %w", hop.URL, ErrRedirected)
		}
		r = next
	}
	return nil, fmt.Errorf("fetching %s: %w", r.url, ErrTooManyHops)
}

// Open is Fetch for a response that does not end, such as an event stream: no redirects, the body unread. Closing
// the body, or ending ctx, ends it; OnResponse is told then, with what was read.
func (b *Browser) Open(ctx context.Context, from *Page, q Request) (*http.Response, error) {
	r, err := q.from(from)
	if err != nil {
		return nil, err
	}
	if err := b.preflight(r); err != nil {
		return nil, err
	}
	resp, hop, err := b.roundTrip(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := r.readable(hop); err != nil {
		resp.Body.Close()
		return nil, err
	}
	resp.Body = &overheard{ReadCloser: resp.Body, hop: hop, tell: b.onResponse}
	return resp, nil
}

// overheard is a body that remembers what was read of it.
type overheard struct {
	io.ReadCloser
	hop  Hop
	tell func(Hop)
}

// Read reads on and remembers.
func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.ReadCloser.Read(p)
	o.hop.Body = append(o.hop.Body, p[:n]...)
	return n, err
}

// Close ends the stream and tells what was read.
func (o *overheard) Close() error {
	err := o.ReadCloser.Close()
	o.tell(o.hop)
	return err
}

// RequestHeader is the header, cookies included, that the page's request would carry, for a client that has to do the
// talking itself: a WebSocket handshake (Mode "websocket", Dest "websocket", an http URL).
func (b *Browser) RequestHeader(from *Page, q Request) (http.Header, error) {
	r, err := q.from(from)
	if err != nil {
		return nil, err
	}
	h := r.fields(b.userAgent)
	if cookies := b.jar.header(r); cookies != "" && r.withCookies() {
		h.Set("Cookie", cookies)
	}
	return h, nil
}

// from makes the first link of the chain.
func (q Request) from(page *Page) (*request, error) {
	u, err := page.at.Parse(q.URL)
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	r := &request{
		method: or(strings.ToUpper(q.Method), http.MethodGet), url: u, header: q.Header.Clone(), body: q.Body,
		initiator: page.at, policy: page.policy, chain: []*url.URL{u},
		mode: or(q.Mode, "cors"), dest: or(q.Dest, "empty"), credentials: or(q.Credentials, "same-origin"),
	}
	if r.header == nil {
		r.header = http.Header{}
	}
	if r.mode == "same-origin" && r.crossOrigin() {
		return nil, fmt.Errorf("fetching %s from another origin: %w", u, ErrBlocked)
	}
	return r, nil
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// preflight asks the server's leave where CORS wants it (Fetch section 4.8), without credentials.
func (b *Browser) preflight(r *request) error {
	names := r.unsafeHeaders()
	simple := slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, r.method)
	if r.mode != "cors" || !r.crossOrigin() || simple && len(names) == 0 {
		return nil
	}
	ask := *r
	ask.method, ask.body, ask.header, ask.credentials = http.MethodOptions, nil, http.Header{}, "omit"
	ask.header.Set("Access-Control-Request-Method", r.method)
	if len(names) > 0 {
		ask.header.Set("Access-Control-Request-Headers", strings.Join(names, ","))
	}
	hop, err := b.send(&ask)
	if err != nil {
		return err
	}
	if err := r.readable(hop); err != nil {
		return err
	}
	if hop.Status < 200 || hop.Status > 299 || !simple && !r.granted(hop, "Access-Control-Allow-Methods", r.method) {
		return fmt.Errorf("%s %s refused in preflight: %w", r.method, r.url, ErrBlocked)
	}
	for _, name := range names {
		if !r.granted(hop, "Access-Control-Allow-Headers", name) {
			return fmt.Errorf("field %s refused in preflight of %s: %w", name, r.url, ErrBlocked)
		}
	}
	return nil
}

// unsafeHeaders lists, in lower case and order, the fields that need a preflight (Fetch section 2.2.2).
func (r *request) unsafeHeaders() []string {
	var names []string
	for name, values := range r.header {
		switch name = strings.ToLower(name); name {
		case "accept", "accept-language", "content-language":
			continue
		case "content-type":
			media, _, _ := strings.Cut(strings.Join(values, ","), ";")
			if slices.Contains([]string{"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}, strings.TrimSpace(media)) {
				continue
			}
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// granted looks a word up in a list field; "*" grants all only where no credentials go, and never Authorization.
func (r *request) granted(hop Hop, field, word string) bool {
	for item := range strings.SplitSeq(strings.Join(hop.Header.Values(field), ","), ",") {
		item = strings.TrimSpace(item)
		if strings.EqualFold(item, word) || item == "*" && r.credentials != "include" && word != "authorization" {
			return true
		}
	}
	return false
}

// readable is the CORS check (Fetch section 4.9): may the page see this answer.
func (r *request) readable(hop Hop) error {
	if r.mode != "cors" || !r.crossOrigin() {
		return nil
	}
	allowed := hop.Header.Values("Access-Control-Allow-Origin")
	if len(allowed) == 1 {
		if allowed[0] == "*" && r.credentials != "include" {
			return nil
		}
		if allowed[0] == r.origin() && (r.credentials != "include" || hop.Header.Get("Access-Control-Allow-Credentials") == "true") {
			return nil
		}
	}
	return fmt.Errorf("reading %s from %s: %w", hop.URL, originOf(r.initiator), ErrBlocked)
}
