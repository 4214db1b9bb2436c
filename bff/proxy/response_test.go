package proxy_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff/proxy"
)

// answering makes an API that answers with these fields.
func answering(t *testing.T, status int, fields http.Header, body string) *api {
	return newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		for k, v := range fields {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// clean is what a frontend gets of a plain answer on a route with a token.
func clean() http.Header {
	return http.Header{
		"Cache-Control":                {"no-store"},
		"Content-Length":               {"2"},
		"Content-Security-Policy":      {"default-src 'none'; sandbox; frame-ancestors 'none'"},
		"Content-Type":                 {"application/json"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"X-Content-Type-Options":       {"nosniff"},
	}
}

func TestResponseFields(t *testing.T) {
	// shows PRX-RESP, PRX-CACHE, PRX-CONTENT, PRX-SETCOOKIE, PRX-HOP, CORS-2, EMBED-1
	for _, c := range []struct {
		with   string
		fields http.Header
		want   http.Header // over clean; nil values are absent
	}{
		{with: "nothing special"},
		{with: "CORS", fields: http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Expose-Headers": {"*"}}},
		{
			with: "what acts on the origin",
			fields: http.Header{
				"Clear-Site-Data": {`"*"`}, "Strict-Transport-Security": {"max-age=0"}, "Alt-Svc": {`h3="evil:443"`}, "Service-Worker-Allowed": {"/"},
				"Refresh": {"0;url=https://evil"}, "Report-To": {"{}"}, "Nel": {"{}"}, "Reporting-Endpoints": {`a="https://evil"`},
				"Content-Security-Policy": {"default-src *"}, "Content-Security-Policy-Report-Only": {"report-uri https://evil"},
				"Cross-Origin-Resource-Policy": {"cross-origin"}, "X-Content-Type-Options": {"sniff"}, "Set-Login": {"logged-out"},
				"Secure-Session-Registration": {`(ES256);path="/evil"`}, "Supports-Loading-Mode": {"fenced-frame"}, "Timing-Allow-Origin": {"*"},
				"X-Permitted-Cross-Domain-Policies": {"all"}, "Origin-Trial": {"x"}, "No-Vary-Search": {"params"},
				"Cross-Origin-Opener-Policy-Report-Only": {"same-origin"},
			},
		},
		{
			with: "what advertisers keep in the browser",
			fields: http.Header{
				"Observe-Browsing-Topics": {"?1"}, "Attribution-Reporting-Register-Source": {"{}"}, "Attribution-Reporting-Register-Trigger": {"{}"},
				"Attribution-Reporting-Register-Os-Source": {`"https://evil"`}, "Ad-Auction-Allowed": {"?1"}, "Shared-Storage-Write": {"clear"},
			},
		},
		{
			with:   "what acts on no more than its own document",
			fields: http.Header{"Permissions-Policy": {"camera=()"}, "Document-Policy": {"js-profiling"}, "Referrer-Policy": {"no-referrer"}, "X-Frame-Options": {"DENY"}, "X-Xss-Protection": {"0"}},
			want:   http.Header{"Permissions-Policy": {"camera=()"}, "Document-Policy": {"js-profiling"}, "Referrer-Policy": {"no-referrer"}, "X-Frame-Options": {"DENY"}, "X-Xss-Protection": {"0"}},
		},
		{
			with: "links that a browser follows by itself",
			fields: http.Header{"Link": {
				`</api/a,b;rel=preload?page=2>; rel="next"; title="a, \"b\"; rel=preload", <https://evil.example/x.js>; rel=preload; as=script`,
				`<https://evil.example>; REL = "preconnect"`, `<x>; rel="next  ModulePreload"`, `<x>; rel=next; rel=prefetch`, `<d>;rel=compression-dictionary`,
				`<x`, `x; rel=next`, `<x>; rel="next`, `<x> rel=next`, `<x>; rel*=utf-8''preload`, `<x>; rel="pre\load"`, `<x>; rel='preload'`, `</api/x>;rel=last,,`, ``,
			}},
			want: http.Header{"Link": {`</api/a,b;rel=preload?page=2>; rel="next"; title="a, \"b\"; rel=preload"`, `</api/x>;rel=last`}},
		},
		{with: "what it runs on", fields: http.Header{"Server": {"nginx/1.0"}, "X-Powered-By": {"PHP"}, "Via": {"1.1 inner"}}},
		{with: "what acts on servers in front", fields: http.Header{"X-Accel-Redirect": {"/internal/x"}, "X-Accel-Expires": {"600"}, "X-Sendfile": {"/etc/passwd"}}},
		{with: "a challenge on a good answer", fields: http.Header{"Www-Authenticate": {"Basic"}, "Dpop-Nonce": {"n"}, "Proxy-Authenticate": {"Basic"}}},
		{
			with: "caching",
			fields: http.Header{
				"Cache-Control": {"public, max-age=600"}, "Expires": {"Thu, 01 Jan 2099 00:00:00 GMT"}, "Pragma": {"cache"}, "Age": {"1"},
				"Surrogate-Control": {"max-age=600"}, "Cdn-Cache-Control": {"max-age=600"}, "Cloudflare-Cdn-Cache-Control": {"max-age=600"},
				"Cache-Tag": {"x"}, "Etag": {`"1"`}, "Vary": {"Accept"},
			},
			want: http.Header{"Etag": {`"1"`}, "Vary": {"Accept"}},
		},
		{with: "fields named in Connection", fields: http.Header{"Connection": {"X-Foo"}, "X-Foo": {"1"}, "Keep-Alive": {"timeout=5"}}},
		{
			with: "cookies",
			fields: http.Header{"Set-Cookie": {
				"__Host-Http-web=evil; Path=/; Secure", "other=1", "theme=dark; Domain=example.com; domain = .example.com; Path=/; Secure",
				"theme", "=theme=1", "late=1", " lang=de;HttpOnly",
			}},
			want: http.Header{"Set-Cookie": {"theme=dark; Path=/; Secure", "lang=de; HttpOnly"}},
		},
		{with: "no type", fields: http.Header{"Content-Type": nil}, want: http.Header{"Content-Type": {"application/octet-stream"}}},
		{with: "a page", fields: http.Header{"Content-Type": {"text/html"}}, want: http.Header{"Content-Type": {"text/html"}}},
		{
			with:   "what a frontend may well want",
			fields: http.Header{"Link": {`</api/x?page=2>; rel="next"`}, "Retry-After": {"5"}, "Content-Disposition": {"attachment"}, "X-Accel-Buffering": {"no"}, "X-Rate": {"1", "2"}},
			want:   http.Header{"Link": {`</api/x?page=2>; rel="next"`}, "Retry-After": {"5"}, "Content-Disposition": {"attachment"}, "X-Accel-Buffering": {"no"}, "X-Rate": {"1", "2"}},
		},
	} {
		t.Run("an answer with "+c.with, func(t *testing.T) {
			fields := http.Header{"Content-Type": {"application/json"}}
			for k, v := range c.fields {
				fields[k] = v
			}
			a := answering(t, 200, fields, "{}")
			reserved := false
			g := newGateway(t, setting{options: proxy.Options{ReservedCookies: func(name string) bool { return reserved && name == "late" }}},
				route(a, "/api/", func(r *proxy.Route) { r.ResponseCookies = []string{"theme", "lang", "late"} }))
			reserved = true
			want := clean()
			for k, v := range c.want {
				want[k] = v
			}
			got := g.do(t, "GET", "/api/x", nil, nil)
			got.Header.Del("Date")
			if diff := cmp.Diff(answer{200, want, "{}"}, got); diff != "" {
				t.Errorf("the frontend got (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnonymousAnswersKeepTheirCaching(t *testing.T) {
	// shows PRX-CACHE
	a := answering(t, 200, http.Header{"Cache-Control": {"public, max-age=600"}, "Cdn-Cache-Control": {"max-age=1"}, "Www-Authenticate": {"Basic"}}, "x")
	g := newGateway(t, setting{}, route(a, "/open/", func(r *proxy.Route) { r.Token = proxy.TokenNone }),
		route(a, "/maybe/", func(r *proxy.Route) { r.Token = proxy.TokenUserOrNone }))
	got := g.do(t, "GET", "/open/x", nil, nil).Header
	if got.Get("Cache-Control") != "public, max-age=600" || got["Cdn-Cache-Control"] != nil {
		t.Errorf("an open route answers %v", got)
	}
	if got := g.do(t, "GET", "/maybe/x", nil, nil).Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a route that takes a cookie answers %q", got)
	}
}

func TestGatewayFieldsWin(t *testing.T) {
	// shows PRX-RESP, CORS-2
	a := answering(t, 200, http.Header{"X-Request-Id": {"theirs"}, "Vary": {"Accept"}, "Content-Type": {"text/plain"}}, "{}")
	g := newGateway(t, setting{}, route(a, "/api/"))
	inner := g.Config.Handler
	g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, k := range []string{"X-Request-Id", "Vary", "X-Content-Type-Options", "Cache-Control", "Content-Security-Policy"} {
			w.Header().Set(k, "ours")
		}
		inner.ServeHTTP(w, r)
	})
	got := g.do(t, "GET", "/api/x", nil, nil).Header
	got.Del("Date")
	want := clean()
	want["Content-Type"], want["X-Request-Id"], want["Vary"] = []string{"text/plain"}, []string{"ours"}, []string{"ours", "Accept"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the frontend got (-want +got):\n%s", diff)
	}
}

func TestLocation(t *testing.T) {
	// shows PRX-LOC
	for _, c := range []struct{ with, location, want string }{
		{"a path of this route", "/v1/api/orders/7", "/api/orders/7"},
		{"a path and a query", "/v1/api/orders/?a=1;b#c%20d", "/api/orders/?a=1;b#c%20d"},
		{"a relative path", "8?x=1", "/api/orders/8?x=1"},
		{"the API's own address", "SELF/v1/api/orders/%C3%A9", "/api/orders/%C3%A9"},
		{"a path of another route to the same API", "/v1/api/items/1", "/api/items/1"},
		{"a path of a route to another API", "/v1/api/other/1", ""},
		{"a path of no route", "/v1/bff/logout", ""},
		{"a path outside the base", "/admin", ""},
		{"a path that only looks like the base", "/v1x/api/orders/", ""},
		{"a path that leaves the base", "/v1/../admin", ""},
		{"an escaped way out", "/v1/api/orders/%2e%2e/x", ""},
		{"another host", "http://169.254.169.254/latest", ""},
		{"another scheme", "javascript:alert(1)", ""},
		{"another scheme of the same host", "https://HOST/v1/api/orders/1", ""},
		{"no scheme", "//evil.example/v1/api/orders/1", ""},
		{"a backslash", `/\evil.example`, ""},
		{"a user", "http://u@HOST/v1/api/orders/1", ""},
		{"nothing that parses", "http://%zz", ""},
	} {
		t.Run("a redirect to "+c.with, func(t *testing.T) {
			var a *api
			a = newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
				u, _ := url.Parse(a.URL)
				there := c.location
				for old, now := range map[string]string{"SELF": a.URL, "HOST": u.Host} {
					there = replaceOnce(there, old, now)
				}
				w.Header().Set("Location", there)
				w.WriteHeader(302)
			})
			other := newAPI(t, nil)
			base := func(r *proxy.Route) { r.Upstream += "/v1" }
			g := newGateway(t, setting{}, route(a, "/api/orders/", base), route(a, "/api/items/", base), route(other, "/api/other/"))
			got := g.do(t, "GET", "/api/orders/x", nil, nil)
			if got.Status != 302 || got.Header.Get("Location") != c.want {
				t.Errorf("got %d to %q, want 302 to %q", got.Status, got.Header.Get("Location"), c.want)
			}
			if n := len(a.requests()) + len(other.requests()); n != 1 {
				t.Errorf("%d calls went out, want 1: redirects are not followed", n)
			}
		})
	}
}

func TestLocationOfAStrippedRoute(t *testing.T) {
	// shows PRX-LOC
	for location, want := range map[string]string{
		"/v1/7": "/api/orders/7", "/v1": "/api/orders", "9": "/api/orders/9", "/v1/a?b": "/api/orders/a?b", "/v2/7": "",
	} {
		a := answering(t, 201, http.Header{"Location": {location}, "Content-Location": {location}}, "")
		g := newGateway(t, setting{}, route(a, "/api/orders/", func(r *proxy.Route) { r.Upstream += "/v1"; r.Strip = true }))
		got := g.do(t, "POST", "/api/orders/x", nil, nil)
		if got.Status != 201 || got.Header.Get("Location") != want || got.Header.Get("Content-Location") != want {
			t.Errorf("%s became %q, want %q", location, got.Header.Get("Location"), want)
		}
	}
	a := answering(t, 302, http.Header{"Location": {"/api/x", "/api/y"}}, "")
	g := newGateway(t, setting{}, route(a, "/api/"))
	if got := g.do(t, "GET", "/api/x", nil, nil).Header["Location"]; got != nil {
		t.Errorf("two places became %q", got)
	}
}

func replaceOnce(s, old, now string) string {
	for i := 0; i+len(old) <= len(s); i++ {
		if s[i:i+len(old)] == old {
			return s[:i] + now + s[i+len(old):]
		}
	}
	return s
}

func TestDestination(t *testing.T) {
	// shows EMBED-1
	for _, c := range []struct {
		with          string
		header        http.Header
		called, shown int // by guard
	}{
		{"no destination", nil, 200, 200},
		{"an empty destination", http.Header{"Sec-Fetch-Dest": {"empty"}}, 200, 200},
		{"a navigation", http.Header{"Sec-Fetch-Dest": {"document"}}, 200, 200},
		{"an image", http.Header{"Sec-Fetch-Dest": {"image"}}, 403, 200},
		{"a sound", http.Header{"Sec-Fetch-Dest": {"audio"}}, 403, 200},
		{"a film", http.Header{"Sec-Fetch-Dest": {"video"}}, 403, 200},
		{"subtitles", http.Header{"Sec-Fetch-Dest": {"track"}}, 403, 200},
		{"a script", http.Header{"Sec-Fetch-Dest": {"script"}}, 403, 403},
		{"a style", http.Header{"Sec-Fetch-Dest": {"style"}}, 403, 403},
		{"an object", http.Header{"Sec-Fetch-Dest": {"object"}}, 403, 403},
		{"an embedding", http.Header{"Sec-Fetch-Dest": {"embed"}}, 403, 403},
		{"a frame", http.Header{"Sec-Fetch-Dest": {"frame"}}, 403, 403},
		{"an inner frame", http.Header{"Sec-Fetch-Dest": {"iframe"}}, 403, 403},
		{"a worker", http.Header{"Sec-Fetch-Dest": {"worker"}}, 403, 403},
		{"a service worker", http.Header{"Sec-Fetch-Dest": {"serviceworker"}}, 403, 403},
		{"a font", http.Header{"Sec-Fetch-Dest": {"font"}}, 403, 403},
		{"something new", http.Header{"Sec-Fetch-Dest": {"hologram"}}, 403, 403},
		{"two destinations", http.Header{"Sec-Fetch-Dest": {"empty", "script"}}, 403, 403},
		{"a service worker's script", http.Header{"Service-Worker": {"script"}}, 403, 403},
	} {
		t.Run("a request for "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			g := newGateway(t, setting{}, route(a, "/api/"), route(a, "/pic/", func(r *proxy.Route) { r.Guard = proxy.GuardOrigin }))
			header, origin := g.do(t, "GET", "/api/x", c.header, nil), g.do(t, "GET", "/pic/x", c.header, nil)
			if header.Status != c.called || origin.Status != c.shown {
				t.Errorf("got %d and %d, want %d and %d", header.Status, origin.Status, c.called, c.shown)
			}
		})
	}
}
