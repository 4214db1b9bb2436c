package server_test

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"cloakroom/test/browser"
	"cloakroom/test/websocket"
)

// appToken calls an API with the app's own token, twice: one is asked for.
func (o *observed) appToken(b *browser.Browser) {
	o.t.Helper()
	for range 2 {
		if status := o.fetch(b, "GET", "/management/me"); status != 200 {
			o.t.Fatalf("a call with the app's own token: %d\n%s", status, o.log)
		}
	}
	if n := o.now("bff_client_tokens_total", `app="web",result="fetched"`); n != 1 {
		o.t.Errorf("%v tokens of the app's own were fetched, want 1", n)
	}
}

// exchanged calls an API with a token that the user's is exchanged for.
func (o *observed) exchanged(b *browser.Browser) {
	o.t.Helper()
	if status := o.fetch(b, "GET", "/exchanged/orders"); status != 200 {
		o.t.Fatalf("a call with an exchanged token: %d\n%s", status, o.log)
	}
}

// webSocket holds one open while the metrics are read; the frontend closes it.
func (o *observed) webSocket(b *browser.Browser) {
	o.t.Helper()
	session, _ := b.Cookie(webOrigin, "__Host-Http-web")
	ws, res := websocket.Open(o.t, o.addr, websocket.Handshake("web.localhost", "/api/live",
		"Origin: "+webOrigin, "Cookie: __Host-Http-web="+session.Value))
	if res.StatusCode != http.StatusSwitchingProtocols {
		o.t.Fatalf("a WebSocket: %s\n%s", res.Status, o.log)
	}
	o.until("the WebSocket is counted in", func() bool { return o.now("bff_open_websockets", `route="/api/live"`) == 1 })
	kept := o.families["bff_open_websockets"]
	ws.Send(websocket.Close, "\x03\xe8") // 1000
	o.until("the WebSocket is counted out", func() bool {
		return o.now("bff_websockets_closed_total", `by="frontend",route="/api/live"`) == 1
	})
	o.until("none is open after the last was closed", func() bool { return o.now("bff_open_websockets", `route="/api/live"`) == 0 })
	o.families["bff_open_websockets"] = kept
}

// administrator finds and ends a user's sessions, after a program with an old token tried the same.
func (o *observed) administrator() {
	o.t.Helper()
	b := o.signInBrowser()
	o.scan.Secret("admin token", adminToken)
	o.scan.Secret("old admin token", oldAdminToken)
	const users = "/admin/sessions?provider=main&sub=usr_1001"
	if status, text := o.asAdmin(oldAdminToken, "DELETE", users); status != 401 {
		o.t.Errorf("an old token at the admin listener: %d %s", status, text)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if status, text := o.asAdmin(adminToken, method, users); status != 200 {
			o.t.Errorf("%s by an administrator: %d %s", method, status, text)
		}
	}
	if status := o.fetch(b, "GET", "/api/orders"); status != 401 {
		o.t.Errorf("a call after an administrator ended its session: %d", status)
	}
	for _, action := range []string{"find", "end"} {
		if n := o.now("bff_admin_actions_total", `action="`+action+`",result="done"`); n != 1 {
			o.t.Errorf("bff_admin_actions_total of %s is %v, want 1", action, n)
		}
	}
	if n := o.now("bff_refusals_total", `kind="admin"`); n != 1 {
		o.t.Errorf("bff_refusals_total of admin is %v, want 1", n)
	}
}

// oldAdminToken is one that was changed.
const oldAdminToken = "6b1f0c9d8e7a4352b6f1a0c9d8e7f435"

// asAdmin sends a request to the admin listener.
func (o *observed) asAdmin(token, method, path string) (status int, text string) {
	o.t.Helper()
	r, err := http.NewRequest(method, "http://"+o.admin+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// eventsOfTheJourney holds the security events that were logged against those in the docs: each was seen, and no other.
func (o *observed) eventsOfTheJourney() {
	o.t.Helper()
	seen := make(map[string]bool)
	for _, e := range o.entries(func(e entry) bool { return e.Msg == "security event" }) {
		seen[e.Event] = true
	}
	var have []string
	for name := range seen {
		have = append(have, name)
	}
	slices.Sort(have)
	want := names(tableOf(o.t, "Security events"))
	slices.Sort(want)
	if diff := cmp.Diff(want, have); diff != "" {
		o.t.Errorf("security events (-docs +logged):\n%s\n%s", diff, strings.Join(have, ", "))
	}
}
