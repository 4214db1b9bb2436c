package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// seen is what an API got of one request.
type seen struct {
	Method, Target, Host string
	Header               http.Header
	Body                 string
	Trailer              http.Header
}

// api is an upstream on a real socket that keeps what it gets.
type api struct {
	*httptest.Server
	mu     sync.Mutex
	got    []seen
	answer http.HandlerFunc
}

// newAPI starts an API that answers by answer; nil: 200 and "ok".
func newAPI(t *testing.T, answer http.HandlerFunc) *api {
	t.Helper()
	a := &api{answer: answer}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := seen{Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header.Clone()}
	body, _ := io.ReadAll(r.Body)
	s.Body, s.Trailer = string(body), r.Trailer
	a.mu.Lock()
	a.got = append(a.got, s)
	a.mu.Unlock()
	if a.answer != nil {
		a.answer(w, r)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

func (a *api) requests() []seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]seen(nil), a.got...)
}

// only returns the one request that the API got.
func (a *api) only(t *testing.T) seen {
	t.Helper()
	got := a.requests()
	if len(got) != 1 {
		t.Fatalf("the API got %d requests, want 1: %+v", len(got), got)
	}
	return got[0]
}

// gateway is a server on a real socket whose handler takes the journey that the package comment tells.
type gateway struct {
	*httptest.Server
	table *proxy.Table
	call  func(*http.Request) proxy.Call
	watch func(context.Context) context.Context
	mu    sync.Mutex
	errs  []error
	done  chan struct{} // one value for each request that Forward returned from, by panic too; nil: not told
}

type setting struct {
	options proxy.Options
	call    func(*http.Request) proxy.Call
	watch   func(context.Context) context.Context
	http2   bool
	tell    bool
}

func newGateway(t *testing.T, s setting, routes ...proxy.Route) *gateway {
	t.Helper()
	table, err := proxy.NewTable(routes, s.options)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{table: table, call: s.call, watch: s.watch}
	if g.call == nil {
		g.call = func(*http.Request) proxy.Call { return signedIn() }
	}
	if s.tell {
		g.done = make(chan struct{}, 8)
	}
	g.Server = httptest.NewUnstartedServer(g)
	if s.http2 {
		g.Server.EnableHTTP2 = true
		g.Server.StartTLS()
	} else {
		g.Server.Start()
	}
	t.Cleanup(func() { g.Close(); table.CloseIdle() })
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.done != nil {
		defer func() { g.done <- struct{}{} }()
	}
	proxy.CloseAfter(w, r)
	if err := g.forward(w, r); err != nil {
		g.mu.Lock()
		g.errs = append(g.errs, err)
		g.mu.Unlock()
		g.write(w, err)
	}
}

func (g *gateway) forward(w http.ResponseWriter, r *http.Request) error {
	if err := proxy.CheckFraming(r); err != nil {
		return err
	}
	path, err := proxy.CleanPath(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	m, err := g.table.Match(r.Method, path, "web")
	if err != nil {
		return err
	}
	if g.watch != nil {
		r = r.WithContext(g.watch(r.Context()))
	}
	return g.table.Forward(w, r, m, g.call(r))
}

// statuses are those of the codes this package returns.
var statuses = map[bff.Code]int{
	bff.CodeBadRequest: 400, bff.CodeSessionRequired: 401, bff.CodeUpstreamRefused: 401, bff.CodeSessionEnded: 401,
	bff.CodeAppNotAllowed: 403, bff.CodeClaimRequired: 403, bff.CodeForbidden: 403, bff.CodeNotFound: 404,
	bff.CodeMethodNotAllowed: 405, bff.CodeTooLarge: 413, bff.CodeRateLimited: 429, bff.CodeClientGone: 499, bff.CodeUpstreamUnavailable: 502, bff.CodeManagementDisabled: 502,
	bff.CodeIDPUnavailable: 503, bff.CodeUpstreamBusy: 503, bff.CodeHeaderTooLarge: 431, bff.CodeUpstreamTimeout: 504, bff.CodeLoopDetected: 508,
}

func (g *gateway) write(w http.ResponseWriter, err error) {
	if m, ok := errors.AsType[*proxy.MethodError](err); ok {
		w.Header().Set("Allow", strings.Join(m.Allow, ", "))
	}
	status := statuses[bff.CodeOf(err)]
	if status == 0 {
		status = 500
	}
	w.Header().Set("X-Code", string(bff.CodeOf(err)))
	w.WriteHeader(status)
}

func (g *gateway) errors() []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]error(nil), g.errs...)
}

// signedIn is a call with a session.
func signedIn() proxy.Call {
	return proxy.Call{
		App: &bff.App{ID: "web"},
		Session: &bff.Session{App: "web", Identity: bff.Identity{
			Subject: "usr_1", SID: "ses_1", ACR: "mfa",
			Claims: []byte(`{"realm_access":{"roles":["admin","a,b"],"level":7,"none":null,"object":{"x":"y"}},"app.plan":"free","app":{"plan":"gold","tenant":"t1"},"profile":{"realm_access":{"roles":["owner"]},"realm_access.roles":["owner"],"role":"owner"},"org_id":"org_7","email":"a@example.com","name":"Zoë, Ltd","roles":["admin","a,b"],"level":3,"empty":"","dots":"..","deep":"a/../b","slash":"a/b c","method":"bob:disable","param":"bob;x=1","words":"Ann Lee, Jr.","nothing":null,"evil":"x\r\nX-Role: admin"}`),
		}},
		Tokens:   bff.TokenSet{Access: bff.NewSecret("at-1"), TokenType: "bearer", Scope: "openid orders:read"},
		ClientIP: "192.0.2.7", Scheme: "https", Host: "app.example.com", RequestID: "req-1",
	}
}

// anonymous is a call without one.
func anonymous() proxy.Call {
	return proxy.Call{App: &bff.App{ID: "web"}, ClientIP: "192.0.2.7", Scheme: "https", Host: "app.example.com", RequestID: "req-1"}
}

// route is a route to an API that takes a user's token.
func route(a *api, path string, change ...func(*proxy.Route)) proxy.Route {
	r := proxy.Route{Path: path, Methods: []string{"GET", "POST"}, Upstream: a.URL}
	for _, c := range change {
		c(&r)
	}
	return r
}

// answer is what a frontend got.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// do sends a request over a connection of its own and follows no redirect.
func (g *gateway) do(t *testing.T, method, path string, header http.Header, body io.Reader) answer {
	t.Helper()
	req, err := http.NewRequest(method, g.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	return g.send(t, req)
}

func (g *gateway) send(t *testing.T, req *http.Request) answer {
	t.Helper()
	client := *g.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// raw sends bytes and returns all that comes back until the gateway closes the connection.
func (g *gateway) raw(t *testing.T, text string) string {
	t.Helper()
	c := g.dial(t)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	_, _ = io.Copy(&all, c) // a reset at the end is a close too
	return all.String()
}

func (g *gateway) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// status reads the head of one answer and returns its status.
func status(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}
