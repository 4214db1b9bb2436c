//go:build integration

package faults_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// face is one way in which a provider answers a refresh, and what the user sees of it.
type face struct {
	name     string
	fault    provider.Fault
	behave   func(*provider.Behaviour) // instead of a fault
	down     bool                      // instead of a fault: nobody listens
	settings string                    // of the provider in the configuration
	outcome  string
	reason   string        // of the end; "" for a session that lives
	wait     time.Duration // Retry-After, if the provider gave one
}

func jsonFace(name string, status int, body, outcome string) face {
	return face{name: name, outcome: outcome, fault: provider.Fault{
		Status: status, Body: body, Header: http.Header{"Content-Type": {"application/json"}},
	}}
}

func pageFace(name string, status int) face {
	return face{name: name, outcome: "transient", fault: provider.Fault{
		Status: status, Body: "<h1>No</h1>", Header: http.Header{"Content-Type": {"text/html"}},
	}}
}

// answerFace is a good answer whose members are changed.
func answerFace(name, outcome string, edit func(map[string]any)) face {
	return face{name: name, outcome: outcome, behave: func(b *provider.Behaviour) { b.EditTokenAnswer = edit }}
}

// ends makes a face one that ends the session.
func (f face) ends(settings string) face {
	f.outcome, f.reason, f.settings = "spent", "refresh_rejected", settings
	return f
}

func refusals() []face {
	waiting := func(name, value string, wait time.Duration) face {
		f := jsonFace(name, 429, `{"error":"rate_limited"}`, "transient")
		f.fault.Header.Set("Retry-After", value)
		f.wait = wait
		return f
	}
	// A provider that means a spent token is told apart from one that does not by its setting alone.
	invalidRequest := jsonFace("invalid_request", 400, `{"error":"invalid_request"}`, "client")
	empty := face{name: "an empty 400", outcome: "transient", fault: provider.Fault{Status: 400}}
	interaction := jsonFace("interaction_required", 400, `{"error":"interaction_required"}`, "client")
	named := func(f face, shape string) face {
		f.name += " of a product that says so when a token is spent"
		return f.ends("spent: [" + shape + "], ")
	}
	return []face{
		jsonFace("invalid_grant", 400, `{"error":"invalid_grant"}`, "").ends(""),
		invalidRequest, named(invalidRequest, "invalid_request"),
		empty, named(empty, "empty_400"),
		interaction, named(interaction, "interaction_required"),
		jsonFace("invalid_client", 401, `{"error":"invalid_client"}`, "client"),
		jsonFace("unauthorized_client", 400, `{"error":"unauthorized_client"}`, "client"),
		jsonFace("invalid_scope", 400, `{"error":"invalid_scope"}`, "client"),
		{name: "a 401 without a body", outcome: "transient", fault: provider.Fault{Status: 401}},
		pageFace("a firewall's page", 403), pageFace("an ingress's page", 404), pageFace("a page about the method", 405),
		waiting("a 429 that asks for seconds", "4", 4*time.Second),
		waiting("a 429 that asks for a date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), time.Minute),
		waiting("a 429 that asks for a year", "31536000", time.Minute),
		pageFace("a 500", 500), pageFace("a 502", 502), pageFace("a 503", 503),
		{name: "a redirect with 302", outcome: "transient", fault: provider.Fault{Status: 302, Header: http.Header{"Location": {"https://elsewhere.example/"}}}},
		{name: "a redirect with 307", outcome: "transient", fault: provider.Fault{Redirect: "https://elsewhere.example/"}},
		pageFace("a page with 200", 200),
		{name: "an endless body", outcome: "transient", fault: provider.Fault{Endless: true}},
		{name: "an answer that is lost before the work", outcome: "unknown", fault: provider.Fault{Drop: true}},
		{name: "an answer that is lost after the work", outcome: "unknown", fault: provider.Fault{Drop: true, AfterWork: true}},
		{name: "silence", outcome: "unknown", fault: provider.Fault{Delay: time.Minute}, settings: "refresh_timeout: 1s, "},
		{name: "nobody who listens", outcome: "transient", down: true},
	}
}

func answers() []face {
	member := func(name, member string, value any) face {
		return answerFace(name, "refreshed", func(m map[string]any) {
			if m[member] = value; value == nil {
				delete(m, member)
			}
		})
	}
	return []face{
		answerFace("an answer without access_token", "transient", func(m map[string]any) { delete(m, "access_token") }),
		answerFace("an answer with a token of type mac", "transient", func(m map[string]any) { m["token_type"] = "mac" }),
		member("an answer without id_token", "id_token", nil),
		member("an answer without refresh_token", "refresh_token", nil),
		member("an answer with a narrower scope", "scope", "openid"),
		member("an answer without expires_in", "expires_in", nil),
		member("an answer with expires_in as text", "expires_in", "3600"),
		member("an answer that expires in nothing", "expires_in", 0),
		member("an answer that expired", "expires_in", -5),
		member("an answer that expires never", "expires_in", 1e18),
		member("an answer that expires in a fraction", "expires_in", 59.5),
	}
}

// stage is one face with a provider, an app, a user and a session of its own, so that no breaker and no burst is shared.
type stage struct {
	face
	host    string
	origin  string
	op      *provider.Provider
	browser *browser.Browser
	seen    sighting
}

// sighting is what was seen of a face.
type sighting struct {
	first, second *browser.Page // requests after the token's end, one right after the other
	cookie        bool          // it was kept after them
	sent          int           // how often the token was sent by then
	last          int           // the status, once the provider is well again
	err           error
}

// stages makes them, and the configuration of their apps.
func stages(t *testing.T, key *provider.Key, faces []face) (all []*stage, providers, apps string) {
	t.Helper()
	for i, f := range faces {
		s := &stage{face: f, host: fmt.Sprintf("r%02d", i)}
		s.origin = "http://" + s.host + ".localhost"
		var err error
		s.op, err = provider.New(provider.Config{
			Key: key, CookieName: "op" + s.host, // one host, many ports: cookies do not tell them apart
			Behaviour: provider.Behaviour{AccessLife: accessLife, RefreshGrace: time.Minute, IDTokenOnRefresh: true},
			Clients:   []provider.Client{{ID: "webc_1", Secret: world.ClientSecret + s.host, RedirectURIs: []string{s.origin + "/bff/callback"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.op.Start(""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.op.Close() })
		providers += fmt.Sprintf("  %s: {preset: scalekit, %sissuer: %q}\n", s.host, f.settings, s.op.Issuer())
		apps += fmt.Sprintf("  %s: {kind: spa, origin: %q, provider: %s, client_id: webc_1, client_secret: %s}\n", s.host, s.origin, s.host, world.ClientSecret+s.host)
		all = append(all, s)
	}
	return all, providers, apps
}

// signIn signs the stage's user in, then has its provider show its face.
func (s *stage) signIn(w *world.World) error {
	s.browser = w.Browser()
	p, err := s.browser.Click(browser.At(s.origin+"/"), s.origin+"/bff/login?return_to=/")
	if err != nil {
		return err
	}
	form, err := p.Form("ada@example.com")
	if err != nil {
		return fmt.Errorf("%w: %s", err, p.Text())
	}
	if _, err = s.browser.SubmitForm(p, form, url.Values{"user": {"usr_1001"}}); err != nil {
		return err
	}
	s.op.Set(func(b *provider.Behaviour) {
		b.AccessLife = 5 * time.Minute
		if s.behave != nil {
			s.behave(b)
		}
	})
	if s.behave == nil && !s.down {
		s.fault.Match, s.fault.Times = isRefresh, provider.Always
		s.op.Fault(provider.Token, s.fault)
	}
	return nil
}

func (s *stage) fetch() (*browser.Page, error) {
	return s.browser.Fetch(browser.At(s.origin+"/"), browser.Request{URL: s.origin + "/plain/", Header: http.Header{"X-Csrf": {"1"}}})
}

// play is what the user does when the token has ended: asks, asks again at once, and comes back until the provider is well.
func (s *stage) play() (o sighting) {
	if s.down {
		s.op.Stop()
	}
	if o.first, o.err = s.fetch(); o.err != nil {
		return o
	}
	if o.second, o.err = s.fetch(); o.err != nil {
		return o
	}
	_, o.cookie = s.browser.Cookie(s.origin, "__Host-Http-"+s.host)
	o.sent = s.op.GrantCount("refresh_token")
	s.op.ClearFaults()
	s.op.Set(func(b *provider.Behaviour) { b.EditTokenAnswer = nil })
	if s.down {
		o.err = s.op.Resume()
	}
	for deadline := time.Now().Add(healTime); o.err == nil; <-time.After(200 * time.Millisecond) {
		p, err := s.fetch()
		if err != nil {
			o.err = err
			break
		}
		if o.last = p.Status; p.Status != 503 || time.Now().After(deadline) {
			break
		}
	}
	return o
}

// Every face of a provider at a refresh, and what each costs the user: nothing but a refusal of the token itself ends a
// session, and none has the token sent twice in a row.
//
// shows REF-6, REF-END, REF-SOFT, REF-RACE
func TestFacesOfAProvider(t *testing.T) {
	t.Parallel()
	key, err := provider.NewKey(provider.KeySpec{})
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	all, providers, apps := stages(t, key, append(refusals(), answers()...))
	w := newWorld(t, world.Options{
		Providers: providers, Apps: apps,
		Routes: fmt.Sprintf("  - {path: /plain/, upstream: %q, methods: [GET], token: user}\n", upstream.URL),
	})
	in := w.Start(1)[0]
	for _, s := range all {
		if err := s.signIn(w); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	ended(w)
	var playing sync.WaitGroup
	for _, s := range all {
		playing.Go(func() { s.seen = s.play() })
	}
	playing.Wait()
	for _, s := range all {
		t.Run("a refresh answered by "+s.name, func(t *testing.T) { s.judge(t, in) })
	}
}

func (s *stage) judge(t *testing.T, in *gateway.Instance) {
	o := s.seen
	if o.err != nil {
		t.Fatal(o.err)
	}
	switch {
	case s.reason != "":
		if !told(o.first, 401, "session_ended") || !strings.Contains(string(o.first.Body), `"reason":"`+s.reason+`"`) || o.cookie || o.last != 401 {
			t.Errorf("answers %d %s, cookie kept %v, then %d: want one clean end", o.first.Status, o.first.Body, o.cookie, o.last)
		}
	case s.outcome == "refreshed":
		if o.first.Status != 200 || o.second.Status != 200 || !o.cookie || o.last != 200 {
			t.Errorf("answers %d %s, %d, then %d; want 200", o.first.Status, o.first.Body, o.second.Status, o.last)
		}
	default:
		if !told(o.first, 503, "idp_unavailable") || !told(o.second, 503, "idp_unavailable") || !o.cookie {
			t.Errorf("answers %d %s, %d %s, cookie kept %v: want 503 and the cookie", o.first.Status, o.first.Body, o.second.Status, o.second.Body, o.cookie)
		}
		if after := o.first.Header.Get("Retry-After"); after == "" || s.wait > 0 && after != fmt.Sprint(int(s.wait.Seconds())) {
			t.Errorf("Retry-After %q, want %v", after, s.wait)
		}
		if want := map[bool]int{true: 503, false: 200}[s.wait >= healTime]; o.last != want {
			t.Errorf("once the provider is well: %d, want %d", o.last, want)
		}
	}
	if o.sent > 1 {
		t.Errorf("the token was sent %d times, for two requests in a row", o.sent)
	}
	if s.outcome == "client" {
		in.AwaitLog(`"event":"alarm"`)
	}
	await(t, "the log tells of a refresh with the outcome "+s.outcome, healTime, func() bool { return saw(in, s.host, s.outcome) })
}

func told(p *browser.Page, status int, code string) bool {
	return p.Status == status && strings.Contains(string(p.Body), `"code":"`+code+`"`)
}

// saw reports whether the log tells of a refresh at a provider with an outcome.
func saw(in *gateway.Instance, name, outcome string) bool {
	for line := range strings.Lines(in.Log()) {
		if strings.Contains(line, `"event":"refresh"`) && strings.Contains(line, `"provider":"`+name+`"`) && strings.Contains(line, `"outcome":"`+outcome+`"`) {
			return true
		}
	}
	return false
}
