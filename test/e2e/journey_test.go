//go:build integration

// Package e2e holds the journeys through the whole.
package e2e_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// The main job: sign in, list and create orders, a token of a few seconds refreshed on the way, sign out; then the old
// cookie is nothing at either instance. And nowhere a secret.
//
// shows BBA-6.1.3.1, CB-STRICT-1, SESS-INFO, RPL-2, RPL-LOCAL, LOG-1, REF-6, COOKIE-1, COOKIE-3, KEY-TTL, KEY-HASH
//
// shows SCALEKIT-T2, SCALEKIT-M6
func TestOneSignInFromTheFirstPageToTheLast(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]func(*testing.T, *world.World, world.Options){
		"at the dev provider":           world.DevProvider,
		"at the certified npm provider": world.CertifiedProvider,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New(t, op, world.Options{})
			w.Start(2)
			mainJob(t, w)
			if without := w.Redis.KeysWithoutTTL(); len(without) > 0 {
				t.Errorf("keys without a TTL: %v", without)
			}
			w.Leaks()
		})
	}
}

func mainJob(t *testing.T, w *world.World) {
	t.Helper()
	b := w.Browser()
	if got := string(w.Want(w.Fetch(b, "GET", "/bff/session", ""), 200).Body); strings.TrimSpace(got) != `{"authenticated":false}` {
		t.Fatalf("before signing in: %s", got)
	}
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 401)
	page := w.SignIn(b, "/orders?x=1")
	if page.URL != world.Origin+"/orders?x=1" {
		t.Fatalf("signed in and at %s: %d %s", page.URL, page.Status, page.Text())
	}
	checkSession(t, w, b)
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	w.Want(w.Fetch(b, "POST", "/api/orders", `{"item":"tea","quantity":2}`), 201)
	w.At(w.All[1])
	before := w.OP.Grants("refresh_token")
	for deadline := time.Now().Add(30 * time.Second); w.OP.Grants("refresh_token") == before; {
		got := w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
		if !strings.Contains(string(got.Body), "tea") {
			t.Fatalf("orders: %s", got.Body)
		}
		if time.Now().After(deadline) {
			t.Fatal("the token was never refreshed")
		}
		<-time.After(200 * time.Millisecond)
	}
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	signOut(t, w, b)
}

func checkSession(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	var got struct {
		Authenticated bool
		User          map[string]any
		Session       map[string]any
		LogoutURL     string `json:"logout_url"`
	}
	if err := json.Unmarshal(w.Want(w.Fetch(b, "GET", "/bff/session", ""), 200).Body, &got); err != nil {
		t.Fatal(err)
	}
	if !got.Authenticated || got.User["email"] != "ada@example.com" || got.Session["expires_in"] == nil || got.LogoutURL == "" {
		t.Errorf("session: %+v", got)
	}
}

// signOut signs out by script, follows the one-time URL to the provider and back, and checks that the cookie is dead.
func signOut(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	signOutTo(t, w, b, world.Origin+"/")
}

// signOutTo is signOut where the way ends at another address.
func signOutTo(t *testing.T, w *world.World, b *browser.Browser, end string) {
	t.Helper()
	old, _ := b.Cookie(world.Origin, "__Host-Http-web")
	var out struct {
		RedirectTo string `json:"redirect_to"`
	}
	if err := json.Unmarshal(w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200).Body, &out); err != nil {
		t.Fatal(err)
	}
	page, err := b.Assign(browser.At(world.Origin+"/"), out.RedirectTo)
	if err != nil {
		t.Fatal(err)
	}
	if form, err := page.Form(""); err == nil { // what the page's script would send at once
		if page, err = b.SubmitForm(page, form, nil); err != nil {
			t.Fatal(err)
		}
	}
	if form, err := page.Form("Sign me out"); err == nil { // some providers ask
		if page, err = b.SubmitForm(page, form, url.Values{"logout": {"yes"}}); err != nil {
			t.Fatal(err)
		}
	}
	if page.URL != end {
		t.Errorf("signed out and at %s: %d %s", page.URL, page.Status, page.Text())
	}
	again, err := b.Navigate(out.RedirectTo)
	if err != nil {
		t.Fatal(err)
	}
	w.Want(again, 410)
	thief := w.Browser()
	for _, in := range w.All {
		w.At(in)
		thief.StoreCookie(world.Origin, "__Host-Http-web="+old.Value+"; Path=/; Secure; HttpOnly; SameSite=Strict")
		w.Want(w.Fetch(thief, "GET", "/api/orders", ""), 401)
	}
}
