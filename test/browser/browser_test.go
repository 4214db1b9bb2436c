package browser_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"

	"github.com/google/go-cmp/cmp"
)

// world is one listener that answers for every *.localhost name: app.localhost and idp.localhost are two sites,
// a.app.localhost and app.localhost one.
type world struct {
	port string
	mux  *http.ServeMux
}

func newWorld(t *testing.T) *world {
	w := &world{mux: http.NewServeMux()}
	s := httptest.NewServer(w.mux)
	t.Cleanup(s.Close)
	w.port = s.URL[strings.LastIndex(s.URL, ":"):]
	w.redirect("idp.localhost/go", 302, "http://app.localhost"+w.port+"/echo")
	w.redirect("app.localhost/out", 302, "http://idp.localhost"+w.port+"/go")
	w.redirect("app.localhost/hop", 302, "/echo")
	w.redirect("app.localhost/see", 303, "/echo")
	w.redirect("app.localhost/keep", 307, "/echo")
	w.mux.HandleFunc("/echo", func(http.ResponseWriter, *http.Request) {})
	w.page("app.localhost/bounce", `<meta http-equiv="refresh" content="0;url=/echo#done">`)
	w.redirect("idp.localhost/back", 303, "http://app.localhost"+w.port+"/bounce")
	return w
}

func (w *world) redirect(pattern string, status int, to string) {
	w.mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, to, status) })
}

func (w *world) page(pattern, body string, fields ...string) {
	w.mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		for i := 0; i < len(fields); i += 2 {
			rw.Header().Add(fields[i], fields[i+1])
		}
		_, _ = io.WriteString(rw, body)
	})
}

func (w *world) app(path string) string { return "http://app.localhost" + w.port + path }
func (w *world) idp(path string) string { return "http://idp.localhost" + w.port + path }

// signedIn is a browser with a cookie of each SameSite kind at app.localhost.
func (w *world) signedIn(t *testing.T) *browser.Browser {
	b := browser.New(browser.Options{})
	t.Cleanup(b.Close)
	for _, line := range []string{"strict=1; SameSite=Strict", "lax=1; SameSite=Lax", "none=1; SameSite=None; Secure", "silent=1"} {
		if !b.StoreCookie(w.app("/"), line+"; Path=/") {
			t.Fatalf("cookie %q refused", line)
		}
	}
	return b
}

func cookies(p *browser.Page) string { return p.Hops[len(p.Hops)-1].RequestHeader.Get("Cookie") }

func must(t *testing.T) func(*browser.Page, error) *browser.Page {
	return func(p *browser.Page, err error) *browser.Page {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

const (
	all     = "strict=1; lax=1; none=1; silent=1"
	noneLax = "lax=1; none=1; silent=1"
)

func TestSameSiteCookies(t *testing.T) {
	w := newWorld(t)
	app, evil := browser.At(w.app("/")), browser.At(w.idp("/"))
	post := browser.Form{Action: w.app("/echo"), Method: "post"}
	for name, row := range map[string]struct {
		go_  func(*browser.Browser) (*browser.Page, error)
		want string
	}{
		"a typed address":        {func(b *browser.Browser) (*browser.Page, error) { return b.Navigate(w.app("/echo")) }, all},
		"a link of its own site": {func(b *browser.Browser) (*browser.Page, error) { return b.Click(app, "/hop") }, all},
		"a link of a subdomain": {func(b *browser.Browser) (*browser.Page, error) {
			return b.Click(browser.At("http://a.app.localhost/"), w.app("/echo"))
		}, all},
		"a link of https": {func(b *browser.Browser) (*browser.Page, error) {
			return b.Click(browser.At("https://app.localhost/"), w.app("/echo"))
		}, noneLax},
		"a cross-site link":                     {func(b *browser.Browser) (*browser.Page, error) { return b.Click(evil, w.app("/echo")) }, noneLax},
		"a typed address by way of elsewhere":   {func(b *browser.Browser) (*browser.Page, error) { return b.Navigate(w.idp("/go")) }, noneLax},
		"a link of its own by way of elsewhere": {func(b *browser.Browser) (*browser.Page, error) { return b.Click(app, "/out") }, noneLax},
		"a cross-site link and an own redirect": {func(b *browser.Browser) (*browser.Page, error) { return b.Click(evil, w.app("/hop")) }, noneLax},
		"a cross-site form":                     {func(b *browser.Browser) (*browser.Page, error) { return b.SubmitForm(evil, post, nil) }, "none=1"},
		"a form of its own":                     {func(b *browser.Browser) (*browser.Page, error) { return b.SubmitForm(app, post, nil) }, all},
		"a page that moves on by itself":        {func(b *browser.Browser) (*browser.Page, error) { return b.Navigate(w.idp("/back")) }, all},
		"a script of its own origin":            {func(b *browser.Browser) (*browser.Page, error) { return b.Fetch(app, browser.Request{URL: "/echo"}) }, all},
		"an image of another site": {func(b *browser.Browser) (*browser.Page, error) {
			return b.Fetch(evil, browser.Request{URL: w.app("/echo"), Mode: "no-cors", Credentials: "include", Dest: "image"})
		}, "none=1"},
	} {
		t.Run(name, func(t *testing.T) {
			page := must(t)(row.go_(w.signedIn(t)))
			if got := cookies(page); got != row.want {
				t.Errorf("a request by %s carries %q, want %q", name, got, row.want)
			}
		})
	}
}

func TestReloadKeepsTheChain(t *testing.T) {
	w, check := newWorld(t), must(t)
	b := w.signedIn(t)
	page := check(b.Navigate(w.idp("/go")))
	page = check(b.Reload(page))
	if got := cookies(page); got != noneLax {
		t.Errorf("the reload of a cross-site landing carries %q, want %q", got, noneLax)
	}
	if got := cookies(check(b.Click(page, "/echo"))); got != all {
		t.Errorf("the next same-origin navigation carries %q, want %q", got, all)
	}
}

func TestCookieAcceptance(t *testing.T) {
	const secure, plain = "https://app.example.test/a/b", "http://app.example.test/a/b"
	for _, row := range []struct {
		name, url, line string
		want            bool
	}{
		{"__Host-Http- and all it promises", secure, "__Host-Http-web=1; Secure; HttpOnly; Path=/", true},
		{"__Host-Http- on loopback http", "http://localhost:8080/", "__Host-Http-web=1; Secure; HttpOnly; Path=/", true},
		{"__Host-Http- on 127.0.0.1", "http://127.0.0.1:8080/", "__Host-Http-web=1; Secure; HttpOnly; Path=/", true},
		{"__Host-Http- on [::1]", "http://[::1]:8080/", "__Host-Http-web=1; Secure; HttpOnly; Path=/", true},
		{"__Host-Http- readable by scripts", secure, "__Host-Http-web=1; Secure; Path=/", false},
		{"__Host- and a Domain", secure, "__Host-web=1; Secure; Path=/; Domain=example.test", false},
		{"__Host- and a narrower path", secure, "__Host-web=1; Secure; Path=/a", false},
		{"__Host- and no path written", "https://app.example.test/", "__Host-web=1; Secure", false},
		{"__Host- in other letters, insecure", secure, "__hOsT-web=1; Path=/", false},
		{"__Http- without HttpOnly", secure, "__Http-web=1; Secure", false},
		{"__Secure- and Secure", secure, "__Secure-web=1; Secure", true},
		{"__Secure- without it", secure, "__Secure-web=1", false},
		{"a prefix smuggled into a nameless cookie", secure, "=__Host-web=1; Path=/", false},
		{"Secure from plain http", plain, "web=1; Secure", false},
		{"None without Secure", secure, "web=1; SameSite=None", false},
		{"a foreign domain", secure, "web=1; Domain=other.test", false},
		{"a public suffix", secure, "web=1; Domain=test", false},
		{"its parent domain", secure, "web=1; Domain=.example.test", true},
		{"a control character", secure, "web=1\x01", false},
		{"too many bytes", secure, "web=" + strings.Repeat("x", 4094), false},
	} {
		if got := browser.New(browser.Options{}).StoreCookie(row.url, row.line); got != row.want {
			t.Errorf("a cookie with %s is kept: %v, want %v", row.name, got, row.want)
		}
	}
}

func TestCookieLife(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := browser.New(browser.Options{Now: func() time.Time { return now }})
	const at = "https://app.example.test/a/b"
	for _, line := range []string{
		"session=1", "aged=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "dated=1; Expires=Thu, 01-Jan-2026 00:02:00 GMT",
		"gone=1", "gone=; Max-Age=0", "wide=1; Domain=example.test; Path=/", "session=2",
	} {
		b.StoreCookie(at, line)
	}
	names := func() (s []string) {
		for _, c := range b.Cookies() {
			s = append(s, c.Name+c.Value)
		}
		return s
	}
	if diff := cmp.Diff([]string{"session2", "aged1", "dated1", "wide1"}, names()); diff != "" {
		t.Error(diff)
	}
	now = now.Add(90 * time.Second)
	if diff := cmp.Diff([]string{"session2", "dated1", "wide1"}, names()); diff != "" {
		t.Error(diff)
	}
	for url, want := range map[string]bool{"https://app.example.test/a/c": true, "https://app.example.test/ab": false, "https://x.app.example.test/a/c": false} {
		if _, got := b.Cookie(url, "session"); got != want {
			t.Errorf("the host-only cookie of /a at %s: %v, want %v", url, got, want)
		}
	}
	if _, ok := b.Cookie("https://other.example.test/", "wide"); !ok {
		t.Error("the Domain cookie is missing at a sibling")
	}
}

func TestInsecureSiteCannotOverlaySecureCookie(t *testing.T) {
	b := browser.New(browser.Options{})
	b.StoreCookie("https://app.example.test/", "web=good; Secure; Path=/")
	if b.StoreCookie("http://app.example.test/", "web=evil; Path=/") {
		t.Error("a plain http answer replaced a Secure cookie")
	}
}

// metadata is what a request says about its origin.
func metadata(p *browser.Page) string {
	h := p.Hops[len(p.Hops)-1].RequestHeader
	var words []string
	for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User", "Origin", "Referer"} {
		words = append(words, h.Get(name))
	}
	return strings.Join(words, "|")
}

func TestFetchMetadata(t *testing.T) {
	w := newWorld(t)
	app, sub, evil := browser.At(w.app("/p?q#f")), browser.At("http://a.app.localhost"+w.port+"/p"), browser.At(w.idp("/p"))
	post := browser.Form{Action: w.app("/echo"), Method: "post"}
	type step = func(*browser.Browser) (*browser.Page, error)
	click := func(p *browser.Page, url string) step {
		return func(b *browser.Browser) (*browser.Page, error) { return b.Click(p, url) }
	}
	fetch := func(p *browser.Page, method, url string) step {
		return func(b *browser.Browser) (*browser.Page, error) {
			return b.Fetch(p, browser.Request{Method: method, URL: url, Mode: "no-cors"})
		}
	}
	submit := func(p *browser.Page) step {
		return func(b *browser.Browser) (*browser.Page, error) { return b.SubmitForm(p, post, nil) }
	}
	for name, row := range map[string]struct {
		step step
		want string
	}{
		"a typed address":                  {func(b *browser.Browser) (*browser.Page, error) { return b.Navigate(w.app("/echo")) }, "none|navigate|document|?1||"},
		"a typed address, redirected":      {func(b *browser.Browser) (*browser.Page, error) { return b.Navigate(w.idp("/go")) }, "none|navigate|document|?1||"},
		"an own link":                      {click(app, w.app("/echo")), "same-origin|navigate|document|?1||" + w.app("/p?q")},
		"an own link through another site": {click(app, w.app("/out")), "cross-site|navigate|document|?1||" + w.app("/p?q")},
		"a subdomain's link":               {click(sub, w.app("/echo")), "same-site|navigate|document|?1||http://a.app.localhost" + w.port + "/"},
		"a foreign link":                   {click(evil, w.app("/echo")), "cross-site|navigate|document|?1||" + w.idp("/")},
		"a foreign link, no referrer":      {click(evil.WithReferrerPolicy("no-referrer"), w.app("/echo")), "cross-site|navigate|document|?1||"},
		"an own form":                      {submit(app), "same-origin|navigate|document|?1|" + w.app("") + "|" + w.app("/p?q")},
		"a foreign form":                   {submit(evil), "cross-site|navigate|document|?1|" + w.idp("") + "|" + w.idp("/")},
		"a foreign form, no referrer":      {submit(evil.WithReferrerPolicy("no-referrer")), "cross-site|navigate|document|?1|null|"},
		"a refresh":                        {click(evil, w.app("/bounce")), "same-origin|navigate|document|||" + w.app("/bounce")},
		"an own fetch":                     {fetch(app, "GET", "/echo"), "same-origin|no-cors|empty|||" + w.app("/p?q")},
		"an own post":                      {fetch(app, "POST", "/echo"), "same-origin|no-cors|empty||" + w.app("") + "|" + w.app("/p?q")},
		"a foreign post":                   {fetch(evil, "POST", w.app("/echo")), "cross-site|no-cors|empty||" + w.idp("") + "|" + w.idp("/")},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, metadata(must(t)(row.step(w.signedIn(t))))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRedirectsAndFragments(t *testing.T) {
	w, check := newWorld(t), must(t)
	b := w.signedIn(t)
	form := browser.Form{Method: "post", Fields: url.Values{"a": {"1"}, "b": {"2"}}}
	for path, want := range map[string]string{"/see": "GET ", "/keep": "POST a=1&b=3"} {
		form.Action = w.app(path)
		page := check(b.SubmitForm(browser.At(w.app("/")), form, url.Values{"b": {"3"}}))
		last := page.Hops[len(page.Hops)-1]
		if got := last.Method + " " + string(last.RequestBody); got != want {
			t.Errorf("a form redirected by %s arrives as %q, want %q", path, got, want)
		}
	}
	if page := check(b.Navigate(w.app("/hop#mark"))); page.URL != w.app("/echo#mark") {
		t.Errorf("the fragment was lost: %s", page.URL)
	}
	if page := check(b.Navigate(w.app("/bounce#mark"))); page.URL != w.app("/echo#done") {
		t.Errorf("the refresh led to %s", page.URL)
	}
	w.redirect("idp.localhost/pass", 307, w.app("/echo"))
	form.Action = w.idp("/pass")
	passed := check(b.SubmitForm(browser.At(w.app("/")), form, nil))
	if got := passed.Hops[0].RequestHeader.Get("Origin") + " " + passed.Hops[1].RequestHeader.Get("Origin"); got != w.app("")+" null" {
		t.Errorf("a form passed on by another site names its origin as %q", got)
	}
	w.redirect("app.localhost/loop", 302, "/loop")
	if _, err := b.Navigate(w.app("/loop")); !errors.Is(err, browser.ErrTooManyHops) {
		t.Errorf("a redirect loop gave %v", err)
	}
}

func TestHeldAndForeignSchemes(t *testing.T) {
	w, check := newWorld(t), must(t)
	b := w.signedIn(t)
	b.HoldAt(func(u *url.URL) bool { return u.Path == "/echo" })
	held := check(b.Navigate(w.idp("/go")))
	if !held.Unsent || held.URL != w.app("/echo") {
		t.Fatalf("not held: %+v", held)
	}
	if got := cookies(check(b.Continue(held))); got != noneLax {
		t.Errorf("continued with %q, want %q", got, noneLax)
	}
	w.redirect("idp.localhost/native", 302, "com.example.app:/signed-in?code=c")
	page := check(b.Navigate(w.idp("/native")))
	if !page.Unsent || page.URL != "com.example.app:/signed-in?code=c" {
		t.Errorf("a native redirect ended at %s", page.URL)
	}
}

func TestFormsAndLinks(t *testing.T) {
	w, check := newWorld(t), must(t)
	w.page("app.localhost/form", `<p>Hello <b>you</b></p><a href="/x?a=1&amp;b=2">Go <i>on</i></a>
		<form action="one"><input name=q value=1></form>
		<form id=second method=POST action="/echo"><input type=hidden name=h value="a&quot;b"><input type=checkbox name=off>
		<input type=checkbox name=on checked><select name=s><option value=1>a<option value=2 selected>b</select>
		<textarea name=t>text</textarea><button name=go value=1>Sign out</button></form>`)
	b := browser.New(browser.Options{})
	page := check(b.Navigate(w.app("/form")))
	form, err := page.Form("Sign out")
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"h": {`a"b`}, "on": {"on"}, "s": {"2"}, "t": {"text"}}
	if diff := cmp.Diff(want, form.Fields); diff != "" || form.Method != "post" || form.Action != w.app("/echo") {
		t.Errorf("%+v %s", form, diff)
	}
	if link, err := page.Link("Go on"); err != nil || link != w.app("/x?a=1&b=2") {
		t.Errorf("link %q, %v", link, err)
	}
	if _, err := page.Link("absent"); !errors.Is(err, browser.ErrNotFound) {
		t.Errorf("an absent link gave %v", err)
	}
	first, _ := page.Form("")
	if got := check(b.SubmitForm(page, first, nil)).URL; got != w.app("/one?q=1") {
		t.Errorf("the GET form went to %s", got)
	}
}

func TestFormActionPolicy(t *testing.T) {
	w, check := newWorld(t), must(t)
	body := `<form method=post action="/out"></form>`
	w.page("app.localhost/closed", body, "Content-Security-Policy", "default-src 'none'; form-action 'self'")
	w.page("app.localhost/open", body, "Content-Security-Policy", "form-action 'self' http://idp.localhost"+w.port)
	b := browser.New(browser.Options{})
	for path, want := range map[string]error{"/closed": browser.ErrBlocked, "/open": nil} {
		page := check(b.Navigate(w.app(path)))
		form, _ := page.Form("")
		if _, err := b.SubmitForm(page, form, nil); !errors.Is(err, want) {
			t.Errorf("a form of %s that redirects to the provider: %v, want %v", path, err, want)
		}
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t)
	allow := func(pattern string, fields map[string]string) {
		w.mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			for k, v := range fields {
				rw.Header().Set(k, v)
			}
		})
	}
	origin := "http://a.app.localhost" + w.port
	allow("app.localhost/star", map[string]string{"Access-Control-Allow-Origin": "*"})
	allow("app.localhost/full", map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Headers": "x-csrf", "Access-Control-Allow-Methods": "DELETE"})
	csrf := http.Header{"X-Csrf": {"1"}}
	for _, row := range []struct {
		name string
		q    browser.Request
		want error
	}{
		{"no leave at all", browser.Request{URL: w.app("/echo")}, browser.ErrBlocked},
		{"any origin, no credentials", browser.Request{URL: w.app("/star")}, nil},
		{"any origin, credentials", browser.Request{URL: w.app("/star"), Credentials: "include"}, browser.ErrBlocked},
		{"its origin, credentials, header", browser.Request{URL: w.app("/full"), Credentials: "include", Header: csrf}, nil},
		{"its origin, method", browser.Request{Method: "DELETE", URL: w.app("/full"), Credentials: "include"}, nil},
		{"another method", browser.Request{Method: "PUT", URL: w.app("/full"), Credentials: "include"}, browser.ErrBlocked},
		{"a header not allowed", browser.Request{URL: w.app("/star"), Header: csrf}, browser.ErrBlocked},
	} {
		page, err := w.signedIn(t).Fetch(browser.At(origin+"/"), row.q)
		if !errors.Is(err, row.want) {
			t.Errorf("a fetch with %s: %v, want %v", row.name, err, row.want)
		}
		if err == nil && (cookies(page) != "") != (row.q.Credentials == "include") {
			t.Errorf("a fetch with %s carries %q", row.name, cookies(page))
		}
	}
}

func TestFetchRedirectModes(t *testing.T) {
	w, check := newWorld(t), must(t)
	b, app := w.signedIn(t), browser.At(w.app("/"))
	if page := check(b.Fetch(app, browser.Request{URL: "/hop"})); page.URL != w.app("/echo") {
		t.Errorf("followed to %s", page.URL)
	}
	if page := check(b.Fetch(app, browser.Request{URL: "/hop", Redirect: "manual"})); page.Status != 302 {
		t.Errorf("manual gave %d", page.Status)
	}
	if _, err := b.Fetch(app, browser.Request{URL: "/hop", Redirect: "error"}); !errors.Is(err, browser.ErrRedirected) {
		t.Errorf("error gave %v", err)
	}
	if _, err := b.Fetch(app, browser.Request{URL: "/out"}); !errors.Is(err, browser.ErrBlocked) {
		t.Errorf("a fetch redirected to another origin gave %v", err)
	}
}

func TestStreamsAndHook(t *testing.T) {
	w := newWorld(t)
	w.page("app.localhost/events", "data: 1\n\n")
	var seen []string
	b := browser.New(browser.Options{OnResponse: func(h browser.Hop) { seen = append(seen, h.URL+" "+string(h.Body)) }})
	resp, err := b.Open(t.Context(), browser.At(w.app("/")), browser.Request{URL: "/events"})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(resp.Body)
	resp.Body.Close()
	must(t)(b.Navigate(w.app("/hop")))
	want := []string{w.app("/events") + " data: 1\n\n", w.app("/hop") + " <a href=\"/echo\">Found</a>.\n\n", w.app("/echo") + " "}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	h, err := b.RequestHeader(browser.At(w.app("/")), browser.Request{URL: "/ws", Mode: "websocket", Dest: "websocket"})
	if err != nil || h.Get("Origin") != w.app("") || h.Get("Sec-Fetch-Mode") != "websocket" {
		t.Errorf("handshake header %v, %v", h, err)
	}
}

func TestResolverAndPlainHTTP(t *testing.T) {
	tlsServer := httptest.NewTLSServer(http.NotFoundHandler())
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(tlsServer.Close)
	t.Cleanup(plain.Close)
	roots := tlsServer.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	b := browser.New(browser.Options{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		Resolve: func(hostport string) string {
			return map[string]string{"example.com:443": tlsServer.Listener.Addr().String(), "app.example.test:80": plain.Listener.Addr().String()}[hostport]
		},
	})
	t.Cleanup(b.Close)
	for url, want := range map[string]string{"https://example.com/": "none", "http://app.example.test/": ""} {
		page := must(t)(b.Navigate(url))
		if got := page.Hops[0].RequestHeader.Get("Sec-Fetch-Site"); got != want || page.Status != 404 {
			t.Errorf("Sec-Fetch-Site to %s is %q, want %q", url, got, want)
		}
	}
}
