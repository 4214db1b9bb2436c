//go:build integration

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
	"cloakroom/test/world"
)

// requestRow is what a frontend sends beside an honest request, and what of it the API gets: those fields, and nothing else.
type requestRow struct {
	with   string
	method string // GET if it is empty
	query  string // with its question mark; the API gets the same
	lines  []string
	body   string
	passes []string // "name: value"; {own} stands for this gateway in Via
	status int      // of a refusal, by which the API gets nothing; 0: it passes
	code   string
	only   string // the one way in by which it can be sent; a word of it
}

// spoofs are fields of which nothing reaches an API, whatever they are called there: credentials, forwarding, identity, methods.
// The last two are of a route's own making.
var spoofs = []string{
	"Authorization", "Proxy-Authorization", "Proxy-Authenticate", "DPoP", "DPoP-Nonce", "X-Access-Token", "X-Id-Token",
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server",
	"X-Forwarded-Scheme", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Path", "X-Forwarded-User", "X-Forwarded-Email",
	"X-Forwarded-Groups", "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "X-Forwarded-", "X-Real-IP", "True-Client-IP",
	"CF-Connecting-IP", "CF-Connecting-IPv6", "CF-Pseudo-IPv4", "Fastly-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Client-IP",
	"X-Envoy-External-Address", "X-Azure-ClientIP", "X-Azure-SocketIP", "X-Appengine-User-IP", "X-Remote-IP", "X-Remote-Addr",
	"X-ProxyUser-Ip", "X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Original-Host", "X-Original-Forwarded-For",
	"X-Original-Remote-Addr", "X-Rewrite-URL", "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Host",
	"X-HTTP-Host-Override", "X-HTTP-Path-Override", "Destination-Override",
	"X-User", "X-User-Id", "X-User-Name", "X-User-Email", "X-User-Groups", "X-User-Roles", "X-Userid", "X-Username", "X-Email", "X-Groups",
	"X-Roles", "X-WebAuth-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Access-Token", "X-Authenticated-User",
	"X-Authenticated-Groups", "X-Remote-User", "X-Remote-Group", "X-Remote-Groups", "Remote-User", "Remote-Group", "Remote-Groups", "Remote-Email",
	"Remote-Name", "X-Amzn-Oidc-Data", "X-Amzn-Oidc-Identity", "X-Goog-IAP-JWT-Assertion", "X-Goog-Authenticated-User-Email",
	"CF-Access-JWT-Assertion", "CF-Access-Authenticated-User-Email", "X-MS-Client-Principal", "X-MS-Client-Principal-Name",
	"X-MS-Token-AAD-Access-Token", "X-Pomerium-JWT-Assertion", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "SSL-Client-Cert",
	"X-Client-Cert", "Client-Cert", "Client-Cert-Chain", "Proxy", "Proxy-User", "X-Request-ID", "X-Who",
	"X-User-Sub", "X-User-Claims", "X-Userinfo", "X-Remote-Email", "X-Authentik-Groups", "X-Auth-Subject", "X-Vouch-IdP-Claims-Groups",
	"X-Consumer-Id", "X-Credential-Identifier", "X-JWT-Assertion", "X-Apigateway-Api-Userinfo", "Impersonate-User", "Impersonate-Extra-Scopes",
	"Tailscale-User-Login", "OIDC-CLAIM-sub", "SM-USER", "iv-user", "X-TLS-Client-Cert", "X-Client-Cert-DN", "X-Client-Verify", "X-ARR-ClientCert",
	"X-Envoy-Original-Path",
}

// spellings are how the same name may be written. CGI and its like read all but the first three as one.
var spellings = map[string]func(string) string{
	"as they are":          func(n string) string { return n },
	"in upper case":        strings.ToUpper,
	"in lower case":        strings.ToLower,
	"with underscores":     func(n string) string { return strings.ReplaceAll(n, "-", "_") },
	"with one underscore":  func(n string) string { return strings.Replace(n, "-", "_", 1) },
	"with dots":            func(n string) string { return strings.ReplaceAll(n, "-", ".") },
	"with any other signs": func(n string) string { return strings.ReplaceAll(strings.Replace(n, "-", "!", 1), "-", "~") },
}

// spoofedBy are all spoofs in a spelling. Authorization is itself where a handle is not looked for, and a credential where it is.
func spoofedBy(spell func(string) string) (lines []string) {
	for _, name := range spoofs {
		lines = append(lines, spell(name)+": spoofed")
	}
	return lines
}

// requestRows is the table. Over HTTP/2 fields that belong to a connection are refused: see malformedHeads.
func requestRows() (rows []requestRow) {
	for name, spell := range spellings {
		rows = append(rows, requestRow{with: "spoofs " + name, lines: spoofedBy(spell)})
	}
	return append(rows, slices.Concat(fieldRows, hopRows, queryRows)...)
}

var fieldRows = []requestRow{
	{with: "nothing else"},
	{with: "fields of its own", lines: []string{"X-A: 1", "Accept: a/b;q=0.1", "Idempotency-Key: \"k\""}, passes: []string{"x-a: 1", "accept: a/b;q=0.1", "idempotency-key: \"k\""}},
	{with: "a field twice", lines: []string{"X-A: 1", "X-A: 2"}, passes: []string{"x-a: 1", "x-a: 2"}},
	{with: "an empty field", lines: []string{"X-A:"}, passes: []string{"x-a: "}},
	{with: "spaces and signs in a value", lines: []string{"X-A: a  b, \"c\\\"\";d=\xc3\xa9"}, passes: []string{"x-a: a  b, \"c\\\"\";d=\xc3\xa9"}},
	{with: "spaces around a value", lines: []string{"X-A:   a \t"}, passes: []string{"x-a: a"}, only: "HTTP/1.1"},
	{with: "every field twice", lines: append(spoofedBy(strings.ToLower), spoofedBy(strings.ToLower)...)},
	{with: "framing oddly spelled", lines: []string{"Content_Length: 99", "Transfer_Encoding: chunked", "Content.Type: a/b", "Host_: evil", "Content_Encoding: gzip"}, passes: []string{"host_: evil"}},
	{with: "origins oddly spelled", lines: []string{"Origin_: x", "Referer.: y", "Trace_Parent: z", "TE_: x", "Connection_: Host"}, passes: []string{"origin_: x", "referer.: y", "trace_parent: z", "te_: x", "connection_: Host"}},
	{with: "cookies", lines: []string{"Cookie: theme=dark; a=b; __Host-Http-docs=x; " + flowCookie + "abc=x; __Secure-y=z"}},
	{with: "a method in a field and in the body", method: "POST", lines: []string{"Content-Type: application/x-www-form-urlencoded", "X-HTTP-Method-Override: DELETE"}, body: "_method=DELETE", passes: []string{"content-type: application/x-www-form-urlencoded"}},
	{with: "hops", lines: []string{"Via: 1.0 fred, 1.1 p.example (x)"}, passes: []string{"via: 1.0 fred, 1.1 p.example (x), {own}"}},
	{with: "hops in two fields", lines: []string{"Via: 1.0 fred", "Via: 1.1 p"}, passes: []string{"via: 1.0 fred, 1.1 p, {own}"}},
	{with: "this gateway among the hops", lines: []string{"Via: 1.0 fred, 2.0 CLOAKROOM (x), 1.1 p"}, status: 508, code: "loop_detected"},
	{with: "this gateway in the second field of hops", lines: []string{"Via: 1.0 fred", "Via: HTTP/1.1\tcloakroom"}, status: 508, code: "loop_detected"},
	{with: "Max-Forwards on a GET", lines: []string{"Max-Forwards: 0"}},
	{with: "an unknown expectation", lines: []string{"Expect: 200-maybe"}, status: 417, only: "HTTP/1.1"},
	{with: "an unknown expectation over HTTP/2", lines: []string{"Expect: 200-maybe"}, status: 400, code: "bad_request", only: "HTTP/2"},
	{with: "two expectations", lines: []string{"Expect: 100-continue", "Expect: x"}, status: 400, code: "bad_request", only: "HTTP/1.1"},
	{with: "a header beyond the limit", lines: []string{"X-A: " + strings.Repeat("a", 200<<10)}, status: 431, only: "HTTP/1.1"},
	{with: "many fields beyond the limit", lines: slices.Repeat([]string{"X-A: " + strings.Repeat("a", 1000)}, 200), status: 431, only: "HTTP/1.1"},
}

var hopRows = []requestRow{
	{
		with: "what Connection names", only: "HTTP/1.1",
		lines: []string{
			"Connection: keep-alive, Authorization, X-Forwarded-For, X-Forwarded-Host, X-Request-Id, DPoP, Via, Cookie, X-Who, Host, X-Foo",
			"X-Foo: 1", "Connection: x-bar", "X-Bar: 2", "X-Baz: 3",
		},
		passes: []string{"x-baz: 3"},
	},
	{with: "fields of the connection", lines: []string{"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip, trailers", "Trailer: X-A"}, only: "HTTP/1.1"},
	{with: "TE: trailers", lines: []string{"TE: trailers"}},
	{with: "an upgrade to h2c", lines: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}, only: "HTTP/1.1"},
	{with: "an upgrade to TLS", lines: []string{"Connection: Upgrade", "Upgrade: TLS/1.2, HTTP/1.1"}, only: "HTTP/1.1"},
	{with: "an upgrade without Connection", lines: []string{"Upgrade: h2c", "HTTP2-Settings: AAMAAABk"}, only: "HTTP/1.1"},
	{
		with: "a WebSocket where there is none", only: "HTTP/1.1", status: 400, code: "bad_request",
		lines: []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="},
	},
}

var queryRows = []requestRow{
	{with: "a query of odd bytes", query: "?a=1;b=2&&c=%zz&d=a+b&e=%C3%A9&=&f&g=/../%2e%2e/&h=[x]{y}|z\\^`\"<>'"},
	{with: "a query beyond ASCII", query: "?a=\xc3\xa9\xff"},
	{with: "an empty query", query: "?"},
	{with: "two question marks", query: "??a=b?"},
	{with: "a token in the query", query: "?a=b&access_token=x", status: 400, code: "bad_request"},
	{with: "a token in the query, spelled otherwise", query: "?ACCESS%5Ftoken=x", status: 400, code: "bad_request"},
	{with: "a token behind a semicolon", query: "?a=b;access_token=x", status: 400, code: "bad_request"},
	{with: "a method in the query", query: "?_method=DELETE", status: 400, code: "bad_request"},
}

// base are the fields that an API gets of an honest request.
func (x *wired) base(kind, in, who, id string) (fields []string) {
	host := appHost
	if who == "handle" {
		host = "gw.localhost"
	} else {
		fields = append(fields, "sec-fetch-dest: empty", "sec-fetch-mode: cors", "sec-fetch-site: same-origin")
	}
	fields = append(fields, "user-agent: t", "x-forwarded-for: 127.0.0.1", "x-forwarded-host: "+host, "x-forwarded-proto: http", "x-request-id: "+id)
	if kind != "open" {
		fields = append(fields, "authorization: Bearer "+x.tokens[who])
	}
	if kind == "api" {
		fields = append(fields, "x-who: usr_1001")
	}
	return fields
}

// Of each request an API gets what the row says, field by field, and nothing else, by whichever way it came and goes on; or it is
// refused, and the API gets nothing.
//
// shows PRX-AUTHZ, PRX-COOKIE, PRX-HOP, PRX-VIA, PRX-FWD, PRX-HOST, PRX-UPG, PRX-LIMIT
func TestRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	x := newWired(t)
	for _, row := range requestRows() {
		t.Run("a request with "+row.with, func(t *testing.T) {
			for in, w := range x.ways {
				if !strings.Contains(in, row.only) {
					continue
				}
				for _, leg := range legs {
					for _, kind := range []string{"api", "open", "site", "jar"} {
						x.passesAs(t, row, in, w, kind, leg, "cookie")
					}
					x.passesAs(t, row, in, w, "open", leg, "")
					x.passesAs(t, row, in, w, "api", leg, "handle")
				}
			}
		})
	}
	x.unharmed(t)
	x.Leaks()
}

// passesAs sends a row by one way on one route.
func (x *wired) passesAs(t *testing.T, row requestRow, in string, w leadIn, kind, leg, who string) {
	t.Helper()
	q := sending{method: row.method, path: "/" + kind + "-" + leg + "/x" + row.query, body: row.body, lines: append([]string{"User-Agent: t"}, row.lines...)}
	if q.method == "" {
		q.method = "GET"
	}
	if who == "handle" { // which two of are none
		q.lines = slices.DeleteFunc(q.lines, func(l string) bool { return strings.HasPrefix(strings.ToLower(l), "authorization:") })
	}
	q = x.script(who, q)
	got := w.ask(t, q)
	at := fmt.Sprintf("%s, %s, %s by %q", in, kind, leg, who)
	heard := x.up[leg].take()
	if row.status != 0 {
		if got.status != row.status || row.code != "" && got.code() != row.code || len(heard) != 0 {
			t.Fatalf("%s: %+v, want %d %s; the API got %+v", at, got, row.status, row.code, heard)
		}
		return
	}
	if got.status != 200 || got.body != "ok" || got.broken != "" || len(heard) != 1 {
		t.Fatalf("%s: %+v; the API got %d requests", at, got, len(heard))
	}
	want := x.base(kind, in, who, got.values("x-request-id")[0])
	own := map[bool]string{true: "1.1 cloakroom", false: "2.0 cloakroom"}[in == "HTTP/1.1"]
	via := false
	for _, f := range row.passes {
		want = append(want, strings.ReplaceAll(f, "{own}", own))
		via = via || strings.HasPrefix(f, "via:")
	}
	if !via {
		want = append(want, "via: "+own)
	}
	if row.body != "" {
		want = append(want, fmt.Sprintf("content-length: %d", len(row.body)))
	}
	if c := strings.Join(cookiesOf(row.lines, kind), "; "); c != "" {
		want = append(want, "cookie: "+c)
	}
	slices.Sort(want)
	h := heard[0]
	if diff := cmp.Diff(want, h.fields); diff != "" || h.line != q.method+" "+q.path || h.host != x.up[leg].Addr().String() || h.body != row.body || h.trailers != nil {
		t.Fatalf("%s: the API got %s to %s with %q %q (-want +got):\n%s", at, h.line, h.host, h.body, h.trailers, diff)
	}
}

// cookiesOf are the cookies of a row that pass on a route: those it lists, or, to a site, those that are no gateway's.
func cookiesOf(lines []string, kind string) (kept []string) {
	for _, l := range lines {
		value, ok := strings.CutPrefix(l, "Cookie: ")
		for pair := range strings.SplitSeq(value, "; ") {
			if ok && (kind == "jar" && strings.HasPrefix(pair, "theme=") || kind == "site" && !strings.HasPrefix(pair, "__Host-Http-")) {
				kept = append(kept, pair)
			}
		}
	}
	return kept
}

// Spoofed credentials never reach the API: it sees the session's own token, or on an open route none.
//
// shows PRX-COOKIE (none is listed), PRX-AUTHZ
func TestSpoofedCredentials(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	token := p.issued(provider.KindAccess)
	spoofed := []string{"Authorization: Bearer spoofed", "Proxy-Authorization: Basic c3Bvb2ZlZA==", "X-User-Id: root", "X-Forwarded-For: 6.6.6.6", "X_Forwarded_For: 6.6.6.6", "DPoP: spoofed"}
	for path, want := range map[string][]string{"/api/whoami": {"Bearer " + token}, "/open/public": nil} {
		t.Run("a request for "+path, func(t *testing.T) {
			p.send(t, "GET", path, p.withCookie(fetched, spoofed...)...).is(t, 200, "")
			hits := p.API.Recorded()
			h := hits[len(hits)-1].Header
			if !slices.Equal(h.Values("Authorization"), want) {
				t.Errorf("the API got %d Authorization fields, not the session's own token", len(h.Values("Authorization")))
			}
			for name, values := range h {
				if all := strings.Join(values, ","); strings.Contains(all, "spoofed") || strings.Contains(all, "6.6.6.6") || strings.Contains(all, p.cookie) || name == "Cookie" || name == "X-User-Id" {
					t.Errorf("the API got %s", name)
				}
			}
		})
	}
	p.refused(t, func() {
		p.send(t, "GET", "/api/whoami", with(fetched, spoofed...)...).is(t, 401, "session_required")
		if got := p.send(t, "GET", "/api/whoami?access_token=x", p.withCookie(fetched)...); got.Status != 400 {
			t.Errorf("a token in the query: %d", got.Status)
		}
	})
	p.Leaks()
}
