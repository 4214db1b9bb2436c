//go:build integration

package e2e_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// What an API says in its challenge becomes what a frontend can act on; what is another refusal stays that.
//
// shows STEP-3
func TestAnAPIAsksForANewerSignIn(t *testing.T) {
	t.Parallel()
	w, api := stepUpWorld(t, nil)
	b := signedInLongAgo(w, time.Hour)
	const code = "insufficient_user_authentication"
	for _, row := range []struct {
		with      string
		challenge []string
		code      string // "": the API's own answer passes
		acr       []string
		maxAge    string
		hits      int
	}{
		{"max_age", []string{`Bearer error="` + code + `", max_age=300`}, code, nil, "300", 1},
		{"max_age in quotes", []string{`Bearer error="` + code + `", max_age="300"`}, code, nil, "300", 1},
		{"max_age and more", []string{`Bearer realm="x, y", error=` + code + `, unknown="a, b=c", MAX_AGE=0`}, code, nil, "0", 1},
		{"acr_values", []string{`Bearer acr_values="gold silver", error="` + code + `"`}, code, []string{"gold", "silver"}, "", 1},
		{"both, by DPoP", []string{`DPoP algs="ES256", error="` + code + `", acr_values=gold, max_age=60`}, code, []string{"gold"}, "60", 1},
		{"nothing said of it", []string{`Bearer error="` + code + `"`}, code, nil, "", 1},
		{"two challenges on a line", []string{`Basic realm="x", Bearer error="` + code + `", max_age=1`}, code, nil, "1", 1},
		{"two lines, the second of them", []string{`DPoP algs="ES256"`, `Bearer error="` + code + `"`}, code, nil, "", 1},
		{"hostile values", []string{`Bearer error="` + code + `", acr_values="a\" b", max_age="-1"`}, code, nil, "", 1},
		{"a token that is refused", []string{`Bearer error="invalid_token"`}, "upstream_unauthorized", nil, "", 2},
		{"a scope that is missing", []string{`Bearer error="insufficient_scope"`}, "", nil, "", 1},
		{"another scheme", []string{`Basic error="` + code + `"`}, "", nil, "", 1},
		{"the words in a text", []string{`Bearer error="x", error_description="error=` + code + `"`}, "", nil, "", 1},
		{"what does not parse", []string{`Bearer error="` + code}, "", nil, "", 1},
	} {
		before := api.hits()
		api.ask(row.challenge...)
		p := w.Want(w.Fetch(b, "GET", "/picky/x", ""), 401)
		if row.hits != api.hits()-before {
			t.Errorf("a challenge with %s: asked %d times, want %d", row.with, api.hits()-before, row.hits)
		}
		if p.Header["Www-Authenticate"] != nil {
			t.Errorf("a challenge with %s reached the browser", row.with)
		}
		if row.code == "" {
			if string(p.Body) != "the API's own words" {
				t.Errorf("a challenge with %s: %s", row.with, p.Body)
			}
			continue
		}
		got := readProblem(t, p)
		maxAge := ""
		if got.MaxAge != nil {
			maxAge = fmt.Sprint(*got.MaxAge)
		}
		if got.Code != row.code || !cmp.Equal(got.ACRValues, row.acr) || maxAge != row.maxAge || got.StepUp != "" {
			t.Errorf("a challenge with %s: %s", row.with, p.Body)
		}
	}
	api.ask()
	w.Want(w.Fetch(b, "GET", "/picky/x", ""), 200) // the session lived through it all
	w.Leaks()
}

// An API that is never content: one round, then a problem that leads nowhere.
//
// shows STEP-LOOP
func TestAnAPIThatAlwaysAsks(t *testing.T) {
	t.Parallel()
	w, api := stepUpWorld(t, nil)
	b := signedInLongAgo(w, time.Hour)
	for _, challenge := range []string{
		`Bearer error="insufficient_user_authentication", acr_values="gold"`,
		`DPoP error="insufficient_user_authentication", acr_values="silver", max_age=5`,
		`Bearer error="insufficient_user_authentication", max_age=0`,
		`DPoP error="insufficient_user_authentication"`,
	} {
		api.ask(challenge)
		before := api.hits()
		problem := readProblem(t, w.Want(w.Fetch(b, "GET", "/picky/x", ""), 401))
		p := stepUp(w, b, problem.LoginURL)
		atProvider(w, p)
		if p = w.OP.SignIn(t, b, p); p.URL != world.Origin+"/orders" {
			t.Fatalf("%s: signed in, and at %s", challenge, p.URL)
		}
		w.At(w.All[1])
		got := readProblem(t, w.Want(w.Fetch(b, "GET", "/picky/x", ""), 403))
		if got.Code != "step_up_not_satisfiable" || got.LoginURL != "" || got.ACRValues != nil || !strings.Contains(got.Detail, "already made") {
			t.Errorf("%s: then %+v", challenge, got)
		}
		if api.hits()-before != 2 {
			t.Errorf("%s: the API was asked %d times", challenge, api.hits()-before)
		}
		w.Dev.AgeSignIns(time.Hour)
		w.SignIn(b, "/")
	}
}

// What a frontend may ask of the provider is what the gateway remembers, or what the app's own routes ask for.
//
// shows STEP-4
func TestForgedStepUps(t *testing.T) {
	t.Parallel()
	w, _ := stepUpWorld(t, nil)
	b := signedInLongAgo(w, time.Hour)
	problem := readProblem(t, w.Want(w.Fetch(b, "GET", "/fresh/x", ""), 401))
	u, _ := url.Parse(problem.LoginURL)
	ticket := u.Query().Get("step_up")
	bent := ticket[:len(ticket)-4] + "AAAA"
	for _, row := range []struct {
		with, at, query string
		asked           url.Values // of the provider; nil: refused with 400
	}{
		{"the ticket", world.Origin, "step_up=" + ticket, url.Values{"max_age": {"300"}}},
		{"the ticket once more, and another prompt", world.Origin, "prompt=login&step_up=" + ticket, url.Values{"max_age": {"300"}, "prompt": {"login"}}},
		{"a bent ticket", world.Origin, "step_up=" + bent, nil},
		{"a text of one's own", world.Origin, "step_up=gold", nil},
		{"the ticket twice", world.Origin, "step_up=" + ticket + "&step_up=" + ticket, nil},
		{"the ticket and an acr", world.Origin, "acr_values=gold&step_up=" + ticket, nil},
		{"the ticket and an age", world.Origin, "max_age=300&step_up=" + ticket, nil},
		{"the ticket at another app", docs, "step_up=" + ticket, nil},
		{"an acr of a route of the app's", world.Origin, "acr_values=platinum", url.Values{"acr_values": {"platinum"}}},
		{"an acr of another app's route", world.Origin, "acr_values=papyrus", nil},
		{"an acr of nobody's", world.Origin, "acr_values=admin", nil},
		{"an age of a route of the app's", world.Origin, "max_age=300", url.Values{"max_age": {"300"}}},
		{"an age of nobody's", world.Origin, "max_age=301", url.Values{}},
	} {
		b.HoldAt(func(u *url.URL) bool { return strings.HasPrefix(u.String(), w.OP.Issuer) })
		p, err := b.Click(browser.At(row.at+"/"), row.at+"/bff/login?"+row.query)
		if err != nil {
			t.Fatal(err)
		}
		if row.asked == nil {
			if p.Status != 400 || p.Unsent {
				t.Errorf("a start with %s: %d at %s", row.with, p.Status, p.URL)
			}
			continue
		}
		asked := atProvider(w, p)
		for _, name := range []string{"max_age", "acr_values", "prompt"} {
			if asked.Get(name) != row.asked.Get(name) {
				t.Errorf("a start with %s asks for %s %q", row.with, name, asked.Get(name))
			}
		}
	}
	// Another site's link shows a page first, and the page leads to the same.
	p, err := b.Click(browser.At("http://evil.example/"), world.Origin+"/bff/login?step_up="+ticket)
	if err != nil || p.Unsent || p.Status != 200 {
		t.Fatal(err, p.Status, p.URL)
	}
	link, err := p.Link("Sign in")
	if err != nil || !strings.Contains(link, "step_up="+ticket) {
		t.Errorf("the page leads to %q: %v", link, err)
	}
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200) // abandoned, all of them
}
