//go:build integration

package e2e_test

import (
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
)

// Where nothing but the subject ties sessions, one sign-out is for all of that user's devices, and for nobody else's.
//
// shows RPL-GROUP, SESS-KILL
func TestOneSignOutWhereTheSubjectTies(t *testing.T) {
	t.Parallel()
	h := newHousehold(t, providers()[0], func(h *household) {
		h.yaml = "issuer: %q, token_auth: client_secret_post, sso_by: sub"
		h.behave = func(b *provider.Behaviour) { b.SIDs = provider.NoSID }
	})
	desks := h.moveIn(h.Browser(), "ada")
	laptop := h.Browser()
	desks = append(desks, h.enter(laptop, family()[0], "ada"), h.enter(laptop, family()[3], "ada"))
	grace := h.enter(h.Browser(), family()[0], "grace")
	streams := h.listen(h.All[1], desks...)
	since := time.Now()
	h.Want(h.script(laptop, family()[3], "POST", "/bff/logout"), 200)
	h.over("a sign-out on the laptop", "signed_out", desks...)
	h.hears("a sign-out on the laptop", "signed_out", since, streams...)
	h.alive("another user's", grace)
	again, _ := h.enterTold(laptop, family()[3], "ada")
	h.alive("the laptop, in again", again)
	h.householdLeaks()
}

// Where the moment of authentication ties sessions, one that was stepped up has a new one and belongs to the old SSO session
// too: a sign-out on either side is for both, and a logout token as well.
//
// shows RPL-GROUP, BCL-2.7-1
func TestASteppedUpSessionStaysWithTheOthers(t *testing.T) {
	t.Parallel()
	perClient := provided{"our stand-in with a sid per client", providers()[0].set}
	for _, at := range []provided{perClient, providers()[1]} {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			h := newHousehold(t, at, func(h *household) {
				h.yaml = "issuer: %q, token_auth: client_secret_post, sso_by: sub+auth_time"
				h.behave = func(b *provider.Behaviour) { b.SIDs = provider.SIDPerClient }
			})
			laptop := h.enter(h.Browser(), family()[0], "ada")
			for _, row := range []struct {
				name, reason string
				end          func(b *browser.Browser)
			}{
				{"a sign-out in the app that did not step up", "signed_out", func(b *browser.Browser) { h.Want(h.script(b, family()[1], "POST", "/bff/logout"), 200) }},
				{"a sign-out in the app that stepped up", "signed_out", func(b *browser.Browser) { h.Want(h.script(b, family()[0], "POST", "/bff/logout"), 200) }},
				{"the provider's own end", "provider_logout", func(b *browser.Browser) { h.endThere(b, 3) }},
			} {
				h.steppedUp(row.name, row.reason, laptop, row.end)
			}
			h.householdLeaks()
		})
	}
}

// steppedUp signs in at two apps, steps up in the first, enters a third, and ends all of that.
func (h *household) steppedUp(what, reason string, laptop *desk, end func(*browser.Browser)) {
	h.t.Helper()
	nextSecond()
	b := h.Browser()
	web, mail := h.enter(b, family()[0], "ada"), h.enter(b, family()[1], "ada")
	nextSecond() // the step up is another moment
	asked, up := h.asked, family()[0]
	p, err := b.Click(browser.At(up.origin+"/"), up.origin+up.start+"&max_age=0")
	if err != nil {
		h.t.Fatal(err)
	}
	stepped := h.arrived(b, up, h.who(b, p, "ada"))
	if h.asked != asked+1 {
		h.t.Errorf("%s: stepping up asked %d times", what, h.asked-asked)
	}
	h.over("what was replaced", "replaced", web)
	cli := h.enter(b, family()[5], "ada") // of the new moment alone
	h.alive(what, stepped, mail, cli, laptop)
	end(b)
	h.over(what, reason, stepped, mail, cli)
	h.alive(what+", elsewhere", laptop)
}
