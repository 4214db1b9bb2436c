package idp_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"cloakroom/bff"
	"cloakroom/idp"
)

// shows SCALEKIT-O3 (the API's side)
func TestEndingTheProvidersSessionByItsAPI(t *testing.T) {
	for _, row := range []struct {
		with         string // an answer with …
		status       int
		media, body  string
		good, client bool // client: the token is refused
		calls        int
	}{
		{"the session", 200, "application/json", `{"session_id":"ses_1","status":"revoked"}`, true, false, 1},
		{"nothing", 204, "", "", true, false, 1},
		{"no such session", 404, "application/json", `{"code":5,"message":"session not found"}`, true, false, 1},
		{"a page that is not there", 404, "text/html", `<h1>Not found</h1>`, false, false, 1},
		{"another 404", 404, "application/json", `{"error":"route"}`, false, false, 1},
		{"a page that says it is fine", 200, "text/html", `<h1>Sign in to the network</h1>`, false, false, 1},
		{"a redirect", 307, "", "", false, false, 1},
		{"a token that is refused", 401, "application/json", `{"code":16,"message":"Token invalid"}`, false, true, 1},
		{"the API switched off", 403, "application/json", `{"code":7,"message":"not allowed"}`, false, false, 1},
		{"a bad moment, three times", 503, "application/json", `{"code":14}`, false, false, 3},
		{"too many requests, three times", 429, "application/json", `{"code":8}`, false, false, 3},
	} {
		t.Run(row.with, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.replies("/api/v1/sessions/ses_1/revoke", row.status, row.media, row.body)
			c := p.client(func(s *idp.Settings) { s.SessionAPI = p.URL + "/api/v1" })
			err := c.RevokeSession(t.Context(), "ses_1", bff.NewSecret("cc-secret"))
			if (err == nil) != row.good || errors.Is(err, bff.ErrClientToken) != row.client {
				t.Errorf("got %v", err)
			}
			asked := p.requests("/api/v1/sessions/ses_1/revoke")
			if len(asked) != row.calls {
				t.Fatalf("%d calls, want %d", len(asked), row.calls)
			}
			if got := asked[0].header.Get("Authorization"); got != "Bearer cc-secret" {
				t.Errorf("asked with %q", got)
			}
		})
	}
}

func TestAMomentOfTroubleAtTheSessionAPI(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	calls := 0
	p.handle("/api/v1/sessions/ses_1/revoke", func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
	c := p.client(func(s *idp.Settings) { s.SessionAPI = p.URL + "/api/v1" })
	if err := c.RevokeSession(t.Context(), "ses_1", bff.NewSecret("cc-secret")); err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// A sid is the provider's text, and one segment whatever is in it.
func TestASIDIsOneSegment(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client(func(s *idp.Settings) { s.SessionAPI = p.URL + "/api/v1" })
	_ = c.RevokeSession(t.Context(), "../users/usr_1?x=#", bff.NewSecret("cc-secret"))
	if n := p.count("/api/v1/sessions/../users/usr_1?x=#/revoke"); n != 1 {
		t.Errorf("%d requests to the one path", n)
	}
	for _, sid := range []string{".", ".."} {
		if err := c.RevokeSession(t.Context(), sid, bff.NewSecret("cc-secret")); err == nil {
			t.Errorf("the sid %q was taken", sid)
		}
	}
	if n := p.count("/api/v1/sessions/../revoke") + p.count("/api/v1/sessions/./revoke") + p.count("/api/v1/revoke"); n != 0 {
		t.Errorf("%d requests to another path", n)
	}
	if err := p.client(nil).RevokeSession(t.Context(), "ses_1", bff.NewSecret("cc-secret")); err == nil {
		t.Error("a provider without the API ended a session")
	}
}
