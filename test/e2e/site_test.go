//go:build integration

package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"cloakroom/dev"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// rendered is a server-rendered app: the notes of the demo, whose answers try a few things they may not.
type rendered struct {
	notes http.Handler
	mu    sync.Mutex
	got   []*http.Request
	sent  []string // bodies
}

// hostile are cookies that an app would take a session over with.
var hostile = []string{
	"__Host-Http-web=evil; Path=/; Secure", "__Host-Http-docs=evil; Path=/; Secure", "=__Host-Http-web=evil; Path=/", "wide=1; Domain=localhost; Path=/",
}

func (a *rendered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	a.mu.Lock()
	a.got, a.sent = append(a.got, r.Clone(r.Context())), append(a.sent, string(body))
	a.mu.Unlock()
	for _, c := range hostile {
		w.Header().Add("Set-Cookie", c)
	}
	w.Header().Set("Clear-Site-Data", `"cookies"`)
	a.notes.ServeHTTP(w, r)
}

// last is the last request, and its body.
func (a *rendered) last(t *testing.T) (*http.Request, string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.got) == 0 {
		t.Fatal("the site was never reached")
	}
	return a.got[len(a.got)-1], a.sent[len(a.sent)-1]
}

func (a *rendered) count() int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.got) }

// siteWorld is two instances before a server-rendered app at the whole of an origin, with a cookie of that SameSite.
func siteWorld(t *testing.T, sameSite string) (*world.World, *rendered) {
	t.Helper()
	app := &rendered{}
	upstream := httptest.NewServer(app)
	t.Cleanup(upstream.Close)
	w := world.New(t, world.DevProvider, world.Options{
		App:  "    session: {same_site: " + sameSite + "}",
		Apps: fmt.Sprintf("  docs: {kind: web, origin: %q, provider: main, client_id: webc_2, client_secret: another-secret-with-some-length}", docs),
		Routes: fmt.Sprintf(`  - {path: /, kind: site, upstream: %q, methods: [GET, HEAD, POST], apps: [web, docs], identity_headers: {X-Forwarded-Name: name}}
`, upstream.URL),
	})
	var err error
	if app.notes, err = dev.NewNotes(dev.APIConfig{Issuer: w.OP.Issuer, JWKSURL: w.OP.JWKS}); err != nil {
		t.Fatal(err)
	}
	w.Start(2)
	return w, app
}

// A visit of a page deep inside goes to the sign-in, and comes back to the very page; there the site knows its user by
// name, keeps a cookie of its own, and gets none of the gateway's.
//
// shows ERR-NAV, PRX-COOKIE, PRX-SETCOOKIE, PRX-CACHE, COOKIE-4 (server-rendered apps)
func TestVisitingASite(t *testing.T) {
	t.Parallel()
	for _, sameSite := range []string{"lax", "strict"} {
		t.Run(sameSite, func(t *testing.T) {
			t.Parallel()
			w, app := siteWorld(t, sameSite)
			b := w.Browser()
			const deep = world.Origin + "/new?from=%2Flist;1&x=a+b"
			p, err := b.Navigate(deep)
			if err != nil {
				t.Fatal(err)
			}
			if app.count() != 0 {
				t.Fatal("the site was reached without a session")
			}
			w.At(w.All[1]) // the rest is the other instance's
			p = w.Want(w.OP.SignIn(t, b, p), 200)
			if r, _ := app.last(t); p.URL != deep || r.RequestURI != "/new?from=%2Flist;1&x=a+b" {
				t.Fatalf("signed in and at %s; the site was asked for %s", p.URL, r.RequestURI)
			}
			if !strings.Contains(p.Text(), "Ada") || p.Header.Get("Cache-Control") != "no-store" || p.Header.Get("Clear-Site-Data") != "" {
				t.Errorf("%v %s", p.Header, p.Text())
			}
			own, ok := b.Cookie(world.Origin, "notes_session")
			if session, _ := b.Cookie(world.Origin, "__Host-Http-web"); !ok || session.Value == "" || session.Value == "evil" {
				t.Fatalf("cookies: %+v", b.Cookies())
			}
			for _, c := range b.Cookies() {
				if c.Value == "evil" || c.Domain != "" && c.Name == "wide" && c.Domain != "web.localhost" {
					t.Errorf("the site set %+v", c)
				}
			}
			if p, err = b.Navigate(world.Origin + "/"); err != nil || p.Status != 200 {
				t.Fatal(err, p.Status)
			}
			if r, _ := app.last(t); r.Header.Get("Cookie") != "notes_session="+own.Value+"; wide=1" && r.Header.Get("Cookie") != "wide=1; notes_session="+own.Value {
				t.Errorf("the site got %q", r.Header.Get("Cookie"))
			}
			// What is one app's cookie is nothing at another's host, under either name.
			session, _ := b.Cookie(world.Origin, "__Host-Http-web")
			for _, name := range []string{"__Host-Http-web", "__Host-Http-docs"} {
				thief := w.Browser()
				if !thief.StoreCookie(docs+"/", name+"="+session.Value+"; Path=/; Secure; HttpOnly") {
					t.Fatal("the cookie was not taken")
				}
				before := app.count()
				p, err := thief.Fetch(browser.At(docs+"/"), browser.Request{URL: docs + "/"})
				if err != nil {
					t.Fatal(err)
				}
				if wantCode(w, p, 401, "session_required"); app.count() != before {
					t.Errorf("%s at another app's host reached the site", name)
				}
			}
			w.Leaks()
		})
	}
}

// A form whose session has ended, at whichever instance, is kept; one signs in in another tab, and it goes again as it was.
func TestAFormOfASiteWhoseSessionHasEnded(t *testing.T) {
	t.Parallel()
	for _, sameSite := range []string{"lax", "strict"} {
		t.Run(sameSite, func(t *testing.T) {
			t.Parallel()
			w, app := siteWorld(t, sameSite)
			b := w.Browser()
			p, err := b.Navigate(world.Origin + "/new")
			if err != nil {
				t.Fatal(err)
			}
			p = w.Want(w.OP.SignIn(t, b, p), 200)
			form, err := p.Form("Save")
			if err != nil {
				t.Fatal(err)
			}
			// The session ends in another tab, whose answer this one outruns: its cookie is a dead one.
			session, _ := b.Cookie(world.Origin, "__Host-Http-web")
			w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
			if !b.StoreCookie(world.Origin+"/", "__Host-Http-web="+session.Value+"; Path=/; Secure; HttpOnly; SameSite=Strict") {
				t.Fatal("the cookie was not taken")
			}
			w.At(w.All[1])
			before := app.count()
			kept, err := b.SubmitForm(p, form, url.Values{"title": {`Tea "<3"`}, "text": {"two\r\nlines & é"}})
			if err != nil {
				t.Fatal(err)
			}
			w.Want(kept, 401)
			if app.count() != before || kept.URL != world.Origin+"/notes" {
				t.Fatalf("at %s; the site was asked %d times", kept.URL, app.count()-before)
			}
			link, err := kept.Link("Sign in in a new tab")
			if err != nil {
				t.Fatal(err)
			}
			again, err := kept.Form("Send the form again")
			if err != nil {
				t.Fatal(err)
			}
			// Sent too early it is simply kept once more.
			if early, err := b.SubmitForm(kept, again, nil); err != nil || early.Status != 401 || !bytes.Contains(early.Body, []byte("Send the form again")) {
				t.Fatalf("sent before the sign-in: %v %d", err, early.Status)
			}
			tab, err := b.Click(kept, link)
			if err != nil {
				t.Fatal(err)
			}
			if tab = w.Want(w.OP.SignIn(t, b, tab), 200); !strings.HasPrefix(tab.URL, world.Origin+"/bff/signed-in") {
				t.Fatalf("the other tab is at %s: %s", tab.URL, tab.Text())
			}
			done, err := b.SubmitForm(kept, again, nil)
			if err != nil {
				t.Fatal(err)
			}
			if w.Want(done, 200); done.URL != world.Origin+"/?saved" || !strings.Contains(done.Text(), `Tea "<3"`) {
				t.Fatalf("sent again, and at %s: %s", done.URL, done.Text())
			}
			want := url.Values{"csrf_token": form.Fields["csrf_token"], "title": {`Tea "<3"`}, "text": {"two\r\nlines & é"}}.Encode()
			app.mu.Lock()
			if got := app.sent[len(app.sent)-2]; got != want { // the last one is the list of notes
				t.Errorf("sent again:\n%s\nwant\n%s", got, want)
			}
			app.mu.Unlock()
			for i, in := range w.All {
				if log := in.Log(); strings.Contains(log, "Tea") || strings.Contains(log, form.Fields.Get("csrf_token")) {
					t.Errorf("instance %d logged what was in the form", i)
				}
			}
			w.Leaks()
		})
	}
}
