package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

func TestRefusedToken(t *testing.T) {
	// shows PRX-401
	renewed := func(context.Context) (bff.TokenSet, error) {
		return bff.TokenSet{Access: secret("at-2"), TokenType: "Bearer"}, nil
	}
	same := func(context.Context) (bff.TokenSet, error) { return bff.TokenSet{Access: secret("at-1")}, nil }
	down := func(context.Context) (bff.TokenSet, error) {
		return bff.TokenSet{}, &bff.Error{Code: bff.CodeIDPUnavailable}
	}
	bearer := `Bearer realm="x", error="invalid_token"`
	for _, c := range []struct {
		with      string
		refuses   string // the token that the API refuses; "all": any
		status    int
		challenge string
		renew     func(context.Context) (bff.TokenSet, error)
		body      string
		hits      int
		want      int
		code      bff.Code
	}{
		{with: "a token that was good", refuses: "", renew: renewed, hits: 1, want: 200},
		{with: "a token that had gone bad", refuses: "Bearer at-1", challenge: bearer, renew: renewed, hits: 2, want: 200},
		{with: "a bad token and no challenge", refuses: "Bearer at-1", renew: renewed, hits: 2, want: 200},
		{with: "a bad token and a bare challenge", refuses: "Bearer at-1", challenge: "Bearer", renew: renewed, hits: 2, want: 200},
		{with: "a bad token and a DPoP challenge", refuses: "Bearer at-1", challenge: `DPoP error="invalid_token"`, renew: renewed, hits: 2, want: 200},
		{with: "a bad token and a body", refuses: "Bearer at-1", challenge: bearer, renew: renewed, body: "hello", hits: 2, want: 200},
		{with: "a body too long to keep", refuses: "Bearer at-1", challenge: bearer, renew: renewed, body: strings.Repeat("x", 64<<10+1), hits: 1, want: 401, code: bff.CodeUpstreamRefused},
		{with: "tokens that are all refused", refuses: "all", challenge: bearer, renew: renewed, hits: 2, want: 401, code: bff.CodeUpstreamRefused},
		{with: "no way to renew", refuses: "all", challenge: bearer, hits: 1, want: 401, code: bff.CodeUpstreamRefused},
		{with: "a renewal that changes nothing", refuses: "all", challenge: bearer, renew: same, hits: 1, want: 401, code: bff.CodeUpstreamRefused},
		{with: "a provider that is down", refuses: "all", challenge: bearer, renew: down, hits: 1, want: 503, code: bff.CodeIDPUnavailable},
		{with: "a 403", refuses: "all", status: 403, challenge: `Bearer error="insufficient_scope"`, renew: renewed, hits: 1, want: 403},
		{with: "a 401 for another reason", refuses: "all", challenge: `Bearer error="insufficient_scope"`, renew: renewed, hits: 1, want: 401},
		{with: "a 401 of another scheme", refuses: "all", challenge: `Basic realm="bearer"`, renew: renewed, hits: 1, want: 401},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
				if c.refuses != "all" && r.Header.Get("Authorization") != c.refuses {
					_, _ = io.WriteString(w, "ok")
					return
				}
				if c.challenge != "" {
					w.Header().Set("WWW-Authenticate", c.challenge)
				}
				w.WriteHeader(max(c.status, 401))
			})
			call := func(*http.Request) proxy.Call { k := signedIn(); k.Renew = c.renew; return k }
			g := newGateway(t, setting{call: call}, route(a, "/api/"))
			got := g.do(t, "POST", "/api/x", nil, strings.NewReader(c.body))
			if got.Status != c.want || got.Header.Get("X-Code") != string(c.code) || got.Header["Www-Authenticate"] != nil {
				t.Errorf("got %d %v, want %d %s", got.Status, got.Header, c.want, c.code)
			}
			reqs := a.requests()
			if len(reqs) != c.hits {
				t.Fatalf("the API was hit %d times, want %d", len(reqs), c.hits)
			}
			for _, r := range reqs {
				if r.Body != c.body {
					t.Errorf("the API got a body of %d bytes, want %d", len(r.Body), len(c.body))
				}
			}
		})
	}
}

func TestStreamedUploadIsNotRepeated(t *testing.T) {
	// shows PRX-401
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })
	renewals := 0
	call := func(*http.Request) proxy.Call {
		k := signedIn()
		k.Renew = func(context.Context) (bff.TokenSet, error) { renewals++; return bff.TokenSet{}, errors.New("unasked") }
		return k
	}
	g := newGateway(t, setting{call: call}, route(a, "/api/", func(r *proxy.Route) { r.BodyBytes = 64 << 20 }))
	const size = 50 << 20                                                                      // what the requirement names
	got := g.do(t, "POST", "/api/x", nil, io.MultiReader(bytes.NewReader(make([]byte, size)))) // no declared length
	if got.Status != 401 || got.Header.Get("X-Code") != string(bff.CodeUpstreamRefused) || renewals != 0 {
		t.Errorf("got %d %s after %d renewals", got.Status, got.Header.Get("X-Code"), renewals)
	}
	if n := len(a.only(t).Body); n != size {
		t.Errorf("the API got %d bytes", n)
	}
}

func TestAnonymousRefusalPasses(t *testing.T) {
	// shows PRX-401, PRX-RESP
	a := answering(t, 401, http.Header{"Www-Authenticate": {`Basic realm="x"`}}, "no")
	g := newGateway(t, setting{}, route(a, "/open/", func(r *proxy.Route) { r.Token = proxy.TokenNone }))
	got := g.do(t, "GET", "/open/x", nil, nil)
	if got.Status != 401 || got.Header["Www-Authenticate"] != nil || got.Header.Get("X-Code") != "" || got.Body != "no" {
		t.Errorf("got %+v", got)
	}
}
