package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff/proxy"
)

// plain is what the API gets of a request without anything special, from a signed-in user.
func plain() http.Header {
	return http.Header{
		"Accept-Encoding":   {"gzip"},
		"Authorization":     {"Bearer at-1"},
		"User-Agent":        {"Go-http-client/1.1"},
		"Via":               {"1.1 cloakroom"},
		"X-Forwarded-For":   {"192.0.2.7"},
		"X-Forwarded-Host":  {"app.example.com"},
		"X-Forwarded-Proto": {"https"},
		"X-Request-Id":      {"req-1"},
	}
}

func TestRequestFields(t *testing.T) {
	// shows PRX-COOKIE, PRX-AUTHZ, PRX-HOP, PRX-FWD, PRX-UPG, PRX-VIA, CSRF-4
	for _, c := range []struct {
		with   string
		header http.Header
		adds   http.Header // to plain
	}{
		{with: "nothing special"},
		{with: "cookies", header: http.Header{"Cookie": {"__Host-Http-web=secret; theme=dark", "__Host-web-tx=1"}}},
		{with: "a spoofed token", header: http.Header{"Authorization": {"Bearer x"}, "Proxy-Authorization": {"Basic x"}, "Dpop": {"proof"}}},
		{with: "the gateway's own guard", header: http.Header{"X-Csrf": {"1"}}},
		{
			with: "Connection naming the gateway's fields",
			header: http.Header{
				"Connection": {"close, Authorization, X-Forwarded-For, DPoP, Via, X-Secret"}, "X-Secret": {"1"},
				"Keep-Alive": {"timeout=5"}, "Te": {"trailers"}, "Proxy-Connection": {"keep-alive"},
			},
		},
		{with: "another upgrade", header: http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAARAAAAAAAIAAAAA"}}},
		{with: "settings for HTTP/2 alone", header: http.Header{"Http2-Settings": {"AAMA"}}},
		{
			with: "addresses of its own",
			header: http.Header{
				"Forwarded": {"for=10.0.0.1"}, "X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"http"},
				"X-Forwarded-Port": {"1"}, "X-Forwarded-Prefix": {"/x"}, "X-Forwarded-Server": {"x"}, "X-Real-Ip": {"10.0.0.1"},
				"True-Client-Ip": {"10.0.0.1"}, "Cf-Connecting-Ip": {"10.0.0.1"}, "X-Client-Ip": {"10.0.0.1"}, "Proxy": {"http://evil"},
			},
		},
		{
			with: "odd spellings",
			header: http.Header{
				"X_Forwarded_For": {"10.0.0.1"}, "x_forwarded_host": {"evil"}, "X.Real.IP": {"10.0.0.1"}, "X_User_Id": {"root"},
				"Authorization_": {"kept: comes out as another name"}, "X_Request_Id": {"x"}, "Content_Length": {"9"},
				"X-Tenant_Id": {"other"}, "HTTP_AUTHORIZATION": {"kept: has a prefix of its own"},
			},
			adds: http.Header{
				"Authorization_":     {"kept: comes out as another name"},
				"Http_authorization": {"kept: has a prefix of its own"},
			},
		},
		{
			with: "another address or method",
			header: http.Header{
				"X-Original-Url": {"/admin"}, "X-Rewrite-Url": {"/admin"}, "X-Original-Host": {"evil"}, "X-Host": {"evil"},
				"X-Http-Method-Override": {"DELETE"}, "X-Http-Method": {"DELETE"}, "X-Method-Override": {"DELETE"},
			},
		},
		{
			with: "another user",
			header: http.Header{
				"X-User-Id": {"root"}, "X-Remote-User": {"root"}, "Remote-User": {"root"}, "X-Auth-Request-Email": {"root@x"},
				"X-Tenant-Id": {"identity header of another route"}, "X-Amzn-Oidc-Data": {"x"},
			},
		},
		{
			with: "another user, in the words of other gateways",
			header: http.Header{
				"X-User-Sub": {"root"}, "X-User-Role": {"root"}, "X-User-Tenant": {"x"}, "X-User-Scopes": {"x"}, "X-User-Claims": {"x"}, "X-User-Uuid": {"x"},
				"X-Userinfo": {"x"}, "X-Remote-Email": {"x"}, "X-Remote-Extra-Scopes": {"x"}, "X-Authentik-Username": {"root"}, "X-Auth-Subject": {"root"},
				"X-Vouch-User": {"root"}, "X-Consumer-Id": {"x"}, "X-Credential-Identifier": {"x"}, "X-Jwt-Assertion": {"x"}, "X-Webauth-Role": {"x"},
				"X-Apigateway-Api-Userinfo": {"x"}, "Impersonate-User": {"root"}, "Impersonate-Extra-Scopes": {"x"}, "Tailscale-User-Login": {"root"},
				"Oidc_claim_sub": {"root"}, "OIDC_CLAIM_EMAIL": {"x"}, "OIDC-access.token": {"x"}, "SM_USER": {"root"}, "sm-universalid": {"x"}, "iv-user": {"root"},
				"X_Vouch_User": {"root"}, "x-authentik_groups": {"x"}, "X-Envoy-Original-Path": {"/admin"}, "L5d-Client-Id": {"x"},
			},
		},
		{
			with: "another client's certificate",
			header: http.Header{
				"X-Tls-Client-Cert": {"x"}, "X-Client-Cert-Dn": {"x"}, "X-Client-Verify": {"SUCCESS"}, "X-Arr-Clientcert": {"x"}, "X-Ssl-Cert": {"x"},
				"Client-Cert-Chain": {"x"}, "Ssl_client_s_dn": {"x"}, "X_SSL_CLIENT_VERIFY": {"SUCCESS"},
			},
		},
		{with: "Max-Forwards on a method that has none", header: http.Header{"Max-Forwards": {"0"}}},
		{
			with: "what an API may well want",
			header: http.Header{
				"Accept": {"application/json"}, "Origin": {"https://app.example.com"}, "Sec-Fetch-Site": {"same-origin"},
				"Traceparent": {"00-1-2-01"}, "If-None-Match": {`"1"`}, "Content-Language": {"de"}, "X-User-Agent": {"grpc-web"},
				"X-Client-Id": {"7"}, "Upgrade-Insecure-Requests": {"1"}, "X-Csrf-Token": {"x"}, "X-Api-Key": {"x"}, "Xuser": {"x"}, "Tlsx": {"x"},
			},
			adds: http.Header{
				"Accept": {"application/json"}, "Origin": {"https://app.example.com"}, "Sec-Fetch-Site": {"same-origin"},
				"Traceparent": {"00-1-2-01"}, "If-None-Match": {`"1"`}, "Content-Language": {"de"}, "X-User-Agent": {"grpc-web"},
				"X-Client-Id": {"7"}, "Upgrade-Insecure-Requests": {"1"}, "X-Csrf-Token": {"x"}, "X-Api-Key": {"x"}, "Xuser": {"x"}, "Tlsx": {"x"},
			},
		},
		{with: "hops before this one", header: http.Header{"Via": {"1.0 fred, 1.1 p.example.net (x)"}}, adds: http.Header{"Via": {"1.0 fred, 1.1 p.example.net (x), 1.1 cloakroom"}}},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			g := newGateway(t, setting{}, route(a, "/api/"),
				route(a, "/other/", func(r *proxy.Route) { r.IdentityHeaders = map[string]string{"X-Tenant-Id": "org"} }))
			if got := g.do(t, "GET", "/api/x", c.header, nil); got.Status != 200 {
				t.Fatalf("got %d %s", got.Status, got.Header.Get("X-Code"))
			}
			want := plain()
			for k, v := range c.adds {
				want[k] = v
			}
			if diff := cmp.Diff(want, a.only(t).Header); diff != "" {
				t.Errorf("the API got (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnonymousRequestFields(t *testing.T) {
	// shows PRX-AUTHZ, PRX-AUD, PRX-FWD
	for _, token := range []proxy.Token{proxy.TokenNone, proxy.TokenUserOrNone} {
		t.Run("a request on a route with token "+string(token), func(t *testing.T) {
			a := newAPI(t, nil)
			call := func(*http.Request) proxy.Call {
				if token == proxy.TokenNone {
					return signedIn() // a caller that gives too much
				}
				return anonymous()
			}
			g := newGateway(t, setting{call: call}, route(a, "/api/", func(r *proxy.Route) { r.Token = token }),
				route(a, "/other/", func(r *proxy.Route) { r.IdentityHeaders = map[string]string{"X-Tenant-Id": "org"} }))
			g.do(t, "GET", "/api/x", http.Header{"Authorization": {"Bearer x"}, "X-Tenant-Id": {"org_1"}, "Cookie": {"a=b"}}, nil)
			want := plain()
			delete(want, "Authorization")
			if diff := cmp.Diff(want, a.only(t).Header); diff != "" {
				t.Errorf("the API got (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestCookies(t *testing.T) {
	// shows PRX-COOKIE
	for _, c := range []struct {
		with, cookie string
		want         []string
		status       int
	}{
		{"a listed one", "__Host-Http-web=secret; theme=dark; other=1", []string{"theme=dark"}, 200},
		{"two listed ones", "lang=de;theme=dark", []string{"lang=de; theme=dark"}, 200},
		{"an empty value", "theme=", []string{"theme="}, 200},
		{"none listed", "Theme=dark", nil, 200},
		{"a listed name and nothing behind it", "theme", nil, 200},
		{"a listed one twice", "theme=dark; theme=light", nil, 400},
		{"one that is reserved though it is listed", "late=1", nil, 200},
	} {
		t.Run("a request that carries cookies with "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			reserved := false
			g := newGateway(t, setting{options: proxy.Options{ReservedCookies: func(name string) bool { return reserved && name == "late" }}},
				route(a, "/api/", func(r *proxy.Route) { r.RequestCookies = []string{"theme", "lang", "late"} }))
			reserved = true
			if got := g.do(t, "GET", "/api/x", http.Header{"Cookie": {c.cookie}}, nil); got.Status != c.status {
				t.Fatalf("got %d, want %d", got.Status, c.status)
			}
			if c.status == 200 && !cmp.Equal(a.only(t).Header["Cookie"], c.want) {
				t.Errorf("got %q, want %q", a.only(t).Header["Cookie"], c.want)
			}
			if c.status != 200 && len(a.requests()) != 0 {
				t.Error("the API was asked")
			}
		})
	}
}

func TestQuery(t *testing.T) {
	// shows PRX-LIMIT, PRX-AUTHZ, CSRF-4
	for _, c := range []struct {
		with, query string
		status      int
	}{
		{"a semicolon", "a=1;b=2", 200},
		{"a bad escape", "a=%zz&b", 200},
		{"nothing to it", "", 200},
		{"an odd order and plus signs", "b=2&a=1+1&b=%20", 200},
		{"a parameter whose name only looks like a token", "my_access_token=x&access_tokens=y", 200},
		{"an access token", "a=1&access_token=x", 400},
		{"an access token without a value", "access_token", 400},
		{"an escaped access token", "%61ccess%5Ftoken=x", 400},
		{"an access token behind a semicolon", "a=1;access_token=x", 400},
		{"an access token in capitals", "ACCESS_TOKEN=x", 400},
		{"another method", "_method=DELETE", 400},
	} {
		t.Run("a query with "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			g := newGateway(t, setting{}, route(a, "/api/"))
			req, _ := http.NewRequest("GET", g.URL+"/api/x", nil)
			req.URL.RawQuery = c.query
			req.URL.ForceQuery = true
			if got := g.send(t, req); got.Status != c.status {
				t.Fatalf("got %d, want %d", got.Status, c.status)
			}
			if c.status == 200 && a.only(t).Target != "/api/x?"+c.query {
				t.Errorf("the API got %s", a.only(t).Target)
			}
			if c.status == 400 && len(a.requests()) != 0 {
				t.Error("the API was asked")
			}
		})
	}
}

func TestTwoAPIsGetTheirOwnTokens(t *testing.T) {
	// shows PRX-AUD, PRX-HOST
	one, two := newAPI(t, nil), newAPI(t, nil)
	call := func(r *http.Request) proxy.Call {
		c := signedIn()
		if strings.HasPrefix(r.URL.Path, "/two") {
			c.Tokens.Access, c.Tokens.TokenType = secret("at-2"), "N_A"
		}
		return c
	}
	g := newGateway(t, setting{call: call}, route(one, "/one/"), route(two, "/two/"))
	for _, p := range []string{"/one/x", "/two/x"} {
		req, _ := http.NewRequest("GET", g.URL+p, nil)
		req.Host = "evil.example"
		g.send(t, req)
	}
	if got := one.only(t).Header.Get("Authorization"); got != "Bearer at-1" {
		t.Errorf("one got %q", got)
	}
	if got := two.only(t).Header.Get("Authorization"); got != "N_A at-2" {
		t.Errorf("two got %q", got)
	}
	if got := one.only(t).Host; "http://"+got != one.URL {
		t.Errorf("one was asked as %q, want its own name", got)
	}
}

func TestForwardedPathIsTheMatchedOne(t *testing.T) {
	// shows PRX-PATH, PRX-ALLOW
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/api/"))
	for _, p := range []string{"/api/a%20b", "/api/%C3%A9", "/api/%61", "/api/@evil.com", "/api/a%3Bb", "/api"} {
		g.do(t, "GET", p, nil, nil)
		got := a.requests()
		if last := got[len(got)-1].Target; last != p {
			t.Errorf("%s was forwarded as %s", p, last)
		}
	}
	before := len(a.requests())
	for _, c := range evilPaths {
		if strings.ContainsAny(c.path, " \x01") || c.path == "api/x" || c.path == "*" || strings.Contains(c.path, "é") {
			continue // not sendable, or sent escaped
		}
		out := g.raw(t, "GET "+c.path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(out, "HTTP/1.1 400") {
			t.Errorf("%s: got %.40q", c.with, out)
		}
	}
	if len(a.requests()) != before {
		t.Error("the API was asked")
	}
}
