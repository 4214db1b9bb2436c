//go:build integration

package native_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// All attacks run against one pair of instances, each with people of its own; the leak scanner reads it all at the end.
func TestAttacks(t *testing.T) {
	t.Parallel()
	n := newWorld(t)
	for name, attack := range map[string]func(*testing.T, *nativeWorld){
		"the start": start, "bindings": bindings, "a replay at two instances": replay, "a code that is too old": expired,
		"reuse of a refresh handle": reuse, "a lost answer": lostAnswer, "the confirm page": confirm, "swapped browsers": swap,
		"the way back": wayBack, "credentials mixed up": mixed, "RFC 6750": bearer, "sign-out": signOut, "the way back from a sign-out": goodBye, "revocation": revocation,
		"x/oauth2 that probes": probing, "what stands about it": metadata,
	} {
		t.Run(name, func(t *testing.T) { n.T = t; attack(t, n) })
	}
	n.T = t
	n.finish(t)
}

// A start that asks for less than is safe never leaves the gateway.
//
// shows NAT-7.1, NAT-8.1, NAT-8.9
func start(t *testing.T, n *nativeWorld) {
	long := strings.Repeat("s", 1024)
	for name, a := range map[string]ask{
		"another path":                 {Redirect: "http://127.0.0.1:9/elsewhere"},
		"a query":                      {Redirect: loopback + "?x=1"},
		"a fragment":                   {Redirect: loopback + "#x"},
		"the name localhost":           {Redirect: "http://localhost:9/callback"},
		"a host that begins alike":     {Redirect: "http://127.0.0.1.evil.com/callback"},
		"a user name":                  {Redirect: "http://127.0.0.1:9@evil.com/callback"},
		"a neighbour":                  {Redirect: "http://10.0.0.1/callback"},
		"dot segments":                 {Redirect: "http://127.0.0.1:9/x/../callback"},
		"another app's scheme":         {Redirect: private},
		"no redirect":                  {More: url.Values{"redirect_uri": {""}}},
		"an app that is not there":     {App: "nobody"},
		"a browser app":                {App: "web"},
		"no challenge":                 {More: url.Values{"code_challenge": {""}}},
		"a challenge of another size":  {More: url.Values{"code_challenge": {"short"}}},
		"the method plain":             {More: url.Values{"code_challenge_method": {"plain"}}},
		"no method, which means plain": {More: url.Values{"code_challenge_method": {""}}},
		"a state of 1 KiB":             {State: long},
		"a parameter twice":            {More: url.Values{"redirect_uri": {loopback, "https://evil.example/"}}},
	} {
		p, err := n.browser(t).Navigate(n.address(n.complete(a)))
		if err != nil {
			t.Fatal(err)
		}
		if p.Status != http.StatusBadRequest || p.Unsent || p.Header.Get("Location") != "" || len(p.Hops) != 1 {
			t.Errorf("a start with %s: %d at %s after %d hops", name, p.Status, p.URL, len(p.Hops))
		}
	}
}

// A code redeemed with anything but what it was asked for is burned.
//
// shows NAT-BIND, NAT-8.1
func bindings(t *testing.T, n *nativeWorld) {
	for name, change := range map[string][]string{
		"a second app":                     {"client_id", "other"},
		"another port":                     {"redirect_uri", "http://127.0.0.1:10/callback"},
		"the redirect without its port":    {"redirect_uri", "http://127.0.0.1/callback"},
		"another verifier":                 {"code_verifier", oauth2.GenerateVerifier()},
		"the challenge as its verifier":    nil,
		"a verifier of one character less": {"code_verifier", ""},
	} {
		g := n.signIn(t, n.browser(t), ask{})
		switch name {
		case "the challenge as its verifier":
			change = []string{"code_verifier", oauth2.S256ChallengeFromVerifier(g.Verifier)}
		case "a verifier of one character less":
			change = []string{"code_verifier", g.Verifier[1:]}
		}
		if got := n.token(t, n.All[0], with(g.form(), change...)); got.Status != http.StatusBadRequest || got.Access != "" {
			t.Errorf("%s: %d %+v", name, got.Status, got)
		}
		if strings.HasPrefix(name, "a verifier of") {
			continue // no verifier at all by its form (RFC 7636 section 4.1): refused before the code is looked at, or after
		}
		refused(t, n.token(t, n.All[1], g.form()), "invalid_grant")
	}
	g := n.signIn(t, n.browser(t), ask{})
	form := g.form()
	form.Del("code_verifier")
	if got := n.token(t, n.All[0], form); got.Status != http.StatusBadRequest || got.Access != "" {
		t.Errorf("no verifier: %d %+v", got.Status, got)
	}
}

// The same code at two instances at once: one wins, the other is refused, and what the winner got is dead then.
//
// shows NAT-CODE
func replay(t *testing.T, n *nativeWorld) {
	for range 3 { // the two meet in another order each time
		g := n.signIn(t, n.browser(t), ask{})
		got := make([]tokens, len(n.All))
		var both sync.WaitGroup
		for i, in := range n.All {
			both.Go(func() { got[i] = n.token(t, in, g.form()) })
		}
		both.Wait()
		status := []int{got[0].Status, got[1].Status}
		slices.Sort(status)
		// The second may come before the first has written its session: then neither gets one.
		if !slices.Equal(status, []int{200, 400}) && !slices.Equal(status, []int{400, 400}) {
			t.Errorf("two redemptions at once: %v", status)
		}
		for _, g := range got {
			if g.Access != "" {
				n.wantAlive(t, g.Access, 401)
				refused(t, n.token(t, n.All[0], refreshing("cli", g.Refresh)), "invalid_grant")
			}
		}
	}
	g := n.signIn(t, n.browser(t), ask{})
	first := n.redeem(t, g)
	n.wantAlive(t, first.Access, 200)
	refused(t, n.token(t, n.All[1], g.form()), "invalid_grant")
	n.wantAlive(t, first.Access, 401)
}

// A code lives for a minute. The minute is not waited for: Redis is told that it is over.
//
// shows NAT-CODE
func expired(t *testing.T, n *nativeWorld) {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: n.Redis.Addr()})
	defer client.Close()
	g := n.signIn(t, n.browser(t), ask{})
	keys := slices.DeleteFunc(n.Redis.Keys(), func(k string) bool { return !strings.HasPrefix(k, "cr:code:") })
	if len(keys) == 0 {
		t.Fatal("no code is kept")
	}
	for _, key := range keys {
		left, err := client.PTTL(ctx, key).Result()
		if err != nil || left > 10*time.Minute || left <= 0 {
			t.Errorf("%s lives for %v: %v", key, left, err)
		}
		if err := client.PExpire(ctx, key, time.Millisecond).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); client.Exists(ctx, keys...).Val() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the codes do not go")
		}
	}
	refused(t, n.token(t, n.All[0], g.form()), "invalid_grant")
}

// rotate trades a refresh handle.
func (n *nativeWorld) rotate(t *testing.T, instance int, handle string) tokens {
	t.Helper()
	return n.good(t, n.token(t, n.All[instance], refreshing("cli", handle)))
}

// An old refresh handle, after its successor was used and the grace has passed: two hold what is one's. All of it ends.
//
// shows NAT-ROT
func reuse(t *testing.T, n *nativeWorld) {
	first := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	second := n.rotate(t, 1, first.Refresh)
	n.wantAlive(t, second.Access, 200) // this is the use
	if again := n.rotate(t, 0, first.Refresh); again.Access != second.Access || again.Refresh != second.Refresh {
		t.Error("within the grace the old handle gets another successor than before")
	}
	<-time.After(pastGrace)
	id := `"session":"` + second.Session["id"].(string) + `"`
	n.wantAlive(t, first.Access, 401) // a call that was queued with it: refused, and no alarm
	n.wantAlive(t, second.Access, 200)
	if said(n.All[0], `"event":"session_ended"`, id)+said(n.All[1], `"event":"session_ended"`, id) > 0 {
		t.Error("a call with an old access handle ended the session")
	}
	rule := []string{`"event":"credential_refused"`, `"rule":"refresh handle reused"`, `"app":"cli"`}
	before := said(n.All[0], rule...)
	refused(t, n.token(t, n.All[0], refreshing("cli", first.Refresh)), "invalid_grant")
	// The log comes through a pipe, a moment after the answer.
	for deadline := time.Now().Add(patience); said(n.All[0], rule...) != before+1 || said(n.All[0], `"event":"session_ended"`, id, `"reason":"handle_reused"`) != 1; {
		if time.Now().After(deadline) {
			t.Fatal("the log does not say why the session ended")
		}
		<-time.After(20 * time.Millisecond)
	}
	n.wantAlive(t, second.Access, 401)
	refused(t, n.token(t, n.All[1], refreshing("cli", second.Refresh)), "invalid_grant")
	n.awaitRevoked(t)
}

// awaitRevoked waits until the provider's newest refresh token of the app cli is dead there.
func (n *nativeWorld) awaitRevoked(t *testing.T) {
	t.Helper()
	var newest string
	for _, issued := range n.op.Issued() {
		if issued.Kind == "refresh_token" && issued.Client == "nativec_1" {
			newest = issued.Value
		}
	}
	if newest == "" {
		t.Fatal("the provider never gave a refresh token")
	}
	for deadline := time.Now().Add(patience); ; {
		req, err := http.NewRequest(http.MethodPost, n.op.Issuer+"/token/introspection", strings.NewReader(url.Values{"token": {newest}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("nativec_1", cliSecret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var buf [1024]byte // an answer is a line
		size, _ := resp.Body.Read(buf[:])
		resp.Body.Close()
		if strings.Contains(string(buf[:size]), `"active":false`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the provider's refresh token is alive: %s", buf[:size])
		}
		<-time.After(20 * time.Millisecond)
	}
}

// An answer that never came costs nothing, however late the question is repeated: nobody has used the successor.
//
// shows NAT-ROT
func lostAnswer(t *testing.T, n *nativeWorld) {
	first := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	n.front.loseNext("/mobile/token")
	if resp, err := http.PostForm(n.front.URL+"/mobile/token", refreshing("cli", first.Refresh)); err == nil {
		resp.Body.Close()
		t.Fatalf("the answer was not lost: %s", resp.Status)
	}
	soon := n.rotate(t, 0, first.Refresh)
	<-time.After(pastGrace)
	late := n.rotate(t, 1, first.Refresh)
	if soon.Refresh != late.Refresh || soon.Access != late.Access {
		t.Error("the repeated question gets another successor")
	}
	if next := n.rotate(t, 0, soon.Refresh); next.Refresh == soon.Refresh || next.Session["id"] != first.Session["id"] {
		t.Error("the successor of a lost answer does not rotate")
	}
	n.wantAlive(t, soon.Access, 200)
}

// No code without a click where the redirect proves nothing, however well the provider knows the person; and the click is
// the person's own.
//
// shows NAT-8.6
func confirm(t *testing.T, n *nativeWorld) {
	b, who := n.browser(t), n.someone()
	n.signInAs(t, b, ask{}, who) // the provider knows them from here on
	a := n.complete(ask{App: "other", Redirect: private})
	p := n.start(t, b, a, who)
	if p.Unsent || p.Status != 200 || !strings.Contains(p.Text(), "other") {
		t.Fatalf("a private scheme and a live provider session: at %s, %d", p.URL, p.Status)
	}
	form := withButton(t, p, "Continue")
	for name, forged := range map[string]func() (*browser.Page, error){
		"from another site": func() (*browser.Page, error) {
			return b.SubmitForm(browser.At("https://evil.example/"), form, nil)
		},
		"from another browser": func() (*browser.Page, error) { return n.browser(t).SubmitForm(p, form, nil) },
		"without its hidden field": func() (*browser.Page, error) {
			return b.SubmitForm(p, browser.Form{Action: form.Action, Method: "post"}, nil)
		},
	} {
		if got, err := forged(); err != nil || got.Unsent || got.Status < 400 || got.Status > 499 {
			t.Errorf("a confirmation %s: %v %+v", name, err, got)
		}
	}
	q := answer(t, press(t, b, p, "Continue"), a)
	n.good(t, n.token(t, n.All[0], grant{a, q.Get("code")}.form()))
	if again := press(t, b, p, "Continue"); again.Unsent || again.Status < 400 {
		t.Errorf("a second confirmation: %d at %s", again.Status, again.URL)
	}
	a = n.complete(ask{App: "other", Redirect: claimed})
	if p := n.start(t, b, a, who); !p.Unsent {
		t.Errorf("a claimed https address waits for a click: %d %s", p.Status, p.Text())
	}
}

// Another browser than the one that started finishes nothing.
//
// shows NAT-SWAP
func swap(t *testing.T, n *nativeWorld) {
	a := n.complete(ask{})
	victim, attacker := n.browser(t), n.browser(t)
	attacker.HoldAt(func(u *url.URL) bool { return strings.HasPrefix(u.Path, "/mobile/callback/") })
	p := n.start(t, attacker, a, n.someone())
	if !p.Unsent {
		t.Fatalf("not held at the callback: %s", p.URL)
	}
	got, err := victim.Navigate(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got.Unsent || got.Status != http.StatusBadRequest || len(got.Forms()) > 0 && strings.Contains(got.Text(), "Continue") {
		t.Errorf("another browser at the callback: %d at %s %s", got.Status, got.URL, got.Text())
	}
}

// What the app gets back: its own state byte for byte and who says so, also when it is a no.
//
// shows NAT-8.9
func wayBack(t *testing.T, n *nativeWorld) {
	odd := "a b+c%2F/?&=#\"<é>" + strings.Repeat("x", 480)
	n.signIn(t, n.browser(t), ask{State: odd}) // answer compares it
	a := n.complete(ask{})
	b := n.browser(t)
	p, err := b.Navigate(n.address(a))
	if err != nil {
		t.Fatal(err)
	}
	q := answer(t, press(t, b, p, "Cancel"), a)
	if q.Get("error") != "access_denied" || q.Has("code") || q.Get("iss") != n.front.URL+"/mobile" {
		t.Errorf("a no at the provider: %v", q)
	}
	b, a = n.browser(t), n.complete(ask{})
	q = answer(t, press(t, b, n.start(t, b, a, n.someone()), "Cancel"), a)
	if q.Get("error") != "access_denied" || q.Has("code") || q.Get("iss") != n.front.URL+"/mobile" {
		t.Errorf("a no at the confirm page: %v", q)
	}
	b, a = n.browser(t), n.complete(ask{More: url.Values{"response_type": {"token"}}})
	if p, err = b.Navigate(n.address(a)); err != nil {
		t.Fatal(err)
	}
	if q := answer(t, p, a); q.Get("error") != "unsupported_response_type" {
		t.Errorf("another response type: %v", q)
	}
}

// A credential of one kind is nothing where the other kind is asked for.
//
// shows NAT-TYPE
func mixed(t *testing.T, n *nativeWorld) {
	got := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	web := n.Browser()
	n.SignIn(web, "/")
	cookie, _ := web.Cookie(world.Origin, "__Host-Http-web")
	tests := []struct {
		name   string
		want   int
		fields []string
	}{
		{"a cookie's value as bearer", 401, []string{"Authorization", "Bearer " + cookie.Value}},
		{"a handle as cookie", 401, []string{"Cookie", "__Host-Http-web=" + got.Access, "X-CSRF", "1"}},
		{"a handle as the cookie of its own app", 401, []string{"Cookie", "__Host-Http-cli=" + got.Access, "X-CSRF", "1"}},
		{"a handle and a cookie", 400, []string{"Authorization", "Bearer " + got.Access, "Cookie", "__Host-Http-web=" + cookie.Value}},
		{"a refresh handle as bearer", 401, []string{"Authorization", "Bearer " + got.Refresh}},
		{"another site's page", 403, []string{"Authorization", "Bearer " + got.Access, "Origin", "https://evil.example"}},
		{"nothing", 401, nil},
		{"the handle", 200, []string{"Authorization", "Bearer " + got.Access}},
	}
	if resp := n.call(t, n.All[0], http.MethodGet, "/others/orders", "Authorization", "Bearer "+got.Access); resp.StatusCode != 403 {
		t.Errorf("a route of another app: %d", resp.StatusCode)
	}
	for _, tt := range tests {
		for _, in := range n.All {
			if resp := n.call(t, in, http.MethodGet, "/api/orders", tt.fields...); resp.StatusCode != tt.want {
				t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.want)
			}
		}
	}
	refused(t, n.token(t, n.All[0], refreshing("cli", got.Access)), "invalid_grant")
	refused(t, n.token(t, n.All[0], refreshing("other", got.Refresh)), "invalid_grant")
	n.wantAlive(t, got.Access, 200) // none of this has cost the session
	n.Want(n.Fetch(web, "GET", "/api/orders", ""), 200)
}

// How a bad request is told, to the letter of RFC 6750.
//
// shows NAT-6750
func bearer(t *testing.T, n *nativeWorld) {
	good := n.redeem(t, n.signIn(t, n.browser(t), ask{})).Access
	tests := []struct {
		name, path, challenge string
		want                  int
		fields                []string
	}{
		{"nothing", "/mobile/session", `Bearer realm="cloakroom"`, 401, nil},
		{"an unknown handle", "/mobile/session", `Bearer realm="cloakroom", error="invalid_token"`, 401, []string{"Authorization", "Bearer clk_unknown"}},
		{"a handle in the query", "/mobile/session?access_token=" + good, `Bearer realm="cloakroom", error="invalid_request"`, 400, nil},
		{"a handle in the query of a route", "/api/orders?access_token=" + good, `Bearer realm="cloakroom", error="invalid_request"`, 400, nil},
		{"two of the field", "/mobile/session", `Bearer realm="cloakroom", error="invalid_request"`, 400, []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}},
	}
	for _, tt := range tests {
		resp := n.call(t, n.All[0], http.MethodGet, tt.path, tt.fields...)
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != tt.want || !strings.HasPrefix(got, tt.challenge) ||
			!strings.Contains(tt.challenge, "error") && got != tt.challenge {
			t.Errorf("%s: %d %q, want %d %q", tt.name, resp.StatusCode, got, tt.want, tt.challenge)
		}
	}
	for _, path := range []string{"/mobile/logout", "/api/orders"} {
		if got := n.post(t, n.All[1], path, url.Values{"access_token": {good}}); got.Status != 400 || !challenges(got.Header, "Bearer", "invalid_request") {
			t.Errorf("a handle in a form to %s: %d %q", path, got.Status, got.Header.Values("WWW-Authenticate"))
		}
	}
	if got := n.call(t, n.All[0], http.MethodGet, "/mobile/session", "Authorization", "Bearer "+good); got.StatusCode != 200 {
		t.Errorf("the handle itself: %d", got.StatusCode)
	}
}

// Signing out ends the session everywhere, and voids a code that waits to be redeemed. An unknown handle is no error.
//
// shows RPL-NATIVE, RPL-PENDING
func signOut(t *testing.T, n *nativeWorld) {
	b, who := n.browser(t), n.someone()
	got := n.redeem(t, n.signInAs(t, b, ask{}, who))
	pending := n.signInAs(t, b, ask{}, who)
	req, err := http.NewRequest(http.MethodPost, n.front.URL+"/mobile/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+got.Access)
	out := n.read(t, n.All[0], req)
	if out.Status != 200 || !strings.HasPrefix(out.Logout, n.front.URL+"/mobile/logout/") || strings.Contains(out.Logout, "eyJ") {
		t.Fatalf("signing out: %d %q", out.Status, out.Logout)
	}
	n.wantAlive(t, got.Access, 401)
	refused(t, n.token(t, n.All[0], refreshing("cli", got.Refresh)), "invalid_grant")
	refused(t, n.token(t, n.All[1], pending.form()), "invalid_grant")
	if again := n.read(t, n.All[1], req.Clone(t.Context())); again.Status != 200 || again.Logout != "" {
		t.Errorf("signing out again: %d %q", again.Status, again.Logout)
	}
	for range 3 { // a link scanner's visits do not use it up
		if resp := n.call(t, n.All[1], http.MethodGet, strings.TrimPrefix(out.Logout, n.front.URL)); resp.StatusCode != 200 {
			t.Errorf("the sign-out page: %d", resp.StatusCode)
		}
	}
	p, err := b.Navigate(out.Logout)
	if err != nil {
		t.Fatal(err)
	}
	form, err := p.Form("")
	if err != nil {
		t.Fatalf("%v: %s", err, p.Text())
	}
	if on, err := b.SubmitForm(p, form, nil); err != nil || on.Status != 200 {
		t.Errorf("on to the provider: %v %+v", err, on)
	}
	if again, err := b.SubmitForm(p, form, nil); err != nil || again.Status != http.StatusGone {
		t.Errorf("the sign-out a second time: %v %d", err, again.Status)
	}
}

// The way back from the provider's sign-out leads to the address that is configured for the app, for this browser alone.
//
// shows RPL-NATIVE
func goodBye(t *testing.T, n *nativeWorld) {
	b := n.browser(t)
	got := n.redeem(t, n.signIn(t, b, ask{App: "other", Redirect: private}))
	req, err := http.NewRequest(http.MethodPost, n.front.URL+"/mobile/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+got.Access)
	p, err := b.Navigate(n.read(t, n.All[0], req).Logout)
	if err != nil {
		t.Fatal(err)
	}
	b.HoldAt(func(u *url.URL) bool { return u.Path == "/mobile/logged-out" })
	p = leave(t, n, b, p)
	if !p.Unsent {
		t.Fatalf("not on the way back: %s %s", p.URL, p.Text())
	}
	if other, err := n.browser(t).Navigate(p.URL); err != nil || other.Unsent || other.Status != 200 {
		t.Errorf("another browser on this way back: %v, at %s: %d", err, other.URL, other.Status)
	}
	b.HoldAt(nil)
	if p, err = b.Continue(p); err != nil || !p.Unsent || p.URL != goodbye {
		t.Errorf("the way back: %v, at %s: %d %s", err, p.URL, p.Status, p.Text())
	}
}

// RFC 7009: a handle is given back, of either kind; one that is none is no error.
func revocation(t *testing.T, n *nativeWorld) {
	revoke := func(app, handle string) int {
		t.Helper()
		form := url.Values{"client_id": {app}, "token": {handle}}
		req, err := http.NewRequest(http.MethodPost, n.front.URL+"/mobile/revoke", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return n.read(t, n.All[0], req).Status
	}
	kept := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	if got := revoke("other", kept.Refresh); got != 200 && got != 400 {
		t.Errorf("another app revokes: %d", got)
	}
	n.wantAlive(t, kept.Access, 200)
	for name, handle := range map[string]string{"access": kept.Access, "refresh": n.redeem(t, n.signIn(t, n.browser(t), ask{})).Refresh} {
		if got := revoke("cli", handle); got != 200 {
			t.Errorf("revoking the %s handle: %d", name, got)
		}
		if got := revoke("cli", handle); got != 200 {
			t.Errorf("revoking it again: %d", got)
		}
	}
	n.wantAlive(t, kept.Access, 401)
}

// golang.org/x/oauth2 as most programs configure it: without a word about how the client shows itself.
func probing(t *testing.T, n *nativeWorld) {
	g := n.signIn(t, n.browser(t), ask{})
	config := oauth2.Config{
		ClientID: "cli", RedirectURL: g.Redirect,
		Endpoint: oauth2.Endpoint{AuthURL: n.front.URL + "/mobile/authorize", TokenURL: n.front.URL + "/mobile/token"},
	}
	token, err := config.Exchange(t.Context(), g.code, oauth2.VerifierOption(g.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	next, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	if next.AccessToken == token.AccessToken {
		t.Error("the refresh grant gave the same handle")
	}
	n.wantAlive(t, next.AccessToken, 200)
}

// The metadata say what is there: the addresses in them are the ones that this suite used.
func metadata(t *testing.T, n *nativeWorld) {
	for _, path := range []string{"/.well-known/oauth-authorization-server/mobile", "/mobile/.well-known/openid-configuration"} {
		req, err := http.NewRequest(http.MethodGet, n.front.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, body := n.do(t, n.All[0], req)
		for _, want := range []string{
			`"issuer":"` + n.front.URL + `/mobile"`, `"token_endpoint":"` + n.front.URL + `/mobile/token"`,
			`"authorization_endpoint":"` + n.front.URL + `/mobile/authorize"`, `"code_challenge_methods_supported":["S256"]`,
			`"authorization_response_iss_parameter_supported":true`,
		} {
			if resp.StatusCode != 200 || !strings.Contains(strings.ReplaceAll(string(body), " ", ""), want) {
				t.Errorf("%s: %d, without %s\n%s", path, resp.StatusCode, want, body)
			}
		}
	}
}
