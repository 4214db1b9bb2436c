//go:build integration

package native_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/oauth2"

	"cloakroom/test/browser"
)

func person(i int) string { return fmt.Sprintf("person-%02d", i) }

// someone is a person who has not signed in yet.
func (n *nativeWorld) someone() string {
	n.people++
	return person(n.people)
}

// browser makes a profile that stops before it would ask a native app's address.
func (n *nativeWorld) browser(t *testing.T) *browser.Browser {
	b := browser.New(browser.Options{})
	t.Cleanup(b.Close)
	b.HoldAt(func(u *url.URL) bool { return u.Host == "127.0.0.1:9" || u.Host == "app.example.com" })
	return b
}

// atProvider answers the provider's pages, sign-in and consent, until the browser is sent on.
func (n *nativeWorld) atProvider(t *testing.T, b *browser.Browser, p *browser.Page, who string) *browser.Page {
	t.Helper()
	for range 5 { // there are two pages
		if p.Unsent || !strings.HasPrefix(p.URL, n.op.Issuer) {
			return p
		}
		form, err := p.Form("")
		if err != nil {
			t.Fatalf("%v: %s %s", err, p.URL, p.Text())
		}
		if form.Fields.Has("login") {
			form.Fields.Set("login", who)
		}
		if p, err = b.SubmitForm(p, form, form.Fields); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("the provider does not let go: %s %s", p.URL, p.Text())
	return nil
}

// press clicks the button with a caption: its form is sent with the button's own name and value.
func press(t *testing.T, b *browser.Browser, p *browser.Page, caption string) *browser.Page {
	t.Helper()
	to, err := b.SubmitForm(p, withButton(t, p, caption), nil)
	if err != nil {
		t.Fatalf("pressing %q at %s: %v", caption, p.URL, err)
	}
	return to
}

// withButton is the form around a button, with what the button adds.
func withButton(t *testing.T, p *browser.Page, caption string) browser.Form {
	t.Helper()
	form, err := p.Form(caption)
	if err != nil {
		t.Fatalf("%d %v\n%s", p.Status, err, p.Body)
	}
	root, err := html.Parse(bytes.NewReader(p.Body))
	if err != nil {
		t.Fatal(err)
	}
	for node := range root.Descendants() {
		if node.Type != html.ElementNode || node.Data != "button" || node.FirstChild == nil || strings.TrimSpace(node.FirstChild.Data) != caption {
			continue
		}
		set := map[string]string{}
		for _, a := range node.Attr {
			set[a.Key] = a.Val
		}
		if set["name"] != "" {
			form.Fields.Set(set["name"], set["value"])
		}
		return form
	}
	t.Fatalf("no button %q at %s\n%s", caption, p.URL, p.Body)
	return form
}

// ask is what a native app asks for at the start of a login. The zero value of each field is a good one's.
type ask struct {
	App, Redirect, State, Verifier string
	More                           url.Values // laid over it; an empty value removes the parameter
}

// address is where the system browser is sent.
func (n *nativeWorld) address(a ask) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {a.App}, "redirect_uri": {a.Redirect}, "state": {a.State},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(a.Verifier)}, "code_challenge_method": {"S256"},
	}
	for name, values := range a.More {
		q[name] = values
		if values[0] == "" {
			q.Del(name)
		}
	}
	return n.front.URL + "/mobile/authorize?" + q.Encode()
}

func (n *nativeWorld) complete(a ask) ask {
	if a.App == "" {
		a.App = "cli"
	}
	if a.Redirect == "" {
		a.Redirect = loopback
	}
	if a.State == "" {
		a.State = "the state of an app"
	}
	if a.Verifier == "" {
		a.Verifier = oauth2.GenerateVerifier()
	}
	n.Scan.Secret("verifier", a.Verifier)
	return a
}

// start opens a sign-in and answers the provider's pages.
func (n *nativeWorld) start(t *testing.T, b *browser.Browser, a ask, who string) *browser.Page {
	t.Helper()
	p, err := b.Navigate(n.address(a))
	if err != nil {
		t.Fatal(err)
	}
	return n.atProvider(t, b, p, who)
}

// grant is a code on its way to the app, with all that redeems it.
type grant struct {
	ask
	code string
}

// signIn goes the whole way of the browser, the confirm page included, as someone new.
func (n *nativeWorld) signIn(t *testing.T, b *browser.Browser, a ask) grant {
	t.Helper()
	return n.signInAs(t, b, a, n.someone())
}

func (n *nativeWorld) signInAs(t *testing.T, b *browser.Browser, a ask, who string) grant {
	t.Helper()
	a = n.complete(a)
	p := n.start(t, b, a, who)
	if !p.Unsent {
		p = press(t, b, p, "Continue")
	}
	return grant{a, answer(t, p, a).Get("code")}
}

// answer reads what the browser brings back to the app, and judges what must be in every answer.
func answer(t *testing.T, p *browser.Page, a ask) url.Values {
	t.Helper()
	if !p.Unsent || !strings.HasPrefix(p.URL, a.Redirect+"?") {
		t.Fatalf("the browser is at %s, not on its way to %s: %d %s", p.URL, a.Redirect, p.Status, p.Text())
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("state") != a.State || q.Get("iss") == "" || !strings.HasSuffix(q.Get("iss"), "/mobile") {
		t.Errorf("the answer to the app: %v", q)
	}
	if status := p.Hops[len(p.Hops)-1].Status; status != http.StatusSeeOther {
		t.Errorf("sent to the app by %d, want 303", status)
	}
	return q
}

// form is the token request that redeems a grant.
func (g grant) form() url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {g.App}, "code": {g.code},
		"redirect_uri": {g.Redirect}, "code_verifier": {g.Verifier},
	}
}
