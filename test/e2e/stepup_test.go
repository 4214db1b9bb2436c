//go:build integration

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// pickyAPI asks for another sign-in as long as it is told to.
type pickyAPI struct {
	mu        sync.Mutex
	challenge []string // lines of WWW-Authenticate; nil: it answers
	bodies    []string // of what it was asked
}

func (a *pickyAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bodies = append(a.bodies, string(body))
	if a.challenge == nil {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<h1>here you are</h1>")
		return
	}
	w.Header()["Www-Authenticate"] = a.challenge
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, "the API's own words")
}

func (a *pickyAPI) ask(challenge ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.challenge = challenge
}

func (a *pickyAPI) hits() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.bodies)
}

// stepUpProblem is what a frontend acts on.
type stepUpProblem struct {
	Code      string   `json:"code"`
	ACRValues []string `json:"acr_values"`
	MaxAge    *int     `json:"max_age"`
	LoginURL  string   `json:"login_url"`
	Detail    string   `json:"detail"`
	StepUp    string   `json:"step_up"`
}

func readProblem(t *testing.T, p *browser.Page) (got stepUpProblem) {
	t.Helper()
	if err := json.Unmarshal(p.Body, &got); err != nil {
		t.Fatalf("%s: %d %s", p.URL, p.Status, p.Body)
	}
	return got
}

// stepUpWorld is two instances, routes that ask for themselves, and a picky API at /picky/ and, as a site, at /site/.
func stepUpWorld(t *testing.T, behave func(*provider.Behaviour)) (*world.World, *pickyAPI) {
	t.Helper()
	api := &pickyAPI{}
	upstream := httptest.NewServer(api)
	t.Cleanup(upstream.Close)
	w := world.New(t, world.DevProvider, world.Options{
		Behave: behave,
		Apps: `
  docs: {kind: spa, origin: ` + docs + `, provider: main, client_id: webc_2, client_secret: another-secret-with-some-length}
`,
		Routes: fmt.Sprintf(`
  - {path: /fresh/, upstream: %[1]q, methods: [GET, POST], require: {max_age: 5m}}
  - {path: /gold/, upstream: %[1]q, methods: [GET], require: {acr: [gold, platinum]}}
  - {path: /docs/, upstream: %[1]q, methods: [GET], apps: [docs], require: {acr: [papyrus]}}
  - {path: /picky/, upstream: %[1]q, methods: [GET, POST]}
  - {path: /site/, kind: site, upstream: %[1]q, methods: [GET, POST]}
  - {path: /site/fresh/, kind: site, upstream: %[1]q, methods: [GET, POST], require: {max_age: 5m}}
`, upstream.URL),
	})
	w.Start(2)
	return w, api
}

// signedInLongAgo is a browser whose user gave a credential at the provider so long ago.
func signedInLongAgo(w *world.World, ago time.Duration) *browser.Browser {
	w.T.Helper()
	b := w.Browser()
	w.SignIn(b, "/")
	w.Dev.AgeSignIns(ago)
	w.SignIn(b, "/") // the provider knows the user
	return b
}

func session(t *testing.T, b *browser.Browser) string {
	t.Helper()
	c, ok := b.Cookie(world.Origin, "__Host-Http-web")
	if !ok {
		t.Fatal("no session cookie")
	}
	return c.Value
}

// stepUp goes where a problem leads, as a page's script does, and comes back to /orders#new.
func stepUp(w *world.World, b *browser.Browser, loginURL string) *browser.Page {
	w.T.Helper()
	p, err := b.Assign(browser.At(world.Origin+"/"), loginURL+"&return_to=%2Forders")
	if err != nil {
		w.T.Fatal(err)
	}
	return p
}

// atProvider fails unless a page is the provider's, and returns the parameters that it was asked with.
func atProvider(w *world.World, p *browser.Page) url.Values {
	w.T.Helper()
	if !strings.HasPrefix(p.URL, w.OP.Issuer) {
		w.T.Fatalf("at %s, not at the provider: %d %s", p.URL, p.Status, p.Text())
	}
	u, _ := url.Parse(p.URL)
	return u.Query()
}

// toldReplaced fails unless a cookie is told, by both instances, that a new sign-in took its session's place.
func toldReplaced(w *world.World, root string) {
	w.T.Helper()
	for i, in := range w.All {
		r, _ := http.NewRequest("GET", world.Origin+"/api/orders", nil)
		r.Header.Set("Cookie", "__Host-Http-web="+root)
		r.Header.Set("X-CSRF", "1")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		res, err := in.Client().Do(r)
		if err != nil {
			w.T.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 401 || !strings.Contains(string(body), `"code":"session_ended"`) || !strings.Contains(string(body), `"reason":"replaced"`) {
			w.T.Errorf("the old session at instance %d: %d %s", i, res.StatusCode, body)
		}
		if res.Header["Set-Cookie"] != nil {
			w.T.Errorf("instance %d clears the new session's cookie", i)
		}
	}
}

// A route asks for a recent sign-in, or for a class of it: refused before the API is asked, at both instances, and refreshes
// change nothing in that. The sign-in that the problem leads to asks the provider for just this, comes back to where the user
// was, and takes the session's place, at both instances and in the other tabs.
//
// shows STEP-ROUTE, STEP-5, STEP-4
func TestARouteAsksForANewerSignIn(t *testing.T) {
	t.Parallel()
	w, api := stepUpWorld(t, nil)
	b := signedInLongAgo(w, time.Hour)
	for _, row := range []struct {
		path string
		want stepUpProblem
		asks url.Values // of the provider
	}{
		{"/fresh/x", stepUpProblem{Code: "insufficient_user_authentication", MaxAge: new300()}, url.Values{"max_age": {"300"}}},
		{"/gold/x", stepUpProblem{Code: "insufficient_user_authentication", ACRValues: []string{"gold", "platinum"}}, url.Values{"acr_values": {"gold platinum"}}},
	} {
		w.At(w.All[0])
		before := w.OP.Grants("refresh_token")
		for deadline := time.Now().Add(30 * time.Second); w.OP.Grants("refresh_token") == before; {
			if time.Now().After(deadline) {
				t.Fatal("the token was never refreshed")
			}
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
			<-time.After(100 * time.Millisecond)
		}
		var got stepUpProblem
		for _, in := range w.All {
			w.At(in)
			got = readProblem(t, w.Want(w.Fetch(b, "GET", row.path, ""), 401))
			loginURL := got.LoginURL
			if got.LoginURL, got.Detail = "", ""; !strings.HasPrefix(loginURL, "/bff/login?step_up=") {
				t.Errorf("login_url %q", loginURL)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
			got.LoginURL = loginURL
		}
		if api.hits() != 0 {
			t.Fatal("the API was asked")
		}
		old := session(t, b)
		tab := (&devices{World: w, t: t}).listen(w.All[0], b, world.Origin)
		p := stepUp(w, b, got.LoginURL)
		asked := atProvider(w, p)
		for _, name := range []string{"max_age", "acr_values"} {
			if asked.Get(name) != row.asks.Get(name) {
				t.Errorf("the provider is asked for %s %q, want %q", name, asked.Get(name), row.asks.Get(name))
			}
		}
		w.At(w.All[0])
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200) // and until the user is back, nothing has changed
		at := time.Now()
		if p = w.OP.SignIn(t, b, p); p.URL != world.Origin+"/orders" {
			t.Fatalf("signed in, and at %s: %s", p.URL, p.Text())
		}
		(&devices{World: w, t: t}).told("the other tab", tab, "session-replaced", `{"reason":"replaced"}`, at)
		if session(t, b) == old {
			t.Error("the cookie is the old one")
		}
		for _, in := range w.All {
			w.At(in)
			w.Want(w.Fetch(b, "GET", row.path, ""), 200)
		}
		toldReplaced(w, old)
		api.mu.Lock()
		api.bodies = nil
		api.mu.Unlock()
		w.Dev.AgeSignIns(time.Hour)
	}
	w.Leaks()
}

func new300() *int { n := 300; return &n }

// A provider that does not do what it is asked, or says that it cannot: the app is told, and the session from before works
// on, with its tokens, at both instances, even where one revoked token ends all that the provider has given.
//
// shows STEP-5, STEP-LOOP, STEP-4
func TestASignInThatIsNotWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	w, _ := stepUpWorld(t, func(b *provider.Behaviour) { b.AccessLife, b.Revocation = 3*time.Second, provider.ReachSession })
	b := signedInLongAgo(w, time.Hour)
	old := session(t, b)
	claims := func(c map[string]any) func(*provider.Behaviour) {
		return func(b *provider.Behaviour) { b.IDClaims = c }
	}
	for _, row := range []struct {
		with   string
		path   string
		behave func(*provider.Behaviour)
		user   string // "": nobody is asked; "deny": the user declines
		told   string
	}{
		{"no acr", "/gold/x", claims(map[string]any{"acr": nil}), "usr_1001", "step_up_unmet"},
		{"another acr", "/gold/x", claims(map[string]any{"acr": "bronze"}), "", "step_up_unmet"}, // the provider has "gold" by now
		{"no auth_time", "/fresh/x", claims(map[string]any{"auth_time": nil}), "usr_1001", "step_up_unmet"},
		{"an old auth_time", "/fresh/x", claims(map[string]any{"auth_time": time.Now().Add(-time.Hour).Unix()}), "usr_1001", "step_up_unmet"},
		{"another user", "/fresh/x", nil, "usr_1002", "step_up_unmet"},
		{"a user who declines", "/fresh/x", nil, "deny", "access_denied"},
		{"a provider that cannot", "/gold/x", func(b *provider.Behaviour) { b.AuthorizeError = "unmet_authentication_requirements" }, "", "unmet_authentication_requirements"},
	} {
		w.At(w.All[0])
		problem := readProblem(t, w.Want(w.Fetch(b, "GET", row.path, ""), 401))
		if row.behave != nil {
			w.Dev.Set(row.behave)
		}
		w.At(w.All[1])
		p := stepUp(w, b, problem.LoginURL)
		if row.user != "" {
			atProvider(w, p)
			form, err := p.Form("ada@example.com")
			if err != nil {
				t.Fatal(err)
			}
			chosen := url.Values{"user": {row.user}}
			if row.user == "deny" {
				chosen = url.Values{"deny": {"1"}}
			}
			if p, err = b.SubmitForm(p, form, chosen); err != nil {
				t.Fatal(err)
			}
		}
		if p.URL != world.Origin+"/orders?login_error="+row.told+"#" && p.URL != world.Origin+"/orders?login_error="+row.told {
			t.Fatalf("a sign-in with %s ends at %s: %d %s", row.with, p.URL, p.Status, p.Text())
		}
		w.Dev.Set(func(b *provider.Behaviour) { b.IDClaims, b.AuthorizeError = nil, "" })
		if session(t, b) != old {
			t.Fatalf("a sign-in with %s changed the cookie", row.with)
		}
		for _, in := range w.All {
			w.At(in)
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
			if got := readProblem(t, w.Want(w.Fetch(b, "GET", row.path, ""), 401)); got.Code != "insufficient_user_authentication" {
				t.Errorf("afterwards %+v", got)
			}
		}
		w.Dev.AgeSignIns(time.Hour)
	}
	for _, in := range w.All { // the refresh token too is as good as before
		w.At(in)
		before := w.OP.Grants("refresh_token")
		for deadline := time.Now().Add(30 * time.Second); w.OP.Grants("refresh_token") == before; {
			if time.Now().After(deadline) {
				t.Fatal("the token was never refreshed")
			}
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
			<-time.After(100 * time.Millisecond)
		}
	}
	w.Leaks()
}
