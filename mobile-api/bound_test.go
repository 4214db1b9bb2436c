package mobileapi_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
	"cloakroom/test/prover"
)

// The challenges of handles that are bound to a key, to the letter.
const (
	algs      = `, algs="ES256 Ed25519 EdDSA PS256 RS256"`
	bareKey   = `DPoP realm="cloakroom"` + algs
	badBound  = `DPoP realm="cloakroom", error="invalid_token", error_description="The handle is unknown, expired or revoked."` + algs
	badProof  = `DPoP realm="cloakroom", error="invalid_dpop_proof", error_description="The proof of possession is not good for this handle and request."` + algs
	needNonce = `DPoP realm="cloakroom", error="use_dpop_nonce", error_description="The proof of possession needs the nonce in DPoP-Nonce."` + algs
	unclearly = `DPoP realm="cloakroom", error="invalid_request", error_description="One handle, in one Authorization header field, and no other credential."` + algs
)

// binding has an app of a world bind its handles.
func binding(app string, b bff.Binding) func(*world) {
	return func(w *world) { w.apps[app].Binding = b }
}

// nonces has an app of a world want nonces.
func nonces(app string) func(*world) { return func(w *world) { w.apps[app].Nonces = true } }

// prover is an app's key.
func (w *world) prover() *prover.Prover {
	p := prover.New("ES256")
	p.Now = w.clock
	return p
}

// announcing is the header field of a request to an OAuth endpoint that shows a key.
func announcing(p *prover.Prover, path string, bend ...prover.Option) []string {
	return []string{"DPoP", p.Proof("POST", gateway+path, "", bend...)}
}

// bound signs in an app by claimed https, with handles bound to the key of p.
func (w *world) bound(p *prover.Prover) handles {
	w.t.Helper()
	return w.post("/mobile/token", redemption("phone", claimed, w.code()), announcing(p, "/mobile/token")...).handles(w.t)
}

// prove is a request with a bound handle and a proof for it.
func (w *world) prove(p *prover.Prover, method, path, access string, bend ...prover.Option) *answer {
	w.t.Helper()
	return w.send(method, path, "", "Authorization", "DPoP "+access, "DPoP", p.Proof(method, gateway+path, access, bend...))
}

// code of a problem.
func (a *answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &p) // what is no problem has no code
	return p.Code
}

// challenged checks status, code and challenge of a refusal.
func (a *answer) challenged(t testing.TB, what string, status int, code string, challenges ...string) {
	t.Helper()
	got := a.header.Values("WWW-Authenticate")
	if a.status != status || a.code() != code || strings.Join(got, "\n") != strings.Join(challenges, "\n") || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s, challenges %q; want %d %s, %q", what, a.status, a.body, got, status, code, challenges)
	}
}

// shows NAT-TOKEN, DPOP-7.1 (what an app that has a key gets)
func TestWhatABoundAppGets(t *testing.T) {
	for _, b := range []bff.Binding{bff.BindingAllowed, bff.BindingRequired} {
		w := newWorld(t, binding("phone", b))
		p := w.prover()
		a := w.post("/mobile/token", redemption("phone", claimed, w.code()), announcing(p, "/mobile/token")...)
		h := a.handles(t)
		if h.Type != "DPoP" || h.ExpiresIn != 7776000 || strings.Contains(a.body, "refresh_token") || !strings.HasPrefix(h.Access, "clk_") || a.header.Get("DPoP-Nonce") != "" {
			t.Errorf("%s: %s %v", b, a.body, a.header)
		}
		for _, path := range []string{"/api", "/optional", "/mobile/session", "/mobile/sessions"} {
			if a := w.prove(p, "GET", path, h.Access).is(t, path, 200); a.header.Get("DPoP-Nonce") != "" {
				t.Errorf("%s: %v", path, a.header)
			}
		}
		w.advance(13 * 24 * time.Hour) // no access life: it lasts as long as its session
		w.prove(p, "GET", "/api", h.Access).is(t, "thirteen days later", 200)
		within(t, "the touch", w.touched)
		w.advance(13 * 24 * time.Hour)
		w.prove(p, "GET", "/api", h.Access).is(t, "and again", 200)
		w.advance(15 * 24 * time.Hour)
		w.prove(p, "GET", "/api", h.Access).challenged(t, "after the idle time", 401, "session_required", badBound)
	}
}

// Each of the three schemes that a gateway may take, and what each is told.
//
// shows DPOP-7.1, DPOP-7.2, NAT-6750 (exact challenges where handles are bound)
func TestChallengesOfBoundHandles(t *testing.T) {
	for _, row := range []struct {
		with        string // a gateway with …
		phone, cli  bff.Binding
		bare        []string
		bearer      string // what an unknown handle is told that came as Bearer
		dpop        string // … and as DPoP
		dpopCode    string
		twoSchemes  string
		noSuchToken string
	}{
		{"no app that binds", bff.BindingOff, bff.BindingOff, []string{bare}, badOne, badOne, "session_required", unclear, unclear},
		{"an app that may bind", bff.BindingAllowed, bff.BindingOff, []string{bare, bareKey}, badOne, badBound, "session_required", unclear, unclear},
		{"an app that must bind", bff.BindingRequired, bff.BindingOff, []string{bare, bareKey}, badOne, badBound, "session_required", unclear, unclear},
		{"none but those that must bind", bff.BindingRequired, bff.BindingRequired, []string{bareKey}, badBound, badBound, "session_required", unclearly, unclearly},
	} {
		w := newWorld(t, binding("phone", row.phone), binding("cli", row.cli))
		p := w.prover()
		unknown := newWorld(t).signedIn().Access // of another gateway
		w.send("GET", "/api", "").challenged(t, row.with+", nothing", 401, "session_required", row.bare...)
		w.send("GET", "/api", "", "Authorization", "Basic YTpi").challenged(t, row.with+", another scheme", 401, "session_required", row.bare...)
		w.send("GET", "/api", "", "DPoP", p.Proof("GET", gateway+"/api", "")).challenged(t, row.with+", a proof alone", 401, "session_required", row.bare...)
		w.send("GET", "/optional", "", "DPoP", "x").is(t, row.with+", a proof alone where nobody need be", 200)
		w.call("GET", "/api", unknown).challenged(t, row.with+", an unknown handle", 401, "session_required", row.bearer)
		w.prove(p, "GET", "/api", unknown).challenged(t, row.with+", an unknown handle with a proof", 401, row.dpopCode, row.dpop)
		w.send("GET", "/api", "", "Authorization", "Bearer "+unknown, "Authorization", "DPoP "+unknown).challenged(t, row.with+", two schemes", 400, "bad_request", row.twoSchemes)
		w.call("GET", "/api?access_token=x", unknown).challenged(t, row.with+", one in the query", 400, "bad_request", row.noSuchToken)
		if keys := w.redis.Keys(); len(keys) > 0 {
			t.Errorf("%s: the store keeps %q", row.with, keys)
		}
	}
}

// A handle is presented as it is bound, or not at all.
//
// shows DPOP-7.2, DPOP-4.3-12, NAT-ROT, NAT-TYPE (a bound handle without proof)
func TestBoundHandlesAreNotDowngraded(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed), binding("cli", bff.BindingAllowed))
	p, thief := w.prover(), w.prover()
	bound, free := w.bound(p), w.signedIn()
	other := w.bound(p)
	good := func(access string) string { return p.Proof("GET", gateway+"/api", access) }
	for _, row := range []struct {
		with      string // a call with …
		fields    []string
		status    int
		code      string
		challenge string
	}{
		{"a bound handle as Bearer", []string{"Authorization", "Bearer " + bound.Access}, 401, "session_required", badBound},
		{"a bound handle as Bearer, with its proof", []string{"Authorization", "Bearer " + bound.Access, "DPoP", good(bound.Access)}, 401, "session_required", badBound},
		{"a bound handle and no proof", []string{"Authorization", "DPoP " + bound.Access}, 401, "invalid_dpop_proof", badProof},
		{"a bound handle and a thief's proof", []string{"Authorization", "DPoP " + bound.Access, "DPoP", thief.Proof("GET", gateway+"/api", bound.Access)}, 401, "invalid_dpop_proof", badProof},
		{"a bound handle and the proof of another by the same key", []string{"Authorization", "DPoP " + bound.Access, "DPoP", good(other.Access)}, 401, "invalid_dpop_proof", badProof},
		{"an unbound handle with a proof", []string{"Authorization", "DPoP " + free.Access, "DPoP", good(free.Access)}, 401, "session_required", badBound},
		{"a refresh handle with a proof", []string{"Authorization", "DPoP " + free.Refresh, "DPoP", good(free.Refresh)}, 401, "session_required", badBound},
		{"both schemes", []string{"Authorization", "DPoP " + bound.Access, "Authorization", "Bearer " + bound.Access, "DPoP", good(bound.Access)}, 400, "bad_request", unclearly},
		{"both schemes the other way", []string{"Authorization", "Bearer " + bound.Access, "Authorization", "DPoP " + bound.Access, "DPoP", good(bound.Access)}, 400, "bad_request", unclear},
		{"the scheme twice", []string{"Authorization", "DPoP " + bound.Access, "Authorization", "DPoP " + bound.Access, "DPoP", good(bound.Access)}, 400, "bad_request", unclearly},
		{"a list of both", []string{"Authorization", "DPoP " + bound.Access + ", Bearer " + bound.Access, "DPoP", good(bound.Access)}, 400, "bad_request", unclearly},
		{"a browser's session beside", []string{"Authorization", "DPoP " + bound.Access, "DPoP", good(bound.Access), "Cookie", "__Host-Http-web=x"}, 400, "bad_request", unclearly},
		{"a page's origin", []string{"Authorization", "DPoP " + bound.Access, "DPoP", good(bound.Access), "Origin", "https://evil.example"}, 403, "csrf_failed", ""},
		{"an unbound handle as Bearer, with a proof that nobody looks at", []string{"Authorization", "Bearer " + free.Access, "DPoP", "x"}, 200, "", ""},
		{"a bound handle with its proof", []string{"Authorization", "dPOP  " + bound.Access, "DPoP", good(bound.Access)}, 200, "", ""},
	} {
		var challenges []string
		if row.challenge != "" {
			challenges = []string{row.challenge}
		}
		w.send("GET", "/api", "", row.fields...).challenged(t, "a call with "+row.with, row.status, row.code, challenges...)
	}
	for _, event := range []string{
		"credential: bound handle without proof", "credential: proof with an unbound handle", "credential: proof by another key",
		"credential: proof of possession: ath", "credential: two Authorization fields",
	} {
		if !w.noted(event) {
			t.Errorf("%q was not told: %q", event, w.events)
		}
	}
}

// What an app announced at the start of its sign-in it is held to at its end, and never in the middle of a session.
//
// shows DPOP-10, NAT-BIND, NAT-CODE (the announced key)
func TestTheKeyOfASignIn(t *testing.T) {
	for _, row := range []struct {
		with     string
		binding  bff.Binding
		announce bool // dpop_jkt at the start
		proof    string
		want     string // the error; "" = handles
	}{
		{"a key announced, and proven", bff.BindingAllowed, true, "own", ""},
		{"a key announced, and another", bff.BindingAllowed, true, "other", "invalid_grant"},
		{"a key announced, and none", bff.BindingAllowed, true, "", "invalid_grant"},
		{"no key announced, and one proven", bff.BindingAllowed, false, "own", ""},
		{"a key announced of an app that must bind, and another", bff.BindingRequired, true, "other", "invalid_grant"},
		{"a key announced of an app that must bind, and none", bff.BindingRequired, true, "", "invalid_dpop_proof"},
		{"an app that must bind, and none", bff.BindingRequired, false, "", "invalid_dpop_proof"},
	} {
		w := newWorld(t, binding("phone", row.binding))
		own, other := w.prover(), w.prover()
		request := asked("phone", claimed)
		if row.announce {
			request.Set("dpop_jkt", own.Thumbprint())
		}
		b := w.browser()
		code := b.come("phone", "code="+providerCode+"&state="+b.begin(request)).is(t, row.with, 303).param(t, "code")
		var fields []string
		switch row.proof {
		case "own":
			fields = announcing(own, "/mobile/token")
		case "other":
			fields = announcing(other, "/mobile/token")
		}
		a := w.post("/mobile/token", redemption("phone", claimed, code), fields...)
		again := w.post("/mobile/token", redemption("phone", claimed, code), announcing(own, "/mobile/token")...)
		switch row.want {
		case "":
			h := a.handles(t)
			if h.Type != "DPoP" {
				t.Errorf("%s: %s", row.with, a.body)
			}
			again.refused(t, row.with+", a second time", 400, "invalid_grant")
			w.prove(own, "GET", "/api", h.Access).is(t, "the handle after that", 401) // RFC 6749 section 4.1.2
		case "invalid_grant":
			a.refused(t, row.with, 400, row.want)
			again.refused(t, row.with+": the code afterwards", 400, "invalid_grant") // burned
			if !w.noted("credential: exchange code with another key") {
				t.Errorf("%s was not told: %q", row.with, w.events)
			}
		default:
			a.refused(t, row.with, 400, row.want)
			again.handles(t) // RFC 9449 section 8: not looked at before there was a proof
		}
	}
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	free := w.signedIn()
	w.post("/mobile/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {free.Refresh}}, announcing(w.prover(), "/mobile/token")...).
		refused(t, "binding a live session", 400, "invalid_grant")
	w.rotate("phone", free.Refresh).handles(t) // which it has not harmed
}

// A start that announces a key which nobody will hold it to is refused, rather than begun.
//
// shows DPOP-10 (at the start)
func TestKeysThatAStartMayAnnounce(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	jkt := w.prover().Thumbprint()
	w.browser().begin(asked("phone", claimed, "dpop_jkt", jkt))
	for what, jkt := range map[string]string{"one too short": jkt[1:], "one too long": jkt + "A", "one with padding": jkt[:42] + "=", "one of other characters": jkt[:42] + "+"} {
		toldApp(t, what, w.browser().open("/mobile/authorize?"+asked("phone", claimed, "dpop_jkt", jkt).Encode(), "none"), claimed, "invalid_request")
	}
	toldApp(t, "an app that does not bind", w.browser().open("/mobile/authorize?"+asked("cli", listened, "dpop_jkt", jkt).Encode(), "none"), listened, "invalid_request")
}

// A sign-out with a bound handle is told as done where it is, and never where it is not.
//
// shows RPL-NATIVE (bound handles)
func TestSigningOutWithABoundHandle(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p, thief := w.prover(), w.prover()
	h, free := w.bound(p), w.signedIn()
	w.call("POST", "/mobile/logout", h.Access).challenged(t, "as Bearer", 401, "session_required", badBound)
	w.prove(thief, "POST", "/mobile/logout", h.Access).challenged(t, "by another key", 401, "invalid_dpop_proof", badProof)
	w.prove(p, "POST", "/mobile/logout", free.Access).challenged(t, "an unbound one with a proof", 401, "session_required", badBound)
	w.prove(p, "GET", "/mobile/session", h.Access).is(t, "which ended nothing", 200)
	events := w.listenWith("DPoP "+h.Access, p.Proof("GET", gateway+"/mobile/events", h.Access))
	w.redis.SetError("LOADING")
	w.prove(p, "POST", "/mobile/logout", h.Access).is(t, "without a store", 503)
	w.redis.SetError("")
	if a := w.prove(p, "POST", "/mobile/logout", h.Access).is(t, "with its proof", 200); !strings.Contains(a.body, `"ended":true,"logout_url"`) {
		t.Error(a.body)
	}
	if got := w.next(events); got != `session-ended {"reason":"signed_out"}` {
		t.Errorf("its stream is told %q", got)
	}
	if a := w.prove(p, "POST", "/mobile/logout", h.Access).is(t, "again", 200); a.body != `{"ended":false}` {
		t.Error(a.body)
	}
	w.prove(p, "GET", "/mobile/session", h.Access).challenged(t, "the handle afterwards", 401, "session_ended", badBound)
}

// Whoever finds a lost handle may end it: libraries for RFC 7009 send no proof, and nothing is gained by it.
func TestRevokingABoundHandle(t *testing.T) {
	for _, fields := range [][]string{nil, {"DPoP", "x"}} {
		w := newWorld(t, binding("phone", bff.BindingRequired))
		p := w.prover()
		h := w.bound(p)
		w.post("/mobile/revoke", url.Values{"client_id": {"cli"}, "token": {h.Access}}, fields...).is(t, "by another app", 200)
		w.prove(p, "GET", "/api", h.Access).is(t, "which ends nothing", 200)
		w.post("/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {h.Access}}, fields...).is(t, "by its app", 200)
		w.prove(p, "GET", "/api", h.Access).is(t, "afterwards", 401)
	}
}

// What is bound stays bound, whatever the setting becomes.
func TestASettingThatIsTakenBack(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p := w.prover()
	h := w.bound(p)
	later := w.beside(binding("phone", bff.BindingOff))
	later.prove(p, "GET", "/api", h.Access).is(t, "with its proof", 200)
	later.call("GET", "/api", h.Access).challenged(t, "as Bearer", 401, "session_required", badBound)
	later.prove(later.prover(), "GET", "/api", h.Access).challenged(t, "by another key, where nobody is told of proofs", 401, "session_required", badOne)
}

// What ends under a call is challenged for by the scheme that the call came by.
//
// shows DPOP-7.1 (a session that ends meanwhile)
func TestTheEndOfABoundSession(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	over := &bff.Error{Code: bff.CodeSessionEnded}
	for credential, want := range map[string]surface.Scheme{"DPoP clk_x": surface.SchemeDPoP, "dpop clk_x": surface.SchemeDPoP, "Bearer clk_x": surface.SchemeBearer} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", credential)
		var got *surface.ChallengeError
		if err := w.surface.Ended(r, over); !errors.As(err, &got) || got.Code != "invalid_token" || len(got.Schemes) != 1 || got.Schemes[0] != want {
			t.Errorf("%s: %#v", credential, got)
		}
	}
}
