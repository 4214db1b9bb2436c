package mobileapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
)

// provider answers as it is told to, and remembers what it was asked.
type provider struct {
	mu       sync.Mutex
	identity bff.Identity
	down     bool
	byGet    bool
	noEnd    bool
	fault    error // what it answers in place of an address
	asked    []bff.AuthorizationRequest
	revoked  chan bff.TokenSet
}

// What must never show anywhere.
const (
	accessToken  = "secret-access-token"
	refreshToken = "secret-refresh-token"
	idToken      = "secret-id-token"
	providerCode = "secret-provider-code"
)

func newProvider() *provider {
	return &provider{revoked: make(chan bff.TokenSet, 64), identity: bff.Identity{
		Subject: "ann", SID: "sid-1", ACR: "silver", AuthTime: start.Add(-time.Minute),
		Claims: []byte(`{"sub":"ann","name":"Ann <b>Other</b>","email":"ann@example.com","internal_role":"auditor"}`),
	}}
}

func (p *provider) set(f func(*provider)) { p.mu.Lock(); defer p.mu.Unlock(); f(p) }

func (p *provider) AuthorizationURL(_ context.Context, r bff.AuthorizationRequest) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return "", &bff.Error{Code: bff.CodeIDPUnavailable, Message: "The provider does not answer."}
	}
	if p.fault != nil {
		return "", p.fault
	}
	p.asked = append(p.asked, r)
	q := url.Values{"state": {r.State}, "response_type": {"code"}}
	for name, values := range r.Extra {
		q[name] = values
	}
	return issuer + "/authorize?" + q.Encode(), nil
}

func (p *provider) CheckIssuer(_ context.Context, iss string) error {
	if iss != "" && iss != issuer {
		return errors.New("another issuer")
	}
	return nil
}

func (p *provider) Exchange(context.Context, bff.CodeExchange) (*bff.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.identity
	return &bff.Grant{Identity: &id, Tokens: bff.TokenSet{
		Access: bff.NewSecret(accessToken), Refresh: bff.NewSecret(refreshToken), ID: bff.NewSecret(idToken), TokenType: "Bearer",
		Scope: "openid offline_access", ReceivedAt: start, RefreshAt: start.Add(5000 * time.Hour), ExpiresAt: start.Add(5001 * time.Hour),
	}}, nil
}

func (p *provider) Refresh(context.Context, *bff.Session, string) (*bff.Grant, error) {
	return nil, errors.New("nothing here is ever due")
}

func (p *provider) Revoke(_ context.Context, t bff.TokenSet) error { p.revoked <- t; return nil }

func (p *provider) EndSession(_ context.Context, hint bff.Secret, returnTo, state string) (*bff.EndSessionRequest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.down:
		return nil, &bff.Error{Code: bff.CodeIDPUnavailable, Message: "The provider does not answer."}
	case p.noEnd:
		return nil, nil
	}
	return &bff.EndSessionRequest{
		URL: issuer + "/end?tenant=1", Post: !p.byGet,
		Values: url.Values{"id_token_hint": {hint.Reveal()}, "post_logout_redirect_uri": {returnTo}, "state": {state}},
	}, nil
}

// browser keeps cookies as a browser does: it withholds Strict ones from foreign navigations.
type browser struct {
	w       *world
	cookies []cookie
}

type cookie struct {
	name, value string
	strict      bool
}

func (w *world) browser() *browser { return &browser{w: w} }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a *answer) location() string { return a.header.Get("Location") }

// param returns a parameter of the address that the answer sends on to.
func (a *answer) param(t testing.TB, name string) string {
	t.Helper()
	u, err := url.Parse(a.location())
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// is checks a status.
func (a *answer) is(t testing.TB, what string, status int) *answer {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d, want %d: %.300s", what, a.status, status, a.body)
	}
	return a
}

// nav is the header of a navigation from a page of that site.
func nav(site string) []string {
	return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html"}
}

func (w *world) send(method, path, body string, fields ...string) *answer {
	w.t.Helper()
	req, err := http.NewRequest(method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := &answer{res.StatusCode, res.Header, string(text)}
	w.mu.Lock()
	w.seen = append(w.seen, a.location()+" "+a.body)
	w.mu.Unlock()
	return a
}

// open is a navigation from a page of that site.
func (b *browser) open(path, site string) *answer { return b.do("GET", path, "", nav(site)...) }

// submit sends a form of a page of ours.
func (b *browser) submit(path string, form url.Values) *answer {
	return b.do("POST", path, form.Encode(), append(nav("same-origin"), "Origin", gateway, "Content-Type", "application/x-www-form-urlencoded")...)
}

func (b *browser) do(method, path, body string, fields ...string) *answer {
	b.w.t.Helper()
	var sent []string
	for _, c := range b.cookies {
		if !c.strict || !slices.Contains(fields, "cross-site") {
			sent = append(sent, c.name+"="+c.value)
		}
	}
	if len(sent) > 0 {
		fields = append(fields, "Cookie", strings.Join(sent, "; "))
	}
	a := b.w.send(method, path, body, fields...)
	b.keep(a)
	return a
}

// keep stores the cookies of an answer. shows COOKIE-1, COOKIE-3: every cookie of every test passes here.
func (b *browser) keep(a *answer) {
	b.w.t.Helper()
	for _, line := range a.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			b.w.t.Fatalf("%q: %v", line, err)
		}
		if !strings.HasPrefix(c.Name, "__Host-Http-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" ||
			c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode || len(c.Name)+len(c.Value) >= 4096 {
			b.w.t.Errorf("a browser would not keep, or should not be given: %s", line)
		}
		b.cookies = slices.DeleteFunc(b.cookies, func(old cookie) bool { return old.name == c.Name })
		if c.MaxAge >= 0 {
			b.cookies = append(b.cookies, cookie{c.Name, c.Value, c.SameSite == http.SameSiteStrictMode})
		}
	}
}

// count counts the cookies whose name holds part.
func (b *browser) count(part string) (n int) {
	for _, c := range b.cookies {
		if strings.Contains(c.name, part) {
			n++
		}
	}
	return n
}

// begin starts a login, as the app has the system's browser open it, and returns the state the provider was given.
func (b *browser) begin(request url.Values) string {
	b.w.t.Helper()
	a := b.open("/mobile/authorize?"+request.Encode(), "none").is(b.w.t, "starting", 303)
	if !strings.HasPrefix(a.location(), issuer+"/authorize?") {
		b.w.t.Fatalf("started at %s", a.location())
	}
	return a.param(b.w.t, "state")
}

// come is the provider's answer: a foreign navigation to the callback.
func (b *browser) come(app, query string) *answer {
	b.w.t.Helper()
	return b.open("/mobile/callback/"+app+"?"+query, "cross-site")
}

// returned is a whole way through the provider.
func (b *browser) returned(app, redirect string) *answer {
	b.w.t.Helper()
	return b.come(app, "code="+providerCode+"&state="+b.begin(asked(app, redirect)))
}

var hidden = regexp.MustCompile(`name="confirm" value="([^"]*)"`)

// check is the value of a confirm page's form.
func (a *answer) check(t testing.TB) string {
	t.Helper()
	m := hidden.FindStringSubmatch(a.body)
	if a.status != 200 || m == nil {
		t.Fatalf("no confirm page: %d %s %.1500s", a.status, a.location(), a.body)
	}
	return m[1]
}

// code signs in, lets the app in where a page asks, and returns the app's code.
func (b *browser) code(app, redirect string) string {
	b.w.t.Helper()
	a := b.returned(app, redirect)
	if a.status == 200 {
		a = b.submit("/mobile/callback/"+app, url.Values{"confirm": {a.check(b.w.t)}})
	}
	code := a.is(b.w.t, "coming back", 303).param(b.w.t, "code")
	if code == "" || !strings.HasPrefix(a.location(), redirect) {
		b.w.t.Fatalf("the app was answered %s", a.location())
	}
	return code
}

// raw sends bytes as they are over a socket of its own, and returns the answer.
func (w *world) raw(request string) *answer {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil {
		w.t.Fatal(err)
	}
	head, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	a := &answer{header: http.Header{}, body: string(body)}
	for _, d := range strings.Fields(lines[0])[1] {
		a.status = a.status*10 + int(d-'0')
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		a.header.Add(name, value)
	}
	return a
}

// within waits for something that happens beside a request, and fails the test rather than wait for ever.
func within[T any](t testing.TB, what string, c <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-c:
	case <-time.After(10 * time.Second): // far longer than anything here takes on a busy machine
		t.Fatalf("%s did not happen", what)
	}
	return got
}
