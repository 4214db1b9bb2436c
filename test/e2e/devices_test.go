//go:build integration

package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

const (
	docsOrigin   = "http://docs.localhost"
	publicOrigin = "http://gw.localhost"
	cliRedirect  = "http://127.0.0.1:9/callback" // RFC 863's port: nobody listens, and no request is sent
)

// devices is a world with two browser apps and a native one, over two instances.
type devices struct {
	*world.World
	t *testing.T
}

func newDevices(t *testing.T, session string) *devices {
	t.Helper()
	const docsSecret, cliSecret = "the-docs-secret-at-the-provider", "the-cli-secret-at-the-provider"
	w := world.New(t, world.DevProvider, world.Options{
		App: "    session: {" + session + "}\n",
		Apps: `
  docs:
    kind: spa
    origin: ` + docsOrigin + `
    provider: main
    client_id: webc_2
    client_secret: ` + docsSecret + `
    claims: [sub]
  cli:
    kind: desktop
    provider: main
    client_id: nativec_1
    client_secret: ` + cliSecret + `
    claims: [sub]
    redirect_uris: ["http://127.0.0.1/callback"]
`,
	})
	w.Dev.Register(provider.Client{
		ID: "webc_2", Secret: docsSecret,
		RedirectURIs: []string{docsOrigin + "/bff/callback"}, PostLogoutRedirectURIs: []string{docsOrigin + "/bff/logged-out"},
	})
	w.Dev.Register(provider.Client{
		ID: "nativec_1", Secret: cliSecret,
		RedirectURIs: []string{publicOrigin + "/mobile/callback/cli"}, PostLogoutRedirectURIs: []string{publicOrigin + "/mobile/logged-out"},
	})
	w.Start(2, "CLOAKROOM_PUBLIC__URL="+publicOrigin)
	return &devices{w, t}
}

// user answers the provider's page of users, if it is shown.
func (d *devices) user(b *browser.Browser, p *browser.Page, email, sub string) *browser.Page {
	d.t.Helper()
	form, err := p.Form(email)
	if err != nil {
		return p // the provider knew the user
	}
	if p, err = b.SubmitForm(p, form, url.Values{"user": {sub}}); err != nil {
		d.t.Fatal(err)
	}
	return p
}

// signIn signs in at an app.
func (d *devices) signIn(b *browser.Browser, origin, start, email, sub string) {
	d.t.Helper()
	p, err := b.Click(browser.At(origin+"/"), origin+start)
	if err != nil {
		d.t.Fatal(err)
	}
	p = d.user(b, p, email, sub)
	if !strings.HasPrefix(p.URL, origin+"/") {
		d.t.Fatalf("signing %s in ended at %s: %d %s", email, p.URL, p.Status, p.Text())
	}
	for _, c := range b.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-Http-") && len(c.Value) == 43 {
			d.Scan.Secret("session-cookie", c.Value)
		}
	}
}

func (d *devices) ada(origin string) *browser.Browser {
	d.t.Helper()
	b := d.Browser()
	d.signIn(b, origin, "/bff/login", "ada@example.com", "usr_1001")
	return b
}

// native signs Ada in at the native app and returns its access handle and the session's id.
func (d *devices) native() (access, id string) {
	d.t.Helper()
	b := d.Browser()
	b.HoldAt(func(u *url.URL) bool { return u.Host == "127.0.0.1:9" })
	verifier := oauth2.GenerateVerifier()
	p, err := b.Navigate(publicOrigin + "/mobile/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"cli"}, "redirect_uri": {cliRedirect}, "state": {"s"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode())
	if err != nil {
		d.t.Fatal(err)
	}
	p = d.user(b, p, "ada@example.com", "usr_1001")
	form, err := p.Form("Continue")
	if err != nil {
		d.t.Fatalf("%v: %s %s", err, p.URL, p.Text())
	}
	if p, err = b.SubmitForm(p, form, nil); err != nil {
		d.t.Fatal(err)
	}
	back, err := url.Parse(p.URL)
	if err != nil || back.Query().Get("code") == "" {
		d.t.Fatalf("no code: %s %v", p.URL, err)
	}
	req, err := http.NewRequest("POST", publicOrigin+"/mobile/token", strings.NewReader(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"cli"}, "code": {back.Query().Get("code")}, "redirect_uri": {cliRedirect},
		"code_verifier": {verifier}, "device_name": {"Ada's workbench"},
	}.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Session struct{ ID string }
	}
	if status, body := d.do(d.All[1], req); status != 200 || json.Unmarshal(body, &got) != nil || got.Session.ID == "" {
		d.t.Fatalf("redeeming: %d %s", status, body)
	}
	d.Scan.Secret("handle", got.Access)
	d.Scan.Secret("handle", got.Refresh)
	return got.Access, got.Session.ID
}

func (d *devices) do(in *gateway.Instance, req *http.Request) (int, []byte) {
	d.t.Helper()
	c := in.Client()
	defer c.CloseIdleConnections()
	resp, err := c.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, body
}

// call asks as the native app does.
func (d *devices) call(in *gateway.Instance, method, path, access string) (int, []byte) {
	d.t.Helper()
	req, err := http.NewRequest(method, publicOrigin+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	status, body := d.do(in, req)
	if path != "/mobile/token" {
		d.Scan.Observe(method+" "+path, "body", body)
	}
	return status, body
}

// fetch asks as a page of an app does.
func (d *devices) fetch(b *browser.Browser, method, origin, path string) *browser.Page {
	d.t.Helper()
	p, err := b.Fetch(browser.At(origin+"/"), browser.Request{Method: method, URL: origin + path, Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	d.Scan.Observe(method+" "+origin+path, "body", p.Body)
	return p
}

// listed is one row of the list.
type listed struct {
	ID, App, Kind, Device string
	Current               bool
}

func (d *devices) list(body []byte) (rows []listed) {
	d.t.Helper()
	var told struct{ Sessions []listed }
	if err := json.Unmarshal(body, &told); err != nil {
		d.t.Fatalf("%s: %v", body, err)
	}
	for _, word := range []string{"usr_1001", "Ada L", "ada@", "Mozilla", "ses_"} {
		if strings.Contains(string(body), word) {
			d.t.Errorf("the list holds %q: %s", word, body)
		}
	}
	return told.Sessions
}

// seat is one session of the test: who it is, and how it answers an API call at each instance.
type seat struct {
	name string
	ask  func(in *gateway.Instance) int
}

// at is the seat of a browser at an app.
func (d *devices) at(name string, b *browser.Browser, origin string) seat {
	return seat{name, func(in *gateway.Instance) int {
		d.At(in)
		return d.fetch(b, "GET", origin, "/api/orders").Status
	}}
}

// alive names the seats that every instance answers; one that only some answer is an error.
func (d *devices) alive(seats []seat) (names []string) {
	d.t.Helper()
	for _, s := range seats {
		var got []int
		for _, in := range d.All {
			got = append(got, s.ask(in))
		}
		switch got = slices.Compact(got); {
		case len(got) == 1 && got[0] == 200:
			names = append(names, s.name)
		case len(got) != 1 || got[0] != 401:
			d.t.Errorf("%s is answered %v", s.name, got)
		}
	}
	return names
}

// One user at two browser apps and a native one, another user beside, two instances: what the list shows, and what ends.
//
// shows SESS-LIST, SESS-KILL, COOKIE-4 (the list), LOG-1 (the list)
func TestTheUsersDevices(t *testing.T) {
	t.Parallel()
	d := newDevices(t, "recent: 10m")
	desk := d.ada(world.Origin)
	d.signIn(desk, docsOrigin, "/bff/login", "ada@example.com", "usr_1001") // the same session at the provider
	laptop := d.ada(world.Origin)
	access, cliID := d.native()
	grace := d.Browser()
	d.signIn(grace, world.Origin, "/bff/login", "grace@example.com", "usr_1002")
	seats := []seat{
		d.at("desk", desk, world.Origin), d.at("docs", desk, docsOrigin), d.at("laptop", laptop, world.Origin),
		{"cli", func(in *gateway.Instance) int { status, _ := d.call(in, "GET", "/api/orders", access); return status }},
		d.at("grace", grace, world.Origin),
	}
	want := func(what string, names ...string) {
		t.Helper()
		if diff := cmp.Diff(names, d.alive(seats)); diff != "" {
			t.Fatalf("alive %s (-want +got):\n%s", what, diff)
		}
	}
	want("at first", "desk", "docs", "laptop", "cli", "grace")

	// The list, by a browser and by the app, at either instance.
	var told struct{ Session struct{ ID string } }
	if err := json.Unmarshal(d.fetch(desk, "GET", world.Origin, "/bff/session").Body, &told); err != nil {
		t.Fatal(err)
	}
	rows := d.list(d.fetch(desk, "GET", world.Origin, "/bff/sessions").Body)
	kinds := map[string]string{}
	for i, row := range rows {
		kinds[row.App] += row.Kind + " "
		if row.Current != (i == 0) || row.Current != (row.ID == told.Session.ID) || (row.ID == cliID) != (row.Device == "Ada's workbench") {
			t.Errorf("row %d: %+v", i, row)
		}
	}
	if diff := cmp.Diff(map[string]string{"web": "spa spa ", "docs": "spa ", "cli": "desktop "}, kinds); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
	status, body := d.call(d.All[0], "GET", "/mobile/sessions", access)
	if app := d.list(body); status != 200 || len(app) != 4 || app[0].ID != cliID || !app[0].Current {
		t.Errorf("the app's list: %d %+v", status, app)
	}
	graces := d.list(d.fetch(grace, "GET", world.Origin, "/bff/sessions").Body)
	if len(graces) != 1 {
		t.Fatalf("another user's list: %+v", graces)
	}

	// Of another user, of another app: nothing.
	for _, id := range []string{graces[0].ID, strings.Repeat("A", 22), "x"} {
		d.Want(d.fetch(desk, "DELETE", world.Origin, "/bff/sessions/"+id), 404)
		if status, body := d.call(d.All[1], "DELETE", "/mobile/sessions/"+id, access); status != 404 {
			t.Errorf("the app ending %q: %d %s", id, status, body)
		}
	}
	docs, ok := desk.Cookie(docsOrigin, "__Host-Http-docs")
	if !ok {
		t.Fatal("no cookie of docs")
	}
	for _, method := range []string{"GET", "DELETE"} {
		req, err := http.NewRequest(method, world.Origin+"/bff/sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"X-Csrf": {"1"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {"__Host-Http-web=" + docs.Value}}
		if status, body := d.do(d.All[0], req); status != 401 {
			t.Errorf("%s with the cookie of another app: %d %s", method, status, body)
		}
	}
	want("after what must not end anything", "desk", "docs", "laptop", "cli", "grace")

	d.Want(d.fetch(desk, "DELETE", world.Origin, "/bff/sessions/"+cliID), 204)
	want("after one was ended", "desk", "docs", "laptop", "grace")
	d.At(d.All[1])
	d.Want(d.fetch(desk, "DELETE", world.Origin, "/bff/sessions"), 204)
	want("after the others were ended", "desk", "docs", "grace")
	// One may sign in again; within the two seconds that clocks may differ by, it takes a click more.
	for deadline := time.Now().Add(30 * time.Second); d.fetch(laptop, "GET", world.Origin, "/api/orders").Status != 200; {
		d.signIn(laptop, world.Origin, "/bff/login", "ada@example.com", "usr_1001")
		if time.Now().After(deadline) {
			t.Fatal("signing in again never works")
		}
	}
	want("after signing in again", "desk", "docs", "laptop", "grace")

	// From the laptop, one app of the desk takes the other along: they are one SSO session.
	d.At(d.All[0])
	for _, row := range d.list(d.fetch(laptop, "GET", world.Origin, "/bff/sessions").Body) {
		if row.App == "docs" {
			d.Want(d.fetch(laptop, "DELETE", world.Origin, "/bff/sessions/"+row.ID), 204)
		}
	}
	want("after the desk was ended", "laptop", "grace")
	if without := d.Redis.KeysWithoutTTL(); len(without) > 0 {
		t.Errorf("keys without a TTL: %v", without)
	}
	d.Leaks()
}

// Long after the sign-in nothing is ended; where the refusal sends to, one comes back able to.
//
// shows SESS-LIST
func TestEndingADeviceAfterSigningInAgain(t *testing.T) {
	t.Parallel()
	d := newDevices(t, "recent: 5s") // longer than a sign-in takes on a busy machine, short enough to wait for
	desk, laptop := d.ada(world.Origin), d.ada(world.Origin)
	other := d.list(d.fetch(laptop, "GET", world.Origin, "/bff/sessions").Body)[0].ID
	var refusal *browser.Page
	for deadline := time.Now().Add(30 * time.Second); refusal == nil; <-time.After(100 * time.Millisecond) {
		if p := d.fetch(desk, "DELETE", world.Origin, "/bff/sessions/unknown"); p.Status == 403 {
			refusal = p
		} else if p.Status != 404 || time.Now().After(deadline) {
			t.Fatalf("waiting to be refused: %d %s", p.Status, p.Body)
		}
	}
	var told struct {
		Code     string
		MaxAge   int    `json:"max_age"`
		LoginURL string `json:"login_url"`
	}
	if err := json.Unmarshal(refusal.Body, &told); err != nil || told.Code != "recent_sign_in_required" || told.MaxAge != 5 || told.LoginURL == "" {
		t.Fatalf("the refusal: %s %v", refusal.Body, err)
	}
	d.Want(d.fetch(desk, "DELETE", world.Origin, "/bff/sessions/"+other), 403)
	d.Want(d.fetch(laptop, "GET", world.Origin, "/api/orders"), 200)
	to, err := url.Parse(told.LoginURL)
	if err != nil {
		t.Fatal(err)
	}
	query := to.Query()
	query.Set("return_to", "/settings")
	p, err := desk.Click(browser.At(world.Origin+"/"), world.Origin+to.Path+"?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(p.URL, world.Origin) {
		t.Fatalf("the provider asked nobody: %s", p.URL)
	}
	if p = d.user(desk, p, "ada@example.com", "usr_1001"); p.URL != world.Origin+"/settings" {
		t.Fatalf("back at %s", p.URL)
	}
	d.Want(d.fetch(desk, "DELETE", world.Origin, "/bff/sessions/"+other), 204)
	d.Want(d.fetch(laptop, "GET", world.Origin, "/api/orders"), 401)
	d.Want(d.fetch(desk, "GET", world.Origin, "/api/orders"), 200)
}

// A user's fourth sign-in at an app with room for three ends the first, over instances; another app of theirs is another
// matter.
//
// shows SESS-LIST (the limit)
func TestTheLimitOfSessions(t *testing.T) {
	t.Parallel()
	d := newDevices(t, "most: 3")
	var seats []seat
	for i := range 4 {
		d.At(d.All[i%2])
		b := d.ada(world.Origin)
		seats = append(seats, d.at([]string{"first", "second", "third", "fourth"}[i], b, world.Origin))
		if i == 0 {
			d.signIn(b, docsOrigin, "/bff/login", "ada@example.com", "usr_1001")
			seats = append(seats, d.at("docs", b, docsOrigin))
		}
	}
	if diff := cmp.Diff([]string{"docs", "second", "third", "fourth"}, d.alive(seats)); diff != "" {
		t.Errorf("alive (-want +got):\n%s", diff)
	}
	d.All[1].AwaitLog(`"reason":"limit"`) // the fourth was signed in there
}
