//go:build integration

package faults_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/test/world"
)

// framing is the provider of a native world whose pages may end sessions, and whose tokens could be revoked.
func framing(t *testing.T, w *world.World, o world.Options) {
	nativeProvider(t, w, o)
	w.OP.YAML = strings.Replace(w.OP.YAML, "{", "{frontchannel_logout: true, revocable: true, logout_token_revokes: all, ", 1)
}

// framed asks an instance for what a page of the provider embeds, as a browser does that sends no cookie with it.
func (n *nativeWorld) framed(t *testing.T, at int, address string, query url.Values, header ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest("GET", address+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range []string{"cross-site", "navigate", "iframe"} {
		r.Header.Set([]string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"}[i], value)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := n.clients[at].Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// What is unsigned ends only what is stored under both names, tells nobody what it found, and revokes nothing.
//
// shows FCL-2-1, FCL-2-2, FCL-5
func TestTheFrontChannel(t *testing.T) {
	t.Parallel()
	n := newNativeAt(t, framing, world.Options{})
	b := n.phone()
	n.SignIn(b, "/")
	h := n.signIn(t, b)
	r := request(t, n.World, b)
	const webFramed, phoneFramed = world.Origin + "/bff/frontchannel-logout", publicURL + "/mobile/frontchannel-logout"
	iss, sid := n.OP.Issuer, n.sid()
	_, _, page := n.framed(t, 0, webFramed, nil)
	for what, query := range map[string]url.Values{
		"a sid alone":            {"sid": {sid}},
		"an iss alone":           {"iss": {iss}},
		"another issuer":         {"iss": {"https://evil.example"}, "sid": {sid}},
		"a sid of nobody":        {"iss": {iss}, "sid": {"ses_0"}},
		"two sids":               {"iss": {iss}, "sid": {sid, sid}},
		"a cookie, but no sid":   {"iss": {iss}},
		"the issuer and a slash": {"iss": {iss + "/"}, "sid": {sid}},
	} {
		for _, address := range []string{webFramed, phoneFramed} {
			status, header, body := n.framed(t, 0, address, query, "Cookie", r.Header.Get("Cookie"))
			if status != 200 || body != page || len(header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s at %s: %d %v\n%.200s", what, address, status, header, body)
			}
		}
		if got := send(n.All[1], r); got != 200 {
			t.Fatalf("%s ended a session: %d", what, got)
		}
	}
	n.lives(t, h, 200)
	status, header, body := n.framed(t, 0, phoneFramed, url.Values{"iss": {iss}, "sid": {sid}})
	policy := header.Get("Content-Security-Policy")
	if status != 200 || body != page || header.Get("Cache-Control") != "no-store" || header.Get("X-Frame-Options") != "" ||
		!strings.Contains(policy, "frame-ancestors "+iss+";") {
		t.Errorf("the good one: %d %v", status, header)
	}
	n.out(t, 1, r)
	n.gone(t, "the front channel", h)
	n.All[0].AwaitLog(`"channel":"front"`)
	if asked := n.Dev.RequestsTo(provider.Revoke); len(asked) > 0 {
		t.Errorf("%d revocations by an unsigned request", len(asked))
	}
	// Guessing ends soon.
	limited := 0
	for range 300 {
		if status, _, _ := n.framed(t, 0, webFramed, url.Values{"iss": {iss}, "sid": {"ses_guess"}}); status == 429 {
			limited++
		}
	}
	if limited == 0 {
		t.Error("300 guesses were not limited")
	}
}
