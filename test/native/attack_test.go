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
	"cloakroom/test/gateway"
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

// atBoth redeems a code at both instances at once, of which one at most may give something.
func (n *nativeWorld) atBoth(t *testing.T, redeem func(*gateway.Instance) tokens) []tokens {
	t.Helper()
	got := make([]tokens, len(n.All))
	var both sync.WaitGroup
	for i, in := range n.All {
		both.Go(func() { got[i] = redeem(in) })
	}
	both.Wait()
	status := []int{got[0].Status, got[1].Status}
	slices.Sort(status)
	// The second may come before the first has written its session: then neither gets one.
	if !slices.Equal(status, []int{200, 400}) && !slices.Equal(status, []int{400, 400}) {
		t.Errorf("two redemptions at once: %v", status)
	}
	return got
}

// The same code at two instances at once: one wins, the other is refused, and what the winner got is dead then.
//
// shows NAT-CODE
func replay(t *testing.T, n *nativeWorld) {
	for range 3 { // the two meet in another order each time
		g := n.signIn(t, n.browser(t), ask{})
		for _, g := range n.atBoth(t, func(in *gateway.Instance) tokens { return n.token(t, in, g.form()) }) {
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
		if err != nil || left > 10*time.Minute || left == -1 { // -1: for ever; -2: over by now, for it was another attack's
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
