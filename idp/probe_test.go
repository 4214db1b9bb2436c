package idp_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/idp"
)

// The provider's clock is compared by the Date of its answer, less what a cache says that it is old.
func TestProbeComparesClocks(t *testing.T) {
	for name, tt := range map[string]struct {
		off   time.Duration
		age   string
		grade idp.Grade
		want  string
	}{
		"the same":                         {0, "", idp.Good, ""},
		"a little off":                     {4 * time.Second, "", idp.Good, ""},
		"ahead, within what is taken":      {20 * time.Second, "", idp.Note, "clock: the provider's is 20s ahead of this machine's, and 1m0s is what"},
		"behind, by more":                  {-90 * time.Second, "", idp.Wrong, "clock: the provider's is 1m30s behind this machine's"},
		"ahead, by more":                   {90 * time.Second, "", idp.Wrong, "clock: the provider's is 1m30s ahead of"},
		"behind, as a cache's answer is":   {-90 * time.Second, "90", idp.Good, ""},
		"an age that is none":              {0, "-99999999999999999999", idp.Good, ""},
		"an age beyond all time":           {0, "9223372036854775807", idp.Wrong, "ahead of"},
		"no date, as a provider may do it": {0, "none", idp.Good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.handle("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = []string{p.now().Add(tt.off).Format(http.TimeFormat)}
				if tt.age == "none" {
					w.Header()["Date"] = nil
				} else if tt.age != "" {
					w.Header().Set("Age", tt.age)
				}
				p.answer(w, 200, p.copyMeta())
			})
			s := p.issuer(nil).Probe(t.Context())
			at := slices.IndexFunc(s.Findings, func(f idp.Finding) bool { return strings.HasPrefix(f.Text, "clock: ") })
			switch {
			case at < 0 && tt.want != "":
				t.Errorf("nothing told of the clock: %v", s.Findings)
			case at >= 0 && (tt.want == "" || s.Findings[at].Grade != tt.grade || !strings.Contains(s.Findings[at].Text, tt.want)):
				t.Errorf("told %+v", s.Findings[at])
			}
		})
	}
}

// What the token endpoint answers to a code that cannot exist says whether the client is known, and nothing more is made of
// it than it says.
func TestProbeOfAClient(t *testing.T) {
	for name, tt := range map[string]struct {
		status      int
		media, body string
		grade       idp.Grade
		client      bool // the client was refused
	}{
		"the code refused":                   {400, "application/json", `{"error":"invalid_grant"}`, idp.Good, false},
		"the client refused":                 {401, "application/json", `{"error":"invalid_client"}`, idp.Wrong, true},
		"the client refused by 400":          {400, "application/json", `{"error":"invalid_client"}`, idp.Wrong, true},
		"a 401 that says no more":            {401, "text/html", `<h1>No</h1>`, idp.Wrong, true},
		"the grant refused":                  {400, "application/json", `{"error":"unauthorized_client"}`, idp.Wrong, true},
		"a word that says nothing of either": {400, "application/json", `{"error":"invalid_request"}`, idp.Note, false},
		"too many":                           {429, "text/plain", ``, idp.Note, false},
		"no endpoint":                        {404, "text/html", ``, idp.Wrong, false},
		"an outage":                          {503, "text/html", ``, idp.Wrong, false},
		"a 200 that is no answer":            {200, "text/html", `<h1>Hi</h1>`, idp.Note, false},
		"tokens for nothing":                 {200, "application/json", `{"access_token":"for-nothing","token_type":"Bearer"}`, idp.Wrong, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", tt.status, tt.media, tt.body)
			is := p.issuer(nil)
			f, err := register(is).Probe(t.Context())
			if f.Grade != tt.grade || (err == idp.ErrClient) != tt.client || !strings.HasPrefix(f.Text, "client") {
				t.Errorf("%+v, %v", f, err)
			}
			if strings.Contains(f.Text, secret) || strings.Contains(fmt.Sprint(p.logged.String()), secret) {
				t.Error("the secret was told")
			}
			asked := p.requests("/token")
			if len(asked) != 1 || !strings.HasPrefix(asked[0].form.Get("code"), "check-") || asked[0].form.Get("grant_type") != "authorization_code" {
				t.Errorf("asked %d times", len(asked))
			}
			drain(t, is)
		})
	}
}

// A redirect URI is registered where the browser is sent to that very address with this very sign-in's state, and nothing
// else is taken for it.
func TestProbeOfARedirectURI(t *testing.T) {
	answers := func(at func(state, uri string) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			w.Header().Set("Location", at(q.Get("state"), q.Get("redirect_uri")))
			w.WriteHeader(http.StatusSeeOther)
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		grade  idp.Grade
		words  string
	}{
		"that address": {answers(func(state, uri string) string { return uri + "?error=login_required&state=" + state }), idp.Good, " is registered"},
		"a code":       {answers(func(state, uri string) string { return uri + "?code=c&state=" + state }), idp.Good, " is registered"},
		"that address with another state": {
			answers(func(_, uri string) string { return uri + "?error=login_required&state=s" }), idp.Wrong, "without the state it was sent",
		},
		"a page of the provider's with the state": {
			answers(func(state, _ string) string { return "/login/17?state=" + state }), idp.Note, "could not tell",
		},
		"another address of the app": {
			answers(func(state, _ string) string { return "https://app.example.com/?state=" + state }), idp.Note, "could not tell",
		},
		"an address that begins alike": {
			answers(func(state, uri string) string { return uri + ".example.org/?state=" + state }), idp.Note, "could not tell",
		},
		"a failure of its own": {
			answers(func(state, uri string) string { return uri + "?error=server_error&state=" + state }), idp.Note, `answered "server_error"`,
		},
		"what is no address": {answers(func(string, string) string { return "http://[" }), idp.Wrong, "the authorization endpoint: "},
		"too many":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, idp.Note, "too often"},
		"an outage":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, idp.Wrong, "status 503"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.handle("/authorize", tt.answer)
			f := p.client(nil).ProbeRedirect(t.Context(), true)
			if f.Grade != tt.grade || !strings.Contains(f.Text, tt.words) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// A refused code is told with the redirect URI that was sent: providers say invalid_grant to a wrong one as well.
func TestARefusedCodeIsToldWithItsRedirectURI(t *testing.T) {
	p := newProvider(t)
	p.replies("/token", 400, "application/json", `{"error":"invalid_grant","error_description":"redirect_uri does not correspond"}`)
	_, err := exchange(t, p.client(nil))
	if err == nil || !strings.Contains(err.Error(), "client "+clientID+", redirect_uri "+redirect+": answer with status 400 and error invalid_grant") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(fmt.Sprint(err), "correspond") {
		t.Error("the provider's own words, which may quote what was sent, were kept")
	}
}
