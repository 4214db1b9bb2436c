package mobileapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	mobileapi "cloakroom/mobile-api"
)

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	want := map[string]any{
		"issuer": gateway + "/mobile", "authorization_endpoint": gateway + "/mobile/authorize", "token_endpoint": gateway + "/mobile/token",
		"revocation_endpoint": gateway + "/mobile/revoke", "response_types_supported": []any{"code"}, "response_modes_supported": []any{"query"},
		"grant_types_supported": []any{"authorization_code", "refresh_token"}, "token_endpoint_auth_methods_supported": []any{"none"},
		"revocation_endpoint_auth_methods_supported": []any{"none"}, "code_challenge_methods_supported": []any{"S256"},
		"authorization_response_iss_parameter_supported": true, "pushed_authorization_request_endpoint": gateway + "/mobile/par",
	}
	check := func(path string) {
		t.Helper()
		a := w.send("GET", path, "").is(t, path, 200)
		var got map[string]any
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		if a.header.Get("Cache-Control") != "public, max-age=300" || a.header.Get("Content-Type") != "application/json; charset=utf-8" || a.header.Get("Vary") != "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	check("/.well-known/oauth-authorization-server/mobile")
	want["jwks_uri"], want["subject_types_supported"], want["id_token_signing_alg_values_supported"] = gateway+"/mobile/jwks", []any{"public"}, []any{"RS256"}
	check("/mobile/.well-known/openid-configuration")
	if a := w.send("GET", "/mobile/jwks", "").is(t, "the keys", 200); a.body != `{"keys":[]}` {
		t.Error(a.body)
	}
}

// shows NAT-7.2
func TestAClaimedLinkThatLandsInABrowser(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	to := b.returned("phone", gateway+"/open/phone").is(t, "coming back", 303).location()
	a := b.open(strings.TrimPrefix(to, gateway), "cross-site").is(t, "without the app", 200)
	for name, value := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"} {
		if a.header.Get(name) != value {
			t.Errorf("%s: %q", name, a.header.Get(name))
		}
	}
	code := (&answer{header: map[string][]string{"Location": {to}}}).param(t, "code")
	if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "script-src") {
		t.Error(csp)
	}
	if code == "" || strings.Contains(a.body, code) || strings.Contains(a.body, "iss") && strings.Contains(a.body, gateway) || strings.Contains(a.body, "href") || strings.Contains(a.body, "<script") {
		t.Errorf("%s", a.body)
	}
	w.redeem("phone", gateway+"/open/phone", code).handles(t) // looking at it used up nothing
}

// What the links name has one page, however many apps claim it; a redirect URI that they do not name has none.
func TestWhichClaimedLinksGetAPage(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.apps["phone"].RedirectURIs = []string{gateway + "/twice", gateway + "/mobile/x"}
		w.links = map[string]mobileapi.AppLinks{"phone": {Paths: []string{"/twice"}}, "cli": {Paths: []string{"/twice"}}, "none": {Paths: []string{"/none"}}}
	})
	n := 0
	for _, e := range w.surface.Endpoints() {
		if e.Path == "/twice" {
			n++
		} else if e.Path == "/mobile/x" || e.Path == "/none" {
			t.Errorf("a page at %s", e.Path)
		}
	}
	if n != 1 {
		t.Errorf("%d pages at one path", n)
	}
}
