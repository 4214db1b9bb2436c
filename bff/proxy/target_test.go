package proxy_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

func secret(s string) bff.Secret { return bff.NewSecret(s) }

func TestTarget(t *testing.T) {
	// shows PRX-ALLOW, PRX-PATH
	for _, c := range []struct {
		with, route, base, path string
		strip                   bool
		want                    string // target, or code
	}{
		{with: "no base path", route: "/api/", path: "/api/x", want: "/api/x"},
		{with: "a base path", route: "/api/", base: "/v1", path: "/api/x%20y", want: "/v1/api/x%20y"},
		{with: "a base path and a slash", route: "/api/", base: "/v1/", path: "/api/", want: "/v1/api/"},
		{with: "a base path that needs escapes", route: "/api/", base: "/a b/é", path: "/api/", want: "/a%20b/%C3%A9/api/"},
		{with: "its match stripped", route: "/api/", path: "/api/x/y", strip: true, want: "/x/y"},
		{with: "its match stripped to nothing", route: "/api/", path: "/api", strip: true, want: "/"},
		{with: "an exact match stripped", route: "/api/x", base: "/v1/y", path: "/api/x", strip: true, want: "/v1/y"},
		{with: "an escaped match stripped", route: "/api/x/", base: "/v1", path: "/%61pi/x/%79", strip: true, want: "/v1/%79"},
		{with: "the root for a route", route: "/", base: "/v1", path: "/x", strip: true, want: "/v1/x"},
		{with: "the subject", route: "/me/", base: "/users/{sub}", path: "/me/x", strip: true, want: "/users/usr_1/x"},
		{with: "the organization", route: "/api/", base: "/o/{org}/v1", path: "/api/x", want: "/o/org_7/v1/api/x"},
		{with: "a claim", route: "/api/", base: "/{claim:email}", path: "/api/x", want: "/a@example.com/api/x"},
		{with: "a number for a claim", route: "/api/", base: "/{claim:level}", path: "/api/x", want: "/3/api/x"},
		{with: "a claim that needs escapes", route: "/api/", base: "/{claim:slash}", path: "/api/x", want: "/a%2Fb%20c/api/x"},
		{with: "a claim that is missing", route: "/api/", base: "/{claim:absent}", path: "/api/x", want: "claim_required"},
		{with: "a claim that is empty", route: "/api/", base: "/{claim:empty}", path: "/api/x", want: "claim_required"},
		{with: "a claim that is null", route: "/api/", base: "/{claim:nothing}", path: "/api/x", want: "claim_required"},
		{with: "a claim that is a list", route: "/api/", base: "/{claim:roles}", path: "/api/x", want: "claim_required"},
		{with: "a claim that is a dot segment", route: "/api/", base: "/{claim:dots}", path: "/api/x", want: "claim_required"},
		{with: "a claim that hides a dot segment", route: "/api/", base: "/{claim:deep}", path: "/api/x", want: "claim_required"},
		{with: "a claim with a line break", route: "/api/", base: "/{claim:evil}", path: "/api/x", want: "claim_required"},
	} {
		t.Run("a target with "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			g := newGateway(t, setting{}, route(a, c.route, func(r *proxy.Route) { r.Upstream += c.base; r.Strip = c.strip }))
			res := g.do(t, "GET", c.path, nil, nil)
			got := res.Header.Get("X-Code")
			if got == "" {
				got = a.only(t).Target
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestIdentityHeaders(t *testing.T) {
	// shows PRX-FWD
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/api/", func(r *proxy.Route) {
		r.IdentityHeaders = map[string]string{
			"x-forwarded-user": "sub", "X-Sid": "sid", "X-Acr": "acr", "X-Org": "org", "X-Name": "name", "X-All-Roles": "roles",
			"X-Level": "level", "X-Absent": "absent", "X-Empty": "empty", "X-Null": "nothing", "X-Evil": "evil",
			"X-Realm": "realm_access.roles", "X-Deep": "realm_access.level", "X-Own-Plan": "app.plan", "X-None": "realm_access.none",
			"X-Object": "realm_access.object", "X-Outer": "realm_access", "X-Past": "roles.0", "X-Part": "sub.x",
		}
	}))
	g.do(t, "GET", "/api/x", http.Header{"X-Forwarded-User": {"root"}, "X-Absent": {"root"}, "X_evil": {"root"}}, nil)
	want := plain()
	for k, v := range map[string]string{
		"X-Forwarded-User": "usr_1", "X-Sid": "ses_1", "X-Acr": "mfa", "X-Org": "org_7", "X-Name": "Zo%C3%AB, Ltd",
		"X-All-Roles": "admin,a%2Cb", "X-Level": "3", "X-Evil": "x%0D%0AX-Role: admin",
		"X-Realm": "admin,a%2Cb", "X-Deep": "7", "X-Own-Plan": "free",
	} {
		want[k] = []string{v}
	}
	if diff := cmp.Diff(want, a.only(t).Header); diff != "" {
		t.Errorf("the API got (-want +got):\n%s", diff)
	}
}

// requires is a route that asks for one of a claim's values.
func requires(name string, values ...string) func(*proxy.Route) {
	return func(r *proxy.Route) { r.RequireClaims = map[string][]string{name: values} }
}

func TestRequirements(t *testing.T) {
	// shows PRX-AUTHZ, PRX-AUD
	user := func(r *proxy.Route) {}
	for _, c := range []struct {
		with   string
		change func(*proxy.Route)
		call   func() proxy.Call
		want   bff.Code
	}{
		{"a session", user, signedIn, ""},
		{"no session", user, anonymous, bff.CodeSessionRequired},
		{"a session without a token", user, func() proxy.Call { c := signedIn(); c.Tokens.Access = secret(""); return c }, bff.CodeSessionRequired},
		{"no session where it may be missing", func(r *proxy.Route) { r.Token = proxy.TokenUserOrNone }, anonymous, ""},
		{"no session where a claim is asked for", func(r *proxy.Route) {
			r.Token, r.RequireClaims = proxy.TokenUserOrNone, map[string][]string{"roles": {"admin"}}
		}, anonymous, bff.CodeSessionRequired},
		{"the claim", func(r *proxy.Route) { r.RequireClaims = map[string][]string{"roles": {"owner", "admin"}} }, signedIn, ""},
		{"another claim", func(r *proxy.Route) { r.RequireClaims = map[string][]string{"roles": {"owner"}} }, signedIn, bff.CodeClaimRequired},
		{"claims that do not decode", func(r *proxy.Route) { r.RequireClaims = map[string][]string{"roles": {"admin"}} }, func() proxy.Call {
			c := signedIn()
			c.Session.Claims = []byte(`["roles"]`)
			return c
		}, bff.CodeClaimRequired},
		{"the claim inside an object", requires("realm_access.roles", "admin"), signedIn, ""},
		{"another claim inside an object", requires("realm_access.roles", "owner"), signedIn, bff.CodeClaimRequired},
		{"an object that its user writes, shaped as another", requires("role", "owner"), signedIn, bff.CodeClaimRequired},
		{"an object where a claim of the path's name says less", requires("app.plan", "gold"), signedIn, bff.CodeClaimRequired},
		{"an object at the end of the path", requires("realm_access.object", "y", `{"x":"y"}`), signedIn, bff.CodeClaimRequired},
		{"null at the end of the path", requires("realm_access.none", "null", ""), signedIn, bff.CodeClaimRequired},
		{"a list on the way", requires("roles.0", "admin"), signedIn, bff.CodeClaimRequired},
		{"the scopes", func(r *proxy.Route) { r.RequireScopes = []string{"orders:read", "openid"} }, signedIn, ""},
		{"half the scopes", func(r *proxy.Route) { r.RequireScopes = []string{"orders:read", "orders"} }, signedIn, bff.CodeClaimRequired},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			g := newGateway(t, setting{call: func(*http.Request) proxy.Call { return c.call() }}, route(a, "/api/", c.change))
			got := bff.Code(g.do(t, "GET", "/api/x", nil, nil).Header.Get("X-Code"))
			if got != c.want || (len(a.requests()) == 0) != (c.want != "") {
				t.Errorf("got %q with %d requests to the API, want %q", got, len(a.requests()), c.want)
			}
		})
	}
}
