//go:build integration

package chromium_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom/test/chromium"
	"cloakroom/test/redisproc"
	"cloakroom/test/world"
)

// start makes a world whose app is the demo as it is committed, and a journey in it.
func start(t *testing.T, name string, o world.Options) (*world.World, chromium.Journey) {
	t.Helper()
	dist, err := filepath.Abs("../../spa/demo/dist")
	if err != nil {
		t.Fatal(err)
	}
	o.App += fmt.Sprintf("    static: {dir: %q}\n", dist)
	w := world.New(t, world.DevProvider, o)
	w.Start(1)
	return w, chromium.Journey{
		Name: name,
		Given: map[string]any{
			"origin": world.Origin,
			"args":   []string{"--host-resolver-rules=MAP web.localhost:80 " + w.All[0].Addr},
		},
		Answered: func(a chromium.Answer) { observe(w, a) },
		Holds: func(t *testing.T, s chromium.Stored) {
			t.Helper()
			if s.Cookie != "" || len(s.Globals) > 0 {
				t.Errorf("a script can read %q, and finds %q", s.Cookie, s.Globals)
			}
			w.Scan.Observe("browser", "storage", []byte(s.Cookie+s.Local+s.Session+strings.Join(s.Databases, " ")+s.HTML))
		},
		Asked: func(what string) (string, error) { return "", fmt.Errorf("nobody does %q", what) },
	}
}

// observe gives the scanner what the browser got from the gateway.
func observe(w *world.World, a chromium.Answer) {
	path, ok := strings.CutPrefix(a.URL, world.Origin)
	if !ok {
		return
	}
	path, _, _ = strings.Cut(path, "?")
	place := a.Method + " " + path
	w.Scan.Observe(place, "body", []byte(a.Body))
	for name, values := range a.Header() {
		w.Scan.Observe(place, "header "+name, []byte(strings.Join(values, "\n")))
	}
	for _, c := range (&http.Response{Header: a.Header()}).Cookies() {
		if c.Name == "__Host-Http-web" && c.Value != "" {
			w.Scan.Secret("session-cookie", c.Value)
		}
	}
}

// A day with the demo, in a real browser: nothing that it got or holds has a secret in it.
func TestEveryday(t *testing.T) {
	t.Parallel()
	w, j := start(t, "everyday", world.Options{})
	chromium.Run(t, j)
	w.Leaks()
}

func TestCookiesBlocked(t *testing.T) {
	t.Parallel()
	w, j := start(t, "blocked", world.Options{})
	chromium.Run(t, j)
	w.Leaks()
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	w, j := start(t, "outage", world.Options{Redis: redisproc.Options{AppendOnly: true}})
	j.Asked = func(what string) (string, error) {
		switch what {
		case "redis-stop":
			w.Redis.Stop()
		case "redis-start":
			w.Redis.Restart()
		default:
			return "", fmt.Errorf("nobody does %q", what)
		}
		return "", nil
	}
	chromium.Run(t, j)
	w.Leaks()
}

var screenshots = flag.Bool("screenshots", false, "write docs/screenshots")

var trees = flag.Bool("trees", false, "write testdata/spoken.txt")

// The whole way by keyboard alone, and what a screen reader is told on it.
func TestByKeyboardAndEar(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"keyboard", "spoken"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, j := start(t, name, world.Options{})
			j.Given["write"] = *trees
			j.Asked = func(what string) (string, error) {
				if what != "an-hour-later" {
					return "", fmt.Errorf("nobody does %q", what)
				}
				w.Dev.AgeSignIns(time.Hour)
				return "", nil
			}
			chromium.Run(t, j)
			w.Leaks()
		})
	}
}

// Every page in every state, in every look. With SHOTS set to a folder, there is a picture of each.
func TestEveryState(t *testing.T) {
	t.Parallel()
	w, j := start(t, "states", world.Options{})
	j.Given["issuer"], j.Given["folder"] = w.OP.Issuer, os.Getenv("SHOTS")
	j.Answered = nil // most are made up
	chromium.Run(t, j)
}
