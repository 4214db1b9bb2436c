//go:build integration

package chromium_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// stubborn is the demo API, which at will is content with no sign-in for a refund.
type stubborn struct {
	api   http.Handler
	never atomic.Bool
	asked atomic.Int32 // while it is content with none
}

func (s *stubborn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/refund") && s.never.Load() {
		s.asked.Add(1)
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", max_age=0`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.api.ServeHTTP(w, r)
}

// A refund takes a sign-in of the last minutes: the user is told why, signs in at the provider, is back at the very order, and
// confirms with one click; the other tab goes on without being asked. Declined, nothing has changed. And an API that is never
// content ends in a message after one round.
//
// shows STEP-3, STEP-5, STEP-LOOP
func TestARefundThatTakesASignIn(t *testing.T) {
	t.Parallel()
	s := &stubborn{}
	upstream := httptest.NewServer(s)
	t.Cleanup(upstream.Close)
	w, j := start(t, "stepup", world.Options{
		Routes: fmt.Sprintf("  - {path: /api/orders/, upstream: %q, methods: [GET, POST]}\n", upstream.URL),
	})
	s.api = w.API
	j.Given["issuer"] = w.OP.Issuer
	j.Asked = func(what string) (string, error) {
		switch what {
		case "an-hour-later":
			w.Dev.AgeSignIns(time.Hour)
		case "stubborn":
			s.never.Store(true)
		default:
			return "", fmt.Errorf("nobody does %q", what)
		}
		return "", nil
	}
	chromium.Run(t, j)
	if n := s.asked.Load(); n != 2 {
		t.Errorf("the API that is never content was asked %d times, want 2", n)
	}
	w.Leaks()
}
