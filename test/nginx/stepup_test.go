//go:build integration

package nginx_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// A route behind nginx wants a newer or stronger sign-in: the page's code gets what it can act on, the sign-in asks the provider
// for just that and comes back, and the order passes. nginx asks either gateway; the API hears of nothing before.
//
// shows STEP-ROUTE, STEP-3, PRX-AUTHZ
func TestStepUpThroughNginx(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	b := w.signedInBefore(time.Hour)
	for _, row := range []struct{ path, asked, value string }{
		{"/beside/fresh/x", "max_age", "300"}, {"/beside/gold/x", "acr_values", "gold"},
	} {
		_, before := w.api.last()
		for range 2 { // both gateways
			w.refused(w.Fetch(b, "GET", row.path, ""), 401, "insufficient_user_authentication")
		}
		told := w.refused(w.Fetch(b, "GET", row.path, ""), 401, "insufficient_user_authentication")
		if _, n := w.api.last(); n != before {
			t.Errorf("%s: the API was asked", row.path)
		}
		if !strings.HasPrefix(told.LoginURL, "/bff/login?step_up=") {
			t.Fatalf("%s: login_url %q", row.path, told.LoginURL)
		}
		p, err := b.Assign(browser.At(world.Origin+"/"), told.LoginURL+"&return_to=%2Forders")
		if err != nil {
			t.Fatal(err)
		}
		w.asksFor(p, row.asked, row.value)
		w.Want(w.Fetch(b, "GET", "/beside/orders", ""), 200) // until the user is back nothing has changed
		if p = w.OP.SignIn(t, b, p); p.URL != world.Origin+"/orders" {
			t.Fatalf("%s: signed in, and at %s: %d %s", row.path, p.URL, p.Status, p.Text())
		}
		for range 2 {
			w.Want(w.Fetch(b, "GET", row.path, ""), 200)
		}
		if got, _ := w.api.last(); !w.isToken(got.Header.Get("Authorization")) {
			t.Errorf("%s: the API got %q", row.path, got.Header.Get("Authorization"))
		}
		w.Dev.AgeSignIns(time.Hour)
	}
	w.Leaks()
}

// The visit of a server-rendered page goes to such a sign-in by itself, and comes back to the page.
//
// shows STEP-ROUTE
func TestAPageStepsUpThroughNginx(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	b := w.signedInBefore(time.Hour)
	const page = world.Origin + "/beside/pages/fresh/x?y=1"
	p, err := b.Click(browser.At(world.Origin+"/"), page)
	if err != nil {
		t.Fatal(err)
	}
	if first := p.Hops[0]; first.Status != 303 || !strings.HasPrefix(first.Header.Get("Location"), "/bff/login?") || !strings.Contains(first.Header.Get("Location"), "step_up=") {
		t.Errorf("the visit was answered by %d %v", first.Status, first.Header)
	}
	w.asksFor(p, "max_age", "300")
	if p = w.OP.SignIn(t, b, p); p.Status != 200 || p.URL != page {
		t.Fatalf("the visit came to %d %s: %s", p.Status, p.URL, p.Text())
	}
	w.Leaks()
}

// An app on a handle is challenged through nginx as it is by the gateway itself.
//
// shows STEP-3 (apps on handles)
func TestAHandleStepsUpThroughNginx(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	handle := w.phone(t)
	res := w.call(t, "/beside/gold/x", "Authorization: Bearer "+handle)
	var told struct {
		Code   string
		StepUp string `json:"step_up"`
	}
	if err := json.NewDecoder(res.Body).Decode(&told); err != nil {
		t.Fatal(err)
	}
	challenge := res.Header.Values("Www-Authenticate")
	if res.StatusCode != 401 || told.Code != "insufficient_user_authentication" || told.StepUp == "" || len(challenge) != 1 ||
		!strings.Contains(challenge[0], `error="insufficient_user_authentication"`) || !strings.Contains(challenge[0], `acr_values="gold"`) {
		t.Errorf("%s, challenged by %q: %+v", res.Status, challenge, told)
	}
	w.Leaks()
}

// A limit by address counts the address that nginx sees, whatever the frontend says of itself, and before a session is looked
// for; another address is served.
//
// shows PRX-FWD (limits), PRX-AUTHZ
func TestLimitByAddressThroughNginx(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	ask := func(from, claims string) *http.Response {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, "http://"+w.nginx.Addr+"/beside/crowd/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "web.localhost"
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"} {
			r.Header.Set(name, claims)
		}
		r.Header.Set("X-Csrf", "1")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := http.Client{Transport: &http.Transport{DialContext: dial.DialContext, DisableKeepAlives: true}}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	var statuses []int
	for i := range 6 { // two gateways, and a burst of two at each
		statuses = append(statuses, ask("127.0.0.1", "192.0.2."+string(rune('1'+i))).StatusCode)
	}
	last := ask("127.0.0.1", "192.0.2.99")
	var told problem
	if err := json.NewDecoder(last.Body).Decode(&told); err != nil {
		t.Fatal(err)
	}
	if last.StatusCode != 429 || told.Code != "rate_limited" || last.Header.Get("Retry-After") == "" || statuses[0] != 401 {
		t.Errorf("%v, then %s with %v: %+v", statuses, last.Status, last.Header, told)
	}
	if other := ask("127.0.0.2", "127.0.0.1"); other.StatusCode != 401 {
		t.Errorf("another address: %s", other.Status)
	}
	if _, n := w.api.last(); n != 0 {
		t.Errorf("the API was asked %d times", n)
	}
}

// signedInBefore is a browser whose user gave a credential at the provider so long ago.
func (b *beside) signedInBefore(ago time.Duration) *browser.Browser {
	b.T.Helper()
	user := b.Browser()
	b.SignIn(user, "/")
	b.Dev.AgeSignIns(ago)
	b.SignIn(user, "/") // the provider knows the user
	return user
}

// asksFor fails unless a page is the provider's, asked for a sign-in of this kind.
func (b *beside) asksFor(p *browser.Page, name, value string) {
	b.T.Helper()
	u, err := url.Parse(p.URL)
	if err != nil || !strings.HasPrefix(p.URL, b.OP.Issuer) || u.Query().Get(name) != value {
		b.T.Fatalf("at %s, not at the provider with %s=%s: %d %s", p.URL, name, value, p.Status, p.Text())
	}
}
