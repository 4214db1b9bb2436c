package mobileapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2/server"

	"cloakroom/bff"
	"cloakroom/test/prover"
)

// A click whose ticket was taken before the store went away cannot be repeated: the app is told, and does not wait for ever.
func TestAnOutageAfterTheTicketWasTaken(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	check := b.returned("phone", scheme).check(t)
	w.redis.Server().SetPreHook(func(p *server.Peer, cmd string, args ...string) bool {
		// The code itself, not the note of who took the ticket.
		if strings.EqualFold(cmd, "set") && strings.HasPrefix(args[0], "cr:code:") && strings.HasSuffix(args[0], "}") {
			p.WriteError("LOADING")
			return true
		}
		return false
	})
	a := b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the click", 303)
	toldApp(t, "the click", a, scheme, "temporarily_unavailable")
	if b.count(".ok.") != 0 {
		t.Errorf("cookies %v", b.cookies)
	}
}

// shows NAT-8.6 (the click is protected)
func TestWhatGuardsAConfirmPageBesideItsForm(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	check := b.returned("phone", scheme).check(t)
	if len(b.cookies) != 1 || !b.cookies[0].strict {
		t.Errorf("cookies %v", b.cookies)
	}
	w.limit("callback", &bff.Error{Code: bff.CodeRateLimited, RetryAfter: 3e9})
	b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "a click too often", 429)
	w.limit("callback", nil)
	b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the same later", 303)
}

// Signing out here is done, whatever the provider says: also what it leaves in, and takes from, this browser.
//
// shows RPL-PENDING (what waits in the browser)
func TestASignOutForgetsWhatIsOnItsWayThoughTheProviderIsDown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.begin(asked("cli", listened))
	b.returned("phone", scheme).check(t)
	path := w.signOut(w.signedIn().Access)
	w.provider.set(func(p *provider) { p.down = true })
	b.submit(path, nil).is(t, "a provider that is down", 200)
	if b.count(".tx.") != 0 || b.count(".ok.") != 0 || b.count(".out") != 0 {
		t.Errorf("left: %v", b.cookies)
	}
	w.provider.set(func(p *provider) { p.down = false })
	w.redeem("phone", claimed, b.code("phone", claimed)).handles(t) // at once: this browser knows of the sign-out
}

// What reads one of two Content-Type fields, and what reads the other, see two different requests.
func TestAFormOfTwoTypes(t *testing.T) {
	w := newWorld(t)
	form := redemption("phone", claimed, w.code()).Encode()
	kind := "application/x-www-form-urlencoded"
	w.send("POST", "/mobile/token", form, "Content-Type", kind, "Content-Type", "text/plain").refused(t, "two types", 400, "invalid_request")
	w.send("POST", "/mobile/token", form, "Content-Type", kind).handles(t) // and nothing was used up by it
}

// A sign-out by a handle that came as it is not taken here has ended nothing, and so is not told as done: also where no app
// binds any more, and nobody is told of proofs.
func TestSigningOutWhereNobodyBinds(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p := w.prover()
	bound, free := w.bound(p), w.signedIn()
	later := w.beside()
	for with, h := range map[string]handles{"a bound handle": bound, "an unbound one": free} {
		later.prove(p, "POST", "/mobile/logout", h.Access, prover.Method("GET")).challenged(t, with+" and a bad proof", 401, "session_required", badOne)
	}
	used := prover.ID("once")
	later.prove(p, "GET", "/mobile/session", bound.Access, used).is(t, "which ended nothing", 200)
	later.prove(p, "POST", "/mobile/logout", bound.Access, used).challenged(t, "a used proof", 401, "session_required", badOne)
	later.call("GET", "/mobile/session", free.Access).is(t, "which ended nothing", 200)
	if a := later.prove(p, "POST", "/mobile/logout", bound.Access).is(t, "a good proof", 200); !strings.Contains(a.body, `"ended":true`) {
		t.Error(a.body)
	}
}

// Who is told a nonce puts it into the next proof, and keeps it: a gateway whose apps want none tells none, not even with a refusal.
func TestNoNonceWhereNoAppWantsOne(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p := w.prover()
	h := w.bound(p)
	redemption := w.post("/mobile/token", redemption("phone", claimed, w.code()), announcing(p, "/mobile/elsewhere")...)
	redemption.refused(t, "a proof for elsewhere", 400, "invalid_dpop_proof")
	for with, a := range map[string]*answer{
		"a bad proof":           w.prove(p, "GET", "/api", h.Access, prover.Method("PUT")).is(t, "a bad proof", 401),
		"another's proof":       w.prove(w.prover(), "GET", "/api", h.Access).is(t, "another's proof", 401),
		"a proof for elsewhere": redemption,
	} {
		if got := a.header.Values("DPoP-Nonce"); len(got) != 0 {
			t.Errorf("an answer to %s carries %q", with, got)
		}
	}
}
