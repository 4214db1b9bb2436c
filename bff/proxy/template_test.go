package proxy_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// own is a call whose app has a token of its own; asked counts who wanted it, and what had been refused.
func own(asked *[]string, tokens ...string) func(*http.Request) proxy.Call {
	return func(*http.Request) proxy.Call {
		c := signedIn()
		c.Session.Tokens = bff.TokenSet{Access: secret("at-1"), Scope: "openid members:write"}
		c.Tokens = c.Session.Tokens // what a route for a user would be given: nothing of it may leave
		c.Renew = func(context.Context) (bff.TokenSet, error) { panic("the user's token is renewed") }
		c.Own = func(_ context.Context, refused bff.Secret) (bff.TokenSet, error) {
			*asked = append(*asked, refused.Reveal())
			return bff.TokenSet{Access: secret(tokens[min(len(*asked), len(tokens))-1]), TokenType: "Bearer"}, nil
		}
		return c
	}
}

// ownRoute is a route with the app's own token.
func ownRoute(a *api, path, upstream string, change ...func(*proxy.Route)) proxy.Route {
	r := proxy.Route{Path: path, Methods: []string{"GET"}, Upstream: a.URL + upstream, Token: proxy.TokenClient, Apps: []string{"web"}}
	for _, c := range change {
		c(&r)
	}
	return r
}

func changing(r *proxy.Route) {
	r.Methods, r.RequireClaims = []string{"GET", "POST", "DELETE"}, map[string][]string{"roles": {"admin"}}
}

// What a call with the app's own token is about is said by the route and the session; from the frontend comes one identifier
// for each place that the route has for it, and nothing else.
//
// shows PRX-ALLOW, PRX-PATH, SCALEKIT-M1, SCALEKIT-M2
func TestTemplate(t *testing.T) {
	for _, c := range []struct {
		with, path, want string // target, or code
	}{
		{"the subject", "/mgmt/me", "/api/v1/users/usr_1"},
		{"another user in the query", "/mgmt/me?id=usr_other&sub=usr_other&user_id=usr_other", "/api/v1/users/usr_1"},
		{"something below", "/mgmt/me/usr_other", "not_found"},
		{"a slash behind", "/mgmt/me/", "not_found"},
		{"the organization", "/mgmt/org", "/api/v1/organizations/org_7"},
		{"a claim that is missing", "/mgmt/absent", "claim_required"},
		{"a claim that climbs", "/mgmt/deep", "claim_required"},
		{"a claim with a slash, which an API may decode", "/mgmt/slash", "claim_required"},
		{"a claim with a custom method of gRPC", "/mgmt/method", "claim_required"},
		{"a claim with a parameter", "/mgmt/param", "claim_required"},
		{"a claim that needs escapes", "/mgmt/words", "/api/v1/x/Ann%20Lee%2C%20Jr."},
		{"a word", "/mgmt/members/usr_2/roles", "/api/v1/organizations/org_7/users/usr_2/roles"},
		{"a word that needs escapes", "/mgmt/members/a%20b,c/roles", "/api/v1/organizations/org_7/users/a%20b%2Cc/roles"},
		{"a word with an address", "/mgmt/members/a@example.com/roles", "/api/v1/organizations/org_7/users/a@example.com/roles"},
		{"the more literal path", "/mgmt/members/me/roles", "/api/v1/organizations/org_7/users/usr_1/roles"},
		{"an empty word", "/mgmt/members//roles", "bad_request"},
		{"a word too few", "/mgmt/members/roles", "not_found"},
		{"a word too many", "/mgmt/members/usr_2/x/roles", "not_found"},
		{"a slash behind a word's path", "/mgmt/members/usr_2/roles/", "not_found"},
		{"an escaped slash", "/mgmt/members/usr_2%2Fsessions/roles", "bad_request"},
		{"an escaped backslash", "/mgmt/members/usr_2%5Cx/roles", "bad_request"},
		{"a dot segment", "/mgmt/members/../roles", "bad_request"},
		{"an escaped dot segment", "/mgmt/members/%2e%2e/roles", "bad_request"},
		{"a dot segment with a parameter", "/mgmt/members/..;x/roles", "bad_request"},
		{"a parameter", "/mgmt/members/usr_2;x=1/roles", "bad_request"},
		{"an escaped parameter", "/mgmt/members/usr_2%3Bx/roles", "bad_request"},
		{"a custom method of gRPC", "/mgmt/members/usr_2:disable/roles", "bad_request"},
		{"an escaped custom method", "/mgmt/members/usr_2%3Adisable/roles", "bad_request"},
		{"an escaped query", "/mgmt/members/usr_2%3Fx=1/roles", "bad_request"},
		{"an escaped fragment", "/mgmt/members/usr_2%23/roles", "bad_request"},
		{"a doubly escaped slash", "/mgmt/members/usr_2%252Fx/roles", "bad_request"},
		{"a lone percent sign", "/mgmt/members/100%25/roles", "bad_request"},
		{"a line break", "/mgmt/members/usr_2%0A/roles", "bad_request"},
		{"a NUL", "/mgmt/members/usr_2%00/roles", "bad_request"},
		{"no UTF-8", "/mgmt/members/%ff/roles", "bad_request"},
		{"a JWT", "/mgmt/members/eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln/roles", "bad_request"},
		{"a handle", "/mgmt/members/clk_abcdefgh/roles", "bad_request"},
		{"a refresh handle", "/mgmt/members/clr_abcdefgh/roles", "bad_request"},
		{"a word beyond every identifier", "/mgmt/members/" + strings.Repeat("a", 257) + "/roles", "bad_request"},
		{"a list", "/mgmt/sessions", "/api/v1/users/usr_1/sessions"},
		{"a listed parameter", "/mgmt/sessions?page_size=2", "/api/v1/users/usr_1/sessions?page_size=2"},
		{"listed and other parameters", "/mgmt/sessions?id=usr_other&page_token=a%26id%3Db&filter=x", "/api/v1/users/usr_1/sessions?page_token=a%26id%3Db"},
		{"a listed parameter twice", "/mgmt/sessions?page_size=2&page_size=3", "bad_request"},
		{"a listed parameter in other letters", "/mgmt/sessions?PAGE_SIZE=2", "/api/v1/users/usr_1/sessions"},
		{"a semicolon in the query", "/mgmt/sessions?page_size=2;id=usr_other", "bad_request"},
		{"a method in the query", "/mgmt/sessions?_method=DELETE", "bad_request"},
		{"a token in the query", "/mgmt/sessions?access_token=x", "bad_request"},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			a, others := newAPI(t, nil), newAPI(t, nil)
			var asked []string
			g := newGateway(t, setting{call: own(&asked, "cc-1")},
				ownRoute(a, "/mgmt/me", "/api/v1/users/{sub}"),
				ownRoute(a, "/mgmt/org", "/api/v1/organizations/{org}"),
				ownRoute(a, "/mgmt/absent", "/api/v1/x/{claim:absent}"),
				ownRoute(a, "/mgmt/deep", "/api/v1/x/{claim:deep}"),
				ownRoute(a, "/mgmt/slash", "/api/v1/x/{claim:slash}"),
				ownRoute(a, "/mgmt/method", "/api/v1/x/{claim:method}"),
				ownRoute(a, "/mgmt/param", "/api/v1/x/{claim:param}"),
				ownRoute(a, "/mgmt/words", "/api/v1/x/{claim:words}"),
				ownRoute(a, "/mgmt/sessions", "/api/v1/users/{sub}/sessions", func(r *proxy.Route) { r.Query = []string{"page_size", "page_token"} }),
				ownRoute(a, "/mgmt/members/{user}/roles", "/api/v1/organizations/{org}/users/{path:user}/roles"),
				ownRoute(a, "/mgmt/members/me/roles", "/api/v1/organizations/{org}/users/{sub}/roles"),
				route(others, "/other/"),
			)
			got := g.do(t, "GET", c.path, nil, nil).Header.Get("X-Code")
			if got == "" {
				only := a.only(t)
				if got = only.Target; only.Header.Get("Authorization") != "Bearer cc-1" {
					t.Errorf("the API was sent %q", only.Header["Authorization"])
				}
			} else if len(a.requests())+len(asked) > 0 {
				t.Errorf("the API got %d requests, and the token was asked for %d times", len(a.requests()), len(asked))
			}
			if got != c.want || len(others.requests()) > 0 {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A path that does not fit its template is not left to a route that takes more.
//
// shows PRX-ALLOW
func TestATemplateIsNotGoneAround(t *testing.T) {
	a, tree := newAPI(t, nil), newAPI(t, nil)
	var asked []string
	g := newGateway(t, setting{call: own(&asked, "cc-1")},
		ownRoute(a, "/api/members/{user}", "/users/{path:user}"), route(tree, "/api/"))
	for path, want := range map[string]string{
		"/api/members/a:b": "bad_request", "/api/members/eyJ0": "bad_request", "/api/members/": "", "/api/members/a/b": "", "/api/members/a": "",
	} {
		if got := g.do(t, "GET", path, nil, nil).Header.Get("X-Code"); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if n := len(a.requests()); n != 1 {
		t.Errorf("the API for the app's own token got %d requests", n)
	}
	for _, r := range tree.requests() {
		if got := r.Header.Get("Authorization"); got != "bearer at-1" && got != "Bearer at-1" {
			t.Errorf("the other API was sent %q", got)
		}
	}
	if got := g.do(t, "DELETE", "/api/members/a", nil, nil).Header.Get("X-Code"); got != "method_not_allowed" {
		t.Errorf("got %q", got)
	}
}

// Before anybody is asked for the token, and before the API hears of it, everything else is judged.
//
// shows PRX-AUTHZ, SCALEKIT-M3
func TestOwnTokenRequires(t *testing.T) {
	for _, c := range []struct {
		with   string
		change func(*proxy.Route)
		call   func(proxy.Call) proxy.Call
		want   bff.Code
	}{
		{"all that is asked for", nil, nil, ""},
		{"no session", nil, func(proxy.Call) proxy.Call { return anonymous() }, bff.CodeSessionRequired},
		{"a session whose user's token is gone", nil, func(k proxy.Call) proxy.Call { k.Tokens = bff.TokenSet{}; return k }, ""},
		{"another role", func(r *proxy.Route) { r.RequireClaims = map[string][]string{"roles": {"owner"}} }, nil, bff.CodeClaimRequired},
		{"the user's scope", func(r *proxy.Route) { r.RequireClaims, r.RequireScopes = nil, []string{"members:write"} }, nil, ""},
		{"a scope of the app's token that the user lacks", func(r *proxy.Route) { r.RequireScopes = []string{"all"} }, func(k proxy.Call) proxy.Call {
			k.Tokens.Scope = "all"
			return k
		}, bff.CodeClaimRequired},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			var asked []string
			call := own(&asked, "cc-1")
			r := ownRoute(a, "/mgmt/members/{user}/roles", "/users/{path:user}/roles", changing)
			if c.change != nil {
				c.change(&r)
			}
			g := newGateway(t, setting{call: func(r *http.Request) proxy.Call {
				if c.call != nil {
					return c.call(call(r))
				}
				return call(r)
			}}, r)
			got := bff.Code(g.do(t, "POST", "/mgmt/members/usr_2/roles", nil, strings.NewReader(`{"role_name":"x"}`)).Header.Get("X-Code"))
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if passed := c.want == ""; passed != (len(a.requests()) == 1) || passed != (len(asked) == 1) {
				t.Errorf("%d requests to the API, and the token was asked for %d times", len(a.requests()), len(asked))
			}
		})
	}
}

// The API knows of no user: what it refuses it refuses to the app. A refused token is renewed once, by the app's own means,
// and the request repeated where its body allows it.
//
// shows PRX-401, SCALEKIT-M4
func TestRefusedOwnToken(t *testing.T) {
	for _, c := range []struct {
		with   string
		status int
		good   string // the token that the API takes
		body   int
		hits   int
		want   bff.Code
	}{
		{"a token that is taken", 401, "cc-1", 10, 1, ""},
		{"a token that had gone bad", 401, "cc-2", 10, 2, ""},
		{"tokens that are all refused", 401, "none", 10, 2, bff.CodeManagementDisabled},
		{"a bad token and a body too long to keep", 401, "cc-2", 64<<10 + 1, 1, bff.CodeManagementDisabled},
		{"an app that may not", 403, "none", 10, 1, bff.CodeManagementDisabled},
		{"what is not there", 404, "none", 10, 1, ""},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer "+c.good {
					w.WriteHeader(c.status)
					_, _ = w.Write([]byte(`{"code":7,"message":"internal words"}`))
				}
			})
			var asked []string
			g := newGateway(t, setting{call: own(&asked, "cc-1", "cc-2")}, ownRoute(a, "/mgmt/x", "/x", changing))
			got := g.do(t, "POST", "/mgmt/x", nil, strings.NewReader(strings.Repeat("x", c.body)))
			if bff.Code(got.Header.Get("X-Code")) != c.want || len(a.requests()) != c.hits {
				t.Errorf("got %d %s after %d requests, want %q after %d", got.Status, got.Header.Get("X-Code"), len(a.requests()), c.want, c.hits)
			}
			if c.want != "" && strings.Contains(got.Body, "internal words") {
				t.Error("the API's own refusal reached the frontend")
			}
			if len(asked) > 1 && asked[1] != "cc-1" {
				t.Errorf("the token that was refused is told as %q", asked[1])
			}
			for _, r := range a.requests() {
				if strings.Contains(r.Header.Get("Authorization"), "at-1") || len(r.Body) != c.body {
					t.Errorf("the API got %q and %d bytes", r.Header["Authorization"], len(r.Body))
				}
			}
		})
	}
}

// shows PRX-ALLOW, PRX-AUD
func TestNewTableRefusesOwnTokenRoutes(t *testing.T) {
	for _, c := range []struct {
		with   string
		change func(*proxy.Route)
		want   string
	}{
		{"a tree", func(r *proxy.Route) { r.Path = "/mgmt/{user}/" }, "exact paths"},
		{"a base address", func(r *proxy.Route) { r.Upstream += "/" }, "whole address"},
		{"a match to strip", func(r *proxy.Route) { r.Strip = true }, "nothing to strip"},
		{"no apps", func(r *proxy.Route) { r.Apps = nil }, "apps to be named"},
		{"a site", func(r *proxy.Route) { r.Kind = proxy.KindSite }, "by script alone"},
		{"the origin guard", func(r *proxy.Route) { r.Guard = proxy.GuardOrigin }, "by script alone"},
		{"WebSockets", func(r *proxy.Route) { r.WebSocket = true }, "by script alone"},
		{"plain http", func(r *proxy.Route) { r.Upstream, r.InsecureHTTP = "http://api.internal/{path:user}", true }, "in the clear"},
		{"cookies of the API's", func(r *proxy.Route) { r.ResponseCookies = []string{"x"} }, "sets no cookies"},
		{"a change that asks for nothing", func(r *proxy.Route) { r.Methods = []string{"GET", "PUT"} }, "needs a claim or scope"},
		{"a word that goes nowhere", func(r *proxy.Route) { r.Upstream = "https://api.internal/x" }, "not used by the upstream"},
		{"a word twice", func(r *proxy.Route) { r.Path = "/mgmt/{user}/{user}" }, "twice"},
		{"half a segment", func(r *proxy.Route) { r.Path = "/mgmt/u-{user}" }, "whole segment"},
		{"a word that the path does not have", func(r *proxy.Route) { r.Upstream += "/{path:other}" }, "unknown"},
		{"a token as a parameter", func(r *proxy.Route) { r.Query = []string{"access_token"} }, "cannot be let through"},
		{"words, for the user's token", func(r *proxy.Route) { r.Token = proxy.TokenUser }, "not a plain path"},
		{"parameters, for the user's token", func(r *proxy.Route) {
			*r = proxy.Route{Path: "/x", Methods: r.Methods, Upstream: "https://a", Query: []string{"q"}}
		}, "list of parameters"},
	} {
		t.Run("a route with "+c.with, func(t *testing.T) {
			r := proxy.Route{
				Path: "/mgmt/{user}", Upstream: "https://api.internal/users/{path:user}", Methods: []string{"GET"},
				Token: proxy.TokenClient, Apps: []string{"web"},
			}
			if _, err := proxy.NewTable([]proxy.Route{r}, proxy.Options{}); err != nil {
				t.Fatalf("the route itself: %v", err)
			}
			c.change(&r)
			if _, err := proxy.NewTable([]proxy.Route{r}, proxy.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

// shows PRX-ALLOW
func TestTemplatesThatCross(t *testing.T) {
	at := func(path string) proxy.Route {
		r := proxy.Route{Path: path, Upstream: "https://api.internal", Methods: []string{"GET"}}
		if strings.Contains(path, "{") {
			r.Token, r.Apps, r.Upstream = proxy.TokenClient, []string{"web"}, "https://api.internal/{path:a}"
		}
		return r
	}
	for _, c := range []struct {
		with, one, other string
		wrong            bool
	}{
		{"the same places", "/m/{a}/x", "/m/{a}/x", true},
		{"a literal for the other's word", "/m/{a}/x", "/m/me/x", false},
		{"a word each where the other is literal", "/m/{a}/x", "/m/me/{a}", true},
		{"a tree under the word", "/m/{a}/x", "/m/me/", true},
		{"a tree around", "/m/{a}/x", "/m/", false},
		{"a tree beside", "/m/{a}/x", "/n/", false},
		{"another length", "/m/{a}/x", "/m/{a}", false},
		{"another end", "/m/{a}/x", "/m/{a}/y", false},
	} {
		t.Run("routes with "+c.with, func(t *testing.T) {
			_, err := proxy.NewTable([]proxy.Route{at(c.one), at(c.other)}, proxy.Options{})
			if (err != nil) != c.wrong {
				t.Errorf("got %v", err)
			}
			if _, turned := proxy.NewTable([]proxy.Route{at(c.other), at(c.one)}, proxy.Options{}); (turned != nil) != c.wrong {
				t.Errorf("the other way round: %v", turned)
			}
		})
	}
}

// Also where the route asks nothing of the user, there has to be one.
//
// shows PRX-AUTHZ
func TestOwnTokenNeedsASession(t *testing.T) {
	a := newAPI(t, nil)
	var asked []string
	g := newGateway(t, setting{call: func(r *http.Request) proxy.Call {
		c := anonymous()
		c.Own = own(&asked, "cc-1")(r).Own
		return c
	}}, ownRoute(a, "/mgmt/plans", "/api/v1/plans"))
	if got := g.do(t, "GET", "/mgmt/plans", nil, nil); got.Status != 401 || len(a.requests())+len(asked) > 0 {
		t.Errorf("got %d, %d requests to the API, and the token was asked for %d times", got.Status, len(a.requests()), len(asked))
	}
}

// The upstream is one address: a redirect of it leads nowhere, not even to what looks like the route.
//
// shows PRX-RESP
func TestOwnTokenIsNotRedirected(t *testing.T) {
	for _, to := range []string{"/x", "/x/mgmt/x", "/mgmt/x", "https://elsewhere.example/"} {
		a := answering(t, 302, http.Header{"Location": {to}}, "")
		var asked []string
		g := newGateway(t, setting{call: own(&asked, "cc-1")}, ownRoute(a, "/mgmt/x", "/x"))
		if got := g.do(t, "GET", "/mgmt/x", nil, nil); got.Status != 302 || got.Header["Location"] != nil || len(a.requests()) != 1 {
			t.Errorf("to %s: got %d, to %q, after %d requests", to, got.Status, got.Header["Location"], len(a.requests()))
		}
	}
}
