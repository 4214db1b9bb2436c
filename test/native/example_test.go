//go:build integration

package native_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"cloakroom/test/browser"
)

// patience is for a step of the example on a loaded machine; an idle one needs milliseconds.
const patience = 60 * time.Second

// example is a program as its users have it, with a home of its own, and the person who uses it.
type example struct {
	n       *nativeWorld
	command []string // the program and what is always said to it
	dir     string   // where it is started
	home    string
	app     string
	who     string
	b       *browser.Browser // the system browser
	// confirm is what the person does with the page that asks, in place of letting the program in. It returns the line that the
	// program is told.
	confirm func(*testing.T, *browser.Page) string
	asked   url.Values // what the program asked of /mobile/authorize
}

// The examples, in Go and in TypeScript, as their users have them, over two instances.
func TestExamples(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "desktop")
	if out, err := exec.Command("go", "build", "-race", "-o", bin, "cloakroom/mobile-api/examples/desktop").CombinedOutput(); err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	n := newWorld(t, boundApp{"strict", "{dpop: required, dpop_nonce: true}"})
	inGo := func(t *testing.T) *example {
		return n.program(t, "cli", ".", bin, "--no-browser", "--gateway", n.front.URL)
	}
	for name, journey := range map[string]func(*testing.T){
		"Go":                            func(t *testing.T) { goTour(t, inGo(t)) },
		"Go, between runs":              func(t *testing.T) { goBetweenRuns(t, inGo(t)) },
		"Go, a sign-in that is refused": func(t *testing.T) { goRefused(t, inGo(t)) },
		"desktop":                       func(t *testing.T) { tour(t, n.typescriptDesktop(t)) },
		"desktop, between runs":         func(t *testing.T) { betweenRuns(t, n.typescriptDesktop(t)) },
		"desktop, bound":                func(t *testing.T) { boundTour(t, n) },
		"mobile":                        func(t *testing.T) { tour(t, n.typescriptMobile(t)) },
		"strange answers":               func(t *testing.T) { strangeAnswers(t, n) },
	} {
		t.Run(name, func(t *testing.T) { n.T = t; journey(t) })
	}
	n.T = t
	n.finish(t)
}

// program is a command that somebody new uses.
func (n *nativeWorld) program(t *testing.T, app, dir string, command ...string) *example {
	return &example{n: n, command: command, dir: dir, home: t.TempDir(), app: app, who: n.someone(), b: n.browser(t)}
}

// run runs a command to its end. Whatever address the program prints is opened in the system browser, and where that ends at
// an address that is an app's, the program is told on its standard input.
func (e *example) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	command := append(slices.Clone(e.command), args...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = e.dir
	cmd.Env = append(os.Environ(), "HOME="+e.home, "XDG_CONFIG_HOME="+filepath.Join(e.home, ".config"))
	var problems bytes.Buffer
	cmd.Stderr = &problems
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	var out strings.Builder
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		out.WriteString(lines.Text() + "\n")
		if address := strings.TrimSpace(lines.Text()); strings.HasPrefix(address, e.n.front.URL) {
			_, _ = io.WriteString(stdin, e.visit(t, address)) // a program that has gone says so itself
		}
	}
	err = cmd.Wait()
	e.n.Scan.Observe("example", "stdout", []byte(out.String()))
	e.n.Scan.Observe("example", "stderr", problems.Bytes())
	return out.String() + problems.String(), err
}

// good is run for a command that must succeed.
func (e *example) good(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.run(t, args...)
	if err != nil {
		t.Fatalf("desktop %v: %v\n%s", args, err, out)
	}
	return out
}

// visit is what a person does with the address that the program shows. It returns the line that the program is told.
func (e *example) visit(t *testing.T, address string) string {
	t.Helper()
	p, err := e.b.Navigate(address)
	if err != nil {
		t.Error(err)
		return ""
	}
	if u, err := url.Parse(address); err == nil {
		e.asked = u.Query()
	}
	if strings.Contains(address, "/mobile/logout/") {
		e.signOut(t, p)
		return ""
	}
	if p = e.n.atProvider(t, e.b, p, e.who); p.Unsent { // the address proves whose it is, so that nobody is asked
		return p.URL + "\n"
	}
	if !strings.Contains(p.Text(), e.app) || e.app == "cli" && !strings.Contains(p.Text(), "Ada") {
		t.Errorf("the confirm page does not say who is let into what: %s", p.Text())
	}
	if e.confirm != nil {
		return e.confirm(t, p)
	}
	if p = press(t, e.b, p, "Continue"); p.Unsent {
		return p.URL + "\n"
	}
	if p.Status != 200 || !strings.Contains(p.Text(), "You can close this window") {
		t.Errorf("back at the program: %d %s", p.Status, p.Text())
	}
	for header, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
		if got := p.Header.Get(header); got != want {
			t.Errorf("the program's page has %s %q, want %q", header, got, want)
		}
	}
	return ""
}

// signOut goes from the one-time address through the provider's sign-out.
func (e *example) signOut(t *testing.T, p *browser.Page) {
	t.Helper()
	p = leave(t, e.n, e.b, p)
	if e.app == "other" && p.URL == goodbye {
		return // its post_logout
	}
	if !strings.HasPrefix(p.URL, e.n.front.URL+"/mobile/logged-out") || p.Status != 200 {
		t.Errorf("signed out and at %s: %d %s", p.URL, p.Status, p.Text())
	}
}

// leave sends what stands on the pages of a sign-out: ours, the one that goes on to the provider, the provider's question.
func leave(t *testing.T, n *nativeWorld, b *browser.Browser, p *browser.Page) *browser.Page {
	t.Helper()
	for range 3 {
		form, err := p.Form("")
		if err != nil {
			t.Fatalf("%v: %d %s", err, p.Status, p.Text())
		}
		if strings.HasPrefix(p.URL, n.op.Issuer) {
			form.Fields.Set("logout", "yes")
		}
		if p, err = b.SubmitForm(p, form, form.Fields); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (e *example) file() string {
	return filepath.Join(e.home, ".config", "cloakroom-desktop-example", "handles.json")
}

// holds reads what the program keeps.
func (e *example) holds(t *testing.T) oauth2.Token {
	t.Helper()
	text, err := os.ReadFile(e.file())
	if err != nil {
		t.Fatal(err)
	}
	var kept struct{ Token oauth2.Token }
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	return kept.Token
}

// The tour of the example: sign-in through the system browser, calls, rotation, sign-out at the gateway and at the
// provider, over two instances; afterwards its handle is nothing at either, and nowhere a secret.
//
// shows NAT-8.12, NAT-TOKEN, RPL-NATIVE
func goTour(t *testing.T, e *example) {
	out := e.good(t)
	for _, want := range []string{
		`Signed in as Ada \d+\.`, `access handle +clk_…\S{4} `, `refresh handle +clr_…\S{4} `, `"name": "Ada \d+"`,
		`Placed \S+: 2 × Darjeeling`, `(?m)^  \S+  2 × Darjeeling`, `access handle +clk_…\S{4} → clk_…\S{4}`, `Desktop example on \S+, \w+ \(cli\): this one`,
		`Signed out\.`, `The old handle is refused: 401 session_ended`, `That was all`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the tour never says %s\n%s", want, out)
		}
	}
	if _, err := os.Stat(e.file()); !os.IsNotExist(err) {
		t.Errorf("the handles are still kept after signing out: %v", err)
	}
	p, err := e.b.Navigate(e.n.address(e.n.complete(ask{})))
	if err != nil {
		t.Fatal(err)
	}
	if form, err := p.Form("Sign in"); err != nil || !form.Fields.Has("login") {
		t.Errorf("after signing out the provider asks for nothing: %s %s", p.URL, p.Text())
	}
}

// The example command by command, as somebody uses it from a shell.
//
// shows NAT-ROT
func goBetweenRuns(t *testing.T, e *example) {
	if out, err := e.run(t, "orders"); err == nil || !strings.Contains(out, "not signed in") {
		t.Errorf("orders before signing in: %v %s", err, out)
	}
	e.good(t, "login")
	if info, err := os.Stat(e.file()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the handles: %v %v", info, err)
	}
	first := e.holds(t)
	e.good(t, "order", "Assam", "3")
	if out := e.good(t, "orders"); !strings.Contains(out, "3 × Assam") {
		t.Errorf("orders: %s", out)
	}
	e.good(t, "rotate")
	second := e.holds(t)
	if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
		t.Error("rotate kept a handle")
	}
	e.n.front.loseNext("/mobile/token")
	if out, err := e.run(t, "rotate"); err == nil || !strings.Contains(out, "they are kept; try again") {
		t.Errorf("a rotation whose answer is lost: %v %s", err, out)
	}
	if kept := e.holds(t); kept.RefreshToken != second.RefreshToken {
		t.Error("a lost answer changed what is kept")
	}
	e.good(t, "rotate")
	third := e.holds(t)
	e.n.wantAlive(t, third.AccessToken, 200)
	if out, err := e.run(t, "--app", "other", "orders"); err == nil || !strings.Contains(out, "not signed in") {
		t.Errorf("another app with these handles: %v %s", err, out)
	}
	if out := e.good(t, "whoami"); strings.Contains(out, "token") || !strings.Contains(out, e.who) {
		t.Errorf("whoami: %s", out)
	}
	e.good(t, "logout")
	e.n.wantAlive(t, third.AccessToken, 401)
}

// A sign-in that is refused, and a stray visitor at the program's port, through the example itself.
//
// shows NAT-8.9
func goRefused(t *testing.T, e *example) {
	e.confirm = e.cancel
	if out, err := e.run(t, "login"); err == nil || !strings.Contains(out, "access_denied") {
		t.Errorf("the program says %v: %s", err, out)
	}
}

// cancel is a person who does not let the program in, after somebody else was at its port.
func (e *example) cancel(t *testing.T, p *browser.Page) string {
	t.Helper()
	if got := e.stray(t, p, url.Values{"code": {"foreign"}, "state": {"guessed"}, "iss": {e.n.front.URL + "/mobile"}}); got.Status != 404 {
		t.Errorf("a stray visitor gets %d", got.Status)
	}
	p = press(t, e.b, p, "Cancel")
	if p.Status != 200 || !strings.Contains(p.Text(), "You can close this window") {
		t.Errorf("back at the program: %d %s", p.Status, p.Text())
	}
	return ""
}

// stray visits the program's port with something that is not the gateway's answer.
func (e *example) stray(t *testing.T, p *browser.Page, query url.Values) *browser.Page {
	t.Helper()
	got, err := e.b.Click(p, e.asked.Get("redirect_uri")+"?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// finish is the end of every journey: no secret where it must not be, and nothing kept for ever.
func (n *nativeWorld) finish(t *testing.T) {
	t.Helper()
	n.Leaks()
	if keys := n.Redis.KeysWithoutTTL(); len(keys) > 0 {
		t.Errorf("keys without a TTL: %v", keys)
	}
	if faults := n.op.Errors(); len(faults) > 0 {
		t.Errorf("the provider's own faults: %v", faults)
	}
}
