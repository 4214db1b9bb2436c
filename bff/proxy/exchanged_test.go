package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/bff/proxy"

	"github.com/google/go-cmp/cmp"
)

// trade is a call whose exchanges give these tokens, in order, and note which was refused before each.
func trade(asked *[]string, tokens ...string) func(*http.Request) proxy.Call {
	return func(*http.Request) proxy.Call {
		call := signedIn()
		call.Renew = func(context.Context) (bff.TokenSet, error) {
			return bff.TokenSet{}, errors.New("the session's own was renewed")
		}
		call.Exchange = func(_ context.Context, refused bff.Secret) (bff.TokenSet, error) {
			*asked = append(*asked, refused.Reveal())
			next := tokens[min(len(*asked), len(tokens))-1]
			if code, failed := strings.CutPrefix(next, "fails: "); failed {
				return bff.TokenSet{}, &bff.Error{Code: bff.Code(code)}
			}
			return bff.TokenSet{Access: bff.NewSecret(next), TokenType: "Bearer"}, nil
		}
		return call
	}
}

func exchangeRoute(a *api, change ...func(*proxy.Route)) proxy.Route {
	return route(a, "/api/", append([]func(*proxy.Route){func(r *proxy.Route) { r.Token = proxy.TokenExchange }}, change...)...)
}

// An API is sent the exchanged token or is not asked at all: the session's own, which is for another audience, never takes its
// place. No token is made for a request that is refused anyway.
//
// shows TX-NOFALL
func TestAnExchangedTokenOrNone(t *testing.T) {
	for _, c := range []struct {
		with   string
		change func(*proxy.Route)
		call   func(asked *[]string) func(*http.Request) proxy.Call
		want   bff.Code
		asked  int
		sent   []string
	}{
		{"a token", nil, func(a *[]string) func(*http.Request) proxy.Call { return trade(a, "x-1") }, "", 1, []string{"Bearer x-1"}},
		{"a token, to a site", func(r *proxy.Route) { r.Kind = proxy.KindSite }, func(a *[]string) func(*http.Request) proxy.Call { return trade(a, "x-1") }, "", 1, []string{"Bearer x-1"}},
		{"an exchange that is refused", nil, func(a *[]string) func(*http.Request) proxy.Call { return trade(a, "fails: token_refused") }, bff.CodeTokenRefused, 1, nil},
		{"an exchange to a site that is refused", func(r *proxy.Route) { r.Kind = proxy.KindSite }, func(a *[]string) func(*http.Request) proxy.Call { return trade(a, "fails: token_refused") }, bff.CodeTokenRefused, 1, nil},
		{"the session's own token in return", nil, func(a *[]string) func(*http.Request) proxy.Call { return trade(a, "at-1") }, bff.CodeInternal, 1, nil},
		{"no token in return", nil, func(a *[]string) func(*http.Request) proxy.Call { return trade(a, "") }, bff.CodeInternal, 1, nil},
		{"no way to exchange", nil, func(*[]string) func(*http.Request) proxy.Call {
			return func(*http.Request) proxy.Call { return signedIn() }
		}, bff.CodeInternal, 0, nil},
		{"no session", nil, func(a *[]string) func(*http.Request) proxy.Call {
			return func(r *http.Request) proxy.Call { c := trade(a, "x-1")(r); c.Session = nil; return c }
		}, bff.CodeSessionRequired, 0, nil},
		{
			"a claim that is missing", func(r *proxy.Route) { r.RequireClaims = map[string][]string{"roles": {"owner"}} },
			func(a *[]string) func(*http.Request) proxy.Call { return trade(a, "x-1") }, bff.CodeClaimRequired, 0, nil,
		},
		{
			"a scope that the session has", func(r *proxy.Route) { r.RequireScopes = []string{"orders:read"} },
			func(a *[]string) func(*http.Request) proxy.Call { return trade(a, "x-1") }, "", 1,
			[]string{"Bearer x-1"},
		},
	} {
		t.Run("a call with "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			var asked, sent []string
			change := c.change
			if change == nil {
				change = func(*proxy.Route) {}
			}
			g := newGateway(t, setting{call: c.call(&asked)}, exchangeRoute(a, change))
			got := bff.Code(g.do(t, "GET", "/api/1", nil, nil).Header.Get("X-Code"))
			for _, r := range a.requests() {
				sent = append(sent, r.Header.Get("Authorization"))
			}
			if diff := cmp.Diff(c.sent, sent); got != c.want || len(asked) != c.asked || diff != "" {
				t.Errorf("got %q after %d exchanges; sent (-want +got):\n%s", got, len(asked), diff)
			}
		})
	}
}

// An API's 401 gets one new exchange and one replay; a renewal that fails, or gives the session's own, gets nothing.
//
// shows TX-2.2, TX-NOFALL
func TestAnAPIRefusesAnExchangedToken(t *testing.T) {
	for _, c := range []struct {
		with   string
		second string
		want   bff.Code
		sent   []string
	}{
		{"another token", "x-2", "", []string{"Bearer x-1", "Bearer x-2"}},
		{"a refusal", "fails: token_refused", bff.CodeTokenRefused, []string{"Bearer x-1"}},
		{"the session's own", "at-1", bff.CodeInternal, []string{"Bearer x-1"}},
	} {
		t.Run("a renewal with "+c.with, func(t *testing.T) {
			a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer x-1" {
					w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
					w.WriteHeader(401)
				}
			})
			var asked, sent []string
			g := newGateway(t, setting{call: trade(&asked, "x-1", c.second)}, exchangeRoute(a))
			got := bff.Code(g.do(t, "POST", "/api/1", nil, strings.NewReader("body")).Header.Get("X-Code"))
			for _, r := range a.requests() {
				if sent = append(sent, r.Header.Get("Authorization")); r.Body != "body" {
					t.Errorf("sent %q", r.Body)
				}
			}
			if diff := cmp.Diff(c.sent, sent); got != c.want || diff != "" || !cmp.Equal(asked, []string{"", "x-1"}) {
				t.Errorf("got %q; asked %q; sent (-want +got):\n%s", got, asked, diff)
			}
		})
	}
}
