package proxy_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

func TestMatch(t *testing.T) {
	// shows PRX-ALLOW, PRX-CACHE
	const up = "https://api.internal"
	get, both := []string{"GET"}, []string{"GET", "POST"}
	table, err := proxy.NewTable([]proxy.Route{
		{Name: "api", Path: "/api/", Upstream: up, Methods: both},
		{Name: "admin", Path: "/api/admin/", Upstream: up, Methods: get, Apps: []string{"back"}},
		{Name: "exact", Path: "/api/orders", Upstream: up, Methods: get},
		{Name: "read", Path: "/api/items/", Upstream: up, Methods: get},
		{Name: "write", Path: "/api/items/", Upstream: up, Methods: []string{"PUT"}},
		{Name: "logo", Path: "/api/logo.png", Upstream: up, Methods: get},
		{Name: "maps", Path: "/maps/", Upstream: up, Methods: get, StaticSuffixes: []string{".png"}},
		{Name: "pictures", Path: "/pictures/", Upstream: up, Methods: get, Guard: proxy.GuardOrigin},
		{Name: "accents", Path: "/only", Upstream: up, Methods: get},
		{Name: "notes", Path: "/notes/", Upstream: up, Methods: get, Kind: proxy.KindSite, Apps: []string{"notes"}},
		{Name: "heads", Path: "/heads", Upstream: up, Methods: []string{"HEAD"}},
		{Name: "gets", Path: "/heads", Upstream: up, Methods: get},
		{Name: "posts", Path: "/posts", Upstream: up, Methods: []string{"POST"}},
		{Name: "shared", Path: "/shared/", Upstream: up, Methods: get, Kind: proxy.KindSite, Apps: []string{"notes"}},
		{Name: "shared api", Path: "/shared/", Upstream: up, Methods: get, Apps: []string{"back"}},
	}, proxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		with, app, method, path string
		want                    string // name, or code
		allow                   []string
	}{
		{with: "a path below a tree", path: "/api/x/y", want: "api"},
		{with: "the tree itself", path: "/api/", want: "api"},
		{with: "the tree without its slash", path: "/api", want: "api"},
		{with: "a longer name", path: "/apix", want: "not_found"},
		{with: "no route at all", path: "/", want: "not_found"},
		{with: "the exact path", path: "/api/orders", want: "exact"},
		{with: "something below an exact path", path: "/api/orders/7", want: "api"},
		{with: "an exact path and a slash", path: "/only/", want: "not_found"},
		{with: "the longest path", app: "back", path: "/api/admin/x", want: "admin"},
		{with: "the longest path escaped", app: "back", path: "/api/%61dmin/x", want: "admin"},
		{with: "a longest path for another app", path: "/api/admin/x", want: "app_not_allowed"},
		{with: "a longest path for another app, escaped", path: "/%61pi/adm%69n/x", want: "app_not_allowed"},
		{with: "a path of its own site", app: "notes", path: "/notes/new", want: "notes"},
		{with: "a path of another app's site", path: "/notes/new", want: "not_found"},
		{with: "a path of another app's site and a third one's API", path: "/shared/x", want: "app_not_allowed"},
		{with: "a longest path hidden behind a parameter", path: "/api/admin;a/x", want: "bad_request"},
		{with: "a longest path hidden behind an escaped parameter", path: "/api/admin%3Ba/x", want: "bad_request"},
		{with: "a harmless parameter", path: "/api/a;b=1", want: "api"},
		{with: "an unlisted method", method: "DELETE", path: "/api/x", want: "method_not_allowed", allow: []string{"GET", "HEAD", "POST"}},
		{with: "a method the shorter route has", method: "POST", path: "/api/orders", want: "method_not_allowed", allow: []string{"GET", "HEAD"}},
		{with: "TRACE", method: "TRACE", path: "/api/x", want: "method_not_allowed", allow: []string{"GET", "HEAD", "POST"}},
		{with: "the other route's method", method: "PUT", path: "/api/items/1", want: "write"},
		{with: "neither route's method", method: "POST", path: "/api/items/1", want: "method_not_allowed", allow: []string{"GET", "HEAD", "PUT"}},
		{with: "HEAD where GET is taken", method: "HEAD", path: "/api/items/1", want: "read"},
		{with: "HEAD where it is listed apart from GET", method: "HEAD", path: "/heads", want: "heads"},
		{with: "HEAD where GET is not taken", method: "HEAD", path: "/posts", want: "method_not_allowed", allow: []string{"POST"}},
		{with: "a style sheet's look", path: "/api/me/x.css", want: "not_found"},
		{with: "a style sheet's look in capitals", path: "/api/me/x.CSS", want: "not_found"},
		{with: "a style sheet's look escaped", path: "/api/me/x%2Ecss", want: "not_found"},
		{with: "a style sheet's look behind a parameter", path: "/api/me;x.css", want: "not_found"},
		{with: "a style sheet's look, written to", method: "POST", path: "/api/me/x.css", want: "api"},
		{with: "a document's look", path: "/api/report.pdf", want: "api"},
		{with: "an image that is the route", path: "/api/logo.png", want: "logo"},
		{with: "a listed suffix", path: "/maps/1/2/3.png", want: "maps"},
		{with: "an unlisted suffix", path: "/maps/1/2/3.js", want: "not_found"},
		{with: "an image on a route for elements", path: "/pictures/a.png", want: "pictures"},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			app, method := c.app, c.method
			if app == "" {
				app = "web"
			}
			if method == "" {
				method = "GET"
			}
			m, err := table.Match(method, c.path, app)
			if got := outcome(m, err); got != c.want {
				t.Fatalf("got %s (%v), want %s", got, err, c.want)
			}
			var refused *proxy.MethodError
			if errors.As(err, &refused) != (c.allow != nil) || refused != nil && !cmp.Equal(refused.Allow, c.allow) {
				t.Errorf("got %+v, want %v", refused, c.allow)
			}
		})
	}
}

func outcome(m *proxy.Match, err error) string {
	if err != nil {
		return string(bff.CodeOf(err))
	}
	return m.Route().Name
}

func TestNewTableRefuses(t *testing.T) {
	// shows PRX-ALLOW, PRX-AUD, PRX-SETCOOKIE
	for _, c := range []struct {
		with   string
		change func(*proxy.Route)
	}{
		{"no methods", func(r *proxy.Route) { r.Methods = nil }},
		{"TRACE", func(r *proxy.Route) { r.Methods = []string{"TRACE"} }},
		{"CONNECT", func(r *proxy.Route) { r.Methods = []string{"CONNECT"} }},
		{"a method in small letters", func(r *proxy.Route) { r.Methods = []string{"get"} }},
		{"a dot segment in its path", func(r *proxy.Route) { r.Path = "/api/../x" }},
		{"an escape in its path", func(r *proxy.Route) { r.Path = "/api%20x" }},
		{"no path", func(r *proxy.Route) { r.Path = "" }},
		{"plain http to another machine", func(r *proxy.Route) { r.Upstream = "http://api.internal" }},
		{"another scheme", func(r *proxy.Route) { r.Upstream = "ftp://api.internal" }},
		{"no host", func(r *proxy.Route) { r.Upstream = "https:///x" }},
		{"a user", func(r *proxy.Route) { r.Upstream = "https://u:p@api.internal" }},
		{"a query", func(r *proxy.Route) { r.Upstream = "https://api.internal/?a" }},
		{"a claim in the host", func(r *proxy.Route) { r.Upstream = "https://{org}.internal" }},
		{"an unknown placeholder", func(r *proxy.Route) { r.Upstream = "https://api.internal/{user}" }},
		{"half a segment of placeholder", func(r *proxy.Route) { r.Upstream = "https://api.internal/o-{org}" }},
		{"dots in its base path", func(r *proxy.Route) { r.Upstream = "https://api.internal/a/../b" }},
		{"an unknown token", func(r *proxy.Route) { r.Token = "subject" }},
		{"an unknown guard", func(r *proxy.Route) { r.Guard = "none" }},
		{"claims though it is anonymous", func(r *proxy.Route) { r.Token = proxy.TokenNone; r.RequireClaims = map[string][]string{"a": {"b"}} }},
		{"a placeholder though it is anonymous", func(r *proxy.Route) { r.Token = proxy.TokenNone; r.Upstream = "https://api.internal/{sub}" }},
		{"the gateway's cookie towards the API", func(r *proxy.Route) { r.RequestCookies = []string{"__Host-Http-web"} }},
		{"the gateway's cookie from the API", func(r *proxy.Route) { r.ResponseCookies = []string{"__host-x"} }},
		{"Authorization for an identity header", func(r *proxy.Route) { r.IdentityHeaders = map[string]string{"authorization": "sub"} }},
		{"an odd spelling for an identity header", func(r *proxy.Route) { r.IdentityHeaders = map[string]string{"X_Forwarded_For": "sub"} }},
		{"a time below zero", func(r *proxy.Route) { r.Timeout = -1 }},
	} {
		t.Run("a route with "+c.with, func(t *testing.T) {
			good := proxy.Route{Path: "/api/", Methods: []string{"GET"}, Upstream: "https://api.internal/v1"}
			if _, err := proxy.NewTable([]proxy.Route{good}, proxy.Options{}); err != nil {
				t.Fatalf("without it: %v", err)
			}
			c.change(&good)
			if _, err := proxy.NewTable([]proxy.Route{good}, proxy.Options{}); err == nil {
				t.Error("was accepted")
			}
		})
	}
}

func TestNewTableRefusesOverlaps(t *testing.T) {
	// shows PRX-ALLOW
	a := proxy.Route{Name: "a", Path: "/api/", Methods: []string{"GET"}, Upstream: "https://a.internal"}
	b := proxy.Route{Name: "b", Path: "/api/", Methods: []string{"POST", "GET"}, Upstream: "https://b.internal"}
	if _, err := proxy.NewTable([]proxy.Route{a, b}, proxy.Options{}); err == nil {
		t.Error("two routes for one request were accepted")
	}
	a.Apps, b.Apps = []string{"web"}, []string{"phone"}
	if _, err := proxy.NewTable([]proxy.Route{a, b}, proxy.Options{}); err != nil {
		t.Errorf("two routes for two apps: %v", err)
	}
}
