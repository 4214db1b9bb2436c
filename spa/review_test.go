package spa_test

import (
	"net/http"
	"strings"
	"testing"
)

// A one-time sign-out URL holds whose session ends at the provider, and anybody can get one for a session of their own.
// Sent to somebody else's browser it would end the provider's session there: only a click from this origin goes on.
//
// shows RPL-CSRF
func TestATicketOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	attacker, victim := w.browser(), w.browser()
	attacker.signIn()
	ticket := attacker.send("POST", "/bff/logout", form("same-origin")...).location()
	for _, site := range []string{"cross-site", "same-site"} {
		a := victim.open(ticket, site)
		a.is(t, "the ticket from "+site, http.StatusOK)
		if a.location() != "" || strings.Contains(a.body, idToken) || a.header.Get("Set-Cookie") != "" || !strings.Contains(a.body, `href=""`) {
			t.Errorf("from %s it goes on by itself: %v %s", site, a.header, a.body)
		}
	}
	// The click on that page is the origin's own, and the ticket is as good as before.
	if a := attacker.open(ticket, "same-origin"); a.status != http.StatusSeeOther || w.param(a.location(), "id_token_hint") != idToken {
		t.Errorf("the ticket was used up: %d %s", a.status, a.body)
	}
}
