package idp_test

import (
	"net/http"
	"testing"
	"time"

	"cloakroom/idp"
)

// breaking is a transport that panics while it is told to, as a library may over an answer that was made for that.
type breaking struct {
	next http.RoundTripper
	now  *bool
}

func (b breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	if *b.now && r.URL.Path == "/token" {
		panic("a hostile answer")
	}
	return b.next.RoundTrip(r)
}

// A call that panics gives its place back: else 48 of them would close the token endpoint to everybody until the process
// ends.
//
// shows REF-SOFT
func TestACallThatPanicsGivesItsPlaceBack(t *testing.T) {
	p := newProvider(t)
	broken := true
	c := p.client(func(s *idp.Settings) {
		s.Through = func(next http.RoundTripper) http.RoundTripper { return breaking{next, &broken} }
	})
	for i := range 64 { // more than there are places
		func() {
			defer func() {
				if recover() == nil {
					t.Fatalf("call %d did not panic", i)
				}
			}()
			_, _ = c.Refresh(t.Context(), p.session(), "")
		}()
	}
	broken = false
	began := time.Now()
	if _, err := c.Refresh(t.Context(), p.session(), ""); err != nil || time.Since(began) > 5*time.Second { // a wait for a place is ten
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
