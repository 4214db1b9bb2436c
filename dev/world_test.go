package dev_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"cloakroom/dev"
	"cloakroom/dev/provider"
	"cloakroom/server"
	"cloakroom/server/config"
	"cloakroom/test/browser"
)

// patience bounds what a test waits for: a race-built world on a busy machine.
const patience = 30 * time.Second

// output is text that is written while it is read.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// running is a world that a test has started.
type running struct {
	t     *testing.T
	ports dev.Ports
	out   *output
	stop  func() error // ends the world and returns what Run did
}

// freePorts are four that nobody listened on a moment ago, below those that systems give to connections.
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

// launch runs a world until the test ends.
func launch(t *testing.T, c dev.WorldConfig) *running {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	if c.Ports == (dev.Ports{}) {
		c.Ports = freePorts(t)
	}
	out := &output{}
	started, done := make(chan struct{}), make(chan error, 1)
	c.Out, c.Started = out, func() { close(started) }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- dev.Run(ctx, c) }()
	w := &running{t: t, ports: c.Ports, out: out, stop: sync.OnceValue(func() error { cancel(); return <-done })}
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Errorf("the world ended with: %v", err)
		}
	})
	select {
	case <-started:
	case err := <-done:
		done <- err
		t.Fatalf("the world did not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the world does not start")
	}
	return w
}

func (w *running) demo() string { return fmt.Sprintf("http://localhost:%d", w.ports.Gateway) }
func (w *running) docs() string { return fmt.Sprintf("http://docs.localhost:%d", w.ports.Gateway) }

func (w *running) browser() *browser.Browser {
	b := browser.New(browser.Options{})
	w.t.Cleanup(b.Close)
	return b
}

// signIn starts at an app and chooses Ada where the provider asks. It returns whether it did.
func (w *running) signIn(b *browser.Browser, origin string) (asked bool) {
	w.t.Helper()
	p, err := b.Click(browser.At(origin+"/"), origin+"/bff/login?return_to=/")
	if err != nil {
		w.t.Fatal(err)
	}
	if form, err := p.Form("ada@example.com"); err == nil {
		asked = true
		if _, err = b.SubmitForm(p, form, url.Values{"user": {"usr_1001"}}); err != nil {
			w.t.Fatal(err)
		}
	}
	return asked
}

func (w *running) fetch(b *browser.Browser, origin, method, path, body string) *browser.Page {
	w.t.Helper()
	p, err := b.Fetch(browser.At(origin+"/"), browser.Request{
		Method: method, URL: origin + path, Body: []byte(body),
		Header: http.Header{"X-Csrf": {"1"}, "Content-Type": {"application/json"}},
	})
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return p
}

// whoami asks the API who is there and with which token.
func (w *running) whoami(b *browser.Browser, origin string) (who dev.Whoami) {
	w.t.Helper()
	p := w.fetch(b, origin, "GET", "/api/whoami", "")
	if err := json.Unmarshal(p.Body, &who); err != nil || p.Status != 200 {
		w.t.Fatalf("whoami: %d %s", p.Status, p.Body)
	}
	return who
}

func TestTheDemoIsAJourneyThroughTwoAppsAndBack(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	if !w.signIn(b, w.demo()) {
		t.Error("the first sign-in asks nobody")
	}
	who := w.whoami(b, w.demo())
	if diff := cmp.Diff(dev.Sighting{Number: 1, Age: who.Token.Age, ExpiresIn: 60 - who.Token.Age}, who.Token); diff != "" {
		t.Errorf("the first token (-want +got):\n%s", diff)
	}
	if who.Headers.Get("Authorization") != "Bearer" || who.Headers.Get("Cookie") != "" {
		t.Errorf("the API saw %v", who.Headers)
	}
	var list struct{ Orders []dev.Order }
	if p := w.fetch(b, w.demo(), "GET", "/api/orders", ""); json.Unmarshal(p.Body, &list) != nil || len(list.Orders) != 3 {
		t.Errorf("a first look at the orders: %d %s", p.Status, p.Body)
	}
	if p := w.fetch(b, w.demo(), "POST", "/api/orders", `{"item":"scarf","quantity":2}`); p.Status != 201 {
		t.Errorf("an order: %d %s", p.Status, p.Body)
	}
	if w.signIn(b, w.docs()) {
		t.Error("the second app asks again")
	}
	if got := w.whoami(b, w.docs()); got.Sub != who.Sub || got.Token.Number != 1 {
		t.Errorf("the second app: %+v", got)
	}
	page, err := b.SubmitForm(browser.At(w.docs()+"/"), browser.Form{Method: "POST", Action: w.docs() + "/bff/logout"}, nil)
	if err != nil || page.Status >= 500 {
		t.Fatalf("signing out: %v %+v", err, page)
	}
	for _, origin := range []string{w.demo(), w.docs()} {
		if p := w.fetch(b, origin, "GET", "/api/orders", ""); p.Status != 401 {
			t.Errorf("%s after signing out at the other: %d", origin, p.Status)
		}
	}
}

func TestAPageBehindSignInComesAfterIt(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	p, err := b.Navigate(w.docs() + "/signing-in.html")
	if err != nil {
		t.Fatal(err)
	}
	form, err := p.Form("grace@example.com")
	if err != nil {
		t.Fatalf("%v: %s %s", err, p.URL, p.Text())
	}
	if p, err = b.SubmitForm(p, form, url.Values{"user": {"usr_1002"}}); err != nil {
		t.Fatal(err)
	}
	demo, err := p.Link("demo app")
	if p.URL != w.docs()+"/signing-in.html" || err != nil || demo != w.demo()+"/" {
		t.Errorf("came to %s, which leads to %q: %v", p.URL, demo, err)
	}
	for _, file := range []string{"/handbook.css", "/ticket.svg"} {
		if p := w.fetch(b, w.docs(), "GET", file, ""); p.Status != 200 {
			t.Errorf("%s: %d", file, p.Status)
		}
	}
}

func TestTheDemoAndTheNativeSurfaceAreServedToAnybody(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	native := fmt.Sprintf("http://127.0.0.1:%d", w.ports.Gateway)
	for address, want := range map[string]string{
		w.demo() + "/": "<title>Cloakroom Coats</title>", w.demo() + "/orders": "<title>Cloakroom Coats</title>",
		native + "/.well-known/oauth-authorization-server/mobile": `"issuer":"` + native + `/mobile"`,
		fmt.Sprintf("http://127.0.0.1:%d/metrics", w.ports.Ops):   "\nbff_",
		w.demo() + "/api/public":                                  "Anyone may read this.",
	} {
		if p, err := b.Navigate(address); err != nil || p.Status != 200 || !strings.Contains(string(p.Body), want) {
			t.Errorf("%s: %v %d\n%.300s", address, err, p.Status, p.Body)
		}
	}
}

// An answer of 401 has the gateway renew once, so that nobody need wait for a token to end.
func TestTheNumberOfTheTokenGrowsWhenItIsRenewed(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	w.signIn(b, w.demo())
	first := w.whoami(b, w.demo())
	if p := w.fetch(b, w.demo(), "GET", "/api/status/401", ""); p.Status != 401 {
		t.Fatalf("status: %d", p.Status)
	}
	if got := w.whoami(b, w.demo()); first.Token.Number != 1 || got.Token.Number != 2 || got.Token.ExpiresIn <= 0 {
		t.Errorf("first %+v, then %+v", first.Token, got.Token)
	}
}

func TestTokensThatEndAreRenewedUnseen(t *testing.T) {
	w := launch(t, dev.WorldConfig{TokenLife: time.Second})
	b := w.browser()
	w.signIn(b, w.demo())
	for deadline := time.Now().Add(patience); w.whoami(b, w.demo()).Token.Number < 3; {
		if time.Now().After(deadline) {
			t.Fatal("a token of one second is never renewed")
		}
	}
	if !strings.Contains(w.out.String(), "it lives for 1 seconds") {
		t.Errorf("the greeting tells another life:\n%s", w.out)
	}
}

func TestAStreamNeedsNoHeaderAndEndsWithTheWorld(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	w.signIn(b, w.demo())
	stream, err := b.Open(t.Context(), browser.At(w.demo()+"/"), browser.Request{URL: w.demo() + "/api/stream?ms=1"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	start := make([]byte, len("id: 1\n"))
	if _, err := io.ReadFull(stream.Body, start); err != nil || string(start) != "id: 1\n" {
		t.Errorf("got %q: %v", start, err)
	}
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, stream.Body); close(ended) }()
	if err := w.stop(); err != nil {
		t.Errorf("stopping with a stream open: %v", err)
	}
	<-ended
}

func TestAWorldLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	w := launch(t, dev.WorldConfig{})
	made, err := filepath.Glob(filepath.Join(os.TempDir(), "cloakroom-dev-*", "*"))
	if err != nil || len(made) == 0 {
		t.Fatalf("nothing in %s: %v", os.TempDir(), err)
	}
	for _, name := range append(made, filepath.Dir(made[0])) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v %v", name, info.Mode(), err)
		}
	}
	b := browser.New(browser.Options{})
	w.signIn(b, w.demo())
	b.Close()
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, named := range []int{w.ports.Gateway, w.ports.Provider, w.ports.API, w.ports.Ops} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", named))
		if err != nil {
			t.Errorf("port %d is still in use: %v", named, err)
			continue
		}
		_ = l.Close()
	}
	goleak.VerifyNone(t, before)
}

func TestEveryBusyPortIsToldAtOnce(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ports := freePorts(t)
	for _, addr := range []string{fmt.Sprintf("127.0.0.1:%d", ports.Gateway), fmt.Sprintf("[::1]:%d", ports.Ops)} { // browsers ask both
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	want := fmt.Sprintf("port %d is in use: choose another with --port N\nport %d is in use: choose another with --ops-port N\n",
		ports.Gateway, ports.Ops)
	var out, errs bytes.Buffer
	code := dev.Command(t.Context(), flags(ports), nil, &out, &errs)
	if code != 1 || errs.String() != want || out.Len() != 0 {
		t.Errorf("code %d\n%s%s", code, &out, &errs)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
		t.Errorf("half started: %v", left)
	}
}

func flags(p dev.Ports, more ...string) []string {
	return append([]string{
		"--port", fmt.Sprint(p.Gateway), "--provider-port", fmt.Sprint(p.Provider), "--api-port", fmt.Sprint(p.API), "--ops-port", fmt.Sprint(p.Ops),
	}, more...)
}

func TestAWorldIsRefusedWith(t *testing.T) {
	p := freePorts(t)
	twice := p
	twice.Ops = p.API
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"one port for two parts":       {flags(twice), 2, "--api-port and --ops-port are the same port"},
		"a port that does not exist":   {flags(p, "--port", "70000"), 2, "--port 70000: ports go from 1 to 65535"},
		"a Redis that is none":         {flags(p, "--redis", "http://user:hush@127.0.0.1"), 2, "--redis: neither redis://"},
		"a Redis that is not there":    {flags(p, "--redis", fmt.Sprintf("127.0.0.1:%d", p.API)), 1, "--redis: "},
		"a file that is not there":     {flags(p, "--config", "none.yaml"), 2, "none.yaml: no such file"},
		"a variable that is a mistake": {flags(p), 2, "env CLOAKROOM_REDIS__ADDR: no such setting"},
		"an unknown flag":              {flags(p, "--listen", "0.0.0.0:1"), 2, "unknown flag --listen"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			var env []string
			if strings.Contains(name, "variable") {
				env = []string{"CLOAKROOM_REDIS__ADDR=a:1"}
			}
			var out, errs bytes.Buffer
			code := dev.Command(t.Context(), tt.args, env, &out, &errs)
			if code != tt.code || !strings.Contains(errs.String(), tt.want) || strings.Contains(errs.String(), "hush") || out.Len() != 0 {
				t.Errorf("code %d\n%s%s", code, &out, &errs)
			}
			if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestARealRedisHoldsTheSessionsOfThisRunAlone(t *testing.T) {
	r := miniredis.RunT(t)
	r.RequireAuth("hush")
	w := launch(t, dev.WorldConfig{Redis: "redis://:hush@" + r.Addr()})
	b := w.browser()
	w.signIn(b, w.demo())
	keys := r.Keys()
	if len(keys) == 0 {
		t.Fatal("nothing in Redis")
	}
	prefix := keys[0][:len("crdev-12345678:")]
	for _, key := range keys {
		if !strings.HasPrefix(key, prefix) {
			t.Errorf("key %s is not under %s", key, prefix)
		}
	}
	if !strings.Contains(w.out.String(), "begin with "+prefix) || strings.Contains(w.out.String(), "hush") {
		t.Errorf("the greeting:\n%s", w.out)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	again := launch(t, dev.WorldConfig{Redis: "redis://:hush@" + r.Addr(), Ports: w.ports})
	if p := again.fetch(b, again.demo(), "GET", "/api/orders", ""); p.Status != 401 {
		t.Errorf("a cookie of the run before: %d %s", p.Status, p.Body)
	}
}

// ownFile writes a configuration of testdata with the ports of this test.
func ownFile(t *testing.T, name string, p dev.Ports, more ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	swap := strings.NewReplacer(append([]string{
		"localhost:8080", fmt.Sprintf("localhost:%d", p.Gateway), "127.0.0.1:8091", fmt.Sprintf("127.0.0.1:%d", p.API),
	}, more...)...)
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(swap.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAnAppOfOnesOwnNeedsNoProviderOfItsOwn(t *testing.T) {
	p := freePorts(t)
	w := launch(t, dev.WorldConfig{Ports: p, Config: ownFile(t, "vite.yaml", p)})
	b := w.browser()
	w.signIn(b, w.demo())
	if got := w.whoami(b, w.demo()); got.Sub != "usr_1001" {
		t.Errorf("got %+v", got)
	}
	if _, ok := b.Cookie(w.demo(), "__Host-Http-shop"); !ok {
		t.Error("no cookie of the user's app")
	}
	out := w.out.String()
	if !strings.Contains(out, "shop, a single-page app") || strings.Contains(out, "docs") || strings.Contains(out, "registered") {
		t.Errorf("the greeting:\n%s", out)
	}
}

// Somebody copies an example and has the port taken: what they read has to say both ways out.
func TestAnAppAtAnotherPortIsToldHowToBeHere(t *testing.T) {
	p, other := freePorts(t), freePorts(t)
	out := launch(t, dev.WorldConfig{Ports: p, Config: ownFile(t, "vite.yaml", other)}).out.String()
	want := fmt.Sprintf("apps.shop.origin http://localhost:%d does not lead to this gateway: for trying, write http://shop.localhost:%d, or start with --port %d",
		other.Gateway, p.Gateway, other.Gateway)
	if !strings.Contains(out, want) {
		t.Errorf("the greeting lacks %q:\n%s", want, out)
	}
}

// The development server in front is no mistake, so nothing else is proposed.
func TestAnAppBehindItsDevelopmentServerIsToldWhatThatHandsOn(t *testing.T) {
	p, front := freePorts(t), freePorts(t)
	file := ownFile(t, "vite.yaml", front, "    static: {url: http://127.0.0.1:5173}\n", "")
	out := launch(t, dev.WorldConfig{Ports: p, Config: file}).out.String()
	want := fmt.Sprintf("apps.shop.origin http://localhost:%d: what answers there has to hand /bff/ and the API's paths on to http://127.0.0.1:%d\n",
		front.Gateway, p.Gateway)
	if !strings.Contains(out, want) || strings.Contains(out, "does not lead") {
		t.Errorf("the greeting lacks %q, or says more:\n%s", want, out)
	}
}

func TestAnAppAtAProviderOfItsOwnIsToldWhatToRegister(t *testing.T) {
	p := freePorts(t)
	other, err := provider.New(provider.Config{CookieName: "otherprovider"})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	file := ownFile(t, "generic.yaml", p, "http://127.0.0.1:9999", other.Issuer())
	w := launch(t, dev.WorldConfig{Ports: p, Config: file, Env: []string{"CLOAKROOM_OPS__LISTEN=0.0.0.0:0"}})
	out := w.out.String()
	lines := map[string]string{}
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			lines[name] = strings.TrimSpace(value)
		}
	}
	for _, want := range []string{
		"redis (" + file + ":3) is not used", "public.listen (" + file + ":2) is not used", "sealing_keys (" + file + ":4) is not used",
		"ops (env CLOAKROOM_OPS__LISTEN) is not used",
		"shop (client shop_1 at main)",
		fmt.Sprintf("apps.office.origin https://office.example.com does not lead to this gateway: for trying, write http://office.localhost:%d\n", p.Gateway),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the greeting lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "client office at dev") || strings.Contains(out, "tested-with") {
		t.Errorf("the greeting tells too much:\n%s", out)
	}
	other.Register(provider.Client{
		ID: "shop_1", Secret: "tested-with-a-secret-of-its-own", Auth: provider.SecretBasic,
		RedirectURIs: []string{lines["redirect (post-login)"]}, PostLogoutRedirectURIs: []string{lines["post-logout redirect"]},
	})
	b := w.browser()
	w.signIn(b, w.demo())
	if _, ok := b.Cookie(w.demo(), "__Host-Http-shop"); !ok {
		t.Errorf("no cookie after a sign-in by what the greeting says: %v", lines)
	}
}

// What is registered at the dev provider, and told to be registered elsewhere, is what the gateway's own command prints.
func TestRegistrationsAreThoseOfTheGatewaysOwnCommand(t *testing.T) {
	p := freePorts(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "own.yaml")
	text := `
public: {url: "http://127.0.0.1:%d"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {main: {issuer: "http://127.0.0.1:1"}}
apps:
  web: {kind: web, origin: "http://localhost:%d", provider: main, client_id: a, client_secret: first-of-the-two}
  cli: {kind: desktop, provider: main, client_id: b, client_secret: second-of-the-two, redirect_uris: ["http://127.0.0.1/callback"]}
`
	for name, content := range map[string]string{
		"own.yaml": fmt.Sprintf(text, p.Gateway, p.Gateway), "k1": keygen(t), "i1": keygen(t),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var urls, errs bytes.Buffer
	if code := server.Command(t.Context(), []string{"urls", "--config", file}, nil, &urls, &errs); code != 0 {
		t.Fatalf("urls: %d\n%s", code, &errs)
	}
	w := launch(t, dev.WorldConfig{Ports: p, Config: file})
	for line := range strings.Lines(urls.String()) {
		if !strings.Contains(w.out.String(), strings.TrimSpace(line)+"\n") {
			t.Errorf("the greeting lacks %q:\n%s", line, w.out)
		}
	}
}

func keygen(t *testing.T) string {
	t.Helper()
	var key, errs bytes.Buffer
	if code := server.Command(t.Context(), []string{"keygen"}, nil, &key, &errs); code != 0 {
		t.Fatalf("keygen: %s", &errs)
	}
	return key.String()
}

func TestAMistakeInOnesOwnFileIsToldWithItsLine(t *testing.T) {
	p := freePorts(t)
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte("apps:\n  shop:\n    kind: spa\n    provider: dev\n    orign: http://localhost\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := dev.Run(t.Context(), dev.WorldConfig{Ports: p, Config: file})
	problems, ok := errors.AsType[*config.Problems](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := []config.Problem{
		{File: file, Line: 2, Path: "apps.shop.origin", Text: "missing; write where the app lives, as https://app.example.com"},
		{File: file, Line: 5, Path: "apps.shop.orign", Text: "unknown key; did you mean origin?"},
	}
	if diff := cmp.Diff(want, problems.List); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A world that is killed cleans up nothing. What it would leave is no key, no secret and no password.
func TestWhatAKilledWorldLeaves(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "cloakroom-dev-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if diff := cmp.Diff([]string{"board", "demo", "handbook"}, left); diff != "" {
		t.Errorf("left in the folder (-want +got):\n%s", diff)
	}
	if !w.signIn(w.browser(), w.demo()) { // all of it was read
		t.Error("nobody was asked")
	}
}
