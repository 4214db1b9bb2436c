package mobileapi_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/test/prover"
)

// shown is how a row of the table "Coming back" is shown: by a function here, or by one of another file, named as file:func.
type shown struct {
	by func(*testing.T)
	at string
}

// The rows of docs/clients/native.md, "Coming back", by what the app meets.
var comingBack = map[string]shown{
	`401, error="invalid_token", code session_required`: {by: staleHandle},
	`401, code session_ended or session_expired`:        {by: overAndTold},
	`401, a challenge without error`:                    {by: withoutHandle},
	`401, code upstream_unauthorized, no challenge`:     {at: "../test/native/accounts_test.go:refusedUpstream"},
	`401 or 400, use_dpop_nonce`:                        {by: nonceAsked},
	`401 or 400, invalid_dpop_proof`:                    {by: proofOfAnotherTime},
	`403, code recent_sign_in_required`:                 {at: "devices_test.go:TestWhoMayListAndEndSessions"},
	`403, any other code`:                               {by: notByThisApp},
	`400, error="invalid_request" to a call`:            {by: twoAtOnce},
	`429`:                                               {by: tooMany},
	`503`:                                               {by: outage},
	`502, 504`:                                          {at: "../test/native/accounts_test.go:refusedUpstream"},
	`no answer to a call`:                               {by: lostCall},
	`no answer to a rotation`:                           {by: lostRotation},
	`invalid_grant to a rotation`:                       {by: endedRotation},
	`no answer to a code`:                               {at: "../test/native/accounts_test.go:lostHandles"},
	`invalid_grant to a code`:                           {at: "token_test.go:TestACodeOfSomebodyElse"},
	`any other error of the token endpoint`:             {by: wrongRequest},
	`the browser comes back with error`:                 {at: "callback_test.go:TestFailuresThatTheAppIsToldOf"},
	`the browser comes back with another state`:         {by: anotherState},
	`the app was ended during the sign-in`:              {at: "../test/native/accounts_test.go:diedMeanwhile"},
	`the device's clock is wrong`:                       {by: wrongClock},
	`away for longer than the idle time`:                {by: longAway},
	`the stream of events ends`:                         {by: endedStream},
	`no answer to a sign-out`:                           {by: lostSignOut},
}

// The table tells what is shown, and all that is shown stands in the table.
//
// shows NAT-ROT, NAT-6750 (coming back from offline)
func TestComingBack(t *testing.T) {
	rows := tableOf(t, "../docs/clients/native.md", "## Coming back")
	for _, row := range rows {
		if _, ok := comingBack[row]; !ok {
			t.Errorf("nothing shows the row %q", row)
		}
	}
	for row, s := range comingBack {
		if !slices.Contains(rows, row) {
			t.Errorf("the table has no row %q", row)
		}
		if s.by != nil {
			t.Run(row, s.by)
			continue
		}
		file, name, _ := strings.Cut(s.at, ":")
		if text, err := os.ReadFile(filepath.FromSlash(file)); err != nil || !strings.Contains(string(text), "\nfunc "+name+"(t *testing.T") {
			t.Errorf("%q: no %s: %v", row, s.at, err)
		}
	}
}

// tableOf reads the first cells of the first table after a heading, without marks.
func tableOf(t *testing.T, file, heading string) (cells []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n"+heading+"\n")
	_, table, _ := strings.Cut(after, "\n|---")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, m := range regexp.MustCompile(`(?m)^\| (.*?) \|`).FindAllStringSubmatch(table, -1) {
		cells = append(cells, strings.ReplaceAll(m[1], "`", ""))
	}
	if !found || len(cells) == 0 {
		t.Fatalf("%s has no table under %q", file, heading)
	}
	return cells
}

// A handle past its life: one rotation, and the call goes through.
func staleHandle(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	w.advance(15*time.Minute + time.Second)
	w.call("GET", "/api", h.Access).challenged(t, "a call with an old handle", 401, "session_required", badOne)
	w.call("GET", "/api", w.rotate("phone", h.Refresh).handles(t).Access).is(t, "the call after a rotation", 200)
}

func overAndTold(t *testing.T) {
	w := newWorld(t)
	h, other := w.signedIn(), w.signedIn()
	w.call("POST", "/mobile/logout", h.Access).is(t, "signing out", 200)
	a := w.call("GET", "/api", other.Access)
	a.challenged(t, "a call", 401, "session_ended", badOne)
	if !strings.Contains(a.body, `"reason":"signed_out"`) {
		t.Errorf("without a reason: %s", a.body)
	}
	w.rotate("phone", other.Refresh).refused(t, "a rotation in vain", 400, "invalid_grant")
}

func withoutHandle(t *testing.T) {
	w := newWorld(t)
	w.send("GET", "/api", "").challenged(t, "a call without a handle", 401, "session_required", bare)
}

func notByThisApp(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	w.send("GET", "/api", "", "Authorization", "Bearer "+h.Access, "Origin", "app://local").challenged(t, "a call with an Origin", 403, "csrf_failed")
	w.call("GET", "/api", h.Access).is(t, "without it", 200)
}

func twoAtOnce(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	w.send("GET", "/api?access_token="+h.Access, "", "Authorization", "Bearer "+h.Access).challenged(t, "a call with two", 400, "bad_request", unclear)
	w.call("GET", "/api", h.Access).is(t, "with one", 200)
}

// What is told to wait loses nothing by it: handle and code are as good as before.
func tooMany(t *testing.T) {
	w := newWorld(t)
	h, code := w.signedIn(), w.code()
	w.limit("token", &bff.Error{Code: bff.CodeRateLimited, Message: "Too many.", RetryAfter: 2e9})
	for what, a := range map[string]*answer{"a rotation": w.rotate("phone", h.Refresh), "a code": w.redeem("phone", claimed, code)} {
		if a.refused(t, what, 429, "temporarily_unavailable"); a.header.Get("Retry-After") != "2" {
			t.Errorf("%s: %v", what, a.header)
		}
	}
	w.limit("token", nil)
	w.rotate("phone", h.Refresh).handles(t)
	w.redeem("phone", claimed, code).handles(t)
}

// An outage is told as one wherever it is met, and costs nothing afterwards.
func outage(t *testing.T) {
	w := newWorld(t)
	h, code := w.signedIn(), w.code()
	w.redis.SetError("LOADING")
	for _, path := range []string{"/api", "/mobile/session", "/mobile/sessions", "/mobile/events"} {
		w.call("GET", path, h.Access).challenged(t, path, 503, "store_unavailable")
	}
	w.call("POST", "/mobile/logout", h.Access).challenged(t, "a sign-out", 503, "store_unavailable")
	for what, a := range map[string]*answer{
		"a rotation": w.rotate("phone", h.Refresh), "a code": w.redeem("phone", claimed, code),
		"a revocation": w.post("/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {h.Refresh}}),
	} {
		if a.refused(t, what, 503, "temporarily_unavailable"); a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %v", what, a.header)
		}
	}
	w.redis.SetError("")
	w.call("GET", "/api", h.Access).is(t, "the call again", 200)
	w.rotate("phone", h.Refresh).handles(t)
	w.redeem("phone", claimed, code).handles(t)
}

// A call says nothing of the session, however often it is made.
func lostCall(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	for range 3 {
		w.call("GET", "/api", h.Access).is(t, "a repeated call", 200)
	}
}

// The answer was lost, the app was away for days: the same question, the same answer.
func lostRotation(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	lost := w.rotate("phone", h.Refresh).handles(t)
	w.advance(72 * time.Hour)
	if again := w.rotate("phone", h.Refresh).handles(t); again.Refresh != lost.Refresh || again.Access != lost.Access {
		t.Error("the repeated question gets another answer")
	}
}

// What another part of the app has rotated and used: the old handle is refused, the new one goes on as long as nobody who
// is late by more than the grace asks with the old.
func endedRotation(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	next := w.rotate("phone", h.Refresh).handles(t)
	last := w.rotate("phone", next.Refresh).handles(t)
	w.rotate("phone", h.Refresh).refused(t, "a duplicate that comes late", 400, "invalid_grant")
	w.call("GET", "/api", last.Access).is(t, "the newest", 200)
	w.call("POST", "/mobile/logout", last.Access).is(t, "signing out", 200)
	w.rotate("phone", last.Refresh).refused(t, "a session that is over", 400, "invalid_grant")
}

func wrongRequest(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	grant := url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {h.Refresh}}
	for code, change := range map[string][2]string{
		"invalid_client": {"client_id", "nobody"}, "unsupported_grant_type": {"grant_type", "password"}, "invalid_request": {"refresh_token", ""},
	} {
		form := url.Values{}
		for name, values := range grant {
			form[name] = values
		}
		form.Set(change[0], change[1])
		status := 400
		if code == "invalid_client" {
			status = 401
		}
		w.post("/mobile/token", form).refused(t, code, status, code)
	}
	w.rotate("phone", h.Refresh).handles(t)
}

// Two sign-ins of one app on their way in one browser, or one that was begun anew: each answer has its own state, and they
// do not disturb each other.
func anotherState(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first, second := b.begin(asked("phone", claimed, "state", "first")), b.begin(asked("phone", claimed, "state", "second"))
	for want, state := range map[string]string{"second": second, "first": first} {
		a := b.come("phone", "code=c&state="+state).is(t, "an answer", 303)
		if a.param(t, "state") != want {
			t.Errorf("the answer of the %s has the state %q", want, a.param(t, "state"))
		}
		w.redeem("phone", claimed, a.param(t, "code")).handles(t)
	}
}

// The device's clock is asked for nothing: each answer has the gateway's, and a handle's life is counted by that.
func wrongClock(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	a := w.call("GET", "/api", h.Access).is(t, "a call", 200)
	if _, err := time.Parse(time.RFC1123, a.header.Get("Date")); err != nil || h.ExpiresIn != 900 {
		t.Errorf("Date %q, expires_in %d", a.header.Get("Date"), h.ExpiresIn)
	}
	w.send("GET", "/api", "", "Authorization", "Bearer "+h.Access, "Date", "Thu, 01 Jan 1970 00:00:00 GMT").is(t, "a call of 1970", 200)
}

// A nonce that is asked for costs one request more: neither code nor handle is used up.
func nonceAsked(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed), nonces("phone"))
	p, form := w.prover(), redemption("phone", claimed, w.code())
	a := w.post("/mobile/token", form, announcing(p, "/mobile/token")...)
	a.refused(t, "a code without a nonce", 400, "use_dpop_nonce")
	given := prover.Nonce(a.header.Get("DPoP-Nonce"))
	h := w.post("/mobile/token", form, announcing(p, "/mobile/token", given)...).handles(t)
	a = w.prove(p, "GET", "/api", h.Access)
	a.challenged(t, "a call without a nonce", 401, "use_dpop_nonce", needNonce)
	w.prove(p, "GET", "/api", h.Access, prover.Nonce(a.header.Get("DPoP-Nonce"))).is(t, "the call again", 200)
}

// A device whose clock is wrong sets it by the answer: neither code nor handle is used up, and a proof is made anew.
func proofOfAnotherTime(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p, form := w.prover(), redemption("phone", claimed, w.code())
	off := func(d time.Duration) prover.Option { return prover.At(w.clock().Add(d)) }
	for _, d := range []time.Duration{-2 * time.Minute, time.Minute} {
		w.post("/mobile/token", form, announcing(p, "/mobile/token", off(d))...).refused(t, "a code by a wrong clock", 400, "invalid_dpop_proof")
	}
	h := w.post("/mobile/token", form, announcing(p, "/mobile/token")...).handles(t)
	for _, d := range []time.Duration{-2 * time.Minute, time.Minute} {
		a := w.prove(p, "GET", "/api", h.Access, off(d))
		a.challenged(t, "a call by a wrong clock", 401, "invalid_dpop_proof", badProof)
		if a.header.Get("Date") == "" {
			t.Error("nothing to set the clock by")
		}
	}
	for _, d := range []time.Duration{-50 * time.Second, 5 * time.Second} {
		w.prove(p, "GET", "/api", h.Access, off(d)).is(t, "a call by a clock that is a little off", 200)
	}
}

func longAway(t *testing.T) {
	w := newWorld(t, func(w *world) { w.apps["phone"].Idle = time.Hour; w.apps["phone"].AccessLife = 3 * time.Hour })
	h, other := w.signedIn(), w.as("usr_2", "ses_2", "")
	w.advance(time.Hour + time.Second)
	w.call("GET", "/api", h.Access).challenged(t, "a call", 401, "session_expired", badOne)
	w.rotate("phone", other.Refresh).refused(t, "a rotation", 400, "invalid_grant")
	w.advance(time.Hour) // nothing is known of it any more
	w.rotate("phone", h.Refresh).refused(t, "a rotation", 400, "invalid_grant")
}

// A stream that is over is opened again with a handle of that moment.
func endedStream(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	w.listen(h.Access)
	w.advance(time.Hour)
	w.call("GET", "/mobile/events", h.Access).challenged(t, "the stream with an old handle", 401, "session_required", badOne)
	h = w.rotate("phone", h.Refresh).handles(t)
	events := w.listen(h.Access)
	w.call("POST", "/mobile/logout", h.Access).is(t, "signing out", 200)
	if got := w.next(events); got != `session-ended {"reason":"signed_out"}` {
		t.Errorf("it is told %q", got)
	}
	w.call("GET", "/mobile/events", h.Access).challenged(t, "the stream of a session that is over", 401, "session_ended", badOne)
}

func lostSignOut(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	w.call("POST", "/mobile/logout", h.Access).is(t, "signing out", 200)
	if a := w.call("POST", "/mobile/logout", h.Access).is(t, "asking again", 200); a.body != `{"ended":false}` {
		t.Error(a.body)
	}
}
