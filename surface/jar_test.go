package surface_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// shows COOKIE-5 (the reading): nothing is trimmed, decoded or folded, and of two of a name none is ours.
func TestTheJar(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Cookie"] = []string{`a=1; b="2";c=3;  d=4; e =5; f; a=6; =7`, "g=8=9"}
	j := surface.ReadJar(r)
	want := surface.Jar{{"a", "1"}, {"b", `"2"`}, {"c", "3"}, {" d", "4"}, {"e ", "5"}, {"a", "6"}, {"", "7"}, {"g", "8=9"}}
	if diff := cmp.Diff(want, j); diff != "" {
		t.Error(diff)
	}
	if j.Only("a") != "" || j.Only("c") != "3" || j.Only("d") != "" || !j.Has("a") || j.Has("e") {
		t.Errorf("%q %q %q", j.Only("a"), j.Only("c"), j.Only("d"))
	}
}

// What nobody owns is the gateway's own, and no app's.
func TestNamesOfCookies(t *testing.T) {
	for _, row := range []struct {
		owner, name string
		ours        bool
	}{
		{"web", "__Host-Http-web", true},
		{"web", "__Host-Http-web.tx.1-a", true},
		{"web", "__Host-Http-web2", false},
		{"web", "__Host-Http-.tx.1-a", false},
		{"", "__Host-Http-.tx.1-a", true},
		{"", "__Host-Http-web.tx.1-a", false},
		{"", "__Host-Http-web", false},
		{"", "tx", false},
	} {
		if surface.ReservedCookie(row.owner, row.name) != row.ours {
			t.Errorf("%q is %q's: %v", row.name, row.owner, !row.ours)
		}
	}
}

// Flows of one owner are nothing to another, and a state that two cookies claim is nobody's.
func TestFlows(t *testing.T) {
	w := httptest.NewRecorder()
	start := &bff.LoginStart{Flow: bff.Flow("state"), Sealed: "sealed"}
	surface.Jar{}.SetFlow(w, "web", start, time.Unix(100, 0))
	c := w.Result().Cookies()[0]
	if c.Name != "__Host-Http-web.tx.2s-"+bff.Flow("state") || c.MaxAge != 600 || c.Value != "sealed" {
		t.Errorf("%v", c)
	}
	one := surface.Jar{{c.Name, c.Value}}
	if f, ok := one.Flows("web").Of("state"); !ok || f.Value != "sealed" {
		t.Errorf("%v %v", f, ok)
	}
	if _, ok := one.Flows("web").Of("another"); ok || len(one.Flows("")) != 0 || len(one.Flows("we")) != 0 {
		t.Error("a flow of another state or owner")
	}
	two := append(one, surface.Cookie{Name: "__Host-Http-web.tx.2t-" + bff.Flow("state"), Value: "tossed"})
	if _, ok := two.Flows("web").Of("state"); ok {
		t.Error("one of two was taken")
	}
}

// flow is a transaction cookie as SetFlow names it.
func flow(began, state string) surface.Cookie {
	return surface.Cookie{Name: "__Host-Http-.tx." + began + "-" + bff.Flow(state), Value: "sealed"}
}

// started lists the cookies that a new login clears, and the one that it sets, the last.
func started(j surface.Jar) (cleared []string, set *http.Cookie) {
	w := httptest.NewRecorder()
	j.SetFlow(w, "", &bff.LoginStart{Flow: bff.Flow("new"), Sealed: "sealed"}, time.Unix(100, 0))
	all := w.Result().Cookies()
	for _, c := range all[:len(all)-1] {
		if c.MaxAge < 0 {
			cleared = append(cleared, c.Name)
		}
	}
	return cleared, all[len(all)-1]
}

// The Cookie header stays below 8 KiB less what a sign-out needs, to the byte: the oldest make room, as many as it takes.
func TestRoomForANewFlow(t *testing.T) {
	const bound = 8<<10 - 512
	size := func(c surface.Cookie) int { return len(c.Name) + len(c.Value) + 3 }
	old, older, fresh := flow("2", "old"), flow("1", "older"), flow("2s", "new")
	for _, row := range []struct {
		with    string
		pending surface.Jar
		others  int // bytes of what is not ours, so that all would be …
		cleared []string
	}{
		{"one byte less than the bound", surface.Jar{old}, bound - 1 - size(old) - size(fresh), nil},
		{"the bound, and one flow", surface.Jar{old}, bound - size(old) - size(fresh), []string{old.Name}},
		{"the bound, and two flows", surface.Jar{old, older}, bound - size(old) - size(older) - size(fresh), []string{older.Name}},
		{"twice the bound", surface.Jar{old, older}, 2 * bound, []string{older.Name, old.Name}},
		{"twice the bound, and no flow", nil, 2 * bound, nil},
	} {
		other := surface.Cookie{Name: "a", Value: strings.Repeat("x", row.others-4)}
		cleared, set := started(append(row.pending, other))
		if diff := cmp.Diff(row.cleared, cleared); diff != "" {
			t.Errorf("with %s: %s", row.with, diff)
		}
		if set.Name != fresh.Name || set.MaxAge != 600 || set.SameSite != http.SameSiteLaxMode {
			t.Errorf("with %s: %v", row.with, set)
		}
	}
}

// Five are in flight at most. The oldest goes: of one second the one that the browser sends first, and before all what
// has not the form of ours, which is no state's either.
func TestTheOldestFlowGoes(t *testing.T) {
	bad := surface.Cookie{Name: "__Host-Http-.tx.!-" + bff.Flow("tossed"), Value: "sealed"}
	a, b, c, d, e := flow("2", "a"), flow("2", "b"), flow("1", "c"), flow("3", "d"), flow("zz", "e")
	for _, row := range []struct {
		with    string
		pending surface.Jar
		cleared []string
	}{
		{"four", surface.Jar{a, b, c, d}, nil},
		{"five", surface.Jar{a, b, c, d, e}, []string{c.Name}},
		{"five of one second", surface.Jar{flow("2", "z"), a, b, flow("2", "y"), flow("2", "x")}, []string{flow("2", "z").Name}},
		{"five of one second, the other way round", surface.Jar{flow("2", "x"), flow("2", "y"), b, a, flow("2", "z")}, []string{flow("2", "x").Name}},
		{"one that is none of ours", surface.Jar{a, b, c, d, bad}, []string{bad.Name}},
		{"six", surface.Jar{a, b, c, d, e, bad}, []string{bad.Name, c.Name}},
	} {
		if cleared, _ := started(row.pending); !cmp.Equal(cleared, row.cleared) {
			t.Errorf("with %s: cleared %q, want %q", row.with, cleared, row.cleared)
		}
	}
	if f, ok := (surface.Jar{bad}).Flows("").Of("tossed"); ok {
		t.Errorf("%q was taken", f.Name)
	}
}

// shows COOKIE-1 (what is set, and what clears it)
func TestAttributesOfCookies(t *testing.T) {
	for _, row := range []struct {
		set  func(http.ResponseWriter)
		want string
	}{
		{func(w http.ResponseWriter) { surface.SetCookie(w, "n", "v", http.SameSiteLaxMode, time.Minute) }, "n=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"},
		// Without an end it would live as long as the browser, which may be for ever.
		{func(w http.ResponseWriter) {
			surface.SetCookie(w, "n", "v", http.SameSiteStrictMode, time.Millisecond)
		}, "n=v; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Strict"},
		{func(w http.ResponseWriter) { surface.ClearCookie(w, "n", http.SameSiteStrictMode) }, "n=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"},
	} {
		w := httptest.NewRecorder()
		if row.set(w); w.Header().Get("Set-Cookie") != row.want {
			t.Errorf("%s, want %s", w.Header().Get("Set-Cookie"), row.want)
		}
	}
	j := surface.Jar{{"a", "1"}, {"A", "2"}}
	if j.Only("a") != "1" || j.Only("A") != "2" || len(j.Values("a")) != 1 {
		t.Errorf("names of other letters are one: %v", j.Values("a"))
	}
}
