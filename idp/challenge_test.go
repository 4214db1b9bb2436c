package idp_test

import (
	"net/http"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"
)

// Every answer may bring a nonce for next time (RFC 9449 section 8.2). Only a challenge says that the grant was not used: after
// anything else a second sending would be a second use of the refresh token (RFC 9700 section 4.14.2).
//
// shows DPOP-OUT-AS
func TestANonceIsNoChallenge(t *testing.T) {
	for _, tc := range []struct {
		with      string
		status    int
		error     string
		challenge string
		nonce     string
		want      bff.Outcome
	}{
		{"another error", http.StatusBadRequest, "invalid_grant", "", "n2", bff.OutcomeSpent},
		{"an error of its own in the place of the challenge", http.StatusInternalServerError, "use_dpop_nonce", "", "n2", bff.OutcomeTransient},
		{"a challenge for another scheme", http.StatusUnauthorized, "invalid_client", `Basic error="use_dpop_nonce"`, "n2", bff.OutcomeClient},
		{"a challenge for another reason", http.StatusUnauthorized, "invalid_client", `DPoP error="invalid_token"`, "n2", bff.OutcomeClient},
		{"a challenge that takes the nonce it was sent", http.StatusBadRequest, "use_dpop_nonce", "", "n1", bff.OutcomeTransient},
		{"a challenge without a nonce", http.StatusBadRequest, "use_dpop_nonce", "", "", bff.OutcomeTransient},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := binding(t)
			p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
				if p.count("/token") == 1 { // a nonce is known from here on
					w.Header().Set("DPoP-Nonce", "n1")
					p.answer(w, 200, p.tokens(bound))
					return
				}
				if tc.nonce != "" {
					w.Header().Set("DPoP-Nonce", tc.nonce)
				}
				if tc.challenge != "" {
					w.Header().Set("WWW-Authenticate", tc.challenge)
				}
				p.answer(w, tc.status, map[string]any{"error": tc.error})
			})
			c := p.client(required)
			grant, err := exchangeBound(t, c)
			if err != nil {
				t.Fatal(err)
			}
			s := p.session()
			s.Tokens = grant.Tokens
			_, err = c.Refresh(t.Context(), s, "")
			if e := outcomeOf(t, err); e.Outcome != tc.want || p.count("/token") != 2 {
				t.Errorf("%v (%v) after %d requests, want 2", e.Outcome, err, p.count("/token"))
			}
			if got := proofOf(t, p, p.requests("/token")[1], "").Nonce; got != "n1" {
				t.Errorf("the refresh had the nonce %q", got)
			}
		})
	}
}

// An answer that gives no nonce, or one that no proof may hold, does not take the one that is known: the next call would be
// asked for it again.
func TestANonceIsKeptUntilThereIsAnother(t *testing.T) {
	p := binding(t)
	p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
		switch p.count("/token") {
		case 1:
			w.Header().Set("DPoP-Nonce", "n1")
		case 3:
			w.Header().Set("DPoP-Nonce", `a "quoted" one`)
		}
		p.answer(w, 200, p.tokens(bound))
	})
	c, s := p.client(required), p.session()
	for range 4 {
		grant, err := c.Refresh(t.Context(), s, "")
		if err != nil {
			t.Fatal(err)
		}
		s.Tokens = grant.Tokens
		p.clock.add(time.Second)
	}
	for i, r := range p.requests("/token") {
		if got, want := proofOf(t, p, r, "").Nonce, map[bool]string{false: "n1"}[i == 0]; got != want {
			t.Errorf("request %d had the nonce %q, want %q", i+1, got, want)
		}
	}
}

// Without the setting a login proves nothing: a provider that binds whatever is proved would bind its tokens to a key that the
// session is not to have.
//
// shows DPOP-OUT-AS
func TestALoginWithoutTheSettingProvesNothing(t *testing.T) {
	p := binding(t)
	p.handle("/token", func(w http.ResponseWriter, r *http.Request) { p.answer(w, 200, p.tokens(nil)) })
	grant, err := exchangeBound(t, p.client(func(s *idp.Settings) { s.DPoP = false }))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.requests("/token")[0].header["Dpop"]; got != nil || !grant.Tokens.ProofKey.IsZero() {
		t.Errorf("a proof %q, a key: %v", got, !grant.Tokens.ProofKey.IsZero())
	}
}
