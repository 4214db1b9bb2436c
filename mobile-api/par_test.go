package mobileapi_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

// push pushes a request as an app does, and returns its request_uri.
func (w *world) push(form url.Values, fields ...string) string {
	w.t.Helper()
	a := w.post("/mobile/par", form, fields...).is(w.t, "pushing", 201)
	var got struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.ExpiresIn != 90 || a.header.Get("Cache-Control") != "no-store" {
		w.t.Fatalf("%v: %v %s", err, a.header, a.body)
	}
	return got.RequestURI
}

// byReference is what an app has the browser open then.
func byReference(app, uri string, change ...string) url.Values {
	q := url.Values{"client_id": {app}, "request_uri": {uri}}
	for i := 0; i+1 < len(change); i += 2 {
		q.Set(change[i], change[i+1])
	}
	return q
}

var requestURI = regexp.MustCompile(`^urn:ietf:params:oauth:request_uri:[A-Za-z0-9_-]{100,}$`)

// shows NAT-8.1, NAT-8.9, NAT-BIND (a pushed request)
func TestAPushedRequest(t *testing.T) {
	w := newWorld(t)
	uri := w.push(asked("phone", claimed, "prompt", "login"))
	if !requestURI.MatchString(uri) || strings.Contains(uri, challengeOf(verifier)) {
		t.Errorf("%s", uri)
	}
	if keys := w.redis.Keys(); len(keys) != 0 {
		t.Errorf("the store keeps %q", keys)
	}
	// Whatever stands beside it in the address does not count: not where the answer goes, nor what is asked of it.
	b := w.browser()
	state := b.begin(byReference("phone", uri, "redirect_uri", scheme, "state", "evil", "code_challenge", challengeOf("evil"), "prompt", "none", "response_type", "token", "login_hint", "evil"))
	if sent := w.provider.asked[0].Extra; sent.Get("prompt") != "login" || sent.Has("login_hint") {
		t.Errorf("the provider is asked %v", sent)
	}
	a := b.come("phone", "code="+providerCode+"&state="+state).is(t, "coming back", 303)
	if !strings.HasPrefix(a.location(), claimed+"?") || a.param(t, "state") != appState || a.param(t, "iss") != gateway+"/mobile" {
		t.Errorf("%s", a.location())
	}
	w.redeem("phone", claimed, a.param(t, "code")).handles(t)
	// The page may be opened again, by another instance, for a minute and a half.
	w.advance(89 * time.Second)
	w.beside().browser().begin(byReference("phone", uri))
	w.advance(time.Second)
	a = w.browser().open("/mobile/authorize?"+byReference("phone", uri, "redirect_uri", claimed, "state", "x", "response_type", "code").Encode(), "none").is(t, "after 90 s", 400)
	if a.location() != "" || !strings.Contains(a.body, "<h1>") {
		t.Errorf("%v %s", a.header, a.body)
	}
}

// What /mobile/authorize would refuse is refused here, where the app can read it.
//
// shows NAT-7.1, NAT-8.1, NAT-8.12 (a pushed request)
func TestRequestsThatAreNotTaken(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p := w.prover()
	basic := func(user string) []string { return []string{"Authorization", user} }
	for _, row := range []struct {
		with   string // a request with …
		form   url.Values
		fields []string
		status int
		code   string
	}{
		{"an unknown client", asked("tablet", claimed), nil, 401, "invalid_client"},
		{"no client", asked("phone", claimed, "client_id", ""), nil, 401, "invalid_client"},
		{"a secret", asked("phone", claimed, "client_secret", "s"), nil, 401, "invalid_client"},
		{"an assertion", asked("phone", claimed, "client_assertion", "a.b.c"), nil, 401, "invalid_client"},
		{"another client in the header", asked("phone", claimed), basic("Basic Y2xpOg=="), 401, "invalid_client"},
		{"a handle", asked("phone", claimed), basic("Bearer clk_x"), 401, "invalid_client"},
		{"a redirect URI of another app", asked("phone", listened), nil, 400, "invalid_request"},
		{"localhost", asked("cli", "http://localhost:51004/callback"), nil, 400, "invalid_request"},
		{"no redirect URI", asked("phone", ""), nil, 400, "invalid_request"},
		{"no challenge", asked("phone", claimed, "code_challenge", ""), nil, 400, "invalid_request"},
		{"plain", asked("phone", claimed, "code_challenge_method", "plain"), nil, 400, "invalid_request"},
		{"a state of 513 bytes", asked("phone", claimed, "state", strings.Repeat("s", 513)), nil, 400, "invalid_request"},
		{"another response type", asked("phone", claimed, "response_type", "token"), nil, 400, "unsupported_response_type"},
		{"another response mode", asked("phone", claimed, "response_mode", "fragment"), nil, 400, "invalid_request"},
		{"a request object", asked("phone", claimed, "request", "a.b.c"), nil, 400, "request_not_supported"},
		{"a request_uri", asked("phone", claimed, "request_uri", "https://evil.example/"), nil, 400, "invalid_request"},
		{"a request_uri of ours", asked("phone", claimed, "request_uri", w.push(asked("phone", claimed))), nil, 400, "invalid_request"},
		{"an empty request_uri", url.Values{"client_id": {"phone"}, "request_uri": {""}}, nil, 400, "invalid_request"},
		{"a prompt that is not allowed", asked("phone", claimed, "prompt", "create"), nil, 400, "invalid_request"},
		{"a silent sign-in where a person is asked", asked("phone", scheme, "prompt", "none"), nil, 400, "interaction_required"},
		{"a key that is none", asked("phone", claimed, "dpop_jkt", "x"), nil, 400, "invalid_request"},
		{"a key of an app that does not bind", asked("cli", listened, "dpop_jkt", p.Thumbprint()), nil, 400, "invalid_request"},
		{"a proof of an app that does not bind", asked("cli", listened), announcing(p, "/mobile/par"), 400, "invalid_request"},
		{"a proof by another key than it names", asked("phone", claimed, "dpop_jkt", w.prover().Thumbprint()), announcing(p, "/mobile/par"), 400, "invalid_request"},
		{"more than an address holds", asked("phone", claimed, "login_hint", strings.Repeat("x", 4096)), nil, 400, "invalid_request"},
		{"a parameter of 16 KiB", asked("phone", claimed, "x", strings.Repeat("x", 16<<10)), nil, 400, "invalid_request"},
	} {
		w.post("/mobile/par", row.form, row.fields...).refused(t, "a request with "+row.with, row.status, row.code)
	}
	w.send("POST", "/mobile/par", asked("phone", claimed).Encode()+"&state=x", "Content-Type", "application/x-www-form-urlencoded").refused(t, "state twice", 400, "invalid_request")
	w.send("POST", "/mobile/par", `{}`, "Content-Type", "application/json").refused(t, "JSON", 400, "invalid_request")
	w.send("POST", "/mobile/par?"+asked("phone", claimed).Encode(), "", "Content-Type", "application/x-www-form-urlencoded").refused(t, "all in the query", 400, "invalid_request")
	for _, origin := range []string{"https://evil.example", "null", ""} {
		w.post("/mobile/par", asked("phone", claimed), "Origin", origin).is(t, "a page at "+origin, 403)
	}
	w.send("GET", "/mobile/par", "").is(t, "GET", 405)
	w.limit("token", &bff.Error{Code: bff.CodeRateLimited, Message: "Too many.", RetryAfter: time.Second})
	w.post("/mobile/par", asked("phone", claimed)).refused(t, "too often", 429, "temporarily_unavailable")
	if keys := w.redis.Keys(); len(keys) != 0 {
		t.Errorf("the store keeps %q", keys)
	}
}

// Who names itself in the header alone pushes as that app.
func TestAPushByBasic(t *testing.T) {
	w := newWorld(t)
	uri := w.push(asked("phone", claimed, "client_id", ""), "Authorization", "Basic cGhvbmU6")
	w.browser().begin(byReference("phone", uri))
}

// A sealed request is its app's alone, and nobody else's work.
//
// shows NAT-7.1, NAT-BIND (a request_uri that is swapped or forged)
func TestRequestURIsOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	uri := w.push(asked("phone", claimed))
	swap := byte('A')
	if uri[80] == 'A' {
		swap = 'B'
	}
	foreign := newWorld(t).push(asked("phone", claimed, "state", "x")) // the same keys: as another instance would make it
	w.browser().begin(byReference("phone", foreign))
	for with, query := range map[string]url.Values{
		"another app":                            byReference("cli", uri),
		"no app":                                 byReference("", uri),
		"an unknown app":                         byReference("tablet", uri),
		"a byte changed":                         byReference("phone", uri[:80]+string(swap)+uri[81:]),
		"its end cut off":                        byReference("phone", uri[:len(uri)-4]),
		"something at its end":                   byReference("phone", uri+"AAAA"),
		"nothing in it":                          byReference("phone", "urn:ietf:params:oauth:request_uri:"),
		"no form":                                byReference("phone", "urn:ietf:params:oauth:request_uri:ä"),
		"a whole request beside, of another app": asked("cli", listened, "request_uri", uri),
	} {
		a := w.browser().open("/mobile/authorize?"+query.Encode(), "none").is(t, "a request_uri with "+with, 400)
		if a.location() != "" || len(a.header.Values("Set-Cookie")) > 0 || !strings.Contains(a.body, "<h1>") {
			t.Errorf("a request_uri with %s: %v %s", with, a.header, a.body)
		}
	}
	// The configuration of now decides, not that of when it was pushed.
	w.apps["phone"].RedirectURIs = []string{scheme}
	w.browser().open("/mobile/authorize?"+byReference("phone", uri).Encode(), "none").is(t, "a redirect URI that was taken back", 400)
}

// The key that a pushed request's proof shows is the key of its sign-in.
//
// shows DPOP-10 (by a pushed request)
func TestTheKeyOfAPushedRequest(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p, thief := w.prover(), w.prover()
	for what, form := range map[string]url.Values{"the proof alone": asked("phone", claimed), "both": asked("phone", claimed, "dpop_jkt", p.Thumbprint())} {
		code := func() string {
			b := w.browser()
			uri := w.push(form, announcing(p, "/mobile/par")...)
			// In the address nobody can take it back, or put another in its place.
			state := b.begin(byReference("phone", uri, "dpop_jkt", thief.Thumbprint()))
			return b.come("phone", "code="+providerCode+"&state="+state).is(t, what, 303).param(t, "code")
		}
		w.redeem("phone", claimed, code()).refused(t, what+": without a proof", 400, "invalid_grant")
		w.post("/mobile/token", redemption("phone", claimed, code()), announcing(thief, "/mobile/token")...).refused(t, what+": by another key", 400, "invalid_grant")
		h := w.post("/mobile/token", redemption("phone", claimed, code()), announcing(p, "/mobile/token")...).handles(t)
		w.prove(p, "GET", "/api", h.Access).is(t, what, 200)
	}
}

// A sign-in that a sign-out overtook begins anew with the key that it was begun with.
//
// shows DPOP-10 (a sign-in that is begun again)
func TestTheKeyOfASignInThatIsBegunAgain(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p := w.prover()
	first := w.bound(p)
	b := w.browser()
	state := b.begin(asked("phone", claimed, "dpop_jkt", p.Thumbprint()))
	w.prove(p, "POST", "/mobile/logout", first.Access).is(t, "a sign-out meanwhile", 200)
	a := b.come("phone", "code="+providerCode+"&state="+state).is(t, "coming back", 403)
	if !strings.Contains(a.body, "dpop_jkt="+p.Thumbprint()) {
		t.Errorf("%s", a.body)
	}
}

// A ticket that another instance sealed by a newer key is not taken for a bad one: pushed, it is 503, to be pushed again; opened
// directly, the app is told the same.
//
// shows STEP-3 (a pushed request)
func TestAPushedTicketUnderAKeyUnknown(t *testing.T) {
	w := newWorld(t)
	ring, err := bff.NewKeyring(
		[]bff.Key{{ID: "k9", Bytes: bff.NewSecret(strings.Repeat("k9", 16))}}, nil, []bff.Key{{ID: "i1", Bytes: bff.NewSecret(strings.Repeat("i1", 16))}})
	if err != nil {
		t.Fatal(err)
	}
	newer := bff.NewEngine(bff.Ports{}, ring, w.clock, nil, bff.Limits{})
	ticket := newer.StepUpTicket(w.apps["phone"], &bff.Session{Lookup: "x", Identity: bff.Identity{Subject: "usr_1"}}, bff.StepUp{})
	a := w.post("/mobile/par", asked("phone", claimed, "step_up", ticket))
	if a.refused(t, "a pushed ticket", 503, "temporarily_unavailable"); a.header.Get("Retry-After") != "5" {
		t.Errorf("%v", a.header)
	}
	a = w.browser().open("/mobile/authorize?"+asked("phone", claimed, "step_up", ticket).Encode(), "none")
	toldApp(t, "a ticket", a, claimed, "temporarily_unavailable")
}
