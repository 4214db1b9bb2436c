package dev_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloakroom/dev"
	"cloakroom/dev/provider"
	"cloakroom/test/browser"
)

func (w *running) app(name string) string {
	return fmt.Sprintf("http://%s.localhost:%d", name, w.ports.Gateway)
}

func (w *running) navigate(b *browser.Browser, address string) *browser.Page {
	w.t.Helper()
	p, err := b.Navigate(address)
	if err != nil {
		w.t.Fatalf("%s: %v", address, err)
	}
	return p
}

func TestOneSignInOpensTheBoardAndTheNotes(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	w.signIn(b, w.demo())
	if w.signIn(b, w.app("board")) {
		t.Error("the board asks again")
	}
	if got := w.whoami(b, w.app("board")); got.Sub != "usr_1001" {
		t.Errorf("the board calls the API as %+v", got)
	}
	p := w.navigate(b, w.app("notes")+"/new")
	if p.Status != 200 || p.URL != w.app("notes")+"/new" || !strings.Contains(p.Text(), "Signed in as Ada Lovelace") {
		t.Fatalf("the notes: %d %s %s", p.Status, p.URL, p.Text())
	}
	form, err := p.Form("Save the note")
	if err != nil {
		t.Fatal(err)
	}
	if p, err = b.SubmitForm(p, form, url.Values{"title": {"A grey coat"}}); err != nil || !strings.Contains(p.Text(), "A grey coat") {
		t.Errorf("a note: %v %s", err, p.Text())
	}
	for address, want := range map[string]string{
		w.app("board") + "/": "Order board", w.app("board") + "/board.js": "EventSource", w.app("docs") + "/": "Welcome. You are in", w.demo() + "/new": `content="board notes docs"`,
	} {
		if p := w.navigate(b, address); p.Status != 200 || !strings.Contains(string(p.Body), want) {
			t.Errorf("%s, beside the site of the notes: %d", address, p.Status)
		}
	}
}

// The provider's logout tokens find the gateway at every app's own host name.
func TestTheProvidersOwnEndReachesEveryApp(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	apps := []string{w.demo(), w.app("board"), w.app("notes"), w.docs()}
	for _, origin := range apps {
		w.signIn(b, origin)
	}
	w.navigate(b, fmt.Sprintf("http://127.0.0.1:%d/end_session", w.ports.Provider))
	for _, origin := range apps {
		until := time.Now().Add(patience)
		for {
			var who struct{ Authenticated bool }
			if p := w.fetch(b, origin, "GET", "/bff/session", ""); json.Unmarshal(p.Body, &who) == nil && p.Status == 200 && !who.Authenticated {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("%s is still signed in", origin)
			}
		}
	}
	p := w.fetch(b, w.demo(), "DELETE", "/bff/sessions", "")
	if p.Status != 401 {
		t.Errorf("a session that the provider has ended: %d %s", p.Status, p.Body)
	}
}

// Whose profile it is, the session says and no request.
func TestTheProfileIsThatOfTheSession(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	w.signIn(b, w.demo())
	p := w.fetch(b, w.demo(), "GET", "/api/profile?id=usr_1002&sub=usr_1002", "")
	if p.Status != 200 || !strings.Contains(string(p.Body), "ada@example.com") || strings.Contains(string(p.Body), "grace") {
		t.Errorf("%d %s", p.Status, p.Body)
	}
	w.signIn(b, w.app("board"))
	if p := w.fetch(b, w.app("board"), "GET", "/api/profile", ""); p.Status != 403 {
		t.Errorf("an app whose token this is not: %d %s", p.Status, p.Body)
	}
}

// The address that the greeting gives for a sign-in that begins elsewhere.
func TestASignInMayBeginElsewhere(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	address := regexp.MustCompile(`http://localhost:\d+/bff/initiate\S+`).FindString(w.out.String())
	if address == "" {
		t.Fatalf("the greeting has none:\n%s", w.out)
	}
	b := w.browser()
	p := w.navigate(b, address)
	if got := w.whoami(b, w.demo()); got.Sub != provider.DefaultUsers()[1].Sub {
		t.Errorf("signed in %+v at %s", got, p.URL)
	}
}

// The board is served under the strictest policy: nothing inline, nothing from elsewhere.
func TestTheBoardNeedsNothingThatAStrictPolicyForbids(t *testing.T) {
	page, err := os.ReadFile("board/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<style", " style=", "javascript:", " onclick", "<script>", "@import"} {
		if strings.Contains(string(page), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, found := range regexp.MustCompile(`(?:href|src)="/([^"]+)"`).FindAllStringSubmatch(string(page), -1) {
		if _, err := os.Stat("board/" + found[1]); err != nil {
			t.Error(err)
		}
	}
	script, err := os.ReadFile("board/board.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"innerHTML", "eval(", "http://", "https://", "localStorage", "document.cookie", "access_token"} {
		if strings.Contains(string(script), bad) {
			t.Errorf("the script has %q", bad)
		}
	}
}
