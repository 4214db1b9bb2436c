package surface_test

import (
	"net/http/httptest"
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
