package static_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"cloakroom/spa/static"
)

// hash is the source that allows a text.
func hash(text string) string {
	digest := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
}

func hashes(texts ...string) (all []string) {
	for _, text := range texts {
		all = append(all, hash(text))
	}
	return all
}

// directive finds what a policy says under a name; nil if nothing.
func directive(policy, name string) []string {
	for part := range strings.SplitSeq(policy, ";") {
		if words := strings.Fields(part); len(words) > 0 && words[0] == name {
			return words[1:]
		}
	}
	return nil
}

// inlineOf serves one page with its scripts and styles allowed, and returns what its policy says of them.
func inlineOf(t *testing.T, page string) (scripts, styles []string) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"index.html": page})
	a := serve(t, static.Options{Dir: dir, HashInline: true}).ask("GET", "/", navigation...)
	if a.status != 200 || a.body != page {
		t.Fatalf("%d, %d bytes", a.status, len(a.body))
	}
	policy := a.header.Get("Content-Security-Policy")
	return directive(policy, "script-src")[1:], directive(policy, "style-src")[1:]
}

// What is a script is what a browser takes for one, which the journey "inline" asks a real one about.
//
// shows HDR-CSP (inline scripts by hash)
func TestWhichScriptsOfAPageAreAllowed(t *testing.T) {
	for _, row := range []struct {
		name, page string
		want       []string
	}{
		{"a page with a script", "<script>a()</script>", []string{"a()"}},
		{"a page with two scripts and one of them again", "<script>a()</script><p><script>b()</script><script>a()</script>", []string{"a()", "b()"}},
		{
			"a page with a module, an import map and speculation rules",
			`<script type=module>a</script><script type="importmap">b</script><script type=SpeculationRules>c</script>`,
			[]string{"a", "b", "c"},
		},
		{"a page with scripts by old names", `<script type="text/javascript">a</script><script type=" application/X-JavaScript ">b</script>` +
			`<script language=JavaScript1.5>c</script><script type="" language=vbscript>d</script><script type="text/jscript">e</script>`, []string{"a", "b", "c", "d", "e"}},
		{"a page with blocks of data", `<script type="application/json">a</script><script type="application/ld+json">b</script><script type="text/template">c</script>` +
			`<script type="text/javascript; charset=utf-8">d</script><script type=" ">e</script><script language=vbscript>f</script><script type="application/jscript">g</script>`, nil},
		{"a page with scripts from files", `<script src="a.js">a</script><script src>b</script><script type=module src="">c</script>`, nil},
		{"a page with a script for browsers of old", `<script nomodule>a</script><script nomodule type=module>b</script>`, []string{"b"}},
		{"a page with empty scripts", "<script></script><script>\n</script>", []string{"\n"}},
		{"a page with line ends of all kinds", "<script>a\r\nb\rc\n\r\nd</script>", []string{"a\nb\nc\n\nd"}},
		{"a page with a byte order mark", "\ufeff<script>a</script>", []string{"a"}},
		{"a page with letters of all kinds", "<script>\"ü€😀&amp;\"</script>", []string{"\"ü€😀&amp;\""}},
		{"a page with end tags of all forms", "<script>a</script ><script>b</SCRIPT\n><script>c</script/><script>d</script x=y>", []string{"a", "b", "c", "d"}},
		{"a page with what looks like an end tag", "<script>a</scripty>b</ script>c</script>", []string{"a</scripty>b</ script>c"}},
		{"a page with a script that is not ended", "<script>a</script><script>b", []string{"a"}},
		{"a page with a script whose end tag is not ended", "<script>a</script><script>b</script", []string{"a"}},
		{"a page that ends as its script does", "<script>x</script>x", []string{"x"}},
		{"a page with a comment in a script", "<script><!--\na\n--></script><p>", []string{"<!--\na\n-->"}},
		{"a page with a script in a comment in a script", "<script>a<!--<script>b</script>c--></script>d", []string{"a<!--<script>b</script>c-->"}},
		{"a page with a comment that never ends", "<script>a<!--<script>b</script>c</script><script>d</script>", []string{"a<!--<script>b</script>c", "d"}},
		{"a page with a script in a comment that swallows the rest", "<script>a</script><script>b<!--<script>c</script>", []string{"a"}},
		{"a page with scripts in comments", "<!--<script>a</script>--><!--><script>b</script>--><!---><script>c</script>--><!-- --!><script>d</script>-->", []string{"b", "c", "d"}},
		{"a page with scripts where text is", "<textarea><script>a</script></textarea><title><script>b</script></title><noscript><script>c</script></noscript>" +
			"<iframe><script>d</script></iframe><noembed><script>e</script></noembed><xmp><script>f</script></xmp><style><script>g</script></style>", nil},
		{"a page with a script after plain text", "<script>a</script><plaintext><script>b</script>", []string{"a"}},
		{"a page with a script in an attribute", `<p title="<script>a</script>"><p title='"><script>b</script>'><p title=<script>c</script>`, nil},
		{"a page with a template", "<template><script>a</script><template><script>b</script></template></template><script>c</script>", []string{"c"}},
		{"a page with a declared shadow tree", `<div><template shadowrootmode="OPEN"><script>a</script></template></div><div><template shadowrootmode=x><script>b</script></template></div>`, []string{"a"}},
		{"a page with a picture that has scripts", `<svg><script>a&lt;b<![CDATA[<c>]]></script><script href="x.js">d</script><script xlink:href="x.js">e</script><script src="x.js">f</script></svg>`, []string{"a<b<c>", "f"}},
		{"a page with a picture that has HTML in it", "<svg><foreignObject><script>a</script></foreignObject><desc><script>b&lt;</script></desc></svg>", []string{"a", "b&lt;"}},
		{"a page with a formula that has scripts", "<math><script>a</script><mi><script>b</script></mi></math>", []string{"b"}},
		{"a page with scripts where none belong", "<table><script>a</script><tr><script>b</script></table><select><script>c</script></select></body><script>d</script></html><script>e</script>", []string{"a", "b", "c", "d", "e"}},
		{"a page with handlers and addresses that run", `<body onload="a()"><a href="javascript:b()">c</a>`, nil},
		{"a page with a nonce of its own", `<script nonce=x>a</script>`, []string{"a"}},
		{"a page with a zero byte", "<script>a</script>\x00", nil},
		{"a page that is no UTF-8", "<script>a\xff</script>", nil},
		{"a page in UTF-16", utf16le("\ufeff<script>a</script>"), nil},
		{"a page that nests too deeply", strings.Repeat("<div>", 600) + "<script>a</script>", nil},
		{"a page with as many scripts as a field holds", many(128), numbers(128)},
		{"a page with more scripts than a field holds", many(129), nil},
		{"a page of more than 4 MiB", "<script>a</script>" + strings.Repeat("x", 4<<20), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, _ := inlineOf(t, row.page)
			if diff := cmp.Diff(hashes(row.want...), got, cmp.Comparer(slices.Equal[[]string])); diff != "" {
				t.Errorf("%.200q: want %q%s", row.page, row.want, diff)
			}
		})
	}
}

func utf16le(text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

func many(n int) string {
	return "<script>" + strings.Join(numbers(n), "</script><script>") + "</script>"
}

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("f(", i, ")"))
	}
	return all
}

func TestWhichStylesOfAPageAreAllowed(t *testing.T) {
	_, got := inlineOf(t, "<style>a{}\r\n</style><style type=TEXT/CSS>b{}</style><style type=text/less>c{}</style><style></style><noscript><style>d{}</style></noscript>"+
		"<svg><style>e{}</style></svg><math><style>f{}</style></math><template><style>g{}</style></template><p style='h'><style>i{}")
	if diff := cmp.Diff(hashes("a{}\n", "b{}", "e{}", "i{}"), got); diff != "" {
		t.Error(diff)
	}
}

// Hashes go where they are looked for, and nowhere else.
func TestWhereHashesStand(t *testing.T) {
	const page = "<script>a()</script><style>b{}</style>"
	s, y := hash("a()"), hash("b{}")
	for _, row := range []struct{ name, policy, want string }{
		{"a policy with both", "script-src 'self'; style-src 'self'", "script-src 'self' " + s + "; style-src 'self' " + y},
		{
			"a policy with directives for elements", "script-src 'self'; script-src-elem x.example; style-src-elem 'none'; style-src y.example",
			"script-src 'self'; script-src-elem x.example " + s + "; style-src-elem " + y + "; style-src y.example",
		},
		{"a policy with one of its own kind alone", "script-src 'self'; img-src *", "script-src 'self' " + s + "; img-src *"},
		{"a policy with a default alone", "default-src 'self' x.example", "default-src 'self' x.example; script-src 'self' x.example " + s + "; style-src 'self' x.example " + y},
		{"a policy with a default of nothing", "Default-Src 'NONE'; frame-ancestors 'none'", "default-src 'NONE'; frame-ancestors 'none'; script-src " + s + "; style-src " + y},
		{"a policy with a directive twice", "script-src 'none'; script-src *; style-src a; style-src b", "script-src " + s + "; script-src *; style-src a " + y + "; style-src b"},
		{
			"a policy with attributes", "script-src-attr 'none'; default-src 'self'; style-src-attr 'unsafe-inline'",
			"script-src-attr 'none'; default-src 'self'; style-src-attr 'unsafe-inline'; script-src 'self' " + s + "; style-src 'self' " + y,
		},
		{"a policy with all styles", "script-src 'self'; style-src 'self' 'Unsafe-Inline'", "script-src 'self' " + s + "; style-src 'self' 'Unsafe-Inline'"},
		{
			"a policy with a hash already", "script-src 'unsafe-inline' 'sha256-x'; style-src 'unsafe-inline' 'nonce-y'",
			"script-src 'unsafe-inline' 'sha256-x' " + s + "; style-src 'unsafe-inline' 'nonce-y' " + y,
		},
		{"a policy with trust handed on", "script-src 'strict-dynamic' 'unsafe-inline'; style-src *", "script-src 'strict-dynamic' 'unsafe-inline' " + s + "; style-src * " + y},
		{"a policy with empty parts", " ;; script-src ;style-src\tz.example ;", "script-src " + s + "; style-src z.example " + y},
	} {
		dir := t.TempDir()
		write(t, dir, map[string]string{"index.html": page})
		a := serve(t, static.Options{Dir: dir, HashInline: true, Policy: row.policy}).ask("GET", "/", navigation...)
		if got := a.header.Get("Content-Security-Policy"); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
	for _, policy := range []string{"img-src *", "script-src 'self' 'unsafe-inline'", "default-src 'unsafe-inline'", "script-src-elem 'unsafe-inline'; script-src 'none'"} {
		if _, err := static.New(static.Options{Dir: app(t), HashInline: true, Policy: policy}); err == nil || !strings.Contains(err.Error(), "unsafe-inline") {
			t.Errorf("%s, where every script runs: %v", policy, err)
		}
	}
}

// Each page has its own hashes, in whatever form and with whatever status it comes, and nothing but a page has any.
//
// shows HDR-CSP (inline scripts by hash), HDR-CACHE (a 304 of a page with another policy)
func TestWhatComesWithHashes(t *testing.T) {
	dir := app(t)
	script := func(name string) string { return "<script>" + name + "</script>" }
	write(t, dir, map[string]string{
		"index.html": script("index"), "index.html.gz": zipped(t, script("index")), "guide/index.html": script("guide"), "404.html": script("missing"),
		"logo.svg": "<svg>" + script("logo") + "</svg>", "old.xhtml": script("old"), "plain.html": "<p>none",
	})
	for _, o := range []static.Options{{}, {Protected: true}, {Protected: true, Public: []string{"/guide/"}}} {
		o.Dir, o.HashInline = dir, true
		h := serve(t, o)
		for path, want := range map[string]string{"/": "index", "/guide/": "guide", "/nothing": "missing", "/404.html": "missing"} {
			for _, field := range []string{"X", "Accept-Encoding: gzip", "Range: bytes=0-3"} {
				name, value, _ := strings.Cut(field, ": ")
				fields := append([]string{name, value}, navigation...)
				a := h.ask("GET", path, fields...)
				if got := directive(a.header.Get("Content-Security-Policy"), "script-src"); !slices.Equal(got, []string{"'self'", hash(want)}) {
					t.Errorf("%s with %s: %d %v", path, field, a.status, got)
				}
				again := h.ask("GET", path, append([]string{"If-None-Match", a.header.Get("Etag")}, fields...)...)
				if again.header.Get("Content-Security-Policy") != a.header.Get("Content-Security-Policy") || a.status == 200 && again.status != 304 {
					t.Errorf("%s with %s, asked again: %d %v", path, field, again.status, again.header)
				}
			}
		}
		for _, path := range []string{"/logo.svg", "/old.xhtml", "/plain.html", "/sw.js"} {
			if got := h.ask("GET", path, navigation...).header.Get("Content-Security-Policy"); got != static.DefaultPolicy {
				t.Errorf("%s: %s", path, got)
			}
		}
	}
	off := serve(t, static.Options{Dir: dir}).ask("GET", "/", navigation...)
	if got := off.header.Get("Content-Security-Policy"); got != static.DefaultPolicy {
		t.Errorf("without the setting: %s", got)
	}
	// A browser that was told the old policy is told the new one with a whole answer: WebKit takes none from a 304.
	on := serve(t, static.Options{Dir: dir, HashInline: true})
	if a := on.ask("GET", "/", append([]string{"If-None-Match", off.header.Get("Etag")}, navigation...)...); a.status != 200 {
		t.Errorf("the tag of another policy: %d", a.status)
	}
	if a := on.ask("GET", "/robots.txt", "If-None-Match", serve(t, static.Options{Dir: dir}).ask("GET", "/robots.txt").header.Get("Etag")); a.status != 304 {
		t.Errorf("the tag of what has no policy: %d", a.status)
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A page that is replaced while it is served comes with the hashes of what is sent, not of what was there a moment ago.
func TestAPageThatIsSwapped(t *testing.T) {
	dir := app(t)
	h := serve(t, static.Options{Dir: dir, HashInline: true})
	texts := []string{"<script>one()</script>", "<script>two()</script>"}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			next := filepath.Join(dir, "next")
			_ = os.WriteFile(next, []byte(texts[n%2]), 0o644)
			_ = os.Rename(next, filepath.Join(dir, "index.html"))
		}
	}()
	for range 300 {
		a := h.ask("GET", "/", navigation...)
		script := strings.TrimSuffix(strings.TrimPrefix(a.body, "<script>"), "</script>")
		if a.body != "<p>index" && !strings.Contains(a.header.Get("Content-Security-Policy"), hash(script)) {
			t.Errorf("%d %q with %s", a.status, a.body, a.header.Get("Content-Security-Policy"))
		}
	}
	close(stop)
	<-stopped
}

// What does not run is told before it is missed.
func TestWhatAnIndexHasRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"index.html": `<base href="/"><script>a</script><script>b</script><style>c</style><p style="d" onclick="e" on-tap="f"><img onerror="g">`})
	for _, row := range []struct {
		name string
		o    static.Options
		want static.Refused
	}{
		{"the default", static.Options{}, static.Refused{Scripts: 2, Styles: 1, Handlers: 2, Properties: 1, Base: true}},
		{"hashes", static.Options{HashInline: true}, static.Refused{Handlers: 2, Properties: 1, Base: true}},
		{"all styles", static.Options{Policy: "script-src 'self'; style-src 'unsafe-inline'; base-uri 'self'"}, static.Refused{Scripts: 2, Handlers: 2}},
		{"style attributes", static.Options{Policy: "default-src 'self'; style-src-attr 'unsafe-inline'"}, static.Refused{Scripts: 2, Styles: 1, Handlers: 2}},
		{"all", static.Options{Policy: "img-src *"}, static.Refused{}},
	} {
		row.o.Dir = dir
		if got, err := static.Refusals(row.o); err != nil || got != row.want {
			t.Errorf("%s: %+v, %v", row.name, got, err)
		}
	}
	for name, page := range map[string]string{"deep": strings.Repeat("<div>", 600), "odd": "\xff", "long": strings.Repeat("x", 4<<20+1)} {
		write(t, dir, map[string]string{"index.html": page})
		if _, err := static.Refusals(static.Options{Dir: dir}); err == nil {
			t.Errorf("a %s page can be read", name)
		}
	}
	if _, err := static.Refusals(static.Options{Dir: filepath.Join(dir, "gone")}); err == nil {
		t.Error("no folder can be read")
	}
}
