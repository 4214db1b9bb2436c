package surface_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

// judge is a provider that judges every logout token alike.
type judge struct {
	bff.Provider
	err error
}

func (j judge) VerifyLogout(context.Context, bff.Secret) (*bff.LogoutToken, error) { return nil, j.err }

// channels is an engine with nothing behind it but a provider: a token that is not carried out needs no more.
func channels(t *testing.T, err error) *bff.Engine {
	t.Helper()
	ring, bad := bff.NewKeyring(
		[]bff.Key{{ID: "k1", Bytes: bff.NewSecret("0123456789abcdef0123456789abcdef")}}, nil,
		[]bff.Key{{ID: "i1", Bytes: bff.NewSecret("fedcba9876543210fedcba9876543210")}})
	if bad != nil {
		t.Fatal(bad)
	}
	ports := bff.Ports{Providers: func(string) bff.Provider { return judge{err: err} }}
	return bff.NewEngine(ports, ring, time.Now, &bff.Trace{}, bff.Limits{})
}

// counter is a limit that counts what it is asked, and refuses where it is full.
type counter struct {
	asked []string
	full  bool
}

func (c *counter) limit(_ context.Context, rule string, _ *http.Request) error {
	c.asked = append(c.asked, rule)
	if c.full {
		return &bff.Error{Code: bff.CodeRateLimited, Message: "Too many.", RetryAfter: 2 * time.Second}
	}
	return nil
}

// Only what is wrong with a token counts against its sender; whatever is answered is OAuth's JSON, to a browser too.
//
// shows BCL-2.5, BCL-2.8, BCL-DOS (the limit)
func TestAnswersToLogoutTokens(t *testing.T) {
	refused := &bff.LogoutTokenError{Rule: "signature", Err: errors.New("secret words of the token")}
	outage := &bff.Error{Code: bff.CodeIDPUnavailable, Err: errors.New("keys")}
	for _, row := range []struct {
		with    string
		body    string
		err     error
		full    bool
		status  int
		counted int
		words   string
	}{
		{"a token that is refused", "logout_token=a.b.c", refused, false, 400, 1, `"error":"invalid_request"`},
		{"a token that is refused too often", "logout_token=a.b.c", refused, true, 429, 1, `"error":"temporarily_unavailable"`},
		{"a token that cannot be judged now", "logout_token=a.b.c", outage, true, 400, 0, `"error":"invalid_request"`},
		{"an unforeseen failure", "logout_token=a.b.c", errors.New("x"), true, 400, 0, `"error":"invalid_request"`},
		{"no token", "x=y", nil, false, 400, 1, `"error":"invalid_request"`},
		{"two tokens", "logout_token=a&logout_token=a", nil, false, 400, 1, `"error":"invalid_request"`},
	} {
		c := &counter{full: row.full}
		b := surface.Backchannel{Engine: channels(t, row.err), Apps: []*bff.App{{ID: "web", Provider: &bff.ProviderPolicy{}}}, Limit: c.limit}
		r := httptest.NewRequest("POST", "/bff/backchannel-logout", strings.NewReader(row.body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		w := httptest.NewRecorder()
		err := b.Take(w, r)
		surface.WriteError(w, r, err, surface.Info{})
		text := w.Body.String()
		if w.Code != row.status || !strings.Contains(text, row.words) || strings.Contains(text, "secret words") ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
			t.Errorf("a request with %s: %d %v %s", row.with, w.Code, w.Header(), text)
		}
		if len(c.asked) != row.counted || row.counted > 0 && c.asked[0] != surface.RuleBackchannel {
			t.Errorf("a request with %s: the limit was asked %v", row.with, c.asked)
		}
	}
}

// shows FCL-2-1 (the same page), FCL-2-2, FCL-5 (the limit)
func TestThePageOfTheFrontChannel(t *testing.T) {
	main := &bff.ProviderPolicy{Name: "main", Issuer: "https://op.example/tenant/", Issuers: []string{"https://auth.example"}}
	second := &bff.ProviderPolicy{Name: "second", Issuer: "https://second.example"}
	for _, row := range []struct {
		with      string
		providers []*bff.ProviderPolicy
		query     string
		framers   string
	}{
		{"nothing", []*bff.ProviderPolicy{main}, "", "https://op.example"},
		{"an iss alone", []*bff.ProviderPolicy{main}, "iss=" + url.QueryEscape(main.Issuer), "https://op.example"},
		{"a further name", []*bff.ProviderPolicy{main}, "iss=https://auth.example", "https://auth.example"},
		{"a sid alone", []*bff.ProviderPolicy{main}, "sid=ses_1", "https://op.example"},
		{"another issuer", []*bff.ProviderPolicy{main}, "iss=https://evil.example&sid=ses_1", "https://op.example"},
		{"an issuer of two", []*bff.ProviderPolicy{main, second}, "iss=https://second.example", "https://second.example"},
		{"an issuer that is none of two", []*bff.ProviderPolicy{main, second}, "iss=https://evil.example", "'none'"},
		{"an iss that stands twice", []*bff.ProviderPolicy{main, second}, "iss=https://second.example&iss=https://evil.example", "'none'"},
		{"a query that does not parse", []*bff.ProviderPolicy{main}, "iss=%zz", "https://op.example"},
	} {
		f := surface.Frontchannel{Engine: channels(t, nil), Providers: row.providers}
		w := httptest.NewRecorder()
		if err := f.Take(w, httptest.NewRequest("GET", "/bff/frontchannel-logout?"+row.query, nil)); err != nil {
			t.Fatal(err)
		}
		policy := w.Header().Get("Content-Security-Policy")
		if w.Code != 200 || !strings.Contains(policy, "frame-ancestors "+row.framers+";") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("a request with %s: %d %v", row.with, w.Code, w.Header())
		}
		if framed := row.framers != "'none'"; framed == (w.Header().Get("X-Frame-Options") == "DENY") {
			t.Errorf("a request with %s: X-Frame-Options %q", row.with, w.Header().Get("X-Frame-Options"))
		}
	}
	off := surface.Frontchannel{}
	if err := off.Take(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)); bff.CodeOf(err) != bff.CodeNotFound {
		t.Errorf("switched off: %v", err)
	}
	c := &counter{full: true}
	limited := surface.Frontchannel{Engine: channels(t, nil), Providers: []*bff.ProviderPolicy{main}, Limit: c.limit}
	err := limited.Take(httptest.NewRecorder(), httptest.NewRequest("GET", "/?iss=x&sid=y", nil))
	if bff.CodeOf(err) != bff.CodeRateLimited || len(c.asked) != 1 || c.asked[0] != surface.RuleFrontchannel {
		t.Errorf("guessing: %v, asked %v", err, c.asked)
	}
	w := httptest.NewRecorder()
	if err := surface.WritePage(w, httptest.NewRequest("GET", "/", nil), surface.SignedOutPage("/", "")); err != nil || !strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("any other page may be framed: %v %v", err, w.Header())
	}
}
