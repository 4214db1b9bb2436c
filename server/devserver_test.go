package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloakroom/server"
)

// A development server is told no cookie of the gateway: of no app, and not of the native surface, whose sign-ins on
// their way stand beside it where both are at one host.
//
// shows PRX-COOKIE (development server)
func TestNoCookieOfOursAtADevelopmentServer(t *testing.T) {
	came := make(chan string, 4)
	vite := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- r.Header.Get("Cookie")
		for _, name := range []string{"__Host-Http-.tx.1-a", "__Host-Http-phone.ok.b", "__Host-Http-open", "theme"} {
			w.Header().Add("Set-Cookie", name+"=evil; Path=/; Secure")
		}
	}))
	t.Cleanup(vite.Close)
	f := newMannedFront(t, vite.URL, server.Options{})
	res, _ := f.ask("GET / HTTP/1.1\nHost: dev.example.com\nCookie: __Host-Http-.tx.1-a=x; theme=dark; __Host-Http-phone.so=x; __Host-Http-phone.ok.b=x; __Host-Http-shut=x; __Host-Http-dev=x")
	if got := <-came; got != "theme=dark" {
		t.Errorf("it is told %q", got)
	}
	if got := strings.Join(res.Header.Values("Set-Cookie"), "|"); got != "theme=evil; Path=/; Secure" {
		t.Errorf("it sets %q", got)
	}
}

// A development server that is not there is asked about by its address: only where nobody needs to sign in to see that.
func TestADevelopmentServerThatIsNotThere(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{})
	res, body := f.ask("GET / HTTP/1.1\nHost: dev.example.com\nSec-Fetch-Mode: navigate")
	if res.StatusCode != 502 || !strings.Contains(body, nowhereURL) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// A development server may name a module by a path of a file, and only there is a slash let through under an escape.
//
// shows PRX-PATH (development server)
func TestEscapedSlashesAreForADevelopmentServerAlone(t *testing.T) {
	nuxt := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) }))
	t.Cleanup(nuxt.Close)
	f := newMannedFront(t, nuxt.URL, server.Options{})
	for target, want := range map[string]int{
		"/_nuxt/@id/virtual:nuxt:%2Fhome%2Fada%2F.nuxt%2Fcss.mjs?v=%2F": 200,
		"/api%2Fx": 400, "/api/x%2fy": 400, "/%61pi%2fx": 400, "/files%2Fx": 400, // which could be a route's, if another app's
		"/bff%2Flogin": 400, "/bff%2Fsession": 400, "/%2Fbff%2Flogin": 400, "/healthz%2Fx": 400, "https:dev.example.com%2Fx": 400,
		"/@id/..%2F..%2Fsecret": 400, "/@id/%2e%2e%2Fsecret": 400, "/@id/a%2F%2Fb": 400, "/@id/a%5Cb": 400, "/@id/a%252Fb": 400, "/@id/%2F%00": 400,
	} {
		res, body := f.ask("GET " + target + " HTTP/1.1\nHost: dev.example.com")
		if res.StatusCode != want || want == 200 && body != target {
			t.Errorf("%s: %d %s", target, res.StatusCode, body)
		}
		if res, body := f.ask("GET " + target + " HTTP/1.1\nHost: open.example.com"); res.StatusCode != 400 {
			t.Errorf("%s at a folder: %d %s", target, res.StatusCode, body)
		}
	}
}
