//go:build integration

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answerRow is what an API answers, and what of it a frontend gets beside what the gateway says itself. {at} stands for the
// API's own origin, {path} for the route's path.
type answerRow struct {
	with   string
	only   string // the one leg to the API that it can be sent by
	status int    // 200 if it is 0
	fields []string
	body   string
	gets   []string            // "name: value"
	by     map[string][]string // in place of gets, by the kind of the route
	turns  int                 // the status that the frontend gets, if it is another
	code   string
}

// acting are fields that act on the gateway's origin, or tell of what is behind it.
var acting = []string{
	"Clear-Site-Data", "Strict-Transport-Security", "Public-Key-Pins", "Expect-CT", "X-Content-Type-Options", "Origin-Agent-Cluster",
	"Service-Worker-Allowed", "Set-Login", "Activate-Storage-Access", "Sec-Session-Registration", "Secure-Session-Registration",
	"Sec-Session-Challenge", "Secure-Session-Challenge", "Accept-CH", "Critical-CH", "Speculation-Rules", "Use-As-Dictionary", "Alt-Svc",
	"Refresh", "Report-To", "NEL", "WWW-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Proxy-Authentication-Info", "DPoP-Nonce",
	"Surrogate-Control", "Surrogate-Key", "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Cache-Tag", "Edge-Control", "Edge-Cache-Tag",
	"X-LiteSpeed-Cache-Control", "X-Sendfile", "X-Lighttpd-Send-File", "X-Reproxy-URL", "X-Accel-Redirect", "X-Accel-Expires",
	"X-Accel-Charset", "X-Accel-Limit-Rate", "Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator", "Via",
	"Set-Cookie2", "X-Request-Id", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers",
	"Access-Control-Allow-Methods", "Access-Control-Max-Age", "Access-Control-Allow-Private-Network", "Proxy-Connection", "Keep-Alive",
}

// telling are those that a site may say of its own pages, and an API may not.
var telling = []string{
	"Content-Security-Policy-Report-Only", "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Reporting-Endpoints", "SourceMap", "X-SourceMap",
}

func valued(names []string, spell func(string) string) (lines []string) {
	for _, n := range names {
		if n == "X-Accel-Expires" {
			n += ": 600"
		} else {
			n += ": evil"
		}
		lines = append(lines, spell(n))
	}
	return lines
}

func same(s string) string { return s }

// jarCookies are what an API would set.
var jarCookies = []string{
	"Set-Cookie: " + sessionCookie + "=evil; Path=/; Secure; HttpOnly", "Set-Cookie: " + strings.ToUpper(sessionCookie) + "=evil; Path=/; Secure",
	"Set-Cookie:  \t" + sessionCookie + " =evil; Path=/", "Set-Cookie: " + flowCookie + "x=evil", "Set-Cookie: __Host-Http-docs=evil", "Set-Cookie: =" + sessionCookie + "=evil",
	"Set-Cookie: " + sessionCookie, "Set-Cookie: theme=dark; Domain=localhost; path=/; DOMAIN = .web.localhost; Secure", "Set-Cookie: own=1; HttpOnly",
}

func answerRows() []answerRow {
	return slices.Concat([]answerRow{
		{with: "fields that act on the origin", fields: valued(filtered(2), same)},
		{with: "fields that act on the origin in lower case", fields: valued(filtered(2), strings.ToLower)},
		{with: "fields of the connection", only: "http1", fields: append(valued(acting, strings.ToUpper), "Connection: keep-alive, X-Foo, Content-Type, Cache-Control", "X-Foo: evil", "X-Bar: 1", "Upgrade: h2c", "Trailer: X-Foo"), gets: []string{"x-bar: 1", "content-type: application/octet-stream"}},
		{with: "what a site may say of its pages", fields: valued(telling, same), by: map[string][]string{"site": {
			"content-security-policy-report-only: evil", "cross-origin-opener-policy: evil", "cross-origin-embedder-policy: evil", "reporting-endpoints: evil", "sourcemap: evil", "x-sourcemap: evil",
		}}},
		{with: "policies of its own", fields: []string{"Content-Security-Policy: script-src *", "Content-Security-Policy: sandbox allow-scripts"}, by: map[string][]string{
			"site": {"content-security-policy: script-src *", "content-security-policy: sandbox allow-scripts", "content-security-policy: frame-ancestors 'self'"},
		}},
		{with: "fields of its own", fields: []string{"X-A: 1", "X-A: 2", "ETag: \"x\"", "X-Accel-Buffering: no", "Content-Language: de"}, gets: []string{"x-a: 1", "x-a: 2", "etag: \"x\"", "x-accel-buffering: no", "content-language: de"}},
		{with: "a page", fields: []string{"Content-Type: text/html"}, body: "<script>evil()</script>", by: map[string][]string{
			"api": {"content-type: text/html"}, "jar": {"content-type: text/html"}, "open": {"content-type: text/html"}, "site": {"content-type: text/html", "cache-control: no-store"},
		}},
		{with: "a body without a type", fields: []string{"Content-Type: "}, body: "<html><script>evil()</script>"},
		{with: "no type at all", body: "<html><script>evil()</script>"},
		{with: "cookies", fields: jarCookies, by: map[string][]string{
			"jar":  {"set-cookie: theme=dark; path=/; Secure"},
			"site": {"set-cookie: theme=dark; path=/; Secure", "set-cookie: own=1; HttpOnly"},
		}},
		{with: "a life in shared caches", fields: []string{"Cache-Control: public, max-age=600, s-maxage=900", "Expires: Thu, 01 Jan 2099 00:00:00 GMT", "Pragma: x", "Age: 5"}, by: map[string][]string{
			"open": {"cache-control: public, max-age=600, s-maxage=900", "expires: Thu, 01 Jan 2099 00:00:00 GMT", "pragma: x", "age: 5"},
			"site": {"cache-control: private, max-age=600", "expires: Thu, 01 Jan 2099 00:00:00 GMT", "age: 5"},
		}},
		{with: "a demand for another's password", status: 407, fields: []string{"Proxy-Authenticate: Basic realm=x"}, turns: 502, code: "upstream_unavailable"},
		{with: "a refusal", status: 403, fields: []string{"WWW-Authenticate: Basic realm=x"}},
		{with: "nothing", status: 204, fields: []string{"X-A: 1"}, gets: []string{"x-a: 1"}},
		{with: "an error of its own", status: 500, fields: []string{"Server: evil"}, body: "oh"},
	}, locationRows)
}

// filtered leaves out the last so many of acting, which HTTP/2 has no place for.
func filtered(last int) []string { return acting[:len(acting)-last] }

// pointing is a redirect, and where it leads on a route of an API and on one of a site; "" nowhere.
func pointing(with, to, api, site string) answerRow {
	row := answerRow{with: with, status: 302, fields: []string{"Location: " + to, "Content-Location: " + to}, by: map[string][]string{}}
	for kind, there := range map[string]string{"api": api, "jar": api, "open": api, "site": site} {
		if there != "" {
			row.by[kind] = []string{"location: " + there, "content-location: " + there}
		}
	}
	return row
}

var locationRows = []answerRow{
	pointing("a redirect to itself", "{at}{path}y?a=b#c", "{path}y?a=b#c", "{path}y?a=b#c"),
	pointing("a redirect to a path of its own", "{path}y", "{path}y", "{path}y"),
	pointing("a relative redirect", "y", "{path}y", "{path}y"),
	pointing("a redirect to another path of it", "{at}/elsewhere", "", "/elsewhere"),
	pointing("a redirect to the gateway's own page", "/bff/logout", "", "/bff/logout"),
	pointing("a redirect to another port of it", "http://127.0.0.1:1{path}y", "", "http://127.0.0.1:1{path}y"),
	pointing("a redirect inside", "http://169.254.169.254/latest/meta-data", "", "http://169.254.169.254/latest/meta-data"),
	pointing("a redirect with credentials", "http://a:b@evil.example/", "", ""),
	pointing("a redirect to a script", "javascript:evil()", "", ""),
	pointing("a redirect with backslashes", `\\evil.example\x`, "", ""),
	pointing("a redirect with dot segments under an escape", "{at}{path}%2e%2e/%2e%2e/bff/logout", "", ""),
	{with: "two redirects", status: 302, fields: []string{"Location: {path}y", "Location: {path}z"}},
}

// says are the fields that the gateway adds to an answer of a kind.
func says(kind string) []string {
	switch kind {
	case "site":
		return []string{"cache-control: private, no-cache", "content-security-policy: frame-ancestors 'self'", "cross-origin-resource-policy: same-origin", "vary: Cookie", "x-content-type-options: nosniff"}
	case "open":
		return []string{"content-security-policy: default-src 'none'; sandbox; frame-ancestors 'none'", "cross-origin-resource-policy: same-origin", "x-content-type-options: nosniff"}
	default:
		return append(says("open"), "cache-control: no-store")
	}
}

// Of each answer a frontend gets what the row says, field by field, and nothing else, by whichever way it came.
//
// shows PRX-RESP, PRX-SETCOOKIE, PRX-LOC, PRX-CACHE, PRX-CONTENT, PRX-HOP, PRX-401 (what passes)
func TestAnswersOnTheWire(t *testing.T) {
	t.Parallel()
	x := newWired(t)
	for _, row := range answerRows() {
		t.Run("an answer with "+row.with, func(t *testing.T) {
			for in, w := range x.ways {
				for _, leg := range legs {
					if row.only != "" && row.only != leg {
						continue
					}
					for _, kind := range []string{"api", "open", "site", "jar"} {
						x.passesBack(t, row, in, w, kind, leg)
					}
				}
			}
		})
	}
	x.unharmed(t)
	x.Leaks()
}

// passesBack has an API answer a row, and compares what arrives.
func (x *wired) passesBack(t *testing.T, row answerRow, in string, w leadIn, kind, leg string) {
	t.Helper()
	up, path := x.up[leg], "/"+kind+"-"+leg+"/"
	fill := strings.NewReplacer("{path}", path, "{at}", up.at)
	answer := canned{status: row.status, body: row.body}
	if answer.status == 0 {
		answer.status = 200
	}
	for _, f := range row.fields {
		answer.fields = append(answer.fields, fill.Replace(f))
	}
	up.will(answer)
	got := w.ask(t, x.script("cookie", sending{method: "GET", path: path + "x"}))
	at := fmt.Sprintf("%s, %s, %s", in, kind, leg)
	if h := up.take(); len(h) != 1 {
		t.Fatalf("%s: the API was asked %d times", at, len(h))
	}
	if row.turns != 0 {
		if got.status != row.turns || got.code() != row.code || strings.Contains(fmt.Sprint(got), "Basic") {
			t.Fatalf("%s: %+v", at, got)
		}
		return
	}
	want, gets := says(kind), row.gets
	if row.by != nil {
		gets = row.by[kind]
	}
	if answer.status != 204 && !strings.Contains(strings.Join(gets, "\n"), "content-type: ") {
		gets = append(slices.Clone(gets), "content-type: application/octet-stream")
	}
	for _, f := range gets { // in place of the gateway's own word
		name, _, _ := strings.Cut(f, ": ")
		want = slices.DeleteFunc(want, func(own string) bool { return strings.HasPrefix(own, name+": ") })
	}
	for _, f := range gets {
		want = append(want, fill.Replace(f))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got.plain(t)); diff != "" || got.status != answer.status || got.body != row.body || got.broken != "" {
		t.Fatalf("%s: %d %q %s (-want +got):\n%s", at, got.status, got.body, got.broken, diff)
	}
}

// plain are the fields of an answer but for those of framing and time, of which there is at most one each.
func (a told) plain(t *testing.T) (fields []string) {
	t.Helper()
	framing := []string{"date", "content-length", "transfer-encoding", "x-request-id", "connection"}
	for _, name := range framing {
		if n := len(a.values(name)); n > 1 {
			t.Errorf("%s %d times", name, n)
		}
	}
	if a.values("transfer-encoding") != nil && a.values("content-length") != nil {
		t.Error("two framings")
	}
	for _, f := range a.fields {
		if name, _, _ := strings.Cut(f, ": "); !slices.Contains(framing, name) {
			fields = append(fields, f)
		}
	}
	return fields
}
