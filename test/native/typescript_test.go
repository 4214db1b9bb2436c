//go:build integration

package native_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloakroom/test/wire"
)

const examples = "../../mobile-api/examples/typescript"

// The TypeScript examples hold for the compiler, with its strict settings.
func TestTypeScriptCompiles(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(filepath.Join("node_modules", ".bin", "tsc"))
	cmd.Dir = examples
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// typescript is an example in TypeScript, run as its README says.
func (n *nativeWorld) typescript(t *testing.T, main, app string, flags ...string) *example {
	t.Helper()
	dir, err := filepath.Abs(examples)
	if err != nil {
		t.Fatal(err)
	}
	e := n.program(t, app, dir)
	e.command = append([]string{
		filepath.Join(dir, "node_modules", ".bin", "tsx"), main, "--gateway", n.front.URL, "--app", app, "--file", filepath.Join(e.home, "handles.json"),
	}, flags...)
	return e
}

// Each example's tour: sign-in, calls, a rotation whose answer is lost, devices, events, sign-out at gateway and provider. Then
// command by command, as an app that is closed and opened again.
//
// shows NAT-ROT, NAT-8.12
func TestTypeScript(t *testing.T) {
	t.Parallel()
	n := newWorld(t)
	for name, start := range map[string]func(t *testing.T) *example{
		"desktop": func(t *testing.T) *example { return n.typescript(t, "desktop/main.ts", "cli", "--no-browser") },
		"mobile": func(t *testing.T) *example {
			return n.typescript(t, "mobile/main.ts", "other", "--redirect", private)
		},
	} {
		t.Run(name, func(t *testing.T) { n.T = t; tour(t, start(t)) })
		t.Run(name+" between runs", func(t *testing.T) { n.T = t; betweenRuns(t, start(t)) })
	}
	n.T = t
	n.finish(t)
}

func tour(t *testing.T, e *example) {
	e.n.front.read()
	lost := e.n.front.wire.LoseReply(wire.Contains("grant_type=refresh_token"))
	out := e.good(t)
	for _, want := range []string{
		`Signed in as `, `Following the session`, `Placed \S+: 2 × Darjeeling`, `(?m)^  \S+  2 × Darjeeling`,
		`access handle +clk_…\S{4} → clk_…\S{4}`, `Order desk on .* \(` + e.app + `\), this one`,
		`Signed out\.`, `The old handle is refused`, `The gateway says that the session is over: signed_out`, `That was all`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the tour never says %s\n%s", want, out)
		}
	}
	select {
	case <-lost:
	default:
		t.Error("no answer was lost")
	}
	// The code, the rotation that is lost, the same again, and the one before the sign-out.
	if n := strings.Count(strings.Join(e.n.front.read(), "\n")+"\n", "POST /mobile/token 200\n"); n != 4 {
		t.Errorf("handles were given out %d times, want 4", n)
	}
	if p, err := e.b.Navigate(e.n.address(e.n.complete(ask{}))); err != nil {
		t.Fatal(err)
	} else if form, err := p.Form("Sign in"); err != nil || !form.Fields.Has("login") {
		t.Errorf("after signing out the provider asks for nothing: %s %s", p.URL, p.Text())
	}
}

func betweenRuns(t *testing.T, e *example) {
	if out, err := e.run(t, "orders"); err == nil || !strings.Contains(out, "Nobody is signed in") {
		t.Errorf("orders before signing in: %v %s", err, out)
	}
	e.good(t, "login")
	e.good(t, "rotate")
	if out := e.good(t, "devices"); !strings.Contains(out, "this one") {
		t.Errorf("devices: %s", out)
	}
	if out, err := e.run(t, "orders", "--app", "bound"); err == nil || !strings.Contains(out, "Nobody is signed in") {
		t.Errorf("another app with these handles: %v %s", err, out)
	}
	e.good(t, "logout")
	if out, err := e.run(t, "orders"); err == nil || !strings.Contains(out, "Nobody is signed in") {
		t.Errorf("orders after signing out: %v %s", err, out)
	}
}
