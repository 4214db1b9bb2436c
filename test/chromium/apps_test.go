//go:build integration

package chromium_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cloakroom/dev"
	"cloakroom/test/chromium"
)

// all is the world of cloakroom-dev: every kind of app at one gateway, with one sign-in.
type all struct {
	ports dev.Ports
}

// everything runs the world that a developer gets, on ports that were free a moment ago: where another process was faster,
// on others.
func everything(t *testing.T, env ...string) *all {
	t.Helper()
	for {
		w := &all{ports: freePorts(t)}
		err := w.run(t, env)
		if err == nil {
			return w
		}
		if !errors.As(err, new(*dev.BusyError)) {
			t.Fatalf("the world does not start: %v", err)
		}
	}
}

// run starts a world, which ends with the test.
func (w *all) run(t *testing.T, env []string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- dev.Run(ctx, dev.WorldConfig{Ports: w.ports, Env: env, TokenLife: time.Hour, Started: func() { close(started) }})
	}()
	select {
	case <-started:
	case err := <-done:
		cancel()
		return err
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the world ended with: %v", err)
		}
	})
	return nil
}

// freePorts are below those that systems give to connections.
func freePorts(t *testing.T) dev.Ports {
	t.Helper()
	var ports []int
	for len(ports) < 4 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			continue // in use
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return dev.Ports{Gateway: ports[0], Provider: ports[1], API: ports[2], Ops: ports[3]}
}

// at is where an app of the world is.
func (w *all) at(app string) string {
	if app == "demo" {
		return fmt.Sprintf("http://localhost:%d", w.ports.Gateway)
	}
	return fmt.Sprintf("http://%s.localhost:%d", app, w.ports.Gateway)
}

func (w *all) gateway() string { return fmt.Sprintf("http://127.0.0.1:%d", w.ports.Gateway) }

// journey is one through this world.
func (w *all) journey(name string) chromium.Journey {
	return chromium.Journey{
		Name: name,
		Given: map[string]any{
			"demo": w.at("demo"), "board": w.at("board"), "notes": w.at("notes"), "docs": w.at("docs"),
			"provider": fmt.Sprintf("http://127.0.0.1:%d", w.ports.Provider), "within": within().Milliseconds(),
		},
		Asked: func(what string) (string, error) { return "", fmt.Errorf("nobody does %q", what) },
	}
}

// within is when every tab has to know that it is signed out. Beside other tests a second is asked of the machine, not of us.
func within() time.Duration {
	if os.Getenv("SOAK") != "" {
		return time.Second
	}
	return 10 * time.Second
}

// One sign-in opens every kind of app, and one sign-out closes them all: in tabs that nobody touches, and in a desktop app
// that is a program of its own.
//
// shows PRX-LIVE
func TestOneSignInOneSignOut(t *testing.T) {
	t.Parallel()
	w := everything(t)
	j := w.journey("everywhere")
	program := newProgram(t, w.gateway())
	j.Asked = program.do
	pictures(t, j, "board", "notes", "signed-out-elsewhere")
}

// What was typed into a page of a server-rendered app outlives the session in which it was typed.
func TestAFormOutlivesItsSession(t *testing.T) {
	t.Parallel()
	chromium.Run(t, everything(t).journey("form"))
}

// The provider ends its session by itself, and every tab knows; a WebSocket is closed with the session.
func TestTheProviderEndsIt(t *testing.T) {
	t.Parallel()
	chromium.Run(t, everything(t).journey("provider"))
}

// A browser that sends no cookies to third parties takes part all the same: every step of a sign-in is a page of its own.
func TestThirdPartyCookiesBlocked(t *testing.T) {
	t.Parallel()
	p := &probe{}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	j := everything(t).journey("thirdparty")
	j.Given["probe"] = srv.URL
	j.Asked = func(string) (string, error) { return p.sent(), nil }
	chromium.Run(t, j)
}

// probe finds out whether a browser sends cookies to third parties: a page shows a picture of another site, which has one.
type probe struct {
	mu     sync.Mutex
	cookie string // with the last picture
}

func (p *probe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/set":
		w.Header().Set("Set-Cookie", "anywhere=1; SameSite=None; Secure; Path=/")
	case "/outside":
		w.Header().Set("Content-Type", "text/html")
		_, port, _ := net.SplitHostPort(r.Host)
		fmt.Fprintf(w, `<!doctype html><title>Outside</title><img alt="" src="http://127.0.0.1:%s/picture">`, port)
	case "/picture":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cookie = r.Header.Get("Cookie")
	}
}

func (p *probe) sent() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cookie == "anywhere=1" {
		return "yes"
	}
	return "no"
}

// The user's own list: it shows every app, and ends one or all others after a recent sign-in.
func TestDevicesAreListedAndEnded(t *testing.T) {
	t.Parallel()
	pictures(t, everything(t).journey("devices"), "devices")
}

// Who finds an open tab ends nobody: the list leads to a sign-in first, which asks.
func TestDevicesAskForARecentSignIn(t *testing.T) {
	t.Parallel()
	chromium.Run(t, everything(t, "CLOAKROOM_APPS__DEMO__SESSION__RECENT=1s").journey("recent"))
}

// pictures is a journey that takes pictures on its way: for the documentation when asked to.
func pictures(t *testing.T, j chromium.Journey, names ...string) {
	t.Helper()
	j.Given["folder"] = t.TempDir()
	if *screenshots {
		folder, err := filepath.Abs("../../docs/screenshots")
		if err != nil {
			t.Fatal(err)
		}
		j.Given["folder"] = folder
	}
	chromium.Run(t, j)
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(j.Given["folder"].(string), name+".png")); err != nil {
			t.Error(err)
		}
	}
}
