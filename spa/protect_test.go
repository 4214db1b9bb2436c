package spa_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// protect makes a world all of whose paths, but for the surface's own, are pages behind a sign-in.
func protect(w *world) *world {
	own := w.handler()
	page := w.surface.Protect(func(rw http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(rw, "page "+r.URL.RequestURI())
		return err
	})
	w.server.Close()
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/bff/") {
			own.ServeHTTP(rw, r)
			return
		}
		if err := page(rw, r); err != nil {
			surface.WriteError(rw, r, err, surface.Info{RequestID: "req-1", LoginURL: w.surface.LoginURL(r), HomeURL: "/"})
		}
	}))
	return w
}

// window is a browser's, that goes wherever it is sent: by redirects, by pages that move on, and at the provider, which
// asks nothing.
type window struct {
	*browser
	refuses   bool                   // the provider signs nobody in, and does not ask either
	drops     func(name string) bool // which cookies the browser does not keep
	moves     string                 // what it calls the site of a page that moves on by itself; "" = same-origin
	arrives   string                 // what it calls the site of an answer of the provider's
	came      []string               // each answer, in short
	afterEach func(*answer)
}

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)

// visit opens an address from a page of that site ("" = without metadata), and returns the last answer. Thirty steps are
// a circle: no way here has more than nine.
func (v *window) visit(path, site string) *answer {
	v.w.t.Helper()
	v.came = nil
	for range 30 {
		fields := []string{"Accept", "text/html"}
		if site != "" {
			fields = nav(site)
		}
		a := v.send("GET", path, fields...)
		v.cookies = slices.DeleteFunc(v.cookies, func(c cookie) bool { return v.drops != nil && v.drops(c.name) })
		if v.afterEach != nil {
			v.afterEach(a)
		}
		moved := refresh.FindStringSubmatch(a.body)
		v.came = append(v.came, shortly(a, moved != nil)+" "+before(path, "code="))
		switch {
		case moved != nil:
			path = html.UnescapeString(moved[1])
			if site != "" {
				site = "same-origin"
				if v.moves != "" {
					site = v.moves
				}
			}
		case strings.HasPrefix(a.location(), issuer):
			path = "/bff/callback?code=c1&state=" + url.QueryEscape(v.w.param(a.location(), "state"))
			if v.refuses {
				path = strings.Replace(path, "code=c1", "error=access_denied", 1)
			}
			if site != "" && v.arrives != "" {
				site = v.arrives
			}
		case a.location() != "":
			path, _, _ = strings.Cut(a.location(), "#")
		default:
			return a
		}
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
			v.w.t.Fatalf("sent to another origin: %q", path)
		}
	}
	v.w.t.Fatalf("round and round: %s", strings.Join(v.came, "\n"))
	return nil
}

func shortly(a *answer, moves bool) string {
	switch {
	case moves:
		return "moves"
	case a.status == 200:
		return "shows"
	case a.location() != "":
		return "sends"
	default:
		return "tells"
	}
}

func before(text, mark string) string {
	at, _, _ := strings.Cut(text, mark)
	return strings.TrimSuffix(at, "?")
}

// shows ERR-NAV (navigations of protected pages), SESS-503 (see TestProtectedPagesInAnOutage)
//
// shows SCALEKIT-A5
func TestVisitsOfProtectedPages(t *testing.T) {
	const page, escaped = "/orders/7?view=full", "%2Forders%2F7%3Fview%3Dfull"
	strictly := []string{"sends /bff/login?return_to=" + escaped, "moves /bff/callback", "sends /bff/landed?return_to=" + escaped, "shows " + page}
	laxly := []string{
		"sends /bff/login?return_to=" + escaped + "%26bff_step%3Dlanded", "sends /bff/callback",
		"sends " + page + "&bff_step=landed", "shows " + page,
	}
	asks := func(first string, rest []string) []string { return append([]string{first}, rest...) }
	nobody, ann, ghost := func(*browser) {}, (*browser).signIn, func(b *browser) {
		b.cookies = []cookie{{name: sessionCookie, value: bff.NewRoot().Reveal(), strict: !b.w.app.LaxCookie}}
	}
	for _, row := range []struct {
		of, from string // a visit of … from …
		who      func(*browser)
		lax      bool
		want     []string
	}{
		{"nobody", "none", nobody, false, asks("sends "+page, strictly)},
		{"nobody", "same-origin", nobody, false, asks("sends "+page, strictly)},
		{"nobody", "", nobody, false, asks("sends "+page, strictly)},
		{"nobody", "same-site", nobody, false, asks("moves "+page, strictly)},
		{"nobody", "cross-site", nobody, false, slices.Concat([]string{"moves " + page, "sends " + page + "&bff_step=again"}, strictly)},
		{"somebody", "none", ann, false, []string{"shows " + page}},
		{"somebody", "same-site", ann, false, []string{"shows " + page}},
		{"somebody", "cross-site", ann, false, []string{"moves " + page, "sends " + page + "&bff_step=again", "shows " + page}},
		{"a dead cookie", "none", ghost, false, asks("sends "+page, strictly)},
		{"a dead cookie", "cross-site", ghost, false, slices.Concat([]string{"moves " + page, "sends " + page + "&bff_step=again"}, strictly)},
		{"nobody", "none", nobody, true, asks("sends "+page, laxly)},
		{"nobody", "", nobody, true, asks("sends "+page, laxly)},
		{"nobody", "same-site", nobody, true, asks("moves "+page, laxly)},
		{"nobody", "cross-site", nobody, true, asks("moves "+page, laxly)},
		{"somebody", "cross-site", ann, true, []string{"shows " + page}},
		{"a dead cookie", "cross-site", ghost, true, asks("moves "+page, laxly)},
	} {
		w := protect(newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie = row.lax }))
		v := &window{browser: w.browser(), arrives: "cross-site"}
		row.who(v.browser)
		a := v.visit(page, row.from)
		if diff := cmp.Diff(row.want, v.came); diff != "" || a.body != "page "+page {
			t.Errorf("lax %v: a visit of %s from %q: %s\n%s", row.lax, row.of, row.from, a.body, diff)
		}
	}
}

// No browser, provider or store that works by halves sends anybody round in circles.
func TestNoVisitGoesRound(t *testing.T) {
	everything, session := func(string) bool { return true }, func(name string) bool { return name == sessionCookie }
	for _, row := range []struct {
		with    string // a sign-in with …
		change  func(*window)
		tells   string // the code on the last page
		logins  int    // most sign-ins that may have started
		offsite bool   // may also end at a page that asks for a click
	}{
		{"no cookie kept", func(v *window) { v.drops = everything }, "login_unknown", 1, false},
		{"no session cookie kept", func(v *window) { v.drops = session }, "cookies_blocked", 1, false},
		{"a provider that refuses without asking", func(v *window) { v.refuses = true }, "login_refused", 1, false},
		{"pages that move on as from another site", func(v *window) { v.moves, v.drops = "cross-site", session }, "", 1, true},
		{"sessions that end at once", func(v *window) {
			v.afterEach = func(a *answer) {
				if len(a.header.Values("Set-Cookie")) > 0 && v.value(sessionCookie) != "" {
					v.w.advance(13 * time.Hour)
				}
			}
		}, "session_expired", 1, false},
	} {
		for _, lax := range []bool{false, true} {
			for _, from := range []string{"none", "same-origin", "same-site", "cross-site", ""} {
				for _, arrives := range []string{"", "cross-site"} { // a typed address stays "none" over all redirects, in some browsers
					w := protect(newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie = lax }))
					v := &window{browser: w.browser(), arrives: arrives}
					row.change(v)
					a := v.visit("/orders?x=1", from)
					asked := slices.ContainsFunc(v.came, func(s string) bool { return strings.HasPrefix(s, "shows /bff/login") })
					if row.offsite && asked {
						continue
					}
					if strings.Contains(a.body, "page /orders") || row.tells != "" && !strings.Contains(a.body, row.tells) {
						t.Errorf("lax %v, from %q, %s: ends with %d %s\n%s", lax, from, row.with, a.status, a.body, strings.Join(v.came, "\n"))
					}
					if strings.Contains(a.body, "login_error") {
						t.Errorf("lax %v, from %q, %s: signing in again would tell of the old refusal: %s", lax, from, row.with, a.body)
					}
					if n := strings.Count(strings.Join(v.came, "\n"), "/bff/callback"); n > row.logins {
						t.Errorf("lax %v, from %q, %s: %d sign-ins\n%s", lax, from, row.with, n, strings.Join(v.came, "\n"))
					}
				}
			}
		}
	}
}

// shows EMBED-1 (protected pages), CSRF-1 (protected pages), ERR-NAV: only a visit starts a sign-in.
func TestWhatIsNoVisitOfAProtectedPage(t *testing.T) {
	request := func(site, mode, dest string) []string {
		return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode, "Sec-Fetch-Dest", dest, "Accept", "text/html"}
	}
	for _, row := range []struct {
		method, what    string
		fields          []string
		nobody, session int // status without and with a session
	}{
		{"GET", "a script of its own", request("same-origin", "no-cors", "script"), 401, 200},
		{"GET", "a module of its own", request("same-origin", "cors", "script"), 401, 200},
		{"GET", "an image of its own", request("same-origin", "no-cors", "image"), 401, 200},
		{"GET", "a fetch of its own", request("same-origin", "cors", "empty"), 401, 200},
		{"GET", "a worker of its own", request("same-origin", "same-origin", "worker"), 401, 200},
		{"HEAD", "a fetch of its own", request("same-origin", "cors", "empty"), 401, 200},
		{"GET", "a frame of its own", request("same-origin", "navigate", "iframe"), 401, 200},
		{"GET", "an image without metadata", []string{"Accept", "image/*"}, 401, 200},
		{"GET", "a script elsewhere", request("cross-site", "no-cors", "script"), 401, 403},
		{"GET", "an image elsewhere", request("cross-site", "no-cors", "image"), 401, 403},
		{"GET", "a fetch elsewhere", request("cross-site", "cors", "empty"), 401, 403},
		{"GET", "a frame elsewhere", request("cross-site", "navigate", "iframe"), 401, 403},
		{"GET", "an object elsewhere", request("cross-site", "navigate", "object"), 401, 403},
		{"HEAD", "a fetch elsewhere", request("cross-site", "no-cors", "empty"), 401, 403},
		{"GET", "a script of a sibling", request("same-site", "no-cors", "script"), 401, 403},
		{"GET", "a frame of a sibling", request("same-site", "navigate", "iframe"), 401, 403},
		{"POST", "a form elsewhere", request("cross-site", "navigate", "document"), 401, 403},
		{"POST", "a form of a sibling", request("same-site", "navigate", "document"), 401, 403},
		{"POST", "a form of its own", request("same-origin", "navigate", "document"), 401, 200},
		{"GET", "metadata that stands twice", append(request("same-origin", "no-cors", "image"), "Sec-Fetch-Site", "cross-site"), 401, 403},
	} {
		w := protect(newWorld(t, lax)) // so that the cookie comes along whatever the site
		b := w.browser()
		a := b.send(row.method, "/file", row.fields...)
		if a.is(t, row.what+" without a session", row.nobody); a.location() != "" || refresh.MatchString(a.body) {
			t.Errorf("%s: is led on: %v %s", row.what, a.header, a.body)
		}
		b.signIn()
		a = b.send(row.method, "/file", row.fields...)
		a.is(t, row.what+" with a session", row.session)
		if b.value(sessionCookie) == "" {
			t.Errorf("%s: the cookie is gone", row.what)
		}
	}
}

// shows SESS-503
func TestProtectedPagesInAnOutage(t *testing.T) {
	w := protect(newWorld(t))
	b := w.browser()
	b.signIn()
	root := b.value(sessionCookie)
	w.store.setDown(true)
	for what, fields := range map[string][]string{"a visit": nav("same-origin"), "an asset": fetched()} {
		a := b.send("GET", "/orders", fields...)
		a.is(t, what, 503)
		if a.location() != "" || refresh.MatchString(a.body) || len(a.header.Values("Set-Cookie")) > 0 || strings.Contains(a.body, "/bff/login") {
			t.Errorf("%s is led to a sign-in: %v %s", what, a.header, a.body)
		}
	}
	w.store.setDown(false)
	if b.open("/orders", "same-origin").is(t, "afterwards", 200); b.value(sessionCookie) != root {
		t.Error("the cookie changed")
	}
}

func TestADeadCookieOfAVisit(t *testing.T) {
	w := protect(newWorld(t))
	b := w.browser()
	b.signIn()
	w.advance(13 * time.Hour)
	a := b.open("/orders", "none")
	if a.is(t, "a visit", 303); b.value(sessionCookie) != "" || a.location() != "/bff/login?return_to=%2Forders" {
		t.Errorf("cookie %q, sent to %q", b.value(sessionCookie), a.location())
	}
}

// The provider may still know the user: without the page in between, the sign-out would be over before it was seen.
func TestAVisitRightAfterASignOut(t *testing.T) {
	for _, lax := range []bool{false, true} {
		w := protect(newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie, app.PostLogoutReturn = lax, "/" }))
		v := &window{browser: w.browser(), arrives: "cross-site"}
		v.signIn()
		v.fetch("POST", "/bff/logout").is(t, "the sign-out", 200)
		a := v.visit("/", "cross-site")
		if !strings.Contains(a.body, "You are signed out") || !strings.Contains(a.body, "/bff/login?return_to=%2F") {
			t.Errorf("lax %v: %s\n%s", lax, a.body, strings.Join(v.came, "\n"))
		}
		if a = v.visit("/bff/login?return_to=%2F", "same-origin"); a.body != "page /" {
			t.Errorf("lax %v: signing in again ends with %s", lax, a.body)
		}
		v.cookies = nil // another browser, after the sign-out's own minute
		w.advance(time.Minute)
		w.provider.signsIn("ann", "sid-2")
		if a = v.visit("/", "none"); a.body != "page /" {
			t.Errorf("lax %v: another visit ends with %s", lax, a.body)
		}
	}
}

// shows SESS-IDLE (pages)
func TestWhichVisitsAreActivity(t *testing.T) {
	w := protect(newWorld(t))
	b := w.browser()
	b.signIn()
	for _, row := range []struct {
		with  []string
		moves bool
	}{
		{nil, true}, {[]string{"X-Background", "1"}, false}, {[]string{"Sec-Purpose", "prefetch;prerender"}, false}, {[]string{"Purpose", "prefetch"}, false},
	} {
		w.advance(9 * time.Minute)
		b.send("GET", "/orders", append(nav("same-origin"), row.with...)...).is(t, strings.Join(row.with, " "), 200)
		if row.moves {
			within(t, "a touch", w.store.touched)
		}
	}
	w.advance(4 * time.Minute) // 31 since the first of them
	b.open("/orders", "same-origin").is(t, "after that", 303)
}

// A visit's address is anybody's text: it leads nowhere else, splits no header, and passes no step that was not taken.
func TestAddressesThatLieToAVisit(t *testing.T) {
	for _, path := range []string{
		"//evil.example/x", "//evil.example/x?bff_step=again", "/%5cevil.example", "/a%0d%0aSet-Cookie:%20x=y", "/?a=%0d%0aSet-Cookie:%20x=y",
		`/?a="><script>alert(1)</script>`, "/?login_error=<script>", "/?bff_step=landed", "/?bff_step=again", "/?bff_step=x&bff_step=again",
		"/?bff_step=landed&login_error=access_denied", "/" + strings.Repeat("a", 2000), "/" + strings.Repeat("a", 1010), "/%62ff/login", "/a/..%2fbff/logout?token=x",
	} {
		for _, from := range []string{"none", "cross-site", "same-site", ""} {
			for _, lax := range []bool{false, true} {
				w := protect(newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie = lax }))
				v := &window{browser: w.browser(), arrives: "cross-site"}
				v.afterEach = func(a *answer) {
					if strings.Contains(a.body, "<script>") || strings.Contains(a.location(), "evil") && strings.HasPrefix(a.location(), "//") {
						t.Errorf("%q from %q: %s %s", path, from, a.location(), a.body)
					}
					for _, line := range a.header.Values("Set-Cookie") {
						if strings.HasPrefix(line, "x=") {
							t.Errorf("%q from %q: %s", path, from, line)
						}
					}
				}
				a := v.visit(strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E").Replace(path), from)
				if strings.HasPrefix(path, "/aaaa") && !strings.HasPrefix(a.body, "page /") {
					t.Errorf("%.20q from %q: %s", path, from, a.body)
				}
			}
		}
	}
}

// With a session, a step in the address is nobody's business: the page is shown under its own.
func TestAStepIsNeverSeenByThePage(t *testing.T) {
	w := protect(newWorld(t))
	v := &window{browser: w.browser()}
	v.signIn()
	for path, want := range map[string]string{
		"/a?bff_step=again": "/a", "/a?b=1&bff_step=landed&c=%zz;d": "/a?b=1&c=%zz;d", "/a?bff_step=x&login_error=access_denied": "/a?login_error=access_denied",
	} {
		if a := v.visit(path, "same-origin"); a.body != "page "+want {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := v.open("//evil.example/x?bff_step=again", "same-origin"); a.location() != "/" {
		t.Errorf("sent to %q", a.location())
	}
}

// A page whose address leaves no room for the step is not come back to: nothing would tell that a sign-in was there.
func TestALongAddressDoesNotGoRound(t *testing.T) {
	for _, from := range []string{"none", "cross-site", ""} {
		w := protect(newWorld(t, lax))
		v := &window{browser: w.browser(), arrives: "cross-site", drops: func(name string) bool { return name == sessionCookie }}
		a := v.visit("/"+strings.Repeat("a", 1010), from)
		if !strings.Contains(a.body, "cookies_blocked") {
			t.Errorf("from %q: ends with %s\n%s", from, a.body, strings.Join(v.came, "\n"))
		}
	}
}

// What is no visit is answered where it came to: to send a form on would lose what it sends.
func TestAStepInWhatIsNoVisit(t *testing.T) {
	w := protect(newWorld(t, lax))
	b := w.browser()
	b.signIn()
	for _, row := range []struct {
		method string
		fields []string
	}{{"POST", nav("same-origin")}, {"GET", fetched()}, {"HEAD", fetched()}} {
		if a := b.send(row.method, "/form?bff_step=again", row.fields...); a.status != 200 || a.location() != "" {
			t.Errorf("%s with %v: %d to %q", row.method, row.fields, a.status, a.location())
		}
	}
}
