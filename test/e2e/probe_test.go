//go:build integration

package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

const (
	sessionCookie = "__Host-Http-web"
	flowCookie    = sessionCookie + ".tx."
	appHost       = "web.localhost"
)

// patience bounds every wait: far longer than anything here takes on a busy machine.
const patience = 20 * time.Second

// probe is a world with one signed-in user, whose session every attack must leave as it is.
type probe struct {
	*world.World
	in     *gateway.Instance
	user   *browser.Browser
	cookie string // value of the user's session cookie
}

// newProbe makes the world; tokens live long, so that no refresh gets between an attack and what it shows.
func newProbe(t *testing.T, o world.Options) *probe {
	t.Helper()
	behave := o.Behave
	o.Behave = func(b *provider.Behaviour) {
		b.AccessLife = 10 * time.Minute
		if behave != nil {
			behave(b)
		}
	}
	p := &probe{World: world.New(t, world.DevProvider, o)}
	p.in = p.Start(1)[0]
	p.user = p.Browser()
	p.SignIn(p.user, "/")
	c, _ := p.user.Cookie(world.Origin, sessionCookie)
	p.cookie = c.Value
	return p
}

// alive fails unless the user is still signed in and the API still answers, with the cookie unchanged.
func (p *probe) alive(t *testing.T) {
	t.Helper()
	if got := p.Fetch(p.user, "GET", "/api/orders", ""); got.Status != 200 {
		t.Errorf("the user's session afterwards: %d %s", got.Status, got.Body)
	}
	if c, _ := p.user.Cookie(world.Origin, sessionCookie); c.Value != p.cookie {
		t.Error("the user's cookie changed")
	}
}

// refused runs an attack and fails unless the API stays unasked and the user's session unharmed.
func (p *probe) refused(t *testing.T, attack func()) {
	t.Helper()
	before := p.API.Hits()
	attack()
	if after := p.API.Hits(); after != before {
		t.Errorf("the API was asked %d times", after-before)
	}
	p.alive(t)
}

// reply is one answer as it came over the socket.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// raw sends bytes as they are over a connection of its own and returns every answer, until the gateway closes it.
func raw(t *testing.T, addr, text string) []reply {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err, ok := err.(net.Error); ok && err.Timeout() {
		t.Fatalf("the connection stays open after %.80q", text)
	}
	return replies(t, all, strings.HasPrefix(text, "HEAD "))
}

// replies reads answers one after the other.
func replies(t *testing.T, all []byte, head bool) (got []reply) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(all))
	method := "GET"
	if head {
		method = "HEAD"
	}
	for {
		if _, err := r.Peek(1); err != nil {
			return got
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("no answer in %q: %v", all, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("cut answer in %q: %v", all, err)
		}
		got = append(got, reply{resp.StatusCode, resp.Header, string(body)})
	}
}

// send sends one request, target and fields byte for byte, to be answered once. Fields are whole lines.
func (p *probe) send(t *testing.T, method, target string, lines ...string) reply {
	t.Helper()
	return p.sendTo(t, p.in, method, target, "", append([]string{"Host: " + appHost}, lines...)...)
}

// sendTo is send with a body, to any instance and with no line but those given.
func (p *probe) sendTo(t *testing.T, in *gateway.Instance, method, target, body string, lines ...string) reply {
	t.Helper()
	if body != "" || method == "POST" {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	lines = append(lines, "Connection: close")
	got := raw(t, in.Addr, method+" "+target+" HTTP/1.1\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
	if len(got) != 1 {
		t.Fatalf("%s %s: %d answers", method, target, len(got))
	}
	path, _, _ := strings.Cut(target, "?")
	p.Scan.Observe(method+" "+path, "body", []byte(got[0].Body))
	for name, values := range got[0].Header {
		p.Scan.Observe(method+" "+path, "header "+name, []byte(strings.Join(values, "\n")))
	}
	return got[0]
}

// Lines of the kinds of requests.
var (
	fetched  = []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "X-CSRF: 1"}
	bare     = []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}
	opened   = navigated("none")
	arriving = navigated("cross-site")
)

func navigated(site string) []string {
	return []string{"Sec-Fetch-Site: " + site, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"}
}

// with adds lines to a kind of request.
func with(lines []string, more ...string) []string { return slices.Concat(lines, more) }

// withCookie is the user's own cookie beside a kind of request.
func (p *probe) withCookie(lines []string, more ...string) []string {
	return with(with(lines, "Cookie: "+sessionCookie+"="+p.cookie), more...)
}

// code is the stable name of the error in an answer: of a problem, or in the small print of a page.
func (r reply) code() string {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/problem+json") {
		var problem struct{ Code string }
		_ = json.Unmarshal([]byte(r.Body), &problem)
		return problem.Code
	}
	if m := codeOnPage.FindStringSubmatch(r.Body); m != nil {
		return m[1]
	}
	return ""
}

var codeOnPage = regexp.MustCompile(`Code: ([a-z_]+)`)

// is fails unless an answer has status and code.
func (r reply) is(t *testing.T, status int, code string) {
	t.Helper()
	if r.Status != status || r.code() != code {
		t.Errorf("%d %q, want %d %q: %v %.400s", r.Status, r.code(), status, code, r.Header, r.Body)
	}
}

// replyOf is a page as an answer.
func replyOf(p *browser.Page) reply { return reply{p.Status, p.Header, string(p.Body)} }

// cookieHeader is all of a profile's cookies for the app, as one line.
func cookieHeader(b *browser.Browser) string {
	var pairs []string
	for _, c := range b.Cookies() {
		if c.Domain == appHost {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return "Cookie: " + strings.Join(pairs, "; ")
}

// flowsOf counts the logins in flight of a profile.
func flowsOf(b *browser.Browser) (n int) {
	for _, c := range b.Cookies() {
		if strings.HasPrefix(c.Name, flowCookie) {
			n++
		}
	}
	return n
}

// atCallback goes from the app's page to the provider, signs in there as whom the hint names, and stops before the
// callback is asked for.
func atCallback(t *testing.T, b *browser.Browser, hint, returnTo string) *browser.Page {
	t.Helper()
	b.HoldAt(func(u *url.URL) bool { return u.Path == "/bff/callback" })
	defer b.HoldAt(nil)
	page, err := b.Click(browser.At(world.Origin+"/"),
		world.Origin+"/bff/login?login_hint="+url.QueryEscape(hint)+"&return_to="+url.QueryEscape(returnTo))
	if err != nil {
		t.Fatal(err)
	}
	if !page.Unsent {
		t.Fatalf("the login did not come to its callback: %d %s %.400s", page.Status, page.URL, page.Body)
	}
	return page
}

// goOn sends what HoldAt stopped.
func goOn(t *testing.T, b *browser.Browser, p *browser.Page) *browser.Page {
	t.Helper()
	page, err := b.Continue(p)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// navigate opens an address as typed.
func navigate(t *testing.T, b *browser.Browser, address string) *browser.Page {
	t.Helper()
	page, err := b.Navigate(address)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// target is the path and query of an address.
func target(address string) string { return strings.TrimPrefix(address, world.Origin) }

// hasSession reports whether a profile holds a session cookie.
func hasSession(b *browser.Browser) bool {
	_, ok := b.Cookie(world.Origin, sessionCookie)
	return ok
}

// sessions counts the records in Redis.
func (p *probe) sessions() (n int) {
	for _, key := range p.Redis.Keys() {
		if strings.HasPrefix(key, "cr:s:") && strings.HasSuffix(key, "}") {
			n++
		}
	}
	return n
}

// exchanges counts the codes that were sent to the provider.
func (p *probe) exchanges() int { return p.Dev.GrantCount("authorization_code") }

// issued is the newest secret of a kind.
func (p *probe) issued(kind provider.Kind) (value string) {
	for _, s := range p.Dev.Issued() {
		if s.Kind == kind {
			value = s.Value
		}
	}
	return value
}

// awaitRevoked fails unless the provider is asked to revoke a token, soon.
func (p *probe) awaitRevoked(t *testing.T, token string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		for _, r := range p.Dev.RequestsTo(provider.Revoke) {
			if r.Form.Get("token") == token {
				return
			}
		}
	}
	t.Error("a token that nobody will use was not revoked")
}

// awaitLogged fails unless the log soon holds a text as often as that: it is read beside the answers.
func (p *probe) awaitLogged(t *testing.T, text string, times int) {
	t.Helper()
	for deadline := time.Now().Add(patience); strings.Count(p.in.Log(), text) < times; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("the log does not tell %q", text)
			return
		}
	}
}
