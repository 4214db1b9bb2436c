//go:build integration

package native_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

// The libraries that native apps are written with, unmodified, each in a program of its own: sign-in, calls of the API,
// rotation or a bound handle, revocation. What a program says it did, and what the gateway was asked meanwhile, are both told.
func TestLibraries(t *testing.T) {
	t.Parallel()
	n := newWorld(t, boundApp{"bound", "{dpop: required}"}, boundApp{"strict", "{dpop: required, dpop_nonce: true}"})
	unbound := []string{"sign in", "call the API", "rotate", "revoke"}
	bound := []string{"sign in", "call the API", "be refused without a proof", "revoke"}
	const oauth4webapi, openidClient, appAuth = "oauth4webapi.mjs", "openid-client.mjs", "appauth.mjs"
	tests := []struct {
		name, script, app string
		flags             []string
		did               []string // in this order; nonces are told by asked
		asked             []string // in this order, others in between
	}{
		{"oauth4webapi", oauth4webapi, "cli", nil, unbound, []string{
			"GET /.well-known/oauth-authorization-server/mobile 200", "POST /mobile/token 200", "GET /api/orders 200",
			"POST /mobile/token 200", "GET /api/orders 200", "POST /mobile/revoke 200", "GET /api/orders 401 invalid_token",
			"POST /mobile/token 400 invalid_grant",
		}},
		{"oauth4webapi that pushes its request", oauth4webapi, "cli", []string{"--par"}, append([]string{"push the request"}, unbound...), []string{
			"POST /mobile/par 201", "POST /mobile/token 200",
		}},
		{"oauth4webapi with a bound handle", oauth4webapi, "bound", []string{"--dpop", "ES256"}, bound, []string{
			"POST /mobile/token with proof 200", "GET /api/orders with proof 200", "GET /api/orders 401 invalid_token",
			"POST /mobile/revoke 200", "GET /api/orders with proof 401 invalid_token",
		}},
		{"oauth4webapi with a bound handle and a pushed request", oauth4webapi, "bound", []string{"--dpop", "PS256", "--par"}, append([]string{"push the request"}, bound...), []string{
			"POST /mobile/par with proof 201", "POST /mobile/token with proof 200", "GET /api/orders with proof 200",
		}},
		{"oauth4webapi that is asked for nonces", oauth4webapi, "strict", []string{"--dpop", "Ed25519"}, bound, []string{
			"POST /mobile/token with proof 400 use_dpop_nonce", "POST /mobile/token with proof 200",
			"GET /api/orders with proof 401 use_dpop_nonce", "GET /api/orders with proof 200", "POST /api/orders with proof 201",
		}},
		{"oauth4webapi that is asked for nonces and pushes its request", oauth4webapi, "strict", []string{"--dpop", "EdDSA", "--par"}, append([]string{"push the request"}, bound...), []string{
			"POST /mobile/par with proof 400 use_dpop_nonce", "POST /mobile/par with proof 201", "POST /mobile/token with proof 200",
			"GET /api/orders with proof 401 use_dpop_nonce", "GET /api/orders with proof 200",
		}},
		{"openid-client", openidClient, "cli", []string{"--oidc"}, unbound, []string{
			"GET /mobile/.well-known/openid-configuration 200", "POST /mobile/token 200", "POST /mobile/token 200", "POST /mobile/revoke 200",
		}},
		{"openid-client with a bound handle and a pushed request", openidClient, "bound", []string{"--dpop", "RS256", "--par"}, bound, []string{
			"POST /mobile/par with proof 201", "POST /mobile/token with proof 200", "GET /api/orders with proof 200",
		}},
		{"openid-client that is asked for nonces", openidClient, "strict", []string{"--dpop", "ES256"}, bound, []string{
			"POST /mobile/token with proof 400 use_dpop_nonce", "POST /mobile/token with proof 200", "GET /api/orders with proof 200",
		}},
		{"AppAuth-JS", appAuth, "cli", nil, unbound, []string{
			"GET /mobile/.well-known/openid-configuration 200", "POST /mobile/token 200", "POST /mobile/token 200",
			"POST /mobile/token 200", "POST /mobile/revoke 200", "POST /mobile/revoke 200", "POST /mobile/token 400 invalid_grant",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n.T = t
			n.front.read()
			flags := append([]string{"--import", "tsx", "libraries/" + tt.script, "--gateway", n.front.URL, "--app", tt.app}, tt.flags...)
			for _, a := range n.bound {
				if a.name == tt.app {
					flags = append(flags, "--redirect", redirectOf(a.name))
				}
			}
			out, err := n.program(t, tt.app, ".", append([]string{"node"}, flags...)...).run(t)
			asked := n.front.read()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, strings.Join(asked, "\n"))
			}
			if diff := cmp.Diff(tt.did, deeds(out)); diff != "" {
				t.Errorf("what it did (-want +got):\n%s", diff)
			}
			if missing := inOrder(tt.asked, asked); len(missing) > 0 {
				t.Errorf("never asked, or not in this order: %q\n%s", missing, strings.Join(asked, "\n"))
			}
		})
	}
	t.Run("golang.org/x/oauth2", func(t *testing.T) { n.T = t; goLibrary(t, n) })
	n.T = t
	n.finish(t)
}

// deeds are what a program says it did, but for the nonces it took.
func deeds(out string) (did []string) {
	for line := range strings.Lines(out) {
		if what, ok := strings.CutPrefix(strings.TrimSpace(line), "did: "); ok && what != "take a nonce" {
			did = append(did, what)
		}
	}
	return did
}

// inOrder returns what of want is not in got in want's order.
func inOrder(want, got []string) []string {
	for _, line := range got {
		if len(want) > 0 && line == want[0] {
			want = want[1:]
		}
	}
	return want
}

// goLibrary is golang.org/x/oauth2 in each style of naming the client, and with the probing it does without one.
func goLibrary(t *testing.T, n *nativeWorld) {
	for name, style := range map[string]oauth2.AuthStyle{
		"client_id in the form": oauth2.AuthStyleInParams, "client_id by Basic": oauth2.AuthStyleInHeader, "probing": oauth2.AuthStyleAutoDetect,
	} {
		t.Run(name, func(t *testing.T) {
			g := n.signIn(t, n.browser(t), ask{})
			config := oauth2.Config{ClientID: "cli", RedirectURL: g.Redirect, Endpoint: oauth2.Endpoint{
				AuthURL: n.front.URL + "/mobile/authorize", TokenURL: n.front.URL + "/mobile/token", AuthStyle: style,
			}}
			n.front.read()
			first, err := config.Exchange(t.Context(), g.code, oauth2.VerifierOption(g.Verifier))
			if err != nil {
				t.Fatal(err)
			}
			wantStatus(t, config.Client(t.Context(), first), n.front.URL, 200)
			first.Expiry = time.Now().Add(-time.Minute) // as if a quarter of an hour had passed
			source := config.TokenSource(t.Context(), first)
			wantStatus(t, oauth2.NewClient(t.Context(), source), n.front.URL, 200)
			second, err := source.Token()
			if err != nil || second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken || !second.Valid() {
				t.Fatalf("after the rotation: %v", err)
			}
			n.revokeBy(t, second.RefreshToken)
			wantStatus(t, config.Client(t.Context(), second), n.front.URL, 401)
			// The library probes by Basic first: with an empty password that names a public client, so that no probe is wasted.
			asked := slices.DeleteFunc(n.front.read(), func(line string) bool { return !strings.Contains(line, "/token") })
			if diff := cmp.Diff([]string{"POST /mobile/token 200", "POST /mobile/token 200"}, asked); diff != "" {
				t.Errorf("the token endpoint was asked (-want +got):\n%s", diff)
			}
		})
	}
}

// wantStatus fails unless the client's call of the API has a status.
func wantStatus(t *testing.T, client *http.Client, gateway string, want int) {
	t.Helper()
	resp, err := client.Get(gateway + "/api/orders")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("the API answers with %d, want %d", resp.StatusCode, want)
	}
}

// revokeBy gives a handle back as RFC 7009 has it: x/oauth2 has no verb for it.
func (n *nativeWorld) revokeBy(t *testing.T, handle string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	form := url.Values{"client_id": {"cli"}, "token": {handle}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.front.URL+"/mobile/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("revoking: %s", resp.Status)
	}
}
