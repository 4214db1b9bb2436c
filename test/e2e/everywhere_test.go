//go:build integration

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/wire"
)

// way is a way in which somebody ends an SSO session.
type way struct {
	name   string
	reason string
	by     string // the app it is done at; "" where it is done elsewhere
	do     func(h *household, r *round)
	gone   bool // the provider's own session ends with it
}

// round is one sign-in at all apps, and what stands beside it.
type round struct {
	browser *browser.Browser
	desks   []*desk // of the SSO session that ends
	laptop  *desk   // another SSO session of the same user
}

func (r *round) at(id string) *desk {
	for _, d := range r.desks {
		if d.app.id == id {
			return d
		}
	}
	return nil
}

// ways are all that a person and an operator have.
func ways() []way {
	const signedOut = "signed_out"
	native := func(id string) func(*household, *round) {
		return func(h *household, r *round) {
			status, body := h.do(h.All[0], h.asApp(r.at(id), "POST", "/mobile/logout"))
			if status != 200 || !strings.Contains(string(body), `"ended":true`) {
				h.t.Fatalf("signing out: %d %s", status, body)
			}
		}
	}
	return []way{
		{name: "by the form of a browser app, and on to the provider", reason: signedOut, by: "web", gone: true, do: func(h *household, r *round) {
			h.leave(r.browser, r.at("web").app)
		}},
		{name: "by fetch, in the second app", reason: signedOut, by: "mail", do: func(h *household, r *round) {
			h.Want(h.script(r.browser, r.at("mail").app, "POST", "/bff/logout"), 200)
		}},
		{name: "by the form of a server-rendered app", reason: signedOut, by: "pages", do: func(h *household, r *round) {
			h.leaveHere(r.browser, r.at("pages").app)
		}},
		{name: "by the link of the documentation", reason: signedOut, by: "docs", do: func(h *household, r *round) {
			h.leaveByLink(r.browser, r.at("docs").app)
		}},
		{name: "in the mobile app", reason: signedOut, by: "phone", do: native("phone")},
		{name: "in the desktop app", reason: signedOut, by: "cli", do: native("cli")},
		{name: "in the list of devices, on another one", reason: signedOut, do: func(h *household, r *round) {
			h.Want(h.script(r.laptop.browser, r.laptop.app, "DELETE", "/bff/sessions/"+r.at("pages").sessionID), 204)
		}},
		{name: "by an administrator, one session and what belongs to it", reason: "admin", do: func(h *household, r *round) {
			h.admin("/"+r.at("cli").sessionID+"?scope=sso", 6)
		}},
	}
}

// One table for both kinds of provider and every kind of app: signing in once opens all of them, and ending it in any way
// ends all of them, at both instances, right after the answer; every stream is told; nobody else notices.
//
// shows RPL-GROUP, SESS-KILL, PRX-LIVE, RPL-REVOKE, COOKIE-4 (every kind of app), KEY-TTL
//
// shows SCALEKIT-A1, SCALEKIT-A7
func TestOneSignInAndOneSignOutForEveryApp(t *testing.T) {
	t.Parallel()
	for _, at := range providers() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			h := newHousehold(t, at, func(h *household) { h.settings = ", revocable: true" })
			laptop := h.enter(h.Browser(), family()[0], "ada")
			grace := h.enter(h.Browser(), family()[1], "grace")
			beside := h.listen(h.All[1], laptop, grace)
			for i, w := range ways() {
				h.everywhere(w, i, laptop, grace)
			}
			// Nothing was said to the others in all that time: the first they hear is their own end.
			since := time.Now()
			h.admin(fmt.Sprintf("?provider=main&sub=%s", map[bool]string{true: "usr_1001", false: "ada"}[h.npm == nil]), 1)
			h.over("the user was ended", "admin", laptop)
			h.hears("the user was ended", "admin", since, beside[0])
			h.alive("another user's", grace)
			h.Want(h.script(grace.browser, grace.app, "POST", "/bff/logout"), 200)
			h.hears("another user's own sign-out", "signed_out", since, beside[1])
			if h.npm != nil && len(h.npm.Errors()) > 0 {
				t.Errorf("the provider's own faults: %v", h.npm.Errors())
			}
			if without := h.Redis.KeysWithoutTTL(); len(without) > 0 {
				t.Errorf("keys without a TTL: %v", without)
			}
			h.householdLeaks()
		})
	}
}

// everywhere goes one way out.
func (h *household) everywhere(w way, turn int, laptop, grace *desk) {
	h.t.Helper()
	here, there := h.All[turn%2], h.All[1-turn%2]
	h.At(here)
	nextSecond() // where the moment of authentication is what ties sessions, this is another one
	r := &round{browser: h.Browser(), laptop: laptop}
	before, revoked := h.asked, h.revocations()
	r.desks = h.moveIn(r.browser, "ada")
	if h.asked != before+1 {
		h.t.Errorf("%s: to open %d apps the provider asked %d times, want once", w.name, len(r.desks), h.asked-before)
	}
	if turn == 0 {
		h.worthless(r.desks)
		h.oneLook(r.desks)
	}
	h.alive(w.name+", before it", append(r.desks, laptop, grace)...)
	streams := h.listen(there, r.desks...)
	h.wire.Reset()
	since := time.Now()
	w.do(h, r)
	cost := h.wire.Counts()
	h.over(w.name, w.reason, r.desks...)
	slowest := h.hears(w.name, w.reason, since, streams...)
	h.alive(w.name+", who has nothing to do with it", laptop, grace)
	h.t.Logf("%s: the last stream at the other instance knew after %v; Redis: %d round trips, %v", w.name, slowest.Round(time.Millisecond), cost.Flights, cost.Commands)
	// Each session costs one script and an entry in each of three indexes; two more for marker and ticket, and as many for
	// what comes by chance.
	if wrote := writes(cost); !w.gone && wrote > 4*len(r.desks)+4 {
		h.t.Errorf("%s: %d writes to Redis for %d sessions: %v", w.name, wrote, len(r.desks), cost.Commands)
	}
	if !w.gone || h.npm == nil { // what npm's own end took along cannot be revoked any more
		h.await(fmt.Sprintf("%s: all %d refresh tokens are revoked", w.name, len(r.desks)), func() bool { return h.revocations() >= revoked+len(r.desks) })
	}
	for _, d := range r.desks {
		if d.app.native() {
			h.spent(w.name, d)
		}
	}
}

// writes is how often Redis was told something; what open streams look at meanwhile is no part of a sign-out.
func writes(c wire.Counts) (n int) {
	for _, name := range []string{"EVAL", "EVALSHA", "HDEL", "SET", "DEL"} {
		n += c.Commands[name]
	}
	return n
}

// spent fails unless a refresh handle opens nothing any more.
func (h *household) spent(what string, d *desk) {
	h.t.Helper()
	for i := range h.All {
		c := h.All[i].Client()
		resp, err := c.PostForm(publicOrigin+"/mobile/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {d.app.id}, "refresh_token": {d.refresh}})
		if err != nil {
			h.t.Fatal(err)
		}
		resp.Body.Close()
		c.CloseIdleConnections()
		if resp.StatusCode != 400 {
			h.t.Errorf("%s: the refresh handle of %s at instance %d: %d, want 400", what, d.app.id, i, resp.StatusCode)
		}
	}
}

// worthless shows each credential to all other apps, under every name: none opens anything, and none is harmed by it.
func (h *household) worthless(desks []*desk) {
	h.t.Helper()
	for _, from := range desks {
		for _, to := range desks {
			if from.app.id == to.app.id || from.app.native() && to.app.native() { // handles of one surface: its routes are the same
				continue
			}
			r := to.call.Clone(h.t.Context())
			r.Header.Del("Cookie")
			r.Header.Del("Authorization")
			switch {
			case from.app.native():
				r.Header.Set("Authorization", "Bearer "+from.access)
			default:
				own := strings.TrimPrefix(cookieOf(from, from.app.id), "__Host-Http-"+from.app.id+"=")
				r.Header.Set("Cookie", "__Host-Http-"+from.app.id+"="+own+"; __Host-Http-"+to.app.id+"="+own)
			}
			if status, body := h.do(h.All[1], r); status < 400 || status >= 500 {
				h.t.Errorf("the credential of %s at %s: %d %.200s", from.app.id, to.app.id, status, body)
			}
		}
	}
}

// cookieOf is an app's session cookie as a request of it carries it.
func cookieOf(d *desk, id string) string {
	for pair := range strings.SplitSeq(d.call.Header.Get("Cookie"), "; ") {
		if strings.HasPrefix(pair, "__Host-Http-"+id+"=") {
			return pair
		}
	}
	return ""
}

// oneLook fails unless a request of every kind of app costs Redis one command.
func (h *household) oneLook(desks []*desk) {
	h.t.Helper()
	for _, d := range desks {
		var costs []map[string]int
		for range 5 { // that a handle is used for the first time is written beside it, and the clock is asked now and then
			h.wire.Reset()
			if status, body := h.do(h.All[0], d.call); status != 200 {
				h.t.Errorf("%s: %d %.200s", d.app.id, status, body)
			}
			costs = append(costs, h.wire.Counts().Commands)
		}
		if !slices.ContainsFunc(costs, func(c map[string]int) bool { return c["HMGET"] == 1 && len(c) == 1 }) {
			h.t.Errorf("requests of %s cost %v", d.app.id, costs)
		}
	}
}

// script asks as a page's own script does.
func (h *household) script(b *browser.Browser, k kin, method, path string) *browser.Page {
	h.t.Helper()
	p, err := b.Fetch(browser.At(k.origin+"/"), browser.Request{Method: method, URL: k.origin + path, Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	h.Scan.Observe(method+" "+k.id+path, "body", p.Body)
	return p
}

// leaveHere signs out by form, and goes nowhere after the gateway's own answer.
func (h *household) leaveHere(b *browser.Browser, k kin) *browser.Page {
	h.t.Helper()
	return h.heldAt(b, "/bff/logout/", func() (*browser.Page, error) {
		return b.SubmitForm(browser.At(k.origin+"/"), browser.Form{Action: "/bff/logout", Method: http.MethodPost}, nil)
	})
}

// leave signs out by form, and through the provider.
func (h *household) leave(b *browser.Browser, k kin) {
	h.t.Helper()
	p, err := b.Continue(h.leaveHere(b, k))
	if err != nil {
		h.t.Fatal(err)
	}
	for range 2 { // the page that posts to the provider, and the provider's question
		form, err := p.Form("")
		if err != nil {
			break
		}
		if p, err = b.SubmitForm(p, form, url.Values{"logout": {"yes"}}); err != nil {
			h.t.Fatal(err)
		}
	}
	if p.URL != k.origin+"/" && p.URL != k.origin+"/bff/logged-out" {
		h.t.Errorf("signed out of %s, and at %s: %d %s", k.id, p.URL, p.Status, p.Text())
	}
}

// leaveByLink signs out by the address that the session tells.
func (h *household) leaveByLink(b *browser.Browser, k kin) {
	h.t.Helper()
	var told struct {
		LogoutURL string `json:"logout_url"`
	}
	if err := json.Unmarshal(h.script(b, k, "GET", "/bff/session").Body, &told); err != nil || told.LogoutURL == "" {
		h.t.Fatalf("no logout_url at %s: %v", k.id, err)
	}
	h.heldAt(b, "/bff/logout/", func() (*browser.Page, error) { return b.Click(browser.At(k.origin+"/"), k.origin+told.LogoutURL) })
}

// admin ends sessions at the administrator's listener of the first instance.
func (h *household) admin(query string, want int) {
	h.t.Helper()
	r := h.request("DELETE", "http://"+h.All[0].Admin+"/admin/sessions"+query, http.Header{"Authorization": {"Bearer " + householdAdmin}})
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var told struct {
		Done  bool
		Ended int
	}
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || resp.StatusCode != 200 || !told.Done || told.Ended != want {
		h.t.Errorf("DELETE %s: %d %+v (%v), want %d ended", query, resp.StatusCode, told, err, want)
	}
}

// householdLeaks scans what was answered, logged and stored.
func (h *household) householdLeaks() {
	h.t.Helper()
	h.Scan.Secret("admin token", householdAdmin)
	h.Leaks()
}
