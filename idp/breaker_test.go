package idp_test

import (
	"testing"

	"cloakroom/bff"
)

// Anybody can start a login and send any code to the callback. Where a provider answers such a code by 500, ten of them
// must not close the way to everybody's renewal.
//
// shows REF-SOFT
func TestBadCodesDoNotCloseTheWayToRenewals(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	for _, status := range []int{500, 503, 429, 403} {
		p.replies("/token", status, "text/html", "stumbled")
		for range 15 {
			if _, err := exchange(t, c); bff.CodeOf(err) != bff.CodeIDPUnavailable {
				t.Fatalf("a code answered by %d: %v", status, err)
			}
		}
		p.givesTokens(nil)
		if _, err := c.Refresh(t.Context(), p.session(), ""); err != nil {
			t.Fatalf("a refresh after codes answered by %d: %v", status, err)
		}
	}
}
