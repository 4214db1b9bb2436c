//go:build integration

package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// audienceAPI answers with what the token that it is shown says it is good for.
func audienceAPI(t *testing.T) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var claims struct{ Aud any }
		if parts := strings.Split(r.Header.Get("Authorization"), "."); len(parts) == 3 {
			payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
			_ = json.Unmarshal(payload, &claims)
		}
		_, _ = fmt.Fprint(w, claims.Aud)
	}))
	t.Cleanup(api.Close)
	return api.URL
}

// resourceRoute is a route to an API that the provider knows by a name of its own.
func resourceRoute(path, upstream, resource string) string {
	return fmt.Sprintf("\n  - {path: %s, upstream: %q, methods: [GET], token: user, resource: %q}", path, upstream, resource)
}

// Two routes, two audiences; and one that was configured after the sign-in, which the provider refuses: that costs its route,
// and nobody else anything.
//
// shows RES-2
func TestOneTokenForEachResource(t *testing.T) {
	for name, op := range map[string]func(*testing.T, *world.World, world.Options){
		"oidc-provider": world.CertifiedProvider, "the dev provider": world.DevProvider,
	} {
		t.Run("a session at "+name, func(t *testing.T) {
			t.Parallel()
			api := audienceAPI(t)
			w := world.New(t, op, world.Options{
				Routes: resourceRoute("/orders/", api, "https://orders.example.com") + resourceRoute("/stock/", api, "urn:example:stock") +
					fmt.Sprintf("\n  - {path: /own/, upstream: %q, methods: [GET], token: user}", api),
			})
			w.Start(1)
			b := w.Browser()
			w.SignIn(b, "/")
			for range 2 {
				wantAudience(t, w, b, "/orders/1", "https://orders.example.com")
				wantAudience(t, w, b, "/stock/1", "urn:example:stock")
				wantOwn(t, w, b)
			}
			if got := w.OP.Grants("refresh_token"); got < 2 {
				t.Errorf("%d grants", got)
			}
			w.At(later(t, w, resourceRoute("/late/", api, "https://late.example.com")))
			before := w.OP.Grants("refresh_token")
			for range 3 {
				if p := w.Want(w.Fetch(b, "GET", "/late/1", ""), 502); !strings.Contains(string(p.Body), `"code":"token_refused"`) {
					t.Fatalf("a resource that was not asked for at the sign-in: %s", p.Body)
				}
			}
			if got := w.OP.Grants("refresh_token"); got > before+1 { // of the dev provider, those that it refuses count
				t.Errorf("a refused resource was asked for %d times", got-before)
			}
			if n := strings.Count(w.All[1].Log(), "the provider gives no token for a route's resource"); n != 1 {
				t.Errorf("%d alarms, want one", n)
			}
			wantAudience(t, w, b, "/orders/1", "https://orders.example.com")
			wantOwn(t, w, b)
			another := w.Browser()
			w.SignIn(another, "/") // asks for the new one as well
			wantAudience(t, w, another, "/late/1", "https://late.example.com")
			w.Leaks()
		})
	}
}

// wantAudience fails unless the API at a path is shown a token that is good there and nowhere else.
func wantAudience(t *testing.T, w *world.World, b *browser.Browser, path, resource string) {
	t.Helper()
	got := strings.Trim(string(w.Want(w.Fetch(b, "GET", path, ""), 200).Body), "[]")
	if got != resource {
		t.Errorf("%s was shown a token for %q, want %q", path, got, resource)
	}
}

// wantOwn fails unless the session's own token comes through, and is good at none of the resources.
func wantOwn(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	if got := string(w.Want(w.Fetch(b, "GET", "/own/1", ""), 200).Body); strings.Contains(got, "example") {
		t.Errorf("the session's own token is good at %s", got)
	}
}

// later starts one more instance, with one more route.
func later(t *testing.T, w *world.World, route string) *gateway.Instance {
	t.Helper()
	text, err := os.ReadFile(w.Setup.File)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "\nroutes:\n", "\nroutes:"+route+"\n", 1)
	if err := os.WriteFile(w.Setup.File, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return w.Start(1)[1]
}
