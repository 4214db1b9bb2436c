package mobileapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2/server"

	"cloakroom/bff"
)

// A click whose ticket was taken before the store went away cannot be repeated: the app is told, and does not wait for ever.
func TestAnOutageAfterTheTicketWasTaken(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	check := b.returned("phone", scheme).check(t)
	w.redis.Server().SetPreHook(func(p *server.Peer, cmd string, args ...string) bool {
		// The code itself, not the note of who took the ticket.
		if strings.EqualFold(cmd, "set") && strings.HasPrefix(args[0], "cr:code:") && strings.HasSuffix(args[0], "}") {
			p.WriteError("LOADING")
			return true
		}
		return false
	})
	a := b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the click", 303)
	toldApp(t, "the click", a, scheme, "temporarily_unavailable")
	if b.count(".ok.") != 0 {
		t.Errorf("cookies %v", b.cookies)
	}
}

// shows NAT-8.6 (the click is protected)
func TestWhatGuardsAConfirmPageBesideItsForm(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	check := b.returned("phone", scheme).check(t)
	if len(b.cookies) != 1 || !b.cookies[0].strict {
		t.Errorf("cookies %v", b.cookies)
	}
	w.limit("callback", &bff.Error{Code: bff.CodeRateLimited, RetryAfter: 3e9})
	b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "a click too often", 429)
	w.limit("callback", nil)
	b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the same later", 303)
}

// A confirm page's cookie that is there twice, or that holds no ticket, confirms nothing, though the form fits it.
//
// shows NAT-8.6 (the click is protected)
func TestTossedConfirmCookies(t *testing.T) {
	w := newWorld(t)
	check := func(ticket string) string { // as the gateway derives it: no secret is in it
		sum := sha256.Sum256([]byte("cloakroom confirm v1" + ticket))
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	click := func(check, cookies string) *answer {
		return w.send("POST", "/mobile/callback/phone", url.Values{"confirm": {check}}.Encode(),
			append(nav("same-origin"), "Origin", gateway, "Content-Type", "application/x-www-form-urlencoded", "Cookie", cookies)...)
	}
	b := w.browser()
	b.returned("phone", scheme).check(t)
	name, ticket := b.cookies[0].name, b.cookies[0].value
	good := check(ticket)
	click(good, name+"="+ticket+"; "+name+"="+ticket).is(t, "its cookie twice", 403)
	click(good, name+"="+ticket+"; "+name+"=tossed").is(t, "a tossed cookie behind", 403)
	for _, none := range []string{"x", "", ticket[:42], ticket + "A"} {
		click(check(none), "__Host-Http-phone.ok."+check(none)[:11]+"="+none).is(t, "a cookie that is no ticket: "+none, 403)
	}
	if !w.noted("guard: confirmation with a malformed cookie") || !w.noted("guard: confirmation without its cookie") {
		t.Errorf("events %q", w.events)
	}
	if a := click(good, name+"="+ticket).is(t, "the click", 303); !strings.HasPrefix(a.location(), scheme+"?code=") {
		t.Error(a.location())
	}
}
