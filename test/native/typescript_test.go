//go:build integration

package native_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloakroom/test/browser"
	"cloakroom/test/wire"
)

const examples = "../../mobile-api/examples/typescript"

// The TypeScript examples hold for the compiler, with its strict settings, and their own tests pass.
func TestTypeScriptChecks(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"check", "test"} {
		cmd := exec.Command("npm", "run", "--silent", script)
		cmd.Dir = examples
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("npm run %s: %v\n%s", script, err, out)
		}
	}
}

// typescript is an example in TypeScript, as its users run it, but for npm and its start-up time.
func (n *nativeWorld) typescript(t *testing.T, main, app string, flags ...string) *example {
	t.Helper()
	e := n.program(t, app, examples)
	e.command = append([]string{
		"node", "--import", "tsx", main, "--gateway", n.front.URL, "--app", app, "--file", filepath.Join(e.home, "handles.json"),
	}, flags...)
	return e
}

func (n *nativeWorld) typescriptDesktop(t *testing.T) *example {
	return n.typescript(t, "desktop/main.ts", "cli", "--no-browser")
}

func (n *nativeWorld) typescriptMobile(t *testing.T) *example {
	return n.typescript(t, "mobile/main.ts", "other", "--redirect", private)
}

// tour is all that an example does: sign-in, calls, a rotation whose answer is lost, devices, events, sign-out at gateway and
// provider.
//
// shows NAT-ROT, NAT-8.12
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

// boundTour is the tour with a handle that is bound to a key of the app, at a gateway that asks for nonces.
func boundTour(t *testing.T, n *nativeWorld) {
	e := n.typescript(t, "desktop/main.ts", "strict", "--no-browser", "--bound")
	n.front.read()
	out := e.good(t)
	for _, want := range []string{
		`Signed in as `, `Following the session`, `Placed \S+: 2 × Darjeeling`, `access handle +clk_…\S{4}  is bound`, `Order desk on .* \(strict\), this one`,
		`Signed out\.`, `The old handle is refused`, `The gateway says that the session is over: signed_out`, `That was all`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the tour never says %s\n%s", want, out)
		}
	}
	if missing := inOrder([]string{
		"POST /mobile/token with proof 400 use_dpop_nonce", "POST /mobile/token with proof 200", "GET /mobile/session with proof 200",
		"POST /api/orders with proof 201", "POST /mobile/logout with proof 200", "GET /api/orders with proof 401 invalid_token",
	}, n.front.read()); len(missing) > 0 {
		t.Errorf("never asked, or not in this order: %q", missing)
	}
	e.good(t, "login")
	kept, err := os.ReadFile(filepath.Join(e.home, "handles.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(kept), "clr_") {
		t.Error("a bound handle came with a refresh handle")
	}
	if err := os.Remove(filepath.Join(e.home, "handles.json.key")); err != nil {
		t.Fatal(err)
	}
	// Whoever finds the handle alone has nothing, and is not told that the session is over, for it is not.
	if out, err := e.run(t, "orders"); err == nil || !strings.Contains(out, "401 invalid_dpop_proof") {
		t.Errorf("the handle with another key: %v %s", err, out)
	}
}

// betweenRuns is an app that is closed and opened again.
func betweenRuns(t *testing.T, e *example) {
	if out, err := e.run(t, "orders"); err == nil || !strings.Contains(out, "Nobody is signed in") {
		t.Errorf("orders before signing in: %v %s", err, out)
	}
	e.good(t, "login")
	if out, err := e.run(t, "orders", "--gateway", "http://127.0.0.1:9"); err == nil || !strings.Contains(out, "Nobody is signed in") {
		t.Errorf("another gateway with these handles: %v %s", err, out)
	}
	if out, err := e.run(t, "orders", "--app", "bound"); err == nil || !strings.Contains(out, "Nobody is signed in") {
		t.Errorf("another app with these handles: %v %s", err, out)
	}
	e.good(t, "logout")
	if _, err := os.Stat(filepath.Join(e.home, "handles.json")); !os.IsNotExist(err) {
		t.Errorf("the handles are still kept after signing out: %v", err)
	}
}

// strangeAnswers are what the browser comes back with that is no sign-in: neither example is signed in then.
//
// shows NAT-8.9
func strangeAnswers(t *testing.T, n *nativeWorld) {
	desktop, mobile := n.typescriptDesktop, n.typescriptMobile
	// bent is a good answer with one thing changed.
	bent := func(change func(url.Values)) func(*testing.T, *example, *browser.Page) string {
		return func(t *testing.T, e *example, p *browser.Page) string {
			address, query, _ := strings.Cut(press(t, e.b, p, "Continue").URL, "?")
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			change(values)
			return address + "?" + values.Encode() + "\n"
		}
	}
	for name, tt := range map[string]struct {
		start func(*testing.T) *example
		back  func(*testing.T, *example, *browser.Page) string
		says  string
	}{
		"desktop, a no": {desktop, func(t *testing.T, e *example, p *browser.Page) string { return e.cancel(t, p) }, "access_denied"},
		"desktop, another issuer": {desktop, func(t *testing.T, e *example, p *browser.Page) string {
			e.stray(t, p, url.Values{"code": {"c"}, "state": {e.asked.Get("state")}, "iss": {"https://evil.example/mobile"}})
			return ""
		}, `"iss" (issuer)`},
		"mobile, a no": {mobile, func(t *testing.T, e *example, p *browser.Page) string {
			return press(t, e.b, p, "Cancel").URL + "\n"
		}, "access_denied"},
		"mobile, another state":  {mobile, bent(func(v url.Values) { v.Set("state", "guessed") }), "not one to our request"},
		"mobile, another issuer": {mobile, bent(func(v url.Values) { v.Set("iss", "https://evil.example/mobile") }), "not one to our request"},
	} {
		t.Run(name, func(t *testing.T) {
			e := tt.start(t)
			e.confirm = func(t *testing.T, p *browser.Page) string { return tt.back(t, e, p) }
			n.front.read()
			out, err := e.run(t, "login")
			if err == nil || !strings.Contains(out, tt.says) {
				t.Errorf("the program says %v: %s", err, out)
			}
			if asked := n.front.read(); strings.Contains(strings.Join(asked, "\n"), "/mobile/token") {
				t.Errorf("a code was redeemed all the same: %q", asked)
			}
		})
	}
}
