//go:build integration

package e2e_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// A site's page goes to the sign-in by itself, once, and comes back to the very page; a form waits in a page.
//
// shows STEP-ROUTE, STEP-LOOP
func TestASiteAsksForANewerSignIn(t *testing.T) {
	t.Parallel()
	w, api := stepUpWorld(t, nil)
	b := signedInLongAgo(w, time.Hour)
	const page = world.Origin + "/site/fresh/page?x=1&y=a+b"
	for _, from := range []string{"http://elsewhere.example/", world.Origin + "/"} {
		p, err := b.Click(browser.At(from), page)
		if err != nil {
			t.Fatal(err)
		}
		if asked := atProvider(w, p); asked.Get("max_age") != "300" {
			t.Errorf("from %s the provider is asked for %v", from, asked)
		}
		if from == world.Origin+"/" { // the second time a person decides: see below
			break
		}
		w.At(w.All[1])
		if p = w.Want(w.OP.SignIn(t, b, p), 200); p.URL != page || !strings.Contains(p.Text(), "here you are") {
			t.Fatalf("signed in, and at %s: %s", p.URL, p.Text())
		}
		w.Dev.AgeSignIns(time.Hour)
		w.SignIn(b, "/")
		p, err = b.Click(browser.At(from), page)
		if err != nil || p.URL != page {
			t.Fatal(err, p.URL)
		}
		if link, err := w.Want(p, 401).Link("Sign in"); err != nil || !strings.Contains(link, "step_up=") {
			t.Errorf("sent once, one is asked: %q %v", link, err)
		}
	}
	hits := api.hits()

	// A form whose route asks: not a byte of it goes on before the sign-in.
	form := browser.Form{Action: world.Origin + "/site/fresh/save", Method: "post"}
	kept, err := b.SubmitForm(browser.At(world.Origin+"/site/"), form, url.Values{"title": {`Tea "<3"`}})
	if err != nil {
		t.Fatal(err)
	}
	if w.Want(kept, 401); api.hits() != hits || !strings.Contains(kept.Text(), "A newer sign-in is needed") {
		t.Fatalf("kept: %s", kept.Text())
	}
	link, err := kept.Link("Sign in in a new tab")
	if err != nil {
		t.Fatal(err)
	}
	tab, err := b.Click(kept, link)
	if err != nil {
		t.Fatal(err)
	}
	if asked := atProvider(w, tab); asked.Get("max_age") != "300" {
		t.Errorf("the provider is asked for %v", asked)
	}
	if tab = w.OP.SignIn(t, b, tab); !strings.HasPrefix(tab.URL, world.Origin+"/bff/signed-in") {
		t.Fatalf("the other tab is at %s", tab.URL)
	}
	again, err := kept.Form("Send the form again")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := b.SubmitForm(kept, again, nil); err != nil || done.Status != 200 {
		t.Fatal(err, done.Status)
	}
	api.mu.Lock()
	if got := api.bodies[len(api.bodies)-1]; got != (url.Values{"title": {`Tea "<3"`}}).Encode() {
		t.Errorf("the site got %q", got)
	}
	api.mu.Unlock()

	// One that the site itself refuses is gone: a page says what to do.
	w.Dev.AgeSignIns(time.Hour)
	w.SignIn(b, "/")
	api.ask(`Bearer error="insufficient_user_authentication", max_age=60`)
	form.Action = world.Origin + "/site/save"
	lost, err := b.SubmitForm(browser.At(world.Origin+"/site/"), form, url.Values{"title": {"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if link, err := w.Want(lost, 401).Link("Sign in"); err != nil || !strings.Contains(link, "step_up=") || !strings.Contains(lost.Text(), "send it once more") {
		t.Errorf("%q %v: %s", link, err, lost.Text())
	}

	// And a site that always asks: one round, then a page that says so.
	p, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/site/never")
	if err != nil {
		t.Fatal(err)
	}
	atProvider(w, p)
	if p = w.OP.SignIn(t, b, p); p.URL != world.Origin+"/site/never" || !strings.Contains(w.Want(p, 403).Text(), "Signing in once more will not help") {
		t.Errorf("signed in, and at %s: %s", p.URL, p.Text())
	}
	w.Leaks()
}
