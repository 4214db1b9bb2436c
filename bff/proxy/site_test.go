package proxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff/proxy"
)

// site is a route to a server-rendered app.
func site(a *api, path string, token proxy.Token) proxy.Route {
	return route(a, path, func(r *proxy.Route) { r.Kind, r.Token = proxy.KindSite, token })
}

// siteOptions reserve a name that no prefix tells of, as a gateway with further cookies would.
func siteOptions() proxy.Options {
	return proxy.Options{ReservedCookies: func(name string) bool { return name == "late" }}
}

// page is what a frontend gets of a plain page on a site's route with a token.
func page() http.Header {
	return http.Header{
		"Cache-Control": {"no-store"}, "Content-Length": {"2"}, "Content-Type": {"text/html"}, "Vary": {"Cookie"},
		"Content-Security-Policy": {"frame-ancestors 'self'"}, "Cross-Origin-Resource-Policy": {"same-origin"},
		"X-Content-Type-Options": {"nosniff"},
	}
}

func TestWhatASiteMaySay(t *testing.T) {
	// shows PRX-SETCOOKIE, PRX-RESP, PRX-CACHE, PRX-CONTENT (server-rendered apps)
	for _, c := range []struct {
		with   string
		fields http.Header
		want   http.Header // over page; nil values are absent
	}{
		{with: "nothing special"},
		{
			with: "cookies of its own, and some that it must not set",
			fields: http.Header{"Set-Cookie": {
				"sid=1; Domain=example.com; Path=/; HttpOnly", "theme=dark; secure", "__Host-csrf=x; Path=/; Secure", "cart[1]=a",
				"__Host-Http-web=evil; Path=/; Secure", "__host-HTTP-other.tx.1=evil", " __Host-Http-web =evil", "late=1",
				"=__Host-Http-web=evil", "__Host-Http-web", "a\tb=1", `q"=1`, "über=1", "gone=; Max-Age=0; domain=.example.com",
			}},
			want: http.Header{"Set-Cookie": {
				"sid=1; Path=/; HttpOnly; Secure", "theme=dark; secure", "__Host-csrf=x; Path=/; Secure", "cart[1]=a; Secure",
				"gone=; Max-Age=0; Secure",
			}},
		},
		{
			with:   "its own policies",
			fields: http.Header{"Content-Security-Policy": {"default-src 'self'; Frame-Ancestors https://portal.example"}, "Cross-Origin-Opener-Policy": {"same-origin"}, "Referrer-Policy": {"no-referrer"}, "Permissions-Policy": {"camera=()"}, "Reporting-Endpoints": {`a="/reports"`}},
			want:   http.Header{"Content-Security-Policy": {"default-src 'self'; Frame-Ancestors https://portal.example"}, "Cross-Origin-Opener-Policy": {"same-origin"}, "Referrer-Policy": {"no-referrer"}, "Permissions-Policy": {"camera=()"}, "Reporting-Endpoints": {`a="/reports"`}},
		},
		{
			with:   "what its own pages load, and how",
			fields: http.Header{"Link": {`</x.js>; rel=preload; as=script`}, "Supports-Loading-Mode": {"credentialed-prerender"}, "No-Vary-Search": {"params=(\"utm\")"}},
			want:   http.Header{"Link": {`</x.js>; rel=preload; as=script`}, "Supports-Loading-Mode": {"credentialed-prerender"}, "No-Vary-Search": {"params=(\"utm\")"}},
		},
		{
			with:   "a policy that says nothing of frames",
			fields: http.Header{"Content-Security-Policy": {"default-src 'self'"}},
			want:   http.Header{"Content-Security-Policy": {"default-src 'self'", "frame-ancestors 'self'"}},
		},
		{
			with:   "an older word on frames",
			fields: http.Header{"X-Frame-Options": {"DENY"}},
			want:   http.Header{"X-Frame-Options": {"DENY"}, "Content-Security-Policy": nil},
		},
		{
			with: "what acts on the origin and on whoever is in front",
			fields: http.Header{
				"Clear-Site-Data": {`"cookies", "storage"`}, "Strict-Transport-Security": {"max-age=0"}, "Alt-Svc": {`h3="evil:443"`},
				"Service-Worker-Allowed": {"/"}, "Www-Authenticate": {`Basic realm="x"`}, "Refresh": {"0;url=https://evil"}, "Nel": {"{}"}, "Report-To": {"{}"},
				"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"}, "X-Accel-Redirect": {"/x"}, "X-Powered-By": {"PHP"},
				"Server": {"x"}, "X-Content-Type-Options": {"off"}, "Cross-Origin-Resource-Policy": {"cross-origin"}, "Surrogate-Control": {"max-age=9"},
				"Cdn-Cache-Control": {"max-age=9"}, "Set-Login": {"logged-out"}, "Timing-Allow-Origin": {"*"}, "Observe-Browsing-Topics": {"?1"},
				"Attribution-Reporting-Register-Trigger": {"{}"}, "Ad-Auction-Allowed": {"?1"}, "Shared-Storage-Write": {"clear"},
			},
		},
		{with: "a page to be shared", fields: http.Header{"Cache-Control": {"public, max-age=600, S-Maxage=900"}, "Vary": {"Accept"}}, want: http.Header{"Cache-Control": {"private, max-age=600"}, "Vary": {"Accept", "Cookie"}}},
		{with: "a page to be shared for as long as a cache likes", fields: http.Header{"Cache-Control": {"public"}}},
		{with: "a page to be shared as an old cache has it", fields: http.Header{"Expires": {"Thu, 01 Jan 2099 00:00:00 GMT"}, "Pragma": {"public"}}, want: http.Header{"Cache-Control": {"private"}, "Expires": {"Thu, 01 Jan 2099 00:00:00 GMT"}}},
		{with: "a page with a cookie that alone is private", fields: http.Header{"Cache-Control": {`private="set-cookie, x", max-age=5`}}, want: http.Header{"Cache-Control": {"private, max-age=5"}}},
		{with: "caching in two fields", fields: http.Header{"Cache-Control": {"s-maxage=5", "no-cache, must-revalidate"}}, want: http.Header{"Cache-Control": {"private, no-cache, must-revalidate"}}},
		{with: "its own no-store", fields: http.Header{"Cache-Control": {"no-store"}}, want: http.Header{"Cache-Control": {"private, no-store"}}},
		{with: "caching that hides in quotes", fields: http.Header{"Cache-Control": {`max-age=5, x="`, `private, no-store`}}},
		{with: "an extension that holds a comma", fields: http.Header{"Cache-Control": {`max-age=5, x="public, \", s-maxage=9"`}}, want: http.Header{"Cache-Control": {`private, max-age=5, x="public, \", s-maxage=9"`}}},
		{with: "a picture", fields: http.Header{"Content-Type": {"image/png"}}, want: http.Header{"Content-Type": {"image/png"}, "Cache-Control": {"private, no-cache"}}},
		{with: "no type", fields: http.Header{"Content-Type": nil}, want: http.Header{"Content-Type": {"application/octet-stream"}, "Cache-Control": {"private, no-cache"}}},
	} {
		for _, token := range []proxy.Token{proxy.TokenUser, proxy.TokenUserOrNone} {
			t.Run(string(token)+": an answer with "+c.with, func(t *testing.T) {
				fields := http.Header{"Content-Type": {"text/html"}}
				for k, v := range c.fields {
					fields[k] = v
				}
				g := newGateway(t, setting{options: siteOptions()}, site(answering(t, 200, fields, "{}"), "/", token))
				want := page()
				for k, v := range c.want {
					if want[k] = v; v == nil {
						delete(want, k)
					}
				}
				got := g.do(t, "GET", "/notes/1.css", nil, nil)
				got.Header.Del("Date")
				if diff := cmp.Diff(answer{200, want, "{}"}, got); diff != "" {
					t.Errorf("the frontend got (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestAnOpenSiteKeepsItsCaching(t *testing.T) {
	// shows PRX-CACHE (server-rendered apps)
	a := answering(t, 200, http.Header{
		"Content-Type": {"text/html"}, "Cache-Control": {"public, max-age=600"}, "Surrogate-Control": {"max-age=1"}, "Set-Cookie": {"__Host-Http-web=evil", "a=1"},
		"Cross-Origin-Resource-Policy": {"cross-origin"}, "Clear-Site-Data": {`"*"`},
	}, "x")
	g := newGateway(t, setting{}, site(a, "/", proxy.TokenNone))
	got := g.do(t, "GET", "/", http.Header{"Cookie": {"b=2; __Host-Http-web=root"}}, nil).Header
	got.Del("Date")
	want := http.Header{
		"Content-Type": {"text/html"}, "Cache-Control": {"public, max-age=600"}, "Set-Cookie": {"a=1; Secure"}, "Content-Length": {"1"},
		"Cross-Origin-Resource-Policy": {"cross-origin"}, "Content-Security-Policy": {"frame-ancestors 'self'"}, "X-Content-Type-Options": {"nosniff"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the frontend got (-want +got):\n%s", diff)
	}
	if r := a.only(t); r.Header.Get("Cookie") != "b=2" || r.Header["Authorization"] != nil {
		t.Errorf("the site got %v", r.Header)
	}
}

func TestCookiesThatReachASite(t *testing.T) {
	// shows PRX-COOKIE (server-rendered apps)
	for _, c := range []struct {
		with string
		sent []string
		want string
	}{
		{"its own", []string{"sid=1; csrf=a=b; __Host-x=2; cart[1]=y"}, "sid=1; csrf=a=b; __Host-x=2; cart[1]=y"},
		{"ours among them", []string{"sid=1; __Host-Http-web=root; __Host-Http-web.tx.1-a=t; __HOST-http-other=r; b=2"}, "sid=1; b=2"},
		{"ours in odd spellings", []string{" __Host-Http-web =root;__Host-Http-web=root;\t__Host-Http-web=root; \"__Host-Http-web\"=root; =__Host-Http-web=root; __Host-Http-web; sid=1"}, "sid=1"},
		{"one that some table reserves", []string{"late=1; sid=1"}, "sid=1"},
		{"two of one name", []string{"sid=1; sid=2"}, "sid=1; sid=2"},
		{"two fields", []string{"a=1", "__Host-Http-web=root; b=2"}, "a=1; b=2"},
		{"ours alone", []string{"__Host-Http-web=root"}, ""},
	} {
		a := newAPI(t, nil)
		g := newGateway(t, setting{options: siteOptions()}, site(a, "/", proxy.TokenUser))
		g.do(t, "GET", "/x", http.Header{"Cookie": c.sent}, nil)
		if got := strings.Join(a.only(t).Header["Cookie"], "|"); got != c.want {
			t.Errorf("a request with %s: the site got %q, want %q", c.with, got, c.want)
		}
	}
}

// A request that does not show that it comes from the app's own pages is as one without cookies, for the site as well.
func TestABareRequestToASite(t *testing.T) {
	// shows CSRF-1 (server-rendered apps)
	a := answering(t, 200, http.Header{"Set-Cookie": {"sid=2"}}, "x")
	bare := func(*http.Request) proxy.Call { c := anonymous(); c.Bare = true; return c }
	g := newGateway(t, setting{call: bare}, site(a, "/", proxy.TokenUserOrNone))
	got := g.do(t, "POST", "/x", http.Header{"Cookie": {"sid=1"}}, strings.NewReader("a=1"))
	if r := a.only(t); r.Header["Cookie"] != nil || got.Header["Set-Cookie"] != nil || r.Body != "a=1" {
		t.Errorf("the site got %v %q, the frontend %v", r.Header, r.Body, got.Header)
	}
}

func TestWhereASiteLeads(t *testing.T) {
	// shows PRX-LOC (server-rendered apps)
	var location string
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = strings.Split(location, "|")
		w.WriteHeader(http.StatusSeeOther)
	})
	g := newGateway(t, setting{}, site(a, "/", proxy.TokenUser))
	for _, c := range []struct{ to, want string }{
		{"/notes/1?a=1;b=%zz&c#x", "/notes/1?a=1;b=%zz&c#x"},
		{"?page=2", "/notes/new?page=2"},
		{"2", "/notes/2"},
		{a.URL + "/notes/1", "/notes/1"},
		{"https://app.example.com/notes/1?x=1", "/notes/1?x=1"},
		{"http://APP.example.com/notes/1", "/notes/1"}, // it knows its name, not that it is reached by TLS
		{"//app.example.com/notes", "/notes"},
		{"/bff/login?return_to=%2Fnotes", "/bff/login?return_to=%2Fnotes"},
		{"https://pay.example/checkout?n=1", "https://pay.example/checkout?n=1"},
		{"//pay.example/checkout", "http://pay.example/checkout"}, // as it was asked
		{"https://user:pw@pay.example/", ""},
		{"javascript:alert(1)", ""},
		{"data:text/html,x", ""},
		{"com.example.app:/signed-in", ""},
		{"com.example.app://signed-in/x", ""},
		{"ftp://files.example/x", ""},
		{"/a/../../bff/logout", "/bff/logout"}, // resolved before anybody is told
		{"/%2e%2e/x", ""},
		{"/a%2fb", ""},
		{`/\evil.example`, ""},
		{"/a\tb", ""},
		{"/one|/two", ""},
	} {
		location = c.to
		got := g.do(t, "GET", "/notes/new", nil, nil)
		if got.Status != 303 || got.Header.Get("Location") != c.want {
			t.Errorf("to %q: %d %q, want %q", c.to, got.Status, got.Header.Get("Location"), c.want)
		}
	}
}

// A 401 without a challenge is a site's own page; one with a challenge for tokens is the token's, as at an API.
func TestASitesOwnRefusal(t *testing.T) {
	// shows PRX-401 (server-rendered apps)
	for challenge, want := range map[string]answer{
		"":                             {Status: 401, Body: "wrong password"},
		`Basic realm="x"`:              {Status: 401, Body: "wrong password"},
		`Bearer error="invalid_token"`: {Status: 401, Body: ""},
	} {
		fields := http.Header{"Content-Type": {"text/html"}}
		if challenge != "" {
			fields["Www-Authenticate"] = []string{challenge}
		}
		g := newGateway(t, setting{}, site(answering(t, 401, fields, "wrong password"), "/", proxy.TokenUser))
		got := g.do(t, "POST", "/enter", nil, strings.NewReader("x"))
		if got.Status != want.Status || got.Body != want.Body || got.Header.Get("Www-Authenticate") != "" {
			t.Errorf("with %q: %d %q %v", challenge, got.Status, got.Body, got.Header)
		}
	}
}

// Pages load what they are made of; an API's answers are nothing to embed.
func TestWhatPagesOfASiteLoad(t *testing.T) {
	// shows PRX-CACHE (server-rendered apps: files)
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, site(a, "/", proxy.TokenUser), route(a, "/api/"))
	for _, dest := range []string{"style", "script", "image", "font", "iframe", "worker", "manifest", "document", "empty"} {
		for path, want := range map[string]int{"/site/x": 200, "/site/app.css": 200, "/api/app.css": 404} {
			if got := g.do(t, "GET", path, http.Header{"Sec-Fetch-Dest": {dest}}, nil); got.Status != want {
				t.Errorf("%s of %s: %d, want %d", dest, path, got.Status, want)
			}
		}
	}
	if got := g.do(t, "GET", "/sw.js", http.Header{"Service-Worker": {"script"}, "Sec-Fetch-Dest": {"serviceworker"}}, nil); got.Status != 200 {
		t.Errorf("a service worker of the site's own: %d", got.Status)
	}
}

func TestRoutesThatAreNoSites(t *testing.T) {
	for with, change := range map[string]func(*proxy.Route){
		"a path of the upstream's":  func(r *proxy.Route) { r.Upstream += "/app" },
		"a claim in the upstream":   func(r *proxy.Route) { r.Upstream += "/{sub}" },
		"its path taken off":        func(r *proxy.Route) { r.Strip = true },
		"the guard of downloads":    func(r *proxy.Route) { r.Guard = proxy.GuardOrigin },
		"the app's own token":       func(r *proxy.Route) { r.Token = proxy.TokenClient },
		"a list of cookies":         func(r *proxy.Route) { r.RequestCookies = []string{"a"} },
		"a list of cookies it sets": func(r *proxy.Route) { r.ResponseCookies = []string{"a"} },
	} {
		rt := proxy.Route{Path: "/", Methods: []string{"GET"}, Upstream: "http://127.0.0.1:1", Kind: proxy.KindSite}
		change(&rt)
		if _, err := proxy.NewTable([]proxy.Route{rt}, proxy.Options{}); err == nil || !strings.Contains(err.Error(), "site") {
			t.Errorf("a site with %s: %v", with, err)
		}
	}
	u := url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/"}
	if _, err := proxy.NewTable([]proxy.Route{{Path: "/", Methods: []string{"GET"}, Upstream: u.String(), Kind: proxy.KindSite}}, proxy.Options{}); err != nil {
		t.Error(err)
	}
}
