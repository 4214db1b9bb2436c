//go:build integration

package native_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/test/world"
)

// rotate trades a refresh handle.
func (n *nativeWorld) rotate(t *testing.T, instance int, handle string) tokens {
	t.Helper()
	return n.good(t, n.token(t, n.All[instance], refreshing("cli", handle)))
}

// An old refresh handle, after its successor was used and the grace has passed: two hold what is one's. All of it ends.
//
// shows NAT-ROT
func reuse(t *testing.T, n *nativeWorld) {
	first := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	second := n.rotate(t, 1, first.Refresh)
	n.wantAlive(t, second.Access, 200) // this is the use
	if again := n.rotate(t, 0, first.Refresh); again.Access != second.Access || again.Refresh != second.Refresh {
		t.Error("within the grace the old handle gets another successor than before")
	}
	<-time.After(pastGrace)
	id := `"session":"` + second.Session["id"].(string) + `"`
	n.wantAlive(t, first.Access, 401) // a call that was queued with it: refused, and no alarm
	n.wantAlive(t, second.Access, 200)
	if said(n.All[0], `"event":"session_ended"`, id)+said(n.All[1], `"event":"session_ended"`, id) > 0 {
		t.Error("a call with an old access handle ended the session")
	}
	rule := []string{`"event":"credential_refused"`, `"rule":"refresh handle reused"`, `"app":"cli"`}
	before := said(n.All[0], rule...)
	refused(t, n.token(t, n.All[0], refreshing("cli", first.Refresh)), "invalid_grant")
	// The log comes through a pipe, a moment after the answer.
	for deadline := time.Now().Add(patience); said(n.All[0], rule...) != before+1 || said(n.All[0], `"event":"session_ended"`, id, `"reason":"handle_reused"`) != 1; {
		if time.Now().After(deadline) {
			t.Fatal("the log does not say why the session ended")
		}
		<-time.After(20 * time.Millisecond)
	}
	n.wantAlive(t, second.Access, 401)
	refused(t, n.token(t, n.All[1], refreshing("cli", second.Refresh)), "invalid_grant")
	n.awaitRevoked(t)
}

// awaitRevoked waits until the provider's newest refresh token of the app cli is dead there.
func (n *nativeWorld) awaitRevoked(t *testing.T) {
	t.Helper()
	var newest string
	for _, issued := range n.op.Issued() {
		if issued.Kind == "refresh_token" && issued.Client == "nativec_1" {
			newest = issued.Value
		}
	}
	if newest == "" {
		t.Fatal("the provider never gave a refresh token")
	}
	for deadline := time.Now().Add(patience); ; {
		req, err := http.NewRequest(http.MethodPost, n.op.Issuer+"/token/introspection", strings.NewReader(url.Values{"token": {newest}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("nativec_1", cliSecret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var buf [1024]byte // an answer is a line
		size, _ := resp.Body.Read(buf[:])
		resp.Body.Close()
		if strings.Contains(string(buf[:size]), `"active":false`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the provider's refresh token is alive: %s", buf[:size])
		}
		<-time.After(20 * time.Millisecond)
	}
}

// An answer that never came costs nothing, however late the question is repeated: nobody has used the successor.
//
// shows NAT-ROT
func lostAnswer(t *testing.T, n *nativeWorld) {
	first := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	n.front.loseNext("/mobile/token")
	if resp, err := http.PostForm(n.front.URL+"/mobile/token", refreshing("cli", first.Refresh)); err == nil {
		resp.Body.Close()
		t.Fatalf("the answer was not lost: %s", resp.Status)
	}
	soon := n.rotate(t, 0, first.Refresh)
	<-time.After(pastGrace)
	late := n.rotate(t, 1, first.Refresh)
	if soon.Refresh != late.Refresh || soon.Access != late.Access {
		t.Error("the repeated question gets another successor")
	}
	if next := n.rotate(t, 0, soon.Refresh); next.Refresh == soon.Refresh || next.Session["id"] != first.Session["id"] {
		t.Error("the successor of a lost answer does not rotate")
	}
	n.wantAlive(t, soon.Access, 200)
}

// A credential of one kind is nothing where the other kind is asked for.
//
// shows NAT-TYPE
func mixed(t *testing.T, n *nativeWorld) {
	got := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	web := n.Browser()
	n.SignIn(web, "/")
	cookie, _ := web.Cookie(world.Origin, "__Host-Http-web")
	tests := []struct {
		name   string
		want   int
		fields []string
	}{
		{"a cookie's value as bearer", 401, []string{"Authorization", "Bearer " + cookie.Value}},
		{"a handle as cookie", 401, []string{"Cookie", "__Host-Http-web=" + got.Access, "X-CSRF", "1"}},
		{"a handle as the cookie of its own app", 401, []string{"Cookie", "__Host-Http-cli=" + got.Access, "X-CSRF", "1"}},
		{"a handle and a cookie", 400, []string{"Authorization", "Bearer " + got.Access, "Cookie", "__Host-Http-web=" + cookie.Value}},
		{"a refresh handle as bearer", 401, []string{"Authorization", "Bearer " + got.Refresh}},
		{"another site's page", 403, []string{"Authorization", "Bearer " + got.Access, "Origin", "https://evil.example"}},
		{"nothing", 401, nil},
		{"the handle", 200, []string{"Authorization", "Bearer " + got.Access}},
	}
	if resp := n.call(t, n.All[0], http.MethodGet, "/others/orders", "Authorization", "Bearer "+got.Access); resp.StatusCode != 403 {
		t.Errorf("a route of another app: %d", resp.StatusCode)
	}
	for _, tt := range tests {
		for _, in := range n.All {
			if resp := n.call(t, in, http.MethodGet, "/api/orders", tt.fields...); resp.StatusCode != tt.want {
				t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.want)
			}
		}
	}
	refused(t, n.token(t, n.All[0], refreshing("cli", got.Access)), "invalid_grant")
	refused(t, n.token(t, n.All[0], refreshing("other", got.Refresh)), "invalid_grant")
	n.wantAlive(t, got.Access, 200) // none of this has cost the session
	n.Want(n.Fetch(web, "GET", "/api/orders", ""), 200)
}

// How a bad request is told, to the letter of RFC 6750.
//
// shows NAT-6750
func bearer(t *testing.T, n *nativeWorld) {
	good := n.redeem(t, n.signIn(t, n.browser(t), ask{})).Access
	tests := []struct {
		name, path, challenge string
		want                  int
		fields                []string
	}{
		{"nothing", "/mobile/session", `Bearer realm="cloakroom"`, 401, nil},
		{"an unknown handle", "/mobile/session", `Bearer realm="cloakroom", error="invalid_token"`, 401, []string{"Authorization", "Bearer clk_unknown"}},
		{"a handle in the query", "/mobile/session?access_token=" + good, `Bearer realm="cloakroom", error="invalid_request"`, 400, nil},
		{"a handle in the query of a route", "/api/orders?access_token=" + good, `Bearer realm="cloakroom", error="invalid_request"`, 400, nil},
		{"two of the field", "/mobile/session", `Bearer realm="cloakroom", error="invalid_request"`, 400, []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}},
	}
	for _, tt := range tests {
		resp := n.call(t, n.All[0], http.MethodGet, tt.path, tt.fields...)
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != tt.want || !strings.HasPrefix(got, tt.challenge) ||
			!strings.Contains(tt.challenge, "error") && got != tt.challenge {
			t.Errorf("%s: %d %q, want %d %q", tt.name, resp.StatusCode, got, tt.want, tt.challenge)
		}
	}
	for _, path := range []string{"/mobile/logout", "/api/orders"} {
		if got := n.post(t, n.All[1], path, url.Values{"access_token": {good}}); got.Status != 400 || !challenges(got.Header, "Bearer", "invalid_request") {
			t.Errorf("a handle in a form to %s: %d %q", path, got.Status, got.Header.Values("WWW-Authenticate"))
		}
	}
	if got := n.call(t, n.All[0], http.MethodGet, "/mobile/session", "Authorization", "Bearer "+good); got.StatusCode != 200 {
		t.Errorf("the handle itself: %d", got.StatusCode)
	}
}

// Signing out ends the session everywhere, and voids a code that waits to be redeemed. An unknown handle is no error.
//
// shows RPL-NATIVE, RPL-PENDING
func signOut(t *testing.T, n *nativeWorld) {
	b, who := n.browser(t), n.someone()
	got := n.redeem(t, n.signInAs(t, b, ask{}, who))
	pending := n.signInAs(t, b, ask{}, who)
	req, err := http.NewRequest(http.MethodPost, n.front.URL+"/mobile/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+got.Access)
	out := n.read(t, n.All[0], req)
	if out.Status != 200 || !strings.HasPrefix(out.Logout, n.front.URL+"/mobile/logout/") || strings.Contains(out.Logout, "eyJ") {
		t.Fatalf("signing out: %d %q", out.Status, out.Logout)
	}
	n.wantAlive(t, got.Access, 401)
	refused(t, n.token(t, n.All[0], refreshing("cli", got.Refresh)), "invalid_grant")
	refused(t, n.token(t, n.All[1], pending.form()), "invalid_grant")
	if again := n.read(t, n.All[1], req.Clone(t.Context())); again.Status != 200 || again.Logout != "" {
		t.Errorf("signing out again: %d %q", again.Status, again.Logout)
	}
	for range 3 { // a link scanner's visits do not use it up
		if resp := n.call(t, n.All[1], http.MethodGet, strings.TrimPrefix(out.Logout, n.front.URL)); resp.StatusCode != 200 {
			t.Errorf("the sign-out page: %d", resp.StatusCode)
		}
	}
	p, err := b.Navigate(out.Logout)
	if err != nil {
		t.Fatal(err)
	}
	form, err := p.Form("")
	if err != nil {
		t.Fatalf("%v: %s", err, p.Text())
	}
	if on, err := b.SubmitForm(p, form, nil); err != nil || on.Status != 200 {
		t.Errorf("on to the provider: %v %+v", err, on)
	}
	if again, err := b.SubmitForm(p, form, nil); err != nil || again.Status != http.StatusGone {
		t.Errorf("the sign-out a second time: %v %d", err, again.Status)
	}
}

// The way back from the provider's sign-out leads to the address that is configured for the app, for this browser alone.
//
// shows RPL-NATIVE
func goodBye(t *testing.T, n *nativeWorld) {
	b := n.browser(t)
	got := n.redeem(t, n.signIn(t, b, ask{App: "other", Redirect: private}))
	req, err := http.NewRequest(http.MethodPost, n.front.URL+"/mobile/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+got.Access)
	p, err := b.Navigate(n.read(t, n.All[0], req).Logout)
	if err != nil {
		t.Fatal(err)
	}
	b.HoldAt(func(u *url.URL) bool { return u.Path == "/mobile/logged-out" })
	p = leave(t, n, b, p)
	if !p.Unsent {
		t.Fatalf("not on the way back: %s %s", p.URL, p.Text())
	}
	if other, err := n.browser(t).Navigate(p.URL); err != nil || other.Unsent || other.Status != 200 {
		t.Errorf("another browser on this way back: %v, at %s: %d", err, other.URL, other.Status)
	}
	b.HoldAt(nil)
	if p, err = b.Continue(p); err != nil || !p.Unsent || p.URL != goodbye {
		t.Errorf("the way back: %v, at %s: %d %s", err, p.URL, p.Status, p.Text())
	}
}

// RFC 7009: a handle is given back, of either kind; one that is none is no error.
func revocation(t *testing.T, n *nativeWorld) {
	revoke := func(app, handle string) int {
		t.Helper()
		form := url.Values{"client_id": {app}, "token": {handle}}
		req, err := http.NewRequest(http.MethodPost, n.front.URL+"/mobile/revoke", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return n.read(t, n.All[0], req).Status
	}
	kept := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	if got := revoke("other", kept.Refresh); got != 200 && got != 400 {
		t.Errorf("another app revokes: %d", got)
	}
	n.wantAlive(t, kept.Access, 200)
	for name, handle := range map[string]string{"access": kept.Access, "refresh": n.redeem(t, n.signIn(t, n.browser(t), ask{})).Refresh} {
		if got := revoke("cli", handle); got != 200 {
			t.Errorf("revoking the %s handle: %d", name, got)
		}
		if got := revoke("cli", handle); got != 200 {
			t.Errorf("revoking it again: %d", got)
		}
	}
	n.wantAlive(t, kept.Access, 401)
}
