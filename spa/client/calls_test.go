//go:build integration

package client_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/test/browser"
	"cloakroom/test/redisproc"
	"cloakroom/test/world"
)

var update = flag.Bool("update", false, "write testdata/calls.json: what the gateway answers becomes what is asked of the fake one")

// step is a line of testdata/calls.json: something that happens, or a call and the shape of its answer. The fake gateway of
// ./testing is asked the same by test/calls.test.ts.
type step struct {
	Do      string            `json:"do,omitempty"` // sign-in, ended-elsewhere, store-away or store-back
	Ask     string            `json:"ask,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Answer  *shape            `json:"answer,omitempty"`
}

// shape is what an app can rely on. Of an answer of the API only the status is the gateway's.
type shape struct {
	Status  int      `json:"status"`
	Media   string   `json:"media,omitempty"`
	Cache   string   `json:"cache,omitempty"`
	Allow   string   `json:"allow,omitempty"`
	Code    string   `json:"code,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	Members []string `json:"members,omitempty"`
}

// The gateway answers as testdata/calls.json says, which the fake gateway is held against: an app that is tested with that one
// meets nothing new.
func TestTheRealGatewayAnswersAsTheFakeOne(t *testing.T) {
	t.Parallel()
	name := filepath.Join("testdata", "calls.json")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	if err := json.Unmarshal(text, &steps); err != nil {
		t.Fatal(err)
	}
	refusing := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(refusing.Close)
	w := world.New(t, world.DevProvider, world.Options{
		Redis: redisproc.Options{AppendOnly: true}, // it is away for a while, and comes back with what it knew
		// What a route requires is looked at before its upstream is called: there is none.
		Routes: `  - {path: /api/strong/, upstream: "http://127.0.0.1:9", methods: [GET], token: user, require: {acr: [strong]}}
  - {path: /api/refusing, upstream: "` + refusing.URL + `", methods: [GET], token: user}`,
	})
	w.Start(1)
	b := w.Browser()
	for i, s := range steps {
		switch s.Do {
		case "sign-in":
			b = w.Browser() // another sign-in of the same session at the provider, a moment after its sign-out, would be refused
			w.SignIn(b, "/")
		case "ended-elsewhere":
			other := w.Browser()
			w.SignIn(other, "/")
			w.Want(w.Fetch(other, "DELETE", "/bff/sessions/"+sessionOf(t, w, b), ""), http.StatusNoContent)
		case "store-away":
			w.Redis.Stop()
		case "store-back":
			w.Redis.Restart()
			awaitSession(t, w, b)
		default:
			got := s.call(t, w, b)
			if diff := cmp.Diff(s.Answer, got); diff != "" && !*update {
				t.Errorf("%d: %s %v (-want +have):\n%s", i, s.Ask, s.Headers, diff)
			}
			steps[i].Answer = got
		}
	}
	if *update {
		write(t, name, steps)
	}
}

// awaitSession waits until the session can be asked for again.
func awaitSession(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); w.Fetch(b, "GET", "/bff/session", "").Status != http.StatusOK; { // it takes milliseconds
		if time.Now().After(deadline) {
			t.Fatal("Redis is back, and the gateway does not notice")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sessionOf asks for the public name of a browser's session.
func sessionOf(t *testing.T, w *world.World, b *browser.Browser) string {
	t.Helper()
	var who struct{ Session struct{ ID string } }
	if err := json.Unmarshal(w.Want(w.Fetch(b, "GET", "/bff/session", ""), http.StatusOK).Body, &who); err != nil {
		t.Fatal(err)
	}
	return who.Session.ID
}

// call asks, and tells the shape of the answer.
func (s step) call(t *testing.T, w *world.World, b *browser.Browser) *shape {
	t.Helper()
	q := browser.Request{Header: http.Header{}, Redirect: "manual"}
	var path string
	if _, err := fmt.Sscan(s.Ask, &q.Method, &path); err != nil {
		t.Fatalf("%q: %v", s.Ask, err)
	}
	if before, after, own := strings.Cut(path, "{own}"); own {
		path = before + sessionOf(t, w, b) + after
	}
	q.URL = world.Origin + path
	for name, value := range s.Headers {
		q.Header.Set(name, value)
	}
	p, err := b.Fetch(browser.At(world.Origin+"/"), q)
	if err != nil {
		t.Fatalf("%s: %v", s.Ask, err)
	}
	got := &shape{Status: p.Status}
	media, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
	var body any
	if len(p.Body) > 0 && json.Unmarshal(p.Body, &body) != nil {
		t.Fatalf("%s: %s", s.Ask, p.Body)
	}
	if p.Status == http.StatusOK && path == "/api/whoami" {
		return got // the API's own
	}
	got.Media, got.Cache, got.Allow, got.Members = media, p.Header.Get("Cache-Control"), p.Header.Get("Allow"), members(body, "")
	if problem, ok := body.(map[string]any); ok && p.Status >= 400 {
		got.Code, _ = problem["code"].(string)
		got.Reason, _ = problem["reason"].(string)
	}
	return got
}

// members lists the paths of a value of JSON.
func members(value any, at string) (paths []string) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			paths = append(append(paths, at+name), members(v[name], at+name+".")...)
		}
	case []any:
		if len(v) > 0 {
			return members(v[0], at)
		}
	}
	return paths
}

// write writes the steps, one a line.
func write(t *testing.T, name string, steps []step) {
	t.Helper()
	out := bytes.NewBufferString("[\n")
	for i, s := range steps {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			out.WriteString(",\n")
		}
		out.WriteString("  ")
		out.Write(line)
	}
	out.WriteString("\n]\n")
	if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
