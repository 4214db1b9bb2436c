package mobileapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

// as signs an app in for somebody, in a session of the provider, with what the app says of its device.
func (w *world) as(subject, sid, device string, fields ...string) handles {
	w.t.Helper()
	w.provider.mu.Lock()
	w.provider.identity.Subject, w.provider.identity.SID = subject, sid
	w.provider.mu.Unlock()
	form := redemption("phone", claimed, w.code())
	if device != "" {
		form.Set("device_name", device)
		form.Set("device_platform", "\u202eiOS 19.1\n")
	}
	return w.post("/mobile/token", form, fields...).handles(w.t)
}

func (w *world) listed(access string) []surface.ListedDevice {
	w.t.Helper()
	a := w.call("GET", "/mobile/sessions", access).is(w.t, "the list", 200)
	var list surface.DeviceList
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.header.Get("Cache-Control") != "no-store" {
		w.t.Fatalf("%s: %v", a.body, err)
	}
	if strings.Contains(a.body, "clk_") || strings.Contains(a.body, `"usr`) || strings.Contains(a.body, "ses_") {
		w.t.Errorf("the list holds what it must not: %s", a.body)
	}
	return list.Sessions
}

// shows SESS-LIST
func TestTheListOfSessions(t *testing.T) {
	w := newWorld(t)
	mine := w.as("usr_1", "ses_1", "Ada's\u202e phone")
	w.advance(time.Minute)
	other := w.as("usr_1", "ses_2", "", "User-Agent", "Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9)")
	w.as("usr_2", "ses_3", "a stranger's")
	got := w.listed(mine.Access)
	if len(got) != 2 || got[0].ID != mine.Session["id"] || got[1].ID != other.Session["id"] || !got[0].Current || got[1].Current ||
		got[0].Device != "Ada's phone" || got[0].Platform != "iOS 19.1" ||
		got[1].Device != "Android" || got[1].Platform != "" || got[0].App != "phone" || got[0].Kind != bff.KindMobile {
		t.Errorf("the list: %+v", got)
	}
}

// Asking is no activity, also when one would be due to be noted.
//
// shows SESS-LIST, SESS-LIFE
func TestAskingForTheListMovesNoIdleEnd(t *testing.T) {
	w := newWorld(t, func(w *world) { w.apps["phone"].AccessLife, w.apps["phone"].Idle = 24*time.Hour, time.Hour })
	mine := w.as("usr_1", "ses_1", "")
	w.advance(30 * time.Minute)
	w.listed(mine.Access)
	w.advance(time.Minute) // so that a touch by the list would show: then that of the call is not due
	w.call("GET", "/optional", mine.Access).is(t, "a call", 200)
	within(t, "the touch", w.touched)
	w.advance(time.Hour - 30*time.Second)
	w.call("GET", "/mobile/session", mine.Access).is(t, "just before an hour after the call", 200)
}

// shows SESS-LIST, SESS-KILL
func TestEndingSessions(t *testing.T) {
	w := newWorld(t)
	mine, lost, third := w.as("usr_1", "ses_1", ""), w.as("usr_1", "ses_2", ""), w.as("usr_1", "ses_3", "")
	stranger := w.as("usr_2", "ses_4", "")
	at := func(h handles) string { return "/mobile/sessions/" + h.Session["id"].(string) }
	w.call("DELETE", at(lost), mine.Access).is(t, "ending one", 204)
	w.call("GET", "/api", lost.Access).is(t, "the one that ended", 401)
	w.rotate("phone", lost.Refresh).is(t, "its refresh handle", 400)
	w.call("GET", "/api", third.Access).is(t, "the third", 200)
	for what, path := range map[string]string{"a stranger's": at(stranger), "one that is over": at(lost), "nobody's": "/mobile/sessions/x"} {
		w.call("DELETE", path, mine.Access).is(t, what, 404)
	}
	w.call("DELETE", "/mobile/sessions", mine.Access).is(t, "ending the others", 204)
	w.call("GET", "/api", third.Access).is(t, "the third", 401)
	w.call("GET", "/api", stranger.Access).is(t, "the stranger", 200)
	next := w.rotate("phone", mine.Refresh).handles(t) // it goes on as ever
	a := w.call("DELETE", at(next), next.Access).is(t, "ending itself", 200)
	var left struct {
		Ended     bool
		LogoutURL string `json:"logout_url"`
	}
	if err := json.Unmarshal([]byte(a.body), &left); err != nil || !left.Ended || !strings.HasPrefix(left.LogoutURL, gateway+"/mobile/logout/") {
		t.Errorf("ending itself: %s %v", a.body, err)
	}
	w.call("GET", "/api", next.Access).is(t, "afterwards", 401)
}

// shows SESS-LIST: what it takes.
func TestWhoMayListAndEndSessions(t *testing.T) {
	w := newWorld(t)
	mine, other := w.as("usr_1", "ses_1", ""), w.as("usr_1", "ses_2", "")
	path := "/mobile/sessions/" + other.Session["id"].(string)
	for _, at := range [][2]string{{"GET", "/mobile/sessions"}, {"DELETE", "/mobile/sessions"}, {"DELETE", path}} {
		what := strings.Join(at[:], " ")
		w.send(at[0], at[1], "").is(t, what+" without a handle", 401)
		w.call(at[0], at[1], mine.Refresh).is(t, what+" with a refresh handle", 401)
		w.send(at[0], at[1]+"?access_token="+mine.Access, "").is(t, what+" with the handle in the query", 400)
		w.send(at[0], at[1], "", "Authorization", "Bearer "+mine.Access, "Cookie", "__Host-Http-web=x").is(t, what+" with a cookie", 400)
		w.send(at[0], at[1], "", "Authorization", "Bearer "+mine.Access, "Origin", "https://evil.example").is(t, what+" by a page", 403)
	}
	w.advance(10 * time.Minute)
	for _, at := range []string{"/mobile/sessions", path, "/mobile/sessions/unknown"} {
		a := w.call("DELETE", at, mine.Access).is(t, at+" long after the sign-in", 403)
		if !strings.Contains(a.body, `"code":"recent_sign_in_required"`) || !strings.Contains(a.body, `"max_age":600`) {
			t.Errorf("%s: %s", at, a.body)
		}
	}
	if got := w.listed(mine.Access); len(got) != 2 {
		t.Errorf("after all this: %+v", got)
	}
	w.redis.SetError("LOADING")
	for _, at := range [][2]string{{"GET", "/mobile/sessions"}, {"DELETE", "/mobile/sessions"}, {"DELETE", path}} {
		w.call(at[0], at[1], mine.Access).is(t, "while the store is down", 503)
	}
	w.redis.SetError("")
}

// A native app's sessions are limited like a browser's: the oldest goes, with both its handles.
//
// shows SESS-LIST (the limit)
func TestTheLimitOfSessions(t *testing.T) {
	w := newWorld(t, func(w *world) { w.apps["phone"].Most = 2 })
	first, second := w.as("usr_1", "ses_1", ""), w.as("usr_1", "ses_2", "")
	stranger := w.as("usr_2", "ses_3", "")
	w.call("GET", "/api", first.Access).is(t, "the first of two", 200)
	third := w.as("usr_1", "ses_4", "")
	if a := w.call("GET", "/api", first.Access).is(t, "the first of three", 401); !strings.Contains(a.body, `"reason":"limit"`) {
		t.Errorf("the first of three: %s", a.body)
	}
	w.rotate("phone", first.Refresh).is(t, "its refresh handle", 400)
	for what, h := range map[string]handles{"second": second, "third": third, "a stranger": stranger} {
		w.call("GET", "/api", h.Access).is(t, what, 200)
	}
}
