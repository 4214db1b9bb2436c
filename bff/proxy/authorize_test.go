package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// external is a route that another proxy forwards.
func external(path string, change ...func(*proxy.Route)) proxy.Route {
	r := proxy.Route{
		Path: path, Methods: []string{"GET", "POST"}, External: true,
		IdentityHeaders: map[string]string{"x-forwarded-user": "sub"},
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func authorize(t *testing.T, table *proxy.Table, path string, c proxy.Call) (http.Header, error) {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Cookie", "__Host-Http-web=x; theme=dark")
	m, err := table.Match("GET", path, "web")
	if err != nil {
		t.Fatal(err)
	}
	return table.Authorize(r, m, c)
}

// What another proxy is to send on is all there, empty where nothing is to be sent: also the identity of another route.
//
// shows PRX-AUTHZ, PRX-COOKIE
func TestAuthorize(t *testing.T) {
	table, err := proxy.NewTable([]proxy.Route{
		external("/api/"), external("/guest/", func(r *proxy.Route) { r.Token, r.IdentityHeaders = proxy.TokenUserOrNone, nil }),
		external("/site/", func(r *proxy.Route) { r.Kind = proxy.KindSite }),
	}, proxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	call := signedIn()
	token := "Bearer " + call.Tokens.Access.Reveal()
	want := func(authorization, cookie, user string) http.Header {
		return http.Header{"Authorization": {authorization}, "Cookie": {cookie}, "X-Forwarded-User": {user}}
	}
	for name, c := range map[string]struct {
		path string
		call proxy.Call
		want http.Header
	}{
		"a user's call":           {"/api/x", call, want(token, "", call.Session.Subject)},
		"a guest":                 {"/guest/x", anonymous(), want("", "", "")},
		"a user where guests are": {"/guest/x", call, want(token, "", "")},
		"a visit to a site":       {"/site/x", call, want(token, "theme=dark", call.Session.Subject)},
	} {
		got, err := authorize(t, table, c.path, c.call)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := authorize(t, table, "/api/x", anonymous()); bff.CodeOf(err) != bff.CodeSessionRequired {
		t.Errorf("nobody on a user's route: %v", err)
	}
}

// A token that is bound to a key is no bearer token for somebody else to send.
//
// shows DPOP-OUT-RS
func TestAuthorizeHandsOutNoBoundToken(t *testing.T) {
	table, err := proxy.NewTable([]proxy.Route{external("/api/")}, proxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	call := signedIn()
	call.Tokens.TokenType = "DPoP"
	if got, err := authorize(t, table, "/api/x", call); got != nil || bff.CodeOf(err) != bff.CodeInternal {
		t.Errorf("a bound token: %v, %v", got, err)
	}
}

// The two kinds of routes stay apart, whoever mixes their callers up.
func TestExternalRoutesAreForAuthorizeAlone(t *testing.T) {
	a := newAPI(t, nil)
	table, err := proxy.NewTable([]proxy.Route{external("/api/"), route(a, "/own/")}, proxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := authorize(t, table, "/own/x", signedIn()); got != nil || bff.CodeOf(err) != bff.CodeNotFound {
		t.Errorf("authorizing what is forwarded here: %v, %v", got, err)
	}
	m, err := table.Match("GET", "/api/x", "web")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := table.Forward(w, httptest.NewRequest("GET", "/api/x", nil), m, signedIn()); bff.CodeOf(err) != bff.CodeNotFound {
		t.Errorf("forwarding what another proxy forwards: %v", err)
	}
	for name, change := range map[string]func(*proxy.Route){
		"an upstream":         func(r *proxy.Route) { r.Upstream = "http://127.0.0.1:1" },
		"the app's own token": func(r *proxy.Route) { r.Token = proxy.TokenClient },
		"a stripped prefix":   func(r *proxy.Route) { r.Strip = true },
	} {
		if _, err := proxy.NewTable([]proxy.Route{external("/api/", change)}, proxy.Options{}); err == nil {
			t.Errorf("a route with %s is accepted", name)
		}
	}
}
