//go:build integration

package faults_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// steadyLife is so short that tokens are renewed at each step, and so long that none ends between a busy gateway, which attaches
// it, and the API.
const steadyLife = 4 * time.Second

// Both lists of keys are changed in their steps over three instances, each restarted in its turn, while users go on: nobody
// is told anything but 200, and what one instance begins another finishes, at each step. In the end the first keys are gone.
//
// shows KEY-RING
func TestKeysChangeUnderLoad(t *testing.T) {
	alongside(t)
	r := newRollout(t, 3)
	l := newTraffic(t, r)
	r.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = steadyLife }) // refreshes go on at every step
	old := r.crowdOf(t, l, sized(3, 20), "before")
	cookie, _ := r.phoneAndCookie(t)
	r.roll(t, l, keysAppended)
	r.roll(t, l, keysMoved)
	young := r.crowdOf(t, l, sized(3, 20), "after")
	pause(4 * pace)
	l.fine("with users of both keys")
	stop(old...) // the longest session is over
	r.roll(t, l, keysRemoved)
	r.stillThere(t, cookie)
	r.replace(t, 0, keysRetired)
	l.follow(r)
	r.retired(t, cookie)
	stop(young...)
	l.fine("with the first key retired")
}

// crowdOf signs users in, of both kinds, and has them go on.
func (r *rollout) crowdOf(t *testing.T, l *traffic, n int, name string) (users []*user) {
	t.Helper()
	for i := range n {
		r.At(r.All[i%len(r.clients)])
		b := r.Browser()
		r.SignIn(b, "/")
		users = append(users, l.browses(fmt.Sprintf("browser %d from %s", i, name), request(t, r.World, b)))
		h := granted(t, r.token(i%len(r.clients), r.code(t, r.phone())))
		users = append(users, l.carries(fmt.Sprintf("phone %d from %s", i, name), h))
	}
	return users
}

// phoneAndCookie signs in at both apps.
func (r *rollout) phoneAndCookie(t *testing.T) (cookie string, h handles) {
	t.Helper()
	b := r.phone()
	r.SignIn(b, "/")
	c, _ := b.Cookie(world.Origin, cookieName)
	return c.Value, granted(t, r.token(0, r.code(t, b)))
}

// roll replaces the instances one by one. While one has the new lists and the others the old ones, each finishes what the
// other began.
func (r *rollout) roll(t *testing.T, l *traffic, to keyLists) {
	t.Helper()
	before := r.Dev.GrantCount("refresh_token")
	first := r.begin(t, 1)
	for at := range r.clients {
		r.replace(t, at, to)
		l.follow(r)
		if at == 0 {
			first.finish(t, 0, to.name()+", begun before")
			r.begin(t, 0).finish(t, 1, to.name()+", begun after")
			await(t, "tokens are refreshed meanwhile", healTime, func() bool { return r.Dev.GrantCount("refresh_token") > before })
		}
	}
	l.fine(to.name())
}

// stillThere asks with a session of the first key, which no instance has any more: it is not told that it has ended.
func (r *rollout) stillThere(t *testing.T, cookie string) {
	t.Helper()
	b := r.holding(t, cookie)
	for at := range r.clients {
		r.At(r.All[at])
		unavailable(t, r.Fetch(b, "GET", "/api/orders", ""), `"code":"key_unknown"`)
		unavailable(t, r.Fetch(b, "GET", "/bff/session", ""), `"code":"key_unknown"`)
		unavailable(t, r.Fetch(b, "POST", "/bff/logout", ""), `"code":"key_unknown"`)
	}
	if c, ok := b.Cookie(world.Origin, cookieName); !ok || c.Value != cookie {
		t.Error("the cookie did not survive")
	}
}

// retired asks the first instance, which was told that the first key is gone for good, and then the others.
func (r *rollout) retired(t *testing.T, cookie string) {
	t.Helper()
	for at := range r.clients {
		r.At(r.All[at])
		p := r.Want(r.Fetch(r.holding(t, cookie), "GET", "/api/orders", ""), 401)
		if !strings.Contains(string(p.Body), `"code":"session_ended"`) || !strings.Contains(string(p.Body), `"reason":"key_retired"`) {
			t.Errorf("instance %d: %s", at, p.Body)
		}
	}
	r.All[0].AwaitLog(`"reason":"key_retired"`)
}

// holding is a browser with somebody's cookie.
func (r *rollout) holding(t *testing.T, cookie string) *browser.Browser {
	t.Helper()
	b := r.Browser()
	if !b.StoreCookie(world.Origin, cookieName+"="+cookie+"; Path=/; Secure; HttpOnly; SameSite=Strict") {
		t.Fatal("the browser does not take the cookie")
	}
	return b
}

// The new key comes in front at once, at one of two instances: what that seals the other one cannot open. It says so, and
// uses nothing up; once it has the key all is well.
//
// shows KEY-RING
func TestKeyMovedToTheFrontInOneStep(t *testing.T) {
	t.Parallel()
	r := newRollout(t, 2)
	old, _ := r.phoneAndCookie(t)
	r.replace(t, 0, keyLists{sealing: []string{"k2", "k1"}, index: []string{"i1"}})
	r.At(r.All[0])
	b := r.phone()
	r.SignIn(b, "/")
	cookie, _ := b.Cookie(world.Origin, cookieName)
	h := granted(t, r.token(0, r.code(t, b)))
	waiting := r.code(t, b)
	signing := r.Browser()
	page, err := signing.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/")
	if err != nil {
		t.Fatal(err)
	}
	leaving := r.Browser()
	r.SignIn(leaving, "/")
	var out struct {
		RedirectTo string `json:"redirect_to"`
	}
	if p := r.Want(r.Fetch(leaving, "POST", "/bff/logout", ""), 200); json.Unmarshal(p.Body, &out) != nil {
		t.Fatalf("signing out: %s", p.Body)
	}

	r.At(r.All[1]) // which has never heard of k2
	for _, path := range []string{"/api/orders", "/bff/session"} {
		unavailable(t, r.Fetch(b, "GET", path, ""), `"code":"key_unknown"`)
	}
	unavailable(t, r.Fetch(b, "POST", "/bff/session/extend", ""), `"code":"key_unknown"`)
	unavailable(t, r.Fetch(b, "POST", "/bff/logout", ""), `"code":"key_unknown"`)
	if body := r.want(t, 1, "GET", "/api/orders", h.Access, 503); !strings.Contains(body, `"code":"key_unknown"`) {
		t.Errorf("a handle: %s", body)
	}
	outOfReach(t, "a rotation", r.token(1, rotation(h.Refresh)))
	outOfReach(t, "a redemption", r.token(1, waiting))
	callback := r.callbackOf(t, signing, page)
	unavailable(t, callback, "key_unknown")
	ticket, err := leaving.Click(browser.At(world.Origin+"/"), out.RedirectTo)
	if err != nil {
		t.Fatal(err)
	}
	unavailable(t, ticket, "key_unknown")
	if now, ok := b.Cookie(world.Origin, cookieName); !ok || now.Value != cookie.Value {
		t.Error("the cookie did not survive")
	}
	if got := r.cookieAt(0, old); got != 200 {
		t.Errorf("a session of before, at the new instance: %d", got)
	}

	r.replace(t, 1, keyLists{sealing: []string{"k1", "k2"}, index: []string{"i1"}}) // what should have come first
	r.At(r.All[1])
	r.Want(r.Fetch(b, "GET", "/api/orders", ""), 200)
	granted(t, r.token(1, waiting))
	r.want(t, 1, "GET", "/api/orders", granted(t, r.token(1, rotation(h.Refresh))).Access, 200)
	if _, err := signing.Navigate(callback.URL); err != nil {
		t.Errorf("the sign-in, tried again: %v", err)
	}
	signedIn(t, r.World, signing, true)
	if p, err := leaving.Click(browser.At(world.Origin+"/"), out.RedirectTo); err != nil || p.Status == 410 || p.Status >= 500 {
		t.Errorf("the sign-out at the provider, tried again: %v %+v", err, p)
	}
}

// callbackOf comes back from the provider.
func (r *rollout) callbackOf(t *testing.T, b *browser.Browser, page *browser.Page) *browser.Page {
	t.Helper()
	form, err := page.Form("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	form.Fields.Set("user", "usr_1001")
	back, err := b.SubmitForm(page, form, form.Fields)
	if err != nil {
		t.Fatal(err)
	}
	return back
}
