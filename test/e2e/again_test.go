//go:build integration

package e2e_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
)

// withoutSignOut is a provider that has no end_session endpoint.
func withoutSignOut(h *household) {
	h.yaml = "issuer: %q, token_auth: client_secret_post, sso_by: sid"
	h.behave = func(b *provider.Behaviour) { b.EditDiscovery = without("end_session_endpoint") }
}

// Signing in again works at once, whatever became of the provider's own session: at the app that signed out by itself, at
// another app of the same browser with one click at most, which tells of the sign-out. A sign-in that began before it is
// caught. And whoever asks silently is told whether there is a session.
//
// shows BCL-RACE (signing in again), RPL-GROUP
//
// shows SCALEKIT-A2, SCALEKIT-A9
func TestSigningInAgainAtOnce(t *testing.T) {
	t.Parallel()
	rows := []struct {
		provided
		change func(*household)
		ends   bool // its own session goes with a sign-out
	}{
		{providers()[0], nil, true},
		{providers()[1], nil, true},
		{provided{"a provider without end_session", providers()[0].set}, withoutSignOut, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := newHousehold(t, row.provided, row.change)
			h.silently()
			here := func(b *browser.Browser, k kin) { h.leaveHere(b, k) } // nobody goes on to the provider
			web, mail, pages, docs := family()[0], family()[1], family()[2], family()[3]
			h.again(web, "through the provider", row.ends, h.leave)
			h.again(pages, "through the provider", row.ends, h.leave)
			h.again(web, "here alone", false, here)
			h.again(mail, "here alone", false, here)
			h.again(docs, "here alone", false, here)
			h.overtaken()
			h.householdLeaks()
		})
	}
}

// again signs in at two apps, out at one, and in again at both.
func (h *household) again(k kin, how string, ends bool, leave func(*browser.Browser, kin)) {
	h.t.Helper()
	what := k.id + ", signed out " + how
	nextSecond()
	b, sibling := h.Browser(), family()[0]
	if sibling.id == k.id {
		sibling = family()[1]
	}
	before := []*desk{h.enter(b, k, "ada"), h.enter(b, sibling, "ada")}
	leave(b, k)
	h.over(what, "signed_out", before...)
	asked := h.asked
	if ends {
		asked++
	}
	direct := k
	if !strings.HasPrefix(k.start, "/bff/") { // its pages say first that one has signed out, and offer the sign-in
		direct.start = "/bff/login?return_to=" + url.QueryEscape(k.start)
	}
	p, err := b.Click(browser.At(k.origin+"/"), k.origin+direct.start)
	if err != nil {
		h.t.Fatal(err)
	}
	first := h.arrived(b, k, h.who(b, p, "ada")) // no click more
	second, clicks := h.enterTold(b, sibling, "ada")
	if h.asked != asked {
		h.t.Errorf("%s: the provider asked %d times more often than it should have", what, h.asked-asked)
	}
	h.alive(what+", and in again", first, second)
	h.over(what+", and in again", "signed_out", before...)
	h.t.Logf("%s: %s took %d clicks more", what, sibling.id, clicks)
}

// enterTold is enter, by way of the page that tells of a sign-out if there is one.
func (h *household) enterTold(b *browser.Browser, k kin, user string) (d *desk, clicks int) {
	h.t.Helper()
	p, err := b.Click(browser.At(k.origin+"/"), k.origin+k.start)
	if err != nil {
		h.t.Fatal(err)
	}
	if p = h.who(b, p, user); p.Status == 403 {
		p, clicks = h.told(b, k, p, user), 1
	} else if link, err := p.Link("Sign in again"); err == nil { // a page behind the sign-in that was left a moment ago
		if p, err = b.Click(p, link); err != nil {
			h.t.Fatal(err)
		}
		p, clicks = h.who(b, p, user), 1
	}
	return h.arrived(b, k, p), clicks
}

// told fails unless a page tells of a sign-out and gives nothing away; it returns where its one click leads.
func (h *household) told(b *browser.Browser, k kin, p *browser.Page, user string) *browser.Page {
	h.t.Helper()
	if p.Status != 403 || !strings.Contains(p.Text(), "login_signed_out") {
		h.t.Fatalf("a sign-in at %s that was overtaken: %d %s %s", k.id, p.Status, p.URL, p.Text())
	}
	for _, hop := range p.Hops {
		if set := strings.Join(hop.Header.Values("Set-Cookie"), "\n"); strings.Contains(set, "__Host-Http-"+k.id+"=") && !strings.Contains(set, "__Host-Http-"+k.id+"=;") {
			h.t.Errorf("a sign-in at %s that was overtaken gave a session: %s", k.id, set)
		}
	}
	link, err := p.Link("Sign in")
	if err != nil {
		h.t.Fatal(err)
	}
	if p, err = b.Click(p, link); err != nil {
		h.t.Fatal(err)
	}
	p = h.who(b, p, user)
	if p.Status != 400 || !strings.Contains(p.Text(), "login_code_rejected") {
		return p
	}
	// The tokens of what was overtaken are revoked beside the answer. Where that reaches the whole grant, it takes with it the code
	// of a sign-in that begins at the same moment: then the page says so, and its one click works.
	if link, err = p.Link("Sign in"); err != nil {
		h.t.Fatal(err)
	}
	if p, err = b.Click(p, link); err != nil {
		h.t.Fatal(err)
	}
	return h.who(b, p, user)
}

// overtaken: the provider has answered a sign-in, and before its answer arrives the user signs out in another app.
func (h *household) overtaken() {
	h.t.Helper()
	for _, k := range family()[1:3] {
		nextSecond()
		b, web := h.Browser(), family()[0]
		first := h.enter(b, web, "ada")
		held := h.heldAt(b, "/bff/callback", func() (*browser.Page, error) { return b.Click(browser.At(k.origin+"/"), k.origin+k.start) })
		if !strings.HasPrefix(held.URL, k.origin) {
			h.t.Fatalf("held at %s", held.URL)
		}
		h.Want(h.script(b, web, "POST", "/bff/logout"), 200)
		h.At(h.All[1]) // the callback comes to the other instance
		p, err := b.Continue(held)
		if err != nil {
			h.t.Fatal(err)
		}
		d := h.arrived(b, k, h.told(b, k, p, "ada"))
		h.alive(k.id+" after the sign-in that was overtaken", d)
		h.over("the sign-in before", "signed_out", first)
		h.At(h.All[0])
	}
}

// silently asks for a sign-in that must show nothing, at each kind of browser app, before anybody is known and after.
func (h *household) silently() {
	h.t.Helper()
	b := h.Browser()
	to := func(k kin) string {
		if path, _, _ := strings.Cut(k.start, "?"); path != "/bff/login" {
			return path // behind the sign-in: there a page says so, and asks nobody
		}
		return "/home"
	}
	ask := func(k kin) *browser.Page {
		p, err := b.Click(browser.At(k.origin+"/"), k.origin+"/bff/login?"+url.Values{"prompt": {"none"}, "return_to": {to(k)}}.Encode())
		if err != nil {
			h.t.Fatal(err)
		}
		return p
	}
	for _, k := range family()[:4] {
		p := ask(k)
		if _, ok := b.Cookie(k.origin, "__Host-Http-"+k.id); ok {
			h.t.Errorf("%s: signed in out of nothing", k.id)
		}
		if !strings.HasPrefix(p.URL, k.origin+to(k)+"?login_error=login_required") || p.Status == 200 {
			h.t.Errorf("%s: a silent sign-in of nobody ended at %s (%d): %s", k.id, p.URL, p.Status, p.Text())
		}
	}
	h.enter(b, family()[0], "ada")
	for _, k := range family()[1:4] {
		asked := h.asked
		p := ask(k)
		if _, ok := b.Cookie(k.origin, "__Host-Http-"+k.id); !ok || h.asked != asked || !strings.HasPrefix(p.URL, k.origin+"/") || strings.Contains(p.URL, "login_error") {
			h.t.Errorf("%s: a silent sign-in of who is known ended at %s (%d)", k.id, p.URL, p.Status)
		}
	}
}

// The provider ends its session of its own accord and tells each client. All apps are over at every instance, and all
// streams are told, at an instance that hears no events of Redis within the watch's seconds.
//
// shows BCL-2.7-1, BCL-RACE (the other node right after 200), PRX-LIVE, BCL-DOS (several clients, one address)
func TestTheProviderEndsItsSession(t *testing.T) {
	t.Parallel()
	for _, at := range providers() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			h := newHousehold(t, at, nil)
			h.Redis.Do("ACL", "SETUSER", "deaf", "on", ">pass", "~*", "+@all", "resetchannels")
			h.Start(1, "CLOAKROOM_PUBLIC__URL="+publicOrigin, "CLOAKROOM_REDIS__USERNAME=deaf", "CLOAKROOM_REDIS__PASSWORD=pass")
			laptop, grace := h.enter(h.Browser(), family()[0], "ada"), h.enter(h.Browser(), family()[1], "grace")
			nextSecond()
			b := h.Browser()
			desks := h.moveIn(b, "ada")
			h.alive("before it", append(desks, laptop, grace)...)
			streams, deaf := h.listen(h.All[0], desks...), h.listen(h.All[2], desks...)
			since := time.Now()
			h.endThere(b, len(desks))
			h.over("the provider's own end", "provider_logout", desks...)
			soon := h.hears("the provider's own end", "provider_logout", since, streams...)
			late := h.hears("the provider's own end, where no event comes", "provider_logout", since, deaf...)
			t.Logf("the last stream knew after %v; where no event comes after %v", soon.Round(time.Millisecond), late.Round(time.Millisecond))
			h.alive("others", laptop, grace)
			if got := h.relay.Passed(200); got != len(desks) {
				t.Errorf("%d logout tokens were answered 200, want %d", got, len(desks))
			}
			h.householdLeaks()
		})
	}
}

// endThere ends the session at the provider, and waits until it has told each client.
func (h *household) endThere(b *browser.Browser, clients int) {
	h.t.Helper()
	if h.npm == nil {
		all := h.Dev.Sessions()
		for _, d := range h.Dev.RevokeSession(h.t.Context(), all[len(all)-1].SID) {
			if d.Status != 200 || d.Err != nil {
				h.t.Errorf("client %s: %d %v %s", d.Client, d.Status, d.Err, d.Body)
			}
		}
		return
	}
	p, err := b.Navigate(h.npm.Issuer + "/session/end") // its own page: no app of ours sent anybody there
	if err != nil {
		h.t.Fatal(err)
	}
	form, err := p.Form("Sign me out")
	if err != nil {
		h.t.Fatalf("%v: %s", err, p.Text())
	}
	if _, err := b.SubmitForm(p, form, url.Values{"logout": {"yes"}}); err != nil {
		h.t.Fatal(err)
	}
	h.await("each client is told", func() bool { return len(h.npm.Logouts()) >= clients })
	for _, l := range h.npm.Logouts() {
		if l.Error != "" {
			h.t.Errorf("client %s: %s", l.Client, l.Error)
		}
	}
}
