//go:build integration

package faults_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/test/forge"
	"cloakroom/test/world"
)

// anonymous is an endpoint as whoever holds nothing asks for it: as dear as it gets.
type anonymous struct {
	limit string // the one that holds; "": it costs nothing
	dear  int    // most commands to Redis for each that is let through, the question for the limit aside
	keeps int    // most keys that each leaves
	asks  int    // most requests to the provider for each
	make  func(i int) *http.Request
}

// documented are the endpoints of both surfaces, "METHOD path".
func documented(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("^\\| `(/[^`]*)` \\| ([A-Z]+) \\|")
	in := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "## ") {
			in = strings.HasPrefix(line, "## Browser surface") || strings.HasPrefix(line, "## Native surface")
		}
		if m := row.FindStringSubmatch(line); in && m != nil {
			all = append(all, m[2]+" "+m[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// asking is a request with the fields of its kind.
func asking(method, address string, fields http.Header) *http.Request {
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		panic(err) // of constants
	}
	maps.Copy(r.Header, fields)
	return r
}

// post is a form.
func post(address string, form url.Values, fields http.Header) *http.Request {
	r := asking("POST", address, fields)
	text := form.Encode()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// top are the fields of a navigation.
func top(site string) http.Header {
	return http.Header{"Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"}}
}

// byScript are the fields of a call by the app's own script.
var byScript = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "X-Csrf": {"1"}}

// judged are all endpoints, as whoever holds nothing asks for them.
func (n *nativeWorld) judged() map[string]anonymous {
	const web, gw = world.Origin, publicURL
	free := func(r *http.Request) anonymous {
		return anonymous{make: func(int) *http.Request { return r.Clone(context.Background()) }}
	}
	opened := func(address, site string) anonymous { return free(asking("GET", address, top(site))) }
	all := map[string]anonymous{
		"GET /bff/login": {limit: "login", make: func(int) *http.Request { return asking("GET", web+"/bff/login?return_to=/", top("none")) }},
		"GET /bff/initiate": {limit: "login", make: func(i int) *http.Request {
			return asking("GET", web+"/bff/initiate?"+n.initiation(i), top("cross-site"))
		}},
		"GET /bff/callback": {limit: "callback", dear: 3, keeps: 1, asks: 1},
		"GET /bff/logout/{ticket}": {limit: "ticket", dear: 1, make: func(int) *http.Request {
			return asking("GET", web+"/bff/logout/"+rand.Text()+rand.Text(), top("same-origin"))
		}},
		"POST /bff/backchannel-logout": {limit: "backchannel", make: func(i int) *http.Request {
			return post(web+"/bff/backchannel-logout", url.Values{"logout_token": {n.forgedLogout(i)}}, nil)
		}},
		"GET /bff/frontchannel-logout": {limit: "frontchannel", dear: 2, make: func(i int) *http.Request {
			return asking("GET", web+"/bff/frontchannel-logout?"+url.Values{"iss": {n.OP.Issuer}, "sid": {fmt.Sprint("ses_", i)}}.Encode(), nil)
		}},
		"GET /bff/landed": opened(web+"/bff/landed?return_to=/", "same-origin"), "GET /bff/signed-in": opened(web+"/bff/signed-in", "none"),
		"GET /bff/logged-out": opened(web+"/bff/logged-out?state=x", "cross-site"), "GET /bff/logout": opened(web+"/bff/logout?token=x", "same-origin"),
		"POST /bff/logout": free(asking("POST", web+"/bff/logout", byScript)), "GET /bff/session": free(asking("GET", web+"/bff/session", byScript)),
		"POST /bff/session/extend": free(asking("POST", web+"/bff/session/extend", byScript)), "GET /bff/sessions": free(asking("GET", web+"/bff/sessions", byScript)),
		"DELETE /bff/sessions": free(asking("DELETE", web+"/bff/sessions", byScript)), "DELETE /bff/sessions/{id}": free(asking("DELETE", web+"/bff/sessions/x", byScript)),
		"GET /bff/events": free(asking("GET", web+"/bff/events", byScript)), "GET /.well-known/jwks.json": opened(web+"/.well-known/jwks.json", "none"),
		"GET /healthz": opened(web+"/healthz", "none"),
	}
	maps.Copy(all, n.judgedNative(gw, free, opened))
	return all
}

func (n *nativeWorld) judgedNative(gw string, free func(*http.Request) anonymous, opened func(address, site string) anonymous) map[string]anonymous {
	start := url.Values{
		"response_type": {"code"}, "client_id": {"phone"}, "redirect_uri": {phoneURI}, "state": {"s"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}
	token := func(path string, dear int, form func(i int) url.Values) anonymous {
		return anonymous{limit: "token", dear: dear, make: func(i int) *http.Request { return post(gw+path, form(i), nil) }}
	}
	return map[string]anonymous{
		"GET /mobile/authorize": {limit: "login", make: func(int) *http.Request { return asking("GET", gw+"/mobile/authorize?"+start.Encode(), top("none")) }},
		"GET /mobile/callback/{app}": {limit: "callback", make: func(i int) *http.Request {
			return asking("GET", gw+"/mobile/callback/phone?"+url.Values{"state": {fmt.Sprint(i)}, "code": {"x"}}.Encode(), top("cross-site"))
		}},
		"POST /mobile/callback/{app}": {limit: "callback", make: func(int) *http.Request {
			return post(gw+"/mobile/callback/phone", url.Values{"confirm": {"x"}}, top("same-origin"))
		}},
		"POST /mobile/par": token("/mobile/par", 0, func(int) url.Values { return start }),
		"POST /mobile/token": token("/mobile/token", 2, func(i int) url.Values {
			if i%2 == 0 {
				return url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {forge.Handle(forge.Refresh)}}
			}
			return url.Values{"grant_type": {"authorization_code"}, "client_id": {"phone"}, "redirect_uri": {phoneURI}, "code": {rand.Text() + rand.Text()}, "code_verifier": {strings.Repeat("v", 43)}}
		}),
		"POST /mobile/revoke": token("/mobile/revoke", 2, func(int) url.Values {
			return url.Values{"client_id": {"phone"}, "token": {forge.Handle(forge.Refresh)}}
		}),
		"POST /mobile/logout/{ticket}": {limit: "ticket", dear: 1, make: func(int) *http.Request {
			return post(gw+"/mobile/logout/"+rand.Text()+rand.Text(), nil, top("same-origin"))
		}},
		"POST /mobile/backchannel-logout": {limit: "backchannel", make: func(i int) *http.Request {
			return post(gw+"/mobile/backchannel-logout", url.Values{"logout_token": {n.forgedLogout(i)}}, nil)
		}},
		"GET /mobile/frontchannel-logout": {limit: "frontchannel", dear: 2, make: func(i int) *http.Request {
			return asking("GET", gw+"/mobile/frontchannel-logout?"+url.Values{"iss": {n.OP.Issuer}, "sid": {fmt.Sprint("ses_", i)}}.Encode(), nil)
		}},
		"GET /mobile/session": free(asking("GET", gw+"/mobile/session", nil)), "GET /mobile/sessions": free(asking("GET", gw+"/mobile/sessions", nil)),
		"DELETE /mobile/sessions": free(asking("DELETE", gw+"/mobile/sessions", nil)), "DELETE /mobile/sessions/{id}": free(asking("DELETE", gw+"/mobile/sessions/x", nil)),
		"GET /mobile/events": free(asking("GET", gw+"/mobile/events", nil)), "POST /mobile/logout": free(asking("POST", gw+"/mobile/logout", nil)),
		"GET /mobile/logout/{ticket}": opened(gw+"/mobile/logout/x", "none"), "GET /mobile/logged-out": opened(gw+"/mobile/logged-out?state=x", "none"),
		"GET /mobile/jwks": opened(gw+"/mobile/jwks", "none"), "GET /mobile/jwks/{app}": opened(gw+"/mobile/jwks/phone", "none"),
		"GET /.well-known/oauth-authorization-server/mobile": opened(gw+"/.well-known/oauth-authorization-server/mobile", "none"),
		"GET /mobile/.well-known/openid-configuration":       opened(gw+"/mobile/.well-known/openid-configuration", "none"),
		"GET /.well-known/apple-app-site-association":        opened(gw+"/.well-known/apple-app-site-association", "none"),
		"GET /.well-known/assetlinks.json":                   opened(gw+"/.well-known/assetlinks.json", "none"),
		"GET /openapi.json":                                  opened(gw+"/openapi.json", "none"),
	}
}

// initiation asks for a sign-in by the word of somebody who only looks like the provider.
func (n *nativeWorld) initiation(i int) string {
	return url.Values{"iss": {n.OP.Issuer}, "idp_initiated_login": {n.forgedLogout(i)}}.Encode()
}

// forgedLogout is a token of the right form and names, by a key that the provider does not have.
func (n *nativeWorld) forgedLogout(i int) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	now := time.Now().Unix()
	return part(fmt.Sprintf(`{"alg":"RS256","typ":"logout+jwt","kid":"made-up-%d"}`, i)) + "." +
		part(fmt.Sprintf(`{"iss":%q,"aud":"webc_1","iat":%d,"exp":%d,"jti":"j%d","sid":"ses_1","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`, n.OP.Issuer, now, now+60, i)) +
		"." + part(strings.Repeat("s", 256))
}
