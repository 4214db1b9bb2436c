//go:build integration

package native_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/test/gateway"
)

// newer is what an app is told whose user's sign-in is too old.
type newer struct {
	Code     string
	MaxAge   *int   `json:"max_age"`
	StepUp   string `json:"step_up"`
	LoginURL string `json:"login_url"`
}

// untilOld asks a route that wants a sign-in of the last seconds until it is refused, and returns what the app is told. The
// provider counts whole seconds, so that two more have to pass before it asks too.
func untilOld(t *testing.T, n *nativeWorld, in *gateway.Instance, session map[string]any, scheme string, fields func() []string) newer {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		req, err := http.NewRequest(http.MethodGet, n.front.URL+"/fresh/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		for f := fields(); len(f) > 0; f = f[2:] {
			req.Header.Add(f[0], f[1])
		}
		resp, body := n.do(t, in, req)
		var got newer
		_ = json.Unmarshal(body, &got) // the API's own failure is none of these
		authenticated := time.Unix(int64(session["auth_time"].(float64)), 0)
		if resp.StatusCode == http.StatusUnauthorized && time.Since(authenticated) >= 5*time.Second {
			challenge := resp.Header.Get("WWW-Authenticate")
			if got.Code != "insufficient_user_authentication" || got.MaxAge == nil || *got.MaxAge != 3 || got.StepUp == "" || got.LoginURL != "" ||
				!strings.HasPrefix(challenge, scheme+" ") || !strings.Contains(challenge, `error="insufficient_user_authentication"`) ||
				!strings.Contains(challenge, ", max_age=3") {
				t.Fatalf("refused with %s: %s", challenge, body)
			}
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("the sign-in never got too old: %d %s", resp.StatusCode, body)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// replaced fails unless both instances tell the holder of a handle that a new sign-in took its place.
func (n *nativeWorld) replaced(t *testing.T, fields func() []string) {
	t.Helper()
	for i, in := range n.All {
		req, _ := http.NewRequest(http.MethodGet, n.front.URL+"/api/orders", nil)
		for f := fields(); len(f) > 0; f = f[2:] {
			req.Header.Add(f[0], f[1])
		}
		resp, body := n.do(t, in, req)
		if resp.StatusCode != 401 || !strings.Contains(string(body), `"reason":"replaced"`) {
			t.Errorf("instance %d answers the old handle with %d %s", i, resp.StatusCode, body)
		}
	}
}

func presenting(handle string) func() []string {
	return func() []string { return []string{"Authorization", "Bearer " + handle} }
}

// A route wants a sign-in of the last seconds: the app gets problem, challenge and ticket, signs in with that, directly or by a
// pushed request, and goes on with a new handle; the old one ends. Somebody else, or a ticket that is none, changes nothing.
//
// shows STEP-3, STEP-4, STEP-5, STEP-ROUTE (apps on handles)
func TestStepUpOfAHandle(t *testing.T) {
	t.Parallel()
	n := newWorld(t, boundApp{"choice", "{dpop: allowed}"})
	n.allowBound()
	who, b := n.someone(), n.browser(t)
	old := n.redeem(t, n.signInAs(t, b, ask{}, who))
	told := untilOld(t, n, n.All[1], old.Session, "Bearer", presenting(old.Access))

	// Somebody else in another browser, and tickets that are none.
	a := n.complete(ask{More: url.Values{"step_up": {told.StepUp}}})
	other := n.browser(t)
	if got := answer(t, n.start(t, other, a, n.someone()), a); got.Get("error") != "unmet_authentication_requirements" || got.Get("code") != "" {
		t.Errorf("somebody else ends with %v", got)
	}
	for with, more := range map[string]url.Values{
		"a ticket whose end is another":  {"step_up": {told.StepUp[:len(told.StepUp)-4] + "AAAA"}},
		"a text of the app's own":        {"step_up": {"gold"}},
		"a ticket beside an acr":         {"step_up": {told.StepUp}, "acr_values": {"gold"}},
		"an acr that no route asks for":  {"acr_values": {"gold"}},
		"another app's ticket":           {"step_up": {told.StepUp}, "client_id": {"other"}, "redirect_uri": {claimed}},
		"another app's ticket, directly": {"step_up": {told.StepUp}, "client_id": {"choice"}, "redirect_uri": {redirectOf("choice")}},
	} {
		a := n.complete(ask{More: more, Redirect: more.Get("redirect_uri")})
		if got := answer(t, n.start(t, n.browser(t), a, "nobody"), a); got.Get("error") != "invalid_request" {
			t.Errorf("a start with %s ends with %v", with, got)
		}
	}
	pushed := n.push(t, n.complete(ask{More: url.Values{"step_up": {"gold"}}}))
	if pushed.Status != http.StatusBadRequest {
		t.Errorf("a pushed text of the app's own: %+v", pushed)
	}
	n.wantAlive(t, old.Access, 200)

	// The user, in the browser that the provider knows.
	fresh := n.redeem(t, n.signInAs(t, b, ask{More: url.Values{"step_up": {told.StepUp}}}, who))
	n.wantAlive(t, fresh.Access, 200)
	n.replaced(t, presenting(old.Access))
	refused(t, n.token(t, n.All[1], refreshing("cli", old.Refresh)), "invalid_grant")
	if was, is := old.Session["auth_time"].(float64), fresh.Session["auth_time"].(float64); is <= was {
		t.Errorf("authenticated at %v, before that at %v", is, was)
	}

	// The same by a pushed request.
	told = untilOld(t, n, n.All[0], fresh.Session, "Bearer", presenting(fresh.Access))
	a = n.complete(ask{More: url.Values{"step_up": {told.StepUp}}})
	request := n.push(t, a)
	if request.Status != http.StatusCreated {
		t.Fatalf("pushed: %+v", request)
	}
	p, err := b.Navigate(n.front.URL + "/mobile/authorize?" + url.Values{"client_id": {"cli"}, "request_uri": {request.URI}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if p = n.atProvider(t, b, p, who); !p.Unsent {
		p = press(t, b, p, "Continue")
	}
	last := n.redeem(t, grant{a, answer(t, p, a).Get("code")})
	n.wantAlive(t, last.Access, 200)
	n.replaced(t, presenting(fresh.Access))

	// A handle that is bound to a key is challenged for in its own scheme, and its successor is bound as well.
	d := n.device("choice")
	d.redeem(t, n.signInAs(t, b, d.announcing(), who))
	bound := *d
	told = untilOld(t, n, n.All[1], last.Session, "DPoP", func() []string { return bound.presents("GET", "/fresh/x") })
	again := d.announcing()
	again.More.Set("step_up", told.StepUp)
	d.redeem(t, n.signInAs(t, b, again, who))
	d.wants(t, "after the step-up", 200)
	n.replaced(t, func() []string { return bound.presents("GET", "/api/orders") })
	n.finish(t)
}

// A step-up under sso_by sub+auth_time has a new moment and is of the old SSO session all the same: a sign-out of another app
// that signed in before it ends the stepped-up handle, at both instances.
//
// shows SSO-OUT (a native step-up), STEP-4
func TestASteppedUpHandleEndsWithItsSSOSession(t *testing.T) {
	t.Parallel()
	n := newWorld(t, boundApp{"choice", "{dpop: allowed}"})
	n.allowBound()
	who, b := n.someone(), n.browser(t)
	old := n.redeem(t, n.signInAs(t, b, ask{}, who))
	another := n.redeem(t, n.signInAs(t, b, ask{App: "choice", Redirect: redirectOf("choice")}, who)) // by the same sign-in
	if was, is := old.Session["auth_time"], another.Session["auth_time"]; was != is {
		t.Fatalf("the provider signed in twice: at %v and at %v", was, is)
	}
	told := untilOld(t, n, n.All[1], old.Session, "Bearer", presenting(old.Access))
	fresh := n.redeem(t, n.signInAs(t, b, ask{More: url.Values{"step_up": {told.StepUp}}}, who))
	n.wantAlive(t, fresh.Access, 200)
	if was, is := old.Session["auth_time"].(float64), fresh.Session["auth_time"].(float64); is <= was {
		t.Fatalf("authenticated at %v, before that at %v", is, was)
	}
	if status := n.ask(t, n.All[1], "POST", "/mobile/logout", another.Access, nil); status != 200 {
		t.Fatalf("signing out of the other app: %d", status)
	}
	n.wantAlive(t, fresh.Access, 401)
	refused(t, n.token(t, n.All[0], refreshing("cli", fresh.Refresh)), "invalid_grant")
	n.finish(t)
}
