//go:build integration

package scalekit_test

import (
	"net/http"
	"strings"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

const (
	pagesOrigin = "http://pages.localhost"
	pagesSecret = "the-second-apps-secret-long-enough"
)

// Two apps, each a client of its own with its own scopes, share one session at the provider: the second opens without a
// question, by navigations of the window alone, and signing out of either, in whatever order they were opened, is for both.
//
// shows SCALEKIT-A1, SCALEKIT-A2, SCALEKIT-A3, SCALEKIT-A7, SCALEKIT-A9, SCALEKIT-F3, SCALEKIT-M7
func TestAppsShareOneSignIn(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.DevProvider, world.Options{Apps: `
  pages: {kind: web, origin: "` + pagesOrigin + `", provider: main, client_id: webc_2, client_secret: ` + pagesSecret + `, scopes: [openid, offline_access]}
`})
	w.Dev.Register(provider.Client{
		ID: "webc_2", Secret: pagesSecret,
		RedirectURIs: []string{pagesOrigin + "/bff/callback"}, PostLogoutRedirectURIs: []string{pagesOrigin + "/bff/logged-out"},
	})
	w.Start(1)
	for _, order := range [][2]string{{world.Origin, pagesOrigin}, {pagesOrigin, world.Origin}} {
		b := w.Browser()
		for _, at := range order {
			page := navigate(t, b, at+"/bff/login")
			if at == order[0] {
				page = choose(t, b, page)
			}
			if !strings.HasPrefix(page.URL, at) || !signedIn(t, b, at) { // the second: no form, no question
				t.Fatalf("%s: not signed in: %d %s", at, page.Status, page.URL)
			}
		}
		other := "__Host-Http-web=" + cookie(t, b, world.Origin, "__Host-Http-web")
		if p := fetch(t, w.Browser(), pagesOrigin, http.Header{"Cookie": {other}}); strings.Contains(string(p.Body), `"authenticated":true`) {
			t.Error("the cookie of one app opens the other")
		}
		if _, err := b.SubmitForm(browser.At(order[1]+"/"), browser.Form{Action: "/bff/logout", Method: http.MethodPost}, nil); err != nil {
			t.Fatal(err)
		}
		for _, at := range order {
			if signedIn(t, b, at) {
				t.Errorf("%s: still signed in", at)
			}
		}
	}
	sids := map[string]bool{}
	for _, s := range w.Dev.Sessions() {
		sids[s.SID] = true
		if len(s.Clients) != 2 || !s.Ended {
			t.Errorf("session %s of %v, over: %v", s.SID, s.Clients, s.Ended)
		}
	}
	if len(sids) != 2 { // one per browser
		t.Errorf("%d sessions at the provider", len(sids))
	}
	scopes := map[string]string{"webc_1": "openid profile email offline_access", "webc_2": "openid offline_access"}
	for _, r := range w.Dev.RequestsTo(provider.Authorize) {
		if id := r.Form.Get("client_id"); r.Form.Get("scope") != scopes[id] || !strings.HasPrefix(r.Form.Get("redirect_uri"), "http://") {
			t.Errorf("client %s asks for %q", id, r.Form.Get("scope"))
		}
		if mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest"); mode != "navigate" || dest != "document" {
			t.Errorf("not a navigation of the window: %s, %s", mode, dest)
		}
	}
	for _, line := range []string{`"app":"web","session":`, `"app":"pages","session":`, `"client_id":"webc_1"`, `"client_id":"webc_2"`} {
		w.All[0].AwaitLog(line)
	}
}

// choose signs in at the provider's page of users.
func choose(t *testing.T, b *browser.Browser, page *browser.Page) *browser.Page {
	t.Helper()
	form, err := page.Form("ada@example.com")
	if err != nil {
		t.Fatalf("%v: %s %s", err, page.URL, page.Text())
	}
	fields := form.Fields
	fields.Set("user", "usr_1001")
	if page, err = b.SubmitForm(page, form, fields); err != nil {
		t.Fatal(err)
	}
	return page
}

// fetch asks for an app's session as its own script does.
func fetch(t *testing.T, b *browser.Browser, origin string, header http.Header) *browser.Page {
	t.Helper()
	if header == nil {
		header = http.Header{}
	}
	header.Set("X-Csrf", "1")
	p, err := b.Fetch(browser.At(origin+"/"), browser.Request{URL: origin + "/bff/session", Header: header})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func signedIn(t *testing.T, b *browser.Browser, origin string) bool {
	t.Helper()
	return strings.Contains(string(fetch(t, b, origin, nil).Body), `"authenticated":true`)
}

func cookie(t *testing.T, b *browser.Browser, origin, name string) string {
	t.Helper()
	c, ok := b.Cookie(origin, name)
	if !ok {
		t.Fatalf("no cookie %s", name)
	}
	return c.Value
}
