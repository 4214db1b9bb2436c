//go:build integration

package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
)

// Browser is a person's, which sends nothing to what only apps of a device answer.
func (h *household) Browser() *browser.Browser {
	b := h.World.Browser()
	b.HoldAt(ofDevice)
	return b
}

// ofDevice are the addresses that only apps of a device answer.
func ofDevice(u *url.URL) bool { return u.Host == "app.example.com" || u.Host == "127.0.0.1:9" }

// heldAt is what a navigation comes to if it stops before a path of the gateway.
func (h *household) heldAt(b *browser.Browser, prefix string, goes func() (*browser.Page, error)) *browser.Page {
	h.t.Helper()
	b.HoldAt(func(u *url.URL) bool { return strings.HasPrefix(u.Path, prefix) })
	defer b.HoldAt(ofDevice)
	p, err := goes()
	if err != nil || !p.Unsent {
		h.t.Fatalf("on the way to %s: %+v %v", prefix, p, err)
	}
	return p
}

// who says who it is where the provider asks.
func (h *household) who(b *browser.Browser, p *browser.Page, user string) *browser.Page {
	h.t.Helper()
	if !strings.HasPrefix(p.URL, h.OP.Issuer) {
		return p
	}
	h.asked++
	values := url.Values{"login": {user}}
	form, err := p.Form("Sign in")
	if h.npm == nil {
		form, err = p.Form("ada@example.com")
		values = url.Values{"user": {map[string]string{"ada": "usr_1001", "grace": "usr_1002"}[user]}}
	}
	if err != nil {
		h.t.Fatalf("%v: %d %s %s", err, p.Status, p.URL, p.Text())
	}
	if p, err = b.SubmitForm(p, form, values); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// desk is somebody's session at an app.
type desk struct {
	app       kin
	browser   *browser.Browser
	call      *http.Request // opens what the app is for
	hear      *http.Request // opens its stream of events
	access    string        // of native apps
	refresh   string
	sessionID string
}

// enter opens an app, signing in as user where the provider asks.
func (h *household) enter(b *browser.Browser, k kin, user string) *desk {
	h.t.Helper()
	if k.native() {
		return h.pair(b, k, user)
	}
	p, err := b.Click(browser.At(k.origin+"/"), k.origin+k.start)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.arrived(b, k, h.who(b, p, user))
}

// arrived fails unless a browser came to where the sign-in was to bring it, and is signed in there.
func (h *household) arrived(b *browser.Browser, k kin, p *browser.Page) *desk {
	h.t.Helper()
	want := k.start
	if _, to, ok := strings.Cut(want, "return_to="); ok {
		want = to
	}
	c, ok := b.Cookie(k.origin, "__Host-Http-"+k.id)
	if p.URL != k.origin+want || !ok {
		h.t.Fatalf("signing in at %s ended at %s (signed in: %v): %d %s", k.id, p.URL, ok, p.Status, p.Text())
	}
	h.Scan.Secret("session-cookie", c.Value)
	d := &desk{app: k, browser: b}
	d.call, d.hear = h.asPage(b, k, "GET", k.works()), h.asPage(b, k, "GET", "/bff/events")
	var told struct{ Session struct{ ID string } }
	if _, body := h.do(h.All[1], h.asPage(b, k, "GET", "/bff/session")); json.Unmarshal(body, &told) != nil || told.Session.ID == "" {
		h.t.Fatalf("the session at %s: %s", k.id, body)
	}
	d.sessionID = told.Session.ID
	return d
}

// asPage is a request as an app's own page makes it, to be sent to any instance, also when the browser has lost its cookie.
func (h *household) asPage(b *browser.Browser, k kin, method, path string) *http.Request {
	h.t.Helper()
	header, err := b.RequestHeader(browser.At(k.origin+"/"), browser.Request{Method: method, URL: k.origin + path, Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.request(method, k.origin+path, header)
}

func (h *household) request(method, address string, header http.Header) *http.Request {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, address, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header = header
	return r
}

// asApp is a request with the access handle of a native app.
func (h *household) asApp(d *desk, method, path string) *http.Request {
	return h.request(method, publicOrigin+path, http.Header{"Authorization": {"Bearer " + d.access}})
}

// pair signs in at a native app by the system browser.
func (h *household) pair(b *browser.Browser, k kin, user string) *desk {
	h.t.Helper()
	verifier := oauth2.GenerateVerifier()
	p, err := b.Navigate(publicOrigin + "/mobile/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {k.id}, "redirect_uri": {k.redirect()}, "state": {"s"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode())
	if err != nil {
		h.t.Fatal(err)
	}
	p = h.who(b, p, user)
	if form, err := p.Form("Continue"); err == nil { // one click, where the redirect proves nothing
		if p, err = b.SubmitForm(p, form, nil); err != nil {
			h.t.Fatal(err)
		}
	}
	back, err := url.Parse(p.URL)
	if err != nil || back.Query().Get("code") == "" {
		h.t.Fatalf("no code for %s: %s %v %s", k.id, p.URL, err, p.Text())
	}
	return h.redeemed(k, back.Query().Get("code"), verifier)
}

func (h *household) redeemed(k kin, code, verifier string) *desk {
	h.t.Helper()
	r := h.request("POST", publicOrigin+"/mobile/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	r.Body = io.NopCloser(strings.NewReader(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {k.id}, "code": {code}, "redirect_uri": {k.redirect()}, "code_verifier": {verifier},
	}.Encode()))
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Session struct{ ID string }
	}
	if status, body := h.do(h.All[0], r); status != 200 || json.Unmarshal(body, &got) != nil || got.Access == "" {
		h.t.Fatalf("redeeming for %s: %d %s", k.id, status, body)
	}
	h.Scan.Secret("handle", got.Access)
	h.Scan.Secret("handle", got.Refresh)
	d := &desk{app: k, access: got.Access, refresh: got.Refresh, sessionID: got.Session.ID}
	d.call, d.hear = h.asApp(d, "GET", k.works()), h.asApp(d, "GET", "/mobile/events")
	return d
}

// do sends a copy of a request to an instance, whatever became of a connection before.
func (h *household) do(in *gateway.Instance, r *http.Request) (int, []byte) {
	h.t.Helper()
	c := in.Client()
	defer c.CloseIdleConnections()
	resp, err := c.Do(r.Clone(h.t.Context()))
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, body
}

// moveIn enters every app, in one browser, and counts what it was asked.
func (h *household) moveIn(b *browser.Browser, user string) (desks []*desk) {
	h.t.Helper()
	for _, k := range family() {
		desks = append(desks, h.enter(b, k, user))
	}
	return desks
}

// alive fails unless every instance answers all of them.
func (h *household) alive(what string, desks ...*desk) {
	h.t.Helper()
	for i, in := range h.All {
		for _, d := range desks {
			if status, body := h.do(in, d.call); status != 200 {
				h.t.Errorf("%s: %s at instance %d: %d %.200s", what, d.app.id, i, status, body)
			}
		}
	}
}

// over fails unless every instance says of all of them that the session has ended, and why.
func (h *household) over(what, reason string, desks ...*desk) {
	h.t.Helper()
	for i := len(h.All) - 1; i >= 0; i-- { // mostly it was the first that was asked to end them
		for _, d := range desks {
			status, body := h.do(h.All[i], d.call)
			var p struct{ Code, Reason string }
			if err := json.Unmarshal(body, &p); err != nil || status != 401 || p.Code != "session_ended" || p.Reason != reason {
				h.t.Errorf("%s: %s at instance %d: %d %.200s, want 401 session_ended %s", what, d.app.id, i, status, body, reason)
			}
		}
	}
}

// listen opens the streams of all of them at an instance.
func (h *household) listen(in *gateway.Instance, desks ...*desk) (streams []*gateway.Stream) {
	h.t.Helper()
	for _, d := range desks {
		s := in.Listen(h.t, d.hear.Clone(h.t.Context()))
		if e := s.Next(h.t); e.Name != "session" {
			h.t.Fatalf("%s: first comes %+v", d.app.id, e)
		}
		streams = append(streams, s)
	}
	return streams
}

// lateBy is a generous bound in short runs, which go beside others on busy cores: what is late is later than that.
const lateBy = 10 * time.Second

// hears fails unless each stream is told next that its session has ended, why, and soon; it returns how long the last took.
func (h *household) hears(what, reason string, since time.Time, streams ...*gateway.Stream) (slowest time.Duration) {
	h.t.Helper()
	for i, s := range streams {
		e := s.Next(h.t)
		if e.Name != "session-ended" || e.Data != `{"reason":"`+reason+`"}` {
			h.t.Errorf("%s: stream %d is told %s %s, want session-ended %s", what, i, e.Name, e.Data, reason)
		}
		slowest = max(slowest, e.At.Sub(since))
	}
	if slowest > lateBy {
		h.t.Errorf("%s: a stream was told after %v", what, slowest)
	}
	return slowest
}

// nextSecond waits until another moment of authentication would be another: the claim auth_time counts seconds.
func nextSecond() {
	now := time.Now()
	<-time.After(now.Truncate(time.Second).Add(time.Second + 10*time.Millisecond).Sub(now))
}

// revocations is how many refresh tokens of these clients the provider was asked to revoke.
func (h *household) revocations() (n int) {
	if h.npm != nil {
		for _, g := range h.npm.Grants() {
			if g.Type == "revocation" && g.Error == "" {
				n++
			}
		}
		return n
	}
	refresh := map[string]bool{}
	for _, s := range h.Dev.Issued() {
		refresh[s.Value] = s.Kind == provider.KindRefresh
	}
	asked := h.Dev.RequestsTo(provider.Revoke)
	return len(slices.DeleteFunc(asked, func(r provider.Request) bool { return !refresh[r.Form.Get("token")] }))
}

// await waits until a condition holds.
func (h *household) await(what string, holds func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("it never came that %s", what)
		}
	}
}
