//go:build integration

package scalekit_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/world"
)

const byAPI = ", sid: required, logout: api"

// By the session API: the provider's session is over, no ID token stood in any address, the browser stayed here; and two
// sign-outs cost one token of the app's own.
//
// shows SCALEKIT-O3, SCALEKIT-A4, SCALEKIT-M5
func TestSignOutByTheSessionAPI(t *testing.T) {
	t.Parallel()
	w := begin(t, byAPI)
	for range 2 {
		b := w.Browser()
		w.SignIn(b, "/")
		p := logout(t, b)
		if p.URL != world.Origin+"/bff/logged-out" || p.Status != http.StatusOK || has(w, b) {
			t.Errorf("ended at %s: %d, still signed in: %v", p.URL, p.Status, has(w, b))
		}
		noHint(t, w, p)
		back := navigate(t, b, world.Origin+"/bff/login")
		if strings.HasPrefix(back.URL, world.Origin) {
			t.Error("the provider's session lives: it asked nobody")
		}
	}
	for _, s := range w.Dev.Sessions() {
		if !s.Ended {
			t.Errorf("session %s of the provider lives", s.SID)
		}
	}
	if n := w.Dev.Count(provider.Logout); n != 0 {
		t.Errorf("the browser went to the provider %d times", n)
	}
	for _, r := range w.Dev.RequestsTo(provider.Token) {
		if r.Form.Get("grant_type") != "client_credentials" {
			continue
		}
		keeps(t, "client credentials", r.Form, url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"webc_1"}, "client_secret": {world.ClientSecret},
		})
	}
	if n := w.Dev.GrantCount("client_credentials"); n != 1 {
		t.Errorf("%d tokens of the app's own", n)
	}
	r := last(t, w, provider.SessionAPI)
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Path, "/api/v1/sessions/ses_") || !strings.HasSuffix(r.Path, "/revoke") || len(r.Form) != 0 {
		t.Errorf("%s %s with %v", r.Method, r.Path, r.Form)
	}
	w.All[0].AwaitLog(`"event":"provider_session_ended"`)
	w.Leaks()
}

// An API that refuses leaves the sign-out here as it is, tells the user and the operator, and is not asked for ever.
func TestASessionAPIThatRefuses(t *testing.T) {
	t.Parallel()
	w := begin(t, byAPI)
	w.Dev.Register(client(func(c *provider.Client) { c.DisallowManagement = true }))
	b := w.Browser()
	w.SignIn(b, "/")
	p := logout(t, b)
	if p.Status != http.StatusOK || !strings.Contains(p.Text(), "could not be reached") || has(w, b) {
		t.Errorf("%d %s\n%s", p.Status, p.URL, p.Text())
	}
	w.All[0].AwaitLog(`"what":"ending the provider's session"`) // the operator is told
	w.All[0].AwaitLog(`"level":"ERROR","msg":"security event","event":"provider_session_ended"`)
	if n := w.Dev.Count(provider.SessionAPI); n != 1 {
		t.Errorf("asked %d times", n)
	}
	noHint(t, w, p)
}

// An app's own token that the API does not take is renewed once.
func TestARefusedTokenOfTheAppsOwn(t *testing.T) {
	t.Parallel()
	w := begin(t, byAPI)
	w.Dev.Fault(provider.SessionAPI, provider.Fault{Status: http.StatusUnauthorized, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"code":16}`})
	b := w.Browser()
	w.SignIn(b, "/")
	logout(t, b)
	if n := w.Dev.GrantCount("client_credentials"); n != 2 || !w.Dev.Sessions()[0].Ended {
		t.Errorf("%d tokens of the app's own, session over: %v", n, w.Dev.Sessions()[0].Ended)
	}
}

// An API that hangs keeps nobody waiting for longer than a page may take; the work goes on, and is done when it answers.
func TestASessionAPIThatHangs(t *testing.T) {
	t.Parallel()
	w := begin(t, byAPI)
	gate := provider.NewGate()
	w.Dev.Fault(provider.SessionAPI, provider.Fault{Gate: gate})
	b := w.Browser()
	w.SignIn(b, "/")
	began := time.Now()
	p := logout(t, b)
	if took := time.Since(began); took > 9*time.Second || has(w, b) || !strings.Contains(p.Text(), "could not be reached") { // three, on a busy machine
		t.Errorf("%s at %s\n%s", took, p.URL, p.Text())
	}
	gate.Release()
	for deadline := time.Now().Add(10 * time.Second); !w.Dev.Sessions()[0].Ended; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the provider's session was not ended afterwards")
		}
	}
}

// Both ways: the API, and then the browser, whose cookie at the provider goes too.
func TestSignOutBothWays(t *testing.T) {
	t.Parallel()
	w := begin(t, ", sid: required, logout: both")
	b := w.Browser()
	w.SignIn(b, "/")
	logout(t, b)
	if w.Dev.Count(provider.Logout) != 1 || w.Dev.Count(provider.SessionAPI) != 1 || !w.Dev.Sessions()[0].Ended {
		t.Errorf("%d to the endpoint, %d to the API", w.Dev.Count(provider.Logout), w.Dev.Count(provider.SessionAPI))
	}
}
