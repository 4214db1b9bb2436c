//go:build integration

package native_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
)

// One app and more than one person, and what an app does when its network was not there: against two instances.
func TestAccounts(t *testing.T) {
	t.Parallel()
	n := newWorld(t)
	for name, journey := range map[string]func(*testing.T, *nativeWorld){
		"two at once": twoAccounts, "one after the other": switchAccounts, "the answer to a code is lost": lostHandles,
		"the app dies during the sign-in": diedMeanwhile, "what the API says of its token": refusedUpstream,
	} {
		t.Run(name, func(t *testing.T) { n.T = t; journey(t, n) })
	}
	n.T = t
	n.finish(t)
}

// account is what an app keeps for one of its users.
type account struct {
	tokens
	who string
}

// addAccount signs somebody in for the app cli as an app does that offers "add an account": whoever the browser knows
// already, the provider asks.
func (n *nativeWorld) addAccount(t *testing.T, b *browser.Browser, who string) account {
	t.Helper()
	g := n.signInAs(t, b, ask{More: url.Values{"prompt": {"login"}, "login_hint": {who}}}, who)
	got := n.good(t, n.token(t, n.All[0], with(g.form(), "device_name", "Phone of "+who, "device_platform", "iOS 19.1")))
	if got.User["sub"] != who {
		t.Fatalf("signed in as %v, not as %s", got.User, who)
	}
	return account{got, who}
}

// ask sends a request with an account's handle to an instance and reads the JSON answer into to.
func (n *nativeWorld) ask(t *testing.T, in *gateway.Instance, method, path, handle string, to any) int {
	t.Helper()
	req, err := http.NewRequest(method, n.front.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+handle)
	resp, body := n.do(t, in, req)
	if to != nil {
		if err := json.Unmarshal(body, to); err != nil {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	return resp.StatusCode
}

// is checks on every instance that a handle is the account's, at the API and at the gateway.
func (n *nativeWorld) is(t *testing.T, a account) {
	t.Helper()
	for _, in := range n.All {
		var api dev.Whoami
		var mine struct{ User map[string]any }
		if status := n.ask(t, in, "GET", "/api/whoami", a.Access, &api); status != 200 || api.Sub != a.who {
			t.Errorf("the API takes %s for %q: %d", a.who, api.Sub, status)
		}
		if n.ask(t, in, "GET", "/mobile/session", a.Access, &mine); mine.User["sub"] != a.who {
			t.Errorf("the gateway takes %s for %v", a.who, mine.User)
		}
	}
}

// listed is an account's list of devices.
func (n *nativeWorld) listed(t *testing.T, in *gateway.Instance, a account) (names []string) {
	t.Helper()
	var list struct {
		Sessions []struct{ Device, Platform string }
	}
	if status := n.ask(t, in, "GET", "/mobile/sessions", a.Access, &list); status != 200 {
		t.Errorf("the list of %s: %d", a.who, status)
	}
	for _, s := range list.Sessions {
		names = append(names, s.Device+", "+s.Platform)
	}
	slices.Sort(names)
	return names
}

// hear opens an account's event stream at an instance.
func (n *nativeWorld) hear(t *testing.T, in *gateway.Instance, a account) *gateway.Stream {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, n.front.URL+"/mobile/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.Access)
	s := in.Listen(t, req)
	if e := s.Next(t); e.Name != "session" || !strings.Contains(e.Data, a.Session["id"].(string)) {
		t.Errorf("the stream of %s begins with %s %s", a.who, e.Name, e.Data)
	}
	return s
}

// Two people's handles in one app, from one browser: each call is the right one's, and nothing that happens to the one
// session touches the other.
//
// shows NAT-TYPE, SESS-LIST, RPL-NATIVE (several accounts)
func twoAccounts(t *testing.T, n *nativeWorld) {
	b := n.browser(t)
	ada, bob := n.addAccount(t, b, n.someone()), n.addAccount(t, b, n.someone())
	n.is(t, ada)
	n.is(t, bob)
	adaHears, bobHears := n.hear(t, n.All[0], ada), n.hear(t, n.All[1], bob)

	first := bob
	for i := range 3 { // rotated over both instances, as far from its start as it likes
		bob.tokens = n.rotate(t, i%2, bob.Refresh)
		n.is(t, bob)
	}
	n.wantAlive(t, first.Access, 401)
	n.is(t, ada)
	ada.tokens = n.rotate(t, 1, ada.Refresh) // its turn is where it was
	n.is(t, ada)

	for _, in := range n.All {
		for _, a := range []account{ada, bob} {
			if diff := cmp.Diff([]string{"Phone of " + a.who + ", iOS 19.1"}, n.listed(t, in, a)); diff != "" {
				t.Errorf("the list of %s (-want +got):\n%s", a.who, diff)
			}
		}
		if status := n.ask(t, in, "DELETE", "/mobile/sessions/"+bob.Session["id"].(string), ada.Access, nil); status != 404 {
			t.Errorf("ending the other's session: %d", status)
		}
	}
	if status := n.ask(t, n.All[1], "DELETE", "/mobile/sessions", ada.Access, nil); status != 204 { // all of Ada's own others
		t.Errorf("ending all others: %d", status)
	}
	n.is(t, ada)
	n.is(t, bob)

	var out tokens
	if status := n.ask(t, n.All[1], "POST", "/mobile/logout", ada.Access, &out); status != 200 || out.Logout == "" {
		t.Errorf("signing one out: %d", status)
	}
	ended(t, "the one that signed out", adaHears)
	n.wantAlive(t, ada.Access, 401)
	refused(t, n.token(t, n.All[0], refreshing("cli", ada.Refresh)), "invalid_grant")
	n.is(t, bob)
	bob.tokens = n.rotate(t, 0, bob.Refresh)
	n.is(t, bob)
	if status := n.ask(t, n.All[0], "POST", "/mobile/logout", bob.Access, &out); status != 200 {
		t.Errorf("signing the other out: %d", status)
	}
	ended(t, "the other, and nothing before", bobHears)
}

// ended fails unless the next that a stream is told is its own session's sign-out.
func ended(t *testing.T, which string, s *gateway.Stream) {
	t.Helper()
	if e := s.Next(t); e.Name != "session-ended" || e.Data != `{"reason":"signed_out"}` {
		t.Errorf("%s is told %s %s", which, e.Name, e.Data)
	}
}

// Out with the one and in with the next, without a pause: by way of the provider's sign-out, and without it, where the
// provider still knows the one. And the same person once more, whom the browser's notice spares the sign-out of that very
// second.
//
// shows RPL-NATIVE (switching)
func switchAccounts(t *testing.T, n *nativeWorld) {
	b := n.browser(t)
	again := n.someone()
	for _, row := range []struct {
		from, to string
		provider bool // its sign-out too
	}{{n.someone(), n.someone(), true}, {n.someone(), n.someone(), false}, {again, again, true}} {
		old := n.addAccount(t, b, row.from)
		var out tokens
		if status := n.ask(t, n.All[1], "POST", "/mobile/logout", old.Access, &out); status != 200 || out.Logout == "" {
			t.Fatalf("signing out: %d", status)
		}
		if row.provider {
			p, err := b.Navigate(out.Logout)
			if err != nil {
				t.Fatal(err)
			}
			leave(t, n, b, p)
		}
		n.is(t, n.addAccount(t, b, row.to))
		n.wantAlive(t, old.Access, 401)
		refused(t, n.token(t, n.All[0], refreshing("cli", old.Refresh)), "invalid_grant")
	}
}

// The answer that held the handles is lost. Asking again gets nothing, and ends what nobody holds: no device stays in the
// list that is none. A new sign-in is as good as ever.
//
// shows NAT-CODE (a lost answer)
func lostHandles(t *testing.T, n *nativeWorld) {
	b, who := n.browser(t), n.someone()
	g := n.signInAs(t, b, ask{}, who)
	n.front.loseNext("/mobile/token")
	if resp, err := http.PostForm(n.front.URL+"/mobile/token", g.form()); err == nil {
		resp.Body.Close()
		t.Fatalf("the answer came: %s", resp.Status)
	}
	refused(t, n.token(t, n.All[1], g.form()), "invalid_grant")
	a := account{n.redeem(t, n.signInAs(t, b, ask{}, who)), who}
	n.is(t, a)
	if all := n.listed(t, n.All[1], a); len(all) != 1 {
		t.Errorf("after a lost answer the list is %q", all)
	}
}

// The system ends the app while its user is in the browser. What it kept is enough to go on; what it did not keep is
// worth nothing to anybody, and a new start is not disturbed by it.
//
// shows NAT-BIND (the app ends during a sign-in)
func diedMeanwhile(t *testing.T, n *nativeWorld) {
	b, who := n.browser(t), n.someone()
	kept := n.signInAs(t, b, ask{}, who)
	n.is(t, account{n.redeem(t, grant{kept.ask, kept.code}), who}) // state and verifier were on disk

	half := n.complete(ask{})
	if p := n.start(t, b, half, who); p.Unsent {
		t.Fatalf("not at the confirm page: %s", p.URL)
	}
	lost := n.signInAs(t, b, ask{}, who)
	forgot := n.token(t, n.All[0], with(lost.form(), "code_verifier", n.complete(ask{}).Verifier))
	refused(t, forgot, "invalid_grant")
	n.is(t, account{n.redeem(t, n.signInAs(t, b, ask{}, who)), who})
}

// A token that the API refuses, for whatever reason of its own, or an API that is away, is nothing that a new handle or a
// new sign-in would change: the answer says so, and has no challenge that would send an OAuth library to either.
func refusedUpstream(t *testing.T, n *nativeWorld) {
	a := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	for status, want := range map[string]int{"401": 401, "403": 403, "503": 503} {
		req, err := http.NewRequest(http.MethodGet, n.front.URL+"/api/status/"+status, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+a.Access)
		resp, body := n.do(t, n.All[0], req)
		if resp.StatusCode != want || resp.Header.Get("WWW-Authenticate") != "" ||
			strings.Contains(string(body), `"code":"upstream_unauthorized"`) != (want == 401) {
			t.Errorf("the API's %s: %d %v %s", status, resp.StatusCode, resp.Header, body)
		}
	}
	n.wantAlive(t, a.Access, 200)
	b := n.redeem(t, n.signIn(t, n.browser(t), ask{App: "other", Redirect: private})).Access
	resp := n.call(t, n.All[0], http.MethodGet, "/others/orders", "Authorization", "Bearer "+b) // where nobody listens
	if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("an API that is not there: %d %v", resp.StatusCode, resp.Header)
	}
	if got := n.ask(t, n.All[1], http.MethodGet, "/mobile/session", b, nil); got != 200 {
		t.Errorf("the session after that: %d", got)
	}
}
