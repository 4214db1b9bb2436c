package spa_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/spa"
	"cloakroom/surface"
)

// OpenInitiation takes one text for the provider's word; what else is refused, and why, is package idp's business.
func (p *provider) OpenInitiation(_ context.Context, raw bff.Secret) (*bff.Initiation, string) {
	relay, good := strings.CutPrefix(raw.Reveal(), "good.")
	if !good {
		return nil, "rule signature: not signed by a key of the issuer"
	}
	return &bff.Initiation{
		Extra:    url.Values{"connection_id": {"conn_1"}, "organization_id": {"org_1"}, "login_hint": {"ann@example.com"}},
		ReturnTo: relay,
	}, ""
}

const (
	bounceCookie = "__Host-Http-web.in"
	signedLink   = "?idp_initiated_login=good."
)

// onwards are the places where a page of ours leads: by itself, or by its first link.
var onwards = regexp.MustCompile(`(?:url=|href=")(/bff/[^"]*)"`)

// next is where the page in between leads.
func (a *answer) next(t *testing.T) string {
	t.Helper()
	found := onwards.FindStringSubmatch(a.body)
	if a.status != http.StatusOK || found == nil {
		t.Fatalf("no page that leads on: %d %.400s", a.status, a.body)
	}
	return html.UnescapeString(found[1])
}

// movesByItself tells the page that leads on from the one that waits for a click.
func (a *answer) movesByItself() bool { return strings.Contains(a.body, "http-equiv=\"refresh\"") }

// initiate opens the address from elsewhere and follows the page in between.
func (b *browser) initiate(query string, fields ...string) *answer {
	b.w.t.Helper()
	return b.open(b.send("GET", "/bff/initiate"+query, fields...).next(b.w.t), "same-origin")
}

// asked are the parameters of an authorization request that a sign-in's start does not make itself.
func (w *world) asked(a *answer) url.Values {
	w.t.Helper()
	u, err := url.Parse(a.location())
	if err != nil || a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), issuer) {
		w.t.Fatalf("not on the way to the provider: %d %s %.300s", a.status, a.location(), a.body)
	}
	q := u.Query()
	for _, own := range []string{"state", "nonce", "redirect_uri", "response_type"} {
		if q.Get(own) == "" {
			w.t.Errorf("no %s in %s", own, a.location())
		}
		q.Del(own)
	}
	return q
}

// shows LOGIN-3P (off)
func TestInitiateIsNotThereUnlessAskedFor(t *testing.T) {
	for _, e := range spa.New(spa.Options{App: &bff.App{ID: "web", Provider: &bff.ProviderPolicy{}}}).Endpoints() {
		if e.Path != "/bff/initiate" {
			continue
		}
		r := httptest.NewRequest(http.MethodGet, "/bff/initiate", nil)
		err := e.Handle(httptest.NewRecorder(), r)
		if surface.Status(bff.CodeOf(err)) != http.StatusNotFound {
			t.Errorf("off, and it answers %v", err)
		}
		return
	}
	t.Error("no such endpoint")
}

// What a third party may ask of a sign-in, and what the provider has signed. The start is fresh: nothing that comes along is
// its state.
//
// shows LOGIN-3P, SCALEKIT-S3
func TestWhatAnInitiatedLoginAsks(t *testing.T) {
	signed := url.Values{"connection_id": {"conn_1"}, "organization_id": {"org_1"}, "login_hint": {"ann@example.com"}}
	for _, row := range []struct {
		with  string // an address with …
		query string
		want  url.Values
	}{
		{"nothing", "", url.Values{}},
		{"the provider's issuer", "?iss=" + url.QueryEscape(issuer), url.Values{}},
		{"a hint", "?login_hint=a%40b.c", url.Values{"login_hint": {"a@b.c"}}},
		{"what the app's policy knows", "?organization_id=org_7&prompt=login", url.Values{"organization_id": {"org_7"}, "prompt": {"login"}}},
		{"the provider's own name for a social provider", "?provider=google", url.Values{"provider": {"google"}}},
		{"what the app's policy does not know", "?connection_id=conn_9&domain_hint=evil.example", url.Values{}},
		{"what no policy knows", "?max_age=0&acr_values=gold&scope=admin&redirect_uri=x&state=mine&nonce=mine&invitation=x", url.Values{}},
		{"the provider's word", signedLink, signed},
		{"the provider's word, beside what somebody added", signedLink + "&organization_id=org_9&provider=google&login_hint=x%40y.z", signed},
		{"a word that is not the provider's", "?idp_initiated_login=forged&organization_id=org_7", url.Values{"organization_id": {"org_7"}}},
		{"a description of an error", "?error_description=%3Cscript%3E", url.Values{}},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			a := b.initiate(row.query, typed()...)
			if diff := cmp.Diff(row.want, w.asked(a)); diff != "" {
				t.Errorf("asked of the provider (-want +got):\n%s", diff)
			}
			if b.flows() != 1 {
				t.Errorf("%d transactions, want one", b.flows())
			}
			if forged := strings.Contains(row.query, "forged"); forged != w.noted("credential: sign-in begun at the provider: rule signature: not signed by a key of the issuer") {
				t.Errorf("events %q", w.events)
			}
			if described := strings.Contains(row.query, "error_description"); described != w.noted("login: login_refused") {
				t.Errorf("events %q", w.events)
			}
			for _, seen := range w.seen {
				if strings.Contains(seen, "script>") {
					t.Error("the description is shown")
				}
			}
		})
	}
}

// shows LOGIN-3P (unknown issuer, foreign target, not frameable)
func TestWhatAnInitiatedLoginIsRefused(t *testing.T) {
	for _, row := range []struct{ with, query string }{
		{"another issuer", "?iss=https%3A%2F%2Fevil.example"},
		{"the issuer and a slash", "?iss=" + url.QueryEscape(issuer+"/")},
		{"an empty issuer", "?iss="},
		{"another issuer beside the provider's word", signedLink + "&iss=https%3A%2F%2Fevil.example"},
		{"two issuers", "?iss=" + url.QueryEscape(issuer) + "&iss=" + url.QueryEscape(issuer)},
		{"a target elsewhere", "?target_link_uri=https%3A%2F%2Fevil.example%2F"},
		{"a target at a host that begins like ours", "?target_link_uri=" + url.QueryEscape(origin+".evil.example/")},
		{"a target at our name as a user's", "?target_link_uri=" + url.QueryEscape(origin+"@evil.example/")},
		{"a target with two slashes", "?target_link_uri=" + url.QueryEscape(origin+"//evil.example")},
		{"a target below /bff/", "?target_link_uri=%2Fbff%2Flogout"},
		{"a prompt that no app knows", "?prompt=consent"},
		{"two of the provider's words", signedLink + "&idp_initiated_login=good."},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			a := b.send("GET", "/bff/initiate"+row.query, typed()...).is(t, row.with, http.StatusBadRequest)
			if b.flows() != 0 || strings.Contains(a.body, "evil") {
				t.Errorf("%d transactions; page %.300s", b.flows(), a.body)
			}
			if !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Error("the page may be framed")
			}
		})
	}
}

// Where it ends: target_link_uri is the third party's to say, relay_state the customer's; each only as a page of this app.
func TestWhereAnInitiatedLoginReturnsTo(t *testing.T) {
	for _, row := range []struct{ with, query, want string }{
		{"a whole address of the app", "?target_link_uri=" + url.QueryEscape(origin+"/orders?x=1"), "/orders?x=1"},
		{"a path", "?target_link_uri=%2Forders", "/orders"},
		{"neither", "", "/"},
		{"a relay state that is a path", signedLink + url.QueryEscape("/orders"), "/orders"},
		{"a relay state that is an address of the app", signedLink + url.QueryEscape(origin+"/orders"), "/orders"},
		{"a relay state that is somebody's token", signedLink + "eyJhbGciOiJ9", "/"},
		{"a relay state elsewhere", signedLink + url.QueryEscape("//evil.example/"), "/"},
		{"a relay state elsewhere, beside a target", signedLink + url.QueryEscape("https://evil.example/") + "&target_link_uri=%2Forders", "/orders"},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			a := b.initiate(row.query, typed()...)
			state := w.param(a.location(), "state")
			if strings.Contains(row.query, state) {
				t.Error("the state came from the address")
			}
			landed := b.come("code=c1&state="+state).is(t, row.with, http.StatusOK)
			if want := "/bff/landed?return_to=" + url.QueryEscape(row.want); !strings.Contains(html.UnescapeString(landed.body), want) {
				t.Errorf("leads to %s, want %s", landed.body, want)
			}
			if b.value(bounceCookie) != "" {
				t.Error("a sign-in that arrived still counts")
			}
		})
	}
}

// Who sends the browser decides whether a person is asked first; the way on is always a page of this origin.
//
// shows LOGIN-CSRF, SCALEKIT-S3
func TestWhoMayInitiateWithoutAClick(t *testing.T) {
	for _, row := range []struct {
		with   string // a start with …
		query  string
		fields []string
		click  bool
	}{
		{"a typed address", "", typed(), false},
		{"a link of a foreign site", "", nav("cross-site"), true},
		{"a link of a sibling host", "", nav("same-site"), true},
		{"a link of the provider's", "", append(nav("cross-site"), "Referer", issuer+"/"), false},
		{"a link of a host that begins like the provider's", "", append(nav("cross-site"), "Referer", issuer+".evil.example/"), true},
		{"a foreign link that says it comes from our page", "?bff_step=again", nav("cross-site"), true},
		{"a foreign link with the provider's word", signedLink, nav("cross-site"), false},
		{"a foreign link with a forged word", "?idp_initiated_login=forged", nav("cross-site"), true},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			a := b.send("GET", "/bff/initiate"+row.query, row.fields...)
			if a.next(t); a.movesByItself() == row.click || b.flows() != 0 {
				t.Errorf("moves by itself: %v; %d transactions", a.movesByItself(), b.flows())
			}
			w.asked(b.open(a.next(t), "same-origin"))
		})
	}
	w := newWorld(t)
	w.browser().send("GET", "/bff/initiate", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe").is(t, "a frame", 403)
}

// Whoever is signed in and opens the provider's bookmark goes on to the app; a sign-in that says whom or how is one more,
// and takes the place of the old.
func TestInitiateFindsTheSession(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	a := b.initiate("?target_link_uri=%2Forders", nav("cross-site")...)
	if a.status != http.StatusSeeOther || a.location() != "/orders#" || b.value(bounceCookie) != "" {
		t.Errorf("signed in: %d %q, counted %q", a.status, a.location(), b.value(bounceCookie))
	}
	w.asked(b.initiate("?prompt=login", nav("cross-site")...))
	old := b.value(sessionCookie)
	w.provider.signsIn("bob", "sid-2")
	// A word that the provider has signed may be anybody's: who is signed in is asked first.
	page := b.initiate(signedLink, nav("cross-site")...).is(t, "a signed word where somebody is signed in", http.StatusOK)
	if page.movesByItself() || b.value(sessionCookie) != old || !strings.Contains(page.body, "You are signed in already") {
		t.Errorf("%.300s", page.body)
	}
	meant := page.next(t)
	b.open(meant, "cross-site").is(t, "the click, made by another site", http.StatusOK) // begins with the page in between again
	state := w.param(b.open(meant, "same-origin").location(), "state")
	b.come("code=c1&state="+state).is(t, "the other user's callback", http.StatusOK)
	if now := b.value(sessionCookie); now == old || now == "" || w.store.count() != 1 {
		t.Errorf("the session was not replaced: %d sessions", w.store.count())
	}
}

// A browser that keeps no cookies is told at once, without a request to the provider; one that keeps them and is sent back
// and back is told after four times. Neither goes round in circles.
//
// shows SCALEKIT-S3
func TestInitiateEndsLoops(t *testing.T) {
	t.Run("without cookies", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		next := b.send("GET", "/bff/initiate", typed()...).next(t)
		b.cookies = nil
		a := b.open(next, "same-origin").is(t, "a browser without cookies", http.StatusBadRequest)
		if a.location() != "" || !strings.Contains(a.body, "Cookies are blocked") || b.flows() != 0 || a.movesByItself() {
			t.Errorf("%q %.300s", a.location(), a.body)
		}
	})
	t.Run("with cookies", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		for range 4 {
			w.asked(b.initiate("", append(nav("cross-site"), "Referer", issuer+"/")...))
		}
		a := b.initiate("", append(nav("cross-site"), "Referer", issuer+"/")...).is(t, "the fifth time", http.StatusLoopDetected)
		if a.location() != "" || !strings.Contains(a.body, `href="/bff/initiate"`) {
			t.Errorf("%q %.300s", a.location(), a.body)
		}
		w.asked(b.initiate("", typed()...)) // a person may try again
	})
}
