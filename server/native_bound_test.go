package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"cloakroom/server"
	"cloakroom/test/prover"
	"cloakroom/test/websocket"
)

// bound is a gateway whose tablet app must bind its handles and answer nonces, and whose API at /api/ tells what it was sent of a
// credential and has a nonce of its own.
func newBound(t *testing.T) *phones {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live" {
			c := websocket.Take(w)
			defer c.Close()
			c.Switch(r, "DPoP-Nonce: of-the-api")
			return
		}
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		w.Header().Set("DPoP-Nonce", "of-the-api")
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		fmt.Fprintf(w, "%s %d proofs, %d credentials, %v", scheme, len(r.Header.Values("DPoP")), len(r.Header.Values("Authorization")), r.Header)
	}))
	t.Cleanup(api.Close)
	return newPhones(t, server.Options{}, func(text string) string {
		text = strings.Replace(text, "tablet: {kind: mobile,", "tablet: {kind: mobile, handle: {dpop: required, dpop_nonce: true},", 1)
		return text + fmt.Sprintf(`
  - {path: /api/, upstream: %[1]q, methods: [GET]}
  - {path: /phones/, upstream: %[1]q, methods: [GET], apps: [phone]}
  - {path: /live, upstream: %[1]q, methods: [GET], websocket: true}
`, api.URL)
	})
}

// nonce is the one nonce of an answer.
func nonce(t *testing.T, what string, res *http.Response) string {
	t.Helper()
	got := res.Header.Values("DPoP-Nonce")
	if len(got) != 1 || got[0] == "of-the-api" {
		t.Errorf("%s: nonces %q", what, got)
		return ""
	}
	return got[0]
}

// Proof and handle are for the gateway alone, and the API's nonce is not for the app: each hop has its own.
//
// shows DPOP-4.3-10 (a proxied answer), DPOP-4.3-9, PRX-AUTHZ
func TestRoutesWithABoundHandle(t *testing.T) {
	b := newBound(t)
	p := prover.New("ES256")
	const token = "https://gw.example.com/mobile/token"
	res, _ := b.call("POST", "/mobile/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"tablet"}, "code": {"x"}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "DPoP", p.Proof("POST", token, ""))
	n := nonce(t, "a first call", res)
	h := b.signIn("tablet", "ada@example.com", "DPoP", p.Proof("POST", token, "", prover.Nonce(n)))
	if h.Refresh != "" {
		t.Error("a refresh handle of a bound session")
	}
	call := func(target, htu string, bend ...prover.Option) (*http.Response, string) {
		return b.call("GET", target, "", "Authorization", "DPoP "+h.Access, "DPoP", p.Proof("GET", "https://gw.example.com"+htu, h.Access, bend...))
	}
	for _, target := range []string{"/api/x", "/api/x?y=%2Fz", "/api/%7Eme/%C3%A4", "/api/a;b=c/d:e"} {
		path, _, _ := strings.Cut(target, "?")
		res, text := call(target, path, prover.Nonce(n))
		if res.StatusCode != 200 || !strings.HasPrefix(text, "Bearer 0 proofs, 1 credentials") || strings.Contains(text, "clk_") || res.Header.Get("WWW-Authenticate") != "" {
			t.Fatalf("%s: %d %v %s", target, res.StatusCode, res.Header, text)
		}
		n = nonce(t, target, res)
	}
	res, text := call("/api/x", "/api/x")
	if challenge := res.Header.Get("WWW-Authenticate"); res.StatusCode != 401 || !strings.Contains(challenge, `error="use_dpop_nonce"`) || !strings.Contains(text, `"code":"use_dpop_nonce"`) {
		t.Errorf("without a nonce: %d %q %s", res.StatusCode, challenge, text)
	}
	nonce(t, "without a nonce", res)
	for htu, what := range map[string]string{"/api/y": "another path", "/api/x/": "a slash more"} {
		res, text = call("/api/x", htu, prover.Nonce(n))
		if res.StatusCode != 401 || !strings.Contains(text, `"code":"invalid_dpop_proof"`) || strings.Contains(text, h.Access) {
			t.Errorf("%s: %d %s", what, res.StatusCode, text)
		}
		nonce(t, what, res)
	}
	res, _ = call("/phones/x", "/phones/x", prover.Nonce(n)) // a problem that comes after the handle was judged
	if nonce(t, "a route of other apps", res); res.StatusCode != 403 {
		t.Errorf("a route of other apps: %s", res.Status)
	}
	_, res = websocket.Open(t, b.addr, websocket.Handshake("gw.example.com", "/live", "Authorization: DPoP "+h.Access,
		"DPoP: "+p.Proof("GET", "https://gw.example.com/live", h.Access, prover.Nonce(n))))
	if nonce(t, "a WebSocket", res); res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("a WebSocket: %s", res.Status)
	}
	res, text = b.call("GET", "/open/x", "", "Authorization", "DPoP x", "DPoP", "x") // where none is looked at
	if res.StatusCode != 200 || res.Header.Get("DPoP-Nonce") != "" {
		t.Errorf("where no handle is looked at: %d %v %s", res.StatusCode, res.Header, text)
	}
	res, text = b.call("GET", "/api/x", "", b.signIn("phone", "ada@example.com").bearer()...)
	if res.StatusCode != 200 || res.Header.Get("DPoP-Nonce") != "" {
		t.Errorf("an app without a key: %d %v %s", res.StatusCode, res.Header, text)
	}
	if log := b.log.String(); !strings.Contains(log, `"rule":"proof of possession: htu"`) || strings.Contains(log, h.Access) || strings.Contains(log, "eyJ") {
		t.Errorf("the log: %s", log)
	}
}
