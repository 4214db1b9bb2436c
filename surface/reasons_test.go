package surface_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/surface"
)

// A person whose session ended is told why, in words, by page and problem alike; and what to do.
func TestASessionsEndIsToldByItsReason(t *testing.T) {
	for reason, words := range map[bff.Reason]string{
		bff.ReasonSignedOut: "another app", bff.ReasonProvider: "sign-in service", bff.ReasonAdmin: "administrator",
		bff.ReasonIdle: "for a while", bff.ReasonAbsolute: "longest time", bff.ReasonRefreshRejected: "signed out in another app",
		bff.ReasonRefreshLost: "connection", bff.ReasonReplaced: "newer sign-in", bff.ReasonLimit: "more devices",
		bff.ReasonHandleReused: "tell whoever runs this app",
	} {
		code := bff.CodeSessionEnded
		if reason == bff.ReasonIdle || reason == bff.ReasonAbsolute {
			code = bff.CodeSessionExpired
		}
		err := &bff.Error{Code: code, Message: "One sentence.", Reason: string(reason)}
		page := write("GET", err, surface.Info{LoginURL: "/bff/login"}, "Sec-Fetch-Mode", "navigate", "Accept", "text/html")
		if text := body(t, page); page.StatusCode != http.StatusUnauthorized || !strings.Contains(text, words) || !strings.Contains(text, ">Sign in<") {
			t.Errorf("%s: page of status %d: %s", reason, page.StatusCode, text)
		}
		var told struct{ Detail, Reason string }
		if err := json.Unmarshal([]byte(body(t, write("GET", err, surface.Info{}, "Sec-Fetch-Mode", "cors"))), &told); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(told.Detail, words) || told.Reason != string(reason) {
			t.Errorf("%s: problem %+v", reason, told)
		}
	}
}

// A reason of a newer version is passed on, and told as before.
func TestAReasonThatIsNotKnown(t *testing.T) {
	err := &bff.Error{Code: bff.CodeSessionEnded, Message: "One sentence.", Reason: "eclipse"}
	if text := body(t, write("GET", err, surface.Info{}, "Sec-Fetch-Mode", "cors")); !strings.Contains(text, `"One sentence."`) || !strings.Contains(text, "eclipse") {
		t.Errorf("problem %s", text)
	}
	if text := body(t, write("GET", err, surface.Info{}, "Sec-Fetch-Mode", "navigate", "Accept", "text/html")); !strings.Contains(text, "You have been signed out.") {
		t.Errorf("page %s", text)
	}
}
