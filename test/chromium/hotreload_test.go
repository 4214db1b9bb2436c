//go:build integration

package chromium_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// viteApp is an app of a user's on Vite, in a folder of its own, and its development server.
type viteApp struct {
	t       *testing.T
	dir     string
	host    string // what Vite is told to listen on; "": nothing, as in a new project
	port    string
	running *exec.Cmd
	said    *said     // by it
	saved   time.Time // when a file was last edited
}

// newViteApp copies the app, and finds a port for its server.
func newViteApp(t *testing.T) *viteApp {
	t.Helper()
	v := &viteApp{t: t, dir: filepath.Join(t.TempDir(), "app")}
	modules, err := filepath.Abs("../../spa/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(v.dir, os.DirFS("testdata/viteapp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(v.dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, v.port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	t.Cleanup(v.stop)
	return v
}

// start starts the server, and waits until it says that it listens.
func (v *viteApp) start() error {
	args := []string{"node_modules/vite/bin/vite.js", "--port", v.port, "--strictPort"}
	if v.host != "" {
		args = append(args, "--host", v.host)
	}
	v.running = exec.CommandContext(v.t.Context(), "node", args...)
	v.said = &said{}
	v.running.Dir, v.running.Env = v.dir, append(os.Environ(), "NO_COLOR=1")
	v.running.Stdout, v.running.Stderr = v.said, v.said
	if err := v.running.Start(); err != nil {
		return err
	}
	if !v.said.within(30*time.Second, "Local:", 0) { // it takes one, on a busy machine some
		return fmt.Errorf("the development server does not start: %s", v.said.all())
	}
	return nil
}

// said is what a server says.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// within waits until one of some words is said, behind what was said up to an offset.
func (s *said) within(d time.Duration, words string, after int) bool {
	for deadline := time.Now().Add(d); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		for word := range strings.SplitSeq(words, "|") {
			if strings.Contains(s.all()[after:], word) {
				return true
			}
		}
	}
	return false
}

// stop ends the server, as closing its terminal does.
func (v *viteApp) stop() {
	if v.running != nil {
		_ = v.running.Process.Kill()
		_ = v.running.Wait()
		v.running = nil
	}
}

// pace is how quickly files are saved at most: of two changes of a file within 50 ms Vite's watcher drops the second, which
// nobody at a keyboard ever sees.
const pace = 200 * time.Millisecond

// edit changes a file of the app, and waits until Vite says that it saw it. Now and then its watcher does not: then the file is
// saved again, as a developer would. That the page hears of what Vite saw is the gateway's part, and nobody helps there.
func (v *viteApp) edit(name string, change func(string) string) error {
	at := filepath.Join(v.dir, filepath.FromSlash(name))
	text, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	changed := change(string(text))
	if changed == string(text) {
		return fmt.Errorf("nothing to change in %s", name)
	}
	for tries := 0; tries < 5; tries++ {
		<-time.After(time.Until(v.saved.Add(pace)))
		v.saved = time.Now()
		before := 0
		if v.running != nil {
			before = len(v.said.all())
		}
		if err := overwrite(at, changed, len(text)); err != nil || v.running == nil {
			return err
		}
		if tries > 0 {
			v.t.Logf("%s is saved again: %s", name, v.said.all()[before:])
		}
		if v.said.within(3*time.Second, "hmr update|page reload|server restarted", before) {
			return nil
		}
	}
	return fmt.Errorf("the development server does not see that %s is another: %s", name, v.said.all())
}

// overwrite writes a text over a longer or shorter one, at once: whoever empties a file first may be looked at before writing on.
func overwrite(at, text string, atLeast int) error {
	f, err := os.OpenFile(at, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + strings.Repeat("\n", max(0, atLeast-len(text))))
	return errors.Join(err, f.Close())
}

// between replaces what stands between two texts.
func between(begin, end, by string) func(string) string {
	return func(text string) string {
		before, rest, _ := strings.Cut(text, begin)
		_, after, _ := strings.Cut(rest, end)
		return before + begin + by + end + after
	}
}

// asked does the developer's part for the journey.
func (v *viteApp) asked(what string) (string, error) {
	what, value, _ := strings.Cut(what, " ")
	switch what {
	case "text": // which mends what is broken, too
		return "", v.edit("src/App.jsx", func(text string) string {
			return between("<h1>Coats of the ", "</h1>", value)(strings.ReplaceAll(text, "<<h1>", "<h1>"))
		})
	case "break":
		return "", v.edit("src/App.jsx", func(text string) string { return strings.ReplaceAll(text, "<h1>", "<<h1>") })
	case "style":
		return "", v.edit("src/app.css", between("color: ", ";", value))
	case "edition":
		return "", v.edit("vite.config.js", between(`JSON.stringify("`, `")`, value))
	case "stop":
		v.stop()
		return "", nil
	case "start":
		return "", v.start()
	}
	return "", fmt.Errorf("nobody does %q", what)
}

// hotReload runs the journey at an app whose host leads to an address.
func hotReload(t *testing.T, w *world.World, v *viteApp, mode, leadsTo string) {
	t.Helper()
	if err := v.start(); err != nil {
		t.Fatal(err)
	}
	chromium.Run(t, chromium.Journey{
		Name: "hotreload",
		Given: map[string]any{
			"origin": world.Origin, "mode": mode,
			"args": []string{"--host-resolver-rules=MAP web.localhost:80 " + leadsTo},
		},
		Answered: func(a chromium.Answer) { observe(w, a) },
		Asked:    v.asked,
	})
	w.Leaks()
}

// Vite behind the real gateway, as a new project has it: no setting of Vite's knows of the gateway, its WebSocket goes through
// the gateway's own port, and what is edited is in the page at once while the session lives.
//
// shows WS-1 (development server: Origin)
func TestHotReload(t *testing.T) {
	t.Parallel()
	v := newViteApp(t)
	w := world.New(t, world.DevProvider, world.Options{App: fmt.Sprintf("    static: {url: \"http://localhost:%s\"}\n", v.port)})
	w.Start(1)
	hotReload(t, w, v, "gateway", w.All[0].Addr)
}

// The other way around: Vite in front, as in spa/demo, and the gateway behind its proxy. The app's origin is Vite's then, and
// the gateway knows the app by the Host, which must stay as it came.
func TestHotReloadWithViteInFront(t *testing.T) {
	t.Parallel()
	v := newViteApp(t)
	v.host = "127.0.0.1"
	w := world.New(t, world.DevProvider, world.Options{})
	w.Start(1)
	demo, err := filepath.Abs("../../spa/demo/vite.config.ts")
	if err != nil {
		t.Fatal(err)
	}
	begin := fmt.Sprintf(`import demo from %q;
const gateway = %q; // the demo's own settings, but for where the gateway listens
const to = (how) => (typeof how === "string" ? gateway : { ...how, target: gateway });
const proxy = Object.fromEntries(Object.entries(demo.server.proxy).map(([path, how]) => [path, to(how)]));
`, demo, "http://"+w.All[0].Addr)
	if err := v.edit("vite.config.js", func(text string) string {
		return begin + strings.Replace(text, "plugins:", "server: { proxy },\n  plugins:", 1)
	}); err != nil {
		t.Fatal(err)
	}
	hotReload(t, w, v, "vite", "127.0.0.1:"+v.port)
}
