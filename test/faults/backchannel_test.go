//go:build integration

package faults_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// The addresses at which the provider tells of ended sessions.
const (
	webTold   = world.Origin + "/bff/backchannel-logout"
	phoneTold = publicURL + "/mobile/backchannel-logout"
)

// tolerant is the provider of a native world, of whose logout tokens no exp is asked, as of Hydra's.
func tolerant(t *testing.T, w *world.World, o world.Options) {
	nativeProvider(t, w, o)
	w.OP.YAML = strings.Replace(w.OP.YAML, "{", "{logout_exp: optional, ", 1)
}

// post sends a request to an instance as a server would, and returns status, header and body.
func (n *nativeWorld) post(t *testing.T, at int, address, mediaType, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", mediaType)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := n.clients[at].Do(r)
	if err != nil {
		return 0, nil, err.Error() // the server may cut off what is too long
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

const form = "application/x-www-form-urlencoded"

// told posts a logout token and fails unless it is answered so.
func (n *nativeWorld) told(t *testing.T, at int, address, token string, status int) {
	t.Helper()
	got, header, body := n.post(t, at, address, form, url.Values{"logout_token": {token}}.Encode())
	n.answered(t, address, status, got, header, body)
}

// answered checks what every answer of the endpoint keeps.
func (n *nativeWorld) answered(t *testing.T, what string, want, got int, header http.Header, body string) {
	t.Helper()
	if got != want || header.Get("Cache-Control") != "no-store" || len(header.Values("Set-Cookie")) > 0 {
		t.Fatalf("%s: %d %v, want %d\n%.300s", what, got, header, want, body)
	}
	var said struct {
		Error string `json:"error"`
	}
	switch {
	case got == 200 && body != "":
		t.Errorf("%s: a body: %q", what, body)
	case got == 400 && (!strings.HasPrefix(header.Get("Content-Type"), "application/json") || json.Unmarshal([]byte(body), &said) != nil || said.Error != "invalid_request"):
		t.Errorf("%s: %v %q", what, header, body)
	}
}

func (n *nativeWorld) logoutToken(t *testing.T, l provider.LogoutToken) string {
	t.Helper()
	token, err := n.Dev.MakeLogoutToken(l)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// sid is what the provider calls the session of the sign-in that was made last.
func (n *nativeWorld) sid() string {
	all := n.Dev.Sessions()
	return all[len(all)-1].SID
}

// out fails unless an instance answers a request of a browser app with the end of its session by the provider.
func (n *nativeWorld) out(t *testing.T, at int, r *http.Request) {
	t.Helper()
	resp, err := n.clients[at].Do(r.Clone(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p struct{ Code, Reason string }
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != 401 || p.Code != "session_ended" || p.Reason != "provider_logout" {
		t.Errorf("instance %d: %d %+v (%v), want 401 session_ended by provider_logout", at, resp.StatusCode, p, err)
	}
}

// A token to one instance, in the shapes that providers give it; the next request to the other instance is refused, at the
// browser app as at the native one, whichever client was told.
//
// shows BCL-2.7-1, BCL-2.4-typ, BCL-RACE (the other node right after 200)
//
// shows SCALEKIT-A7, SCALEKIT-O6
func TestALogoutTokenEndsAllAtTheOtherInstance(t *testing.T) {
	t.Parallel()
	n := newNativeAt(t, tolerant, world.Options{})
	typ := func(typ any) provider.Edit {
		return func(header, claims map[string]any) {
			if typ == nil {
				delete(header, "typ")
			} else {
				header["typ"] = typ
			}
		}
	}
	hydra := func(header, claims map[string]any) { header["typ"] = "JWT"; delete(claims, "exp") }
	for _, row := range []struct {
		with    string
		address string
		token   provider.LogoutToken
		sid     bool
	}{
		{"sid and sub, as Scalekit's and oidc-provider's", webTold, provider.LogoutToken{Client: "webc_1", Sub: "usr_1001"}, true},
		{"typ JWT, sid alone, no exp, as Hydra's", webTold, provider.LogoutToken{Client: "webc_1", Edit: hydra}, true},
		{"no typ, sid and sub, as Dex's", webTold, provider.LogoutToken{Client: "webc_1", Sub: "usr_1001", Edit: typ(nil)}, true},
		{"the native app's client", phoneTold, provider.LogoutToken{Client: "nativec_1", Sub: "usr_1001"}, true},
		{"sub alone", webTold, provider.LogoutToken{Client: "webc_1", Sub: "usr_1001"}, false}, // last: it is about whoever signs in within two seconds
	} {
		b := n.phone()
		n.SignIn(b, "/")
		h := n.signIn(t, b) // the provider knows the user: one session there
		r := request(t, n.World, b)
		if got := send(n.All[1], r); got != 200 {
			t.Fatalf("%s: before it: %d", row.with, got)
		}
		n.lives(t, h, 200)
		if row.sid {
			row.token.SID = n.sid()
		}
		token := n.logoutToken(t, row.token)
		n.told(t, 0, row.address, token, 200)
		n.out(t, 1, r)
		if body := n.want(t, 1, "GET", "/api/orders", h.Access, 401); !strings.Contains(body, `"session_ended"`) || !strings.Contains(body, `"provider_logout"`) {
			t.Errorf("%s: the handle: %s", row.with, body)
		}
		n.gone(t, row.with, h)
		n.told(t, 1, row.address, token, 400) // a replay, at the other instance
	}
	n.Leaks()
}

// Nothing that is wrong with request or token ends anything, and each is 400 in the same words, or 405 or 413.
//
// shows BCL-2.5, BCL-2.6-1, BCL-2.6-3, BCL-2.6-4, BCL-2.6-9, BCL-2.8
func TestLogoutTokensThatEndNothing(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	b := n.phone()
	n.SignIn(b, "/")
	h := n.signIn(t, b)
	r := request(t, n.World, b)
	sid := n.sid()
	good := provider.LogoutToken{Client: "webc_1", Sub: "usr_1001", SID: sid}
	signed := func(how provider.Signing) string {
		l := good
		l.Signing = how
		return n.logoutToken(t, l)
	}
	bodyOf := func(token string) string { return url.Values{"logout_token": {token}}.Encode() }
	other := good
	other.Sub = "usr_1002"
	native := good
	native.Client = "nativec_1"
	for what, body := range map[string]string{
		"alg none":                               bodyOf(signed(provider.Signing{Mode: provider.SignNone})),
		"HS256 with the client's secret":         bodyOf(signed(provider.Signing{Mode: provider.SignWithClientSecret})),
		"HS256 with the public key":              bodyOf(signed(provider.Signing{Mode: provider.SignWithPublicPEM})),
		"a key of nobody":                        bodyOf(signed(provider.Signing{Mode: provider.SignWithUnknownKey})),
		"a key of nobody under the right kid":    bodyOf(signed(provider.Signing{Mode: provider.SignWithStolenKID})),
		"a payload that was changed":             bodyOf(signed(provider.Signing{Mode: provider.SignTampered})),
		"the sub of somebody else":               bodyOf(n.logoutToken(t, other)),
		"another client's aud":                   bodyOf(n.logoutToken(t, native)),
		"an ID token":                            bodyOf(newest(n.World, provider.KindID)),
		"an access token":                        bodyOf(newest(n.World, provider.KindAccess)),
		"encryption":                             bodyOf("e30.e30.e30.e30.e30"),
		"no token":                               "x=y",
		"an empty token":                         bodyOf(""),
		"two tokens":                             bodyOf(signed(provider.Signing{})) + "&" + bodyOf(signed(provider.Signing{})),
		"a form that does not parse":             "logout_token=%zz",
		"more than anybody needs":                bodyOf(signed(provider.Signing{})) + "&x=" + strings.Repeat("x", 20<<10),
		"a token in the query, none in the body": "",
	} {
		address := webTold
		if strings.Contains(what, "query") {
			address += "?" + bodyOf(signed(provider.Signing{}))
		}
		status, header, text := n.post(t, 0, address, form, body)
		n.answered(t, what, 400, status, header, text)
	}
	status, header, text := n.post(t, 0, webTold, "application/json", `{"logout_token":"`+signed(provider.Signing{})+`"}`)
	n.answered(t, "JSON", 400, status, header, text)
	if status, _, _ := n.post(t, 0, webTold, form, "logout_token="+strings.Repeat("x", 1<<20)); status != 400 && status != 413 && status != 0 {
		t.Errorf("a megabyte: %d", status)
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
		get, err := http.NewRequest(method, webTold+"?"+bodyOf(signed(provider.Signing{})), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := send(n.All[0], get); got != 405 {
			t.Errorf("%s: %d, want 405", method, got)
		}
	}
	if got := send(n.All[1], r); got != 200 {
		t.Errorf("after all of them the session answers %d", got)
	}
	n.lives(t, h, 200)
	// What is foreign in a request with a good token is not looked at: fields, cookies, where it claims to come from.
	status, header, text = n.post(t, 1, webTold+"?a=b", form+"; charset=utf-8", bodyOf(signed(provider.Signing{}))+"&x=y",
		"Cookie", cookieName+"=x", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Accept", "text/html")
	n.answered(t, "a good one", 200, status, header, text)
	n.out(t, 0, r)
	n.Leaks()
}

// Redis is down: 400, nothing burned; when it is back the provider's second try ends the session.
//
// shows BCL-2.6-8 (the retry), BCL-2.8
func TestALogoutTokenWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	b := n.phone()
	n.SignIn(b, "/")
	r := request(t, n.World, b)
	token := n.logoutToken(t, provider.LogoutToken{Client: "webc_1", Sub: "usr_1001", SID: n.sid()})
	n.wires[0].Refuse()
	n.wires[0].Cut()
	n.told(t, 0, webTold, token, 400)
	n.All[0].AwaitLog(`"result":"failed"`)
	n.wires[0].Pass()
	if got := send(n.All[1], r); got != 200 {
		t.Fatalf("the session after a failure: %d", got)
	}
	await(t, "the second try is carried out", healTime, func() bool {
		status, _, _ := n.post(t, 0, webTold, form, url.Values{"logout_token": {token}}.Encode())
		return status == 200
	})
	n.out(t, 1, r)
}

// Whoever signs in again within the clocks' slack is told of the sign-out, and is signed in by one click: at the provider
// the session, and its sid, live on.
//
// shows BCL-RACE (signing in again), BCL-2.6-8 (a replay after it)
func TestSigningInAgainRightAfterALogoutToken(t *testing.T) {
	t.Parallel()
	for _, sidAlone := range []bool{true, false} {
		n := newNative(t, world.Options{})
		b := n.phone()
		n.SignIn(b, "/")
		l := provider.LogoutToken{Client: "webc_1", Sub: "usr_1001"}
		if sidAlone {
			l.Sub, l.SID = "", n.sid()
		}
		token := n.logoutToken(t, l)
		n.told(t, 0, webTold, token, 200)
		p, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/")
		if err != nil {
			t.Fatal(err)
		}
		if p.Status == 403 { // told, and offered a click
			link, err := p.Link("Sign in")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = b.Click(p, link); err != nil {
				t.Fatal(err)
			}
		}
		signedIn(t, n.World, b, true)
		n.told(t, 1, webTold, token, 400)
		signedIn(t, n.World, b, true)
	}
}

// A refresh that has its new tokens, and has not saved them.
//
// shows BCL-RACE (during a refresh)
func TestALogoutTokenDuringARefresh(t *testing.T) {
	t.Parallel()
	m := midRefresh(t, world.Options{})
	all := m.w.Dev.Sessions()
	token, err := m.w.Dev.MakeLogoutToken(provider.LogoutToken{Client: "webc_1", Sub: "usr_1001", SID: all[0].SID})
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.instances[1].Client().PostForm(webTold, url.Values{"logout_token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	d.Body.Close()
	if d.StatusCode != 200 {
		t.Fatalf("the logout token: %d", d.StatusCode)
	}
	m.gate.Release()
	if got := <-m.answered; got != 401 {
		t.Errorf("the request that refreshed: %d, want 401", got)
	}
	for i, in := range m.instances {
		if got := send(in, m.request); got != 401 {
			t.Errorf("instance %d afterwards: %d, want 401", i, got)
		}
	}
	await(t, "nothing is kept", healTime, func() bool { return len(records(m.w)) == 0 })
	refresh := newest(m.w, provider.KindRefresh)
	await(t, "the new refresh token is revoked, for nobody has it", healTime, func() bool { return revokedAt(m.w, refresh) })
}

// A sign-in whose code is being traded at the provider, or whose session is at a step of its writing.
//
// shows BCL-RACE (during a callback)
func TestALogoutTokenDuringACallback(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	for name, lay := range map[string]func() (<-chan struct{}, func()){
		"the code is traded": func() (<-chan struct{}, func()) {
			gate := provider.NewGate()
			n.Dev.Fault(provider.Token, provider.Fault{Gate: gate, AfterWork: true})
			return gate.Arrived(), gate.Release
		},
		"the index is written":  func() (<-chan struct{}, func()) { return n.wires[0].HoldReply(script(t, "index")) },
		"the record is written": func() (<-chan struct{}, func()) { return n.wires[0].HoldReply(script(t, "create")) },
	} {
		b := n.phone()
		held, release := lay()
		done := make(chan *browser.Page, 1)
		go func() {
			p, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/")
			if err == nil {
				p = n.OP.SignIn(t, b, p)
			}
			done <- p
		}()
		met(t, held)
		n.told(t, 1, webTold, n.logoutToken(t, provider.LogoutToken{Client: "webc_1", Sub: "usr_1001", SID: n.sid()}), 200)
		release()
		if p := <-done; p == nil || p.Status != 403 || !strings.Contains(p.Text(), "login_signed_out") {
			t.Errorf("%s: the sign-in ended on %+v", name, p)
		}
		if _, ok := b.Cookie(world.Origin, cookieName); ok {
			t.Errorf("%s: a session cookie was handed out", name)
		}
		await(t, name+": nothing is kept", healTime, func() bool { return len(records(n.World)) == 0 })
	}
}

// A redemption, and a rotation, at each of their steps.
//
// shows BCL-RACE (during a native redemption, during a rotation)
func TestALogoutTokenDuringARedemptionOrRotation(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	end := func() {
		n.told(t, 1, phoneTold, n.logoutToken(t, provider.LogoutToken{Client: "nativec_1", Sub: "usr_1001", SID: n.sid()}), 200)
	}
	for _, s := range steps(t)[1:] {
		if s.name == "the look for a sign-out" {
			continue // what Redis has answered by then is from before the token: a redemption that was complete
		}
		form := n.code(t, n.phone())
		held, release := n.wires[0].HoldReply(s.match)
		answer := n.asking(0, form)
		met(t, held)
		end()
		release()
		rejected(t, s.name, <-answer)
		n.gone(t, s.name)
	}
	h := n.signIn(t, n.phone())
	held, release := n.wires[0].HoldReply(script(t, "turn"))
	answer := n.asking(0, rotation(h.Refresh))
	met(t, held)
	end()
	release()
	n.gone(t, "a rotation", h, <-answer)
}

// forgeries are tokens with all that a good one has but a signature of the provider: each costs as much as one can.
func (n *nativeWorld) forgeries(t *testing.T, sid string) (bodies []string) {
	t.Helper()
	for i := range 20 {
		mode := provider.SignWithStolenKID
		if i%2 == 0 {
			mode = provider.SignWithUnknownKey
		}
		kid := fmt.Sprint("forged-", i)
		bodies = append(bodies, url.Values{"logout_token": {n.logoutToken(t, provider.LogoutToken{
			Client: "webc_1", Sub: "usr_1001", SID: sid, Signing: provider.Signing{Mode: mode},
			Edit: func(header, _ map[string]any) {
				if mode == provider.SignWithUnknownKey {
					header["kid"] = kid
				}
			},
		})}}.Encode())
	}
	return bodies
}

// Forged tokens, a thousand a second: users are served, the provider's keys are left alone, and a good token among them is
// carried out although it comes from the same address.
//
// shows BCL-DOS
func TestForgedLogoutTokensKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	b := n.phone()
	n.SignIn(b, "/")
	r := request(t, n.World, b)
	rate, seconds := 200, 1
	if soak() {
		rate, seconds = 1000, 5
	}
	if got := send(n.All[0], r); got != 200 { // the API behind has fetched its keys by then
		t.Fatalf("before the forged tokens: %d", got)
	}
	bodies, before := n.forgeries(t, n.sid()), len(n.Dev.RequestsTo(provider.Keys))
	done := make(chan map[int]int)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	places := make(chan struct{}, 32) // as many at once as an attacker with few machines
	go func() {
		statuses := make(chan int)
		go func() {
			for i := range rate * seconds {
				<-tick.C
				places <- struct{}{}
				go func() {
					defer func() { <-places }()
					status, _, _ := n.post(t, 0, webTold, form, bodies[i%len(bodies)])
					statuses <- status
				}()
			}
		}()
		count := map[int]int{}
		for range rate * seconds {
			count[<-statuses]++
		}
		done <- count
	}()
	slowest := time.Duration(0)
	for range 10 * seconds {
		began := time.Now()
		if got := send(n.All[0], r); got != 200 {
			t.Errorf("a user among forged tokens: %d", got)
		}
		slowest = max(slowest, time.Since(began))
	}
	n.told(t, 0, webTold, n.logoutToken(t, provider.LogoutToken{Client: "webc_1", Sub: "usr_1001", SID: n.sid()}), 200)
	n.out(t, 1, r)
	count := <-done
	if count[400]+count[429] != rate*seconds || soak() && count[429] == 0 {
		t.Errorf("answers by status: %v", count)
	}
	fetched := len(n.Dev.RequestsTo(provider.Keys)) - before
	if fetched > 1 { // one interval of half a minute
		t.Errorf("%d fetches of the provider's keys", fetched)
	}
	if slowest > 10*time.Second {
		t.Errorf("a user waited %v", slowest)
	}
	t.Logf("%d a second for %d s: %v; keys fetched %d times; the slowest request of a user %v", rate, seconds, count, fetched, slowest)
}
