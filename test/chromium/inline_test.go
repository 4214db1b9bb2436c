//go:build integration

package chromium_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// tricks are pages of which a reader by eye, or by regular expression, would say the wrong thing: what of them is a script or a
// style is left to the browser. Empty styles and those of another language are not among them: Chromium refuses them aloud,
// and they would apply to nothing.
var tricks = []string{
	"<script>a()</script><script type=module>b()</script><script>a()</script>",
	`<script type=importmap>{"imports":{}}</script><script type=speculationrules>{}</script><script type="application/json">{}</script><script type="application/ld+json">{}</script>`,
	`<script type=" text/JavaScript ">a()</script><script type=" ">b()</script><script language=JavaScript1.5>c()</script><script language=vbscript>d()</script><script type="" language=vbscript>e()</script>`,
	`<script type="text/javascript; charset=utf-8">a()</script><script type="application/x-ecmascript">b()</script><script type="application/jscript">c()</script><script type="text/livescript">d()</script>`,
	`<script src="/a.js">a()</script><script src>b()</script><script nomodule>c()</script><script nomodule type=module>d()</script>`,
	"<script></script><script>\n</script><script>a\r\nb\rc\n\r\nd</script><style>\r\na{}\r</style>",
	"\ufeff<script>\"ü€😀&amp;&lt;\"</script>",
	"<script>a</script ><script>b</SCRIPT\n><script>c</script/><script>d</script x=y><script>e</scripty>f</ script>g</script>",
	"<script>a</script><script>b", "<script>a</script><script>b</script", "<script>x</script>x", "<style>a{}</style><style>b{}",
	"<script>a<!--<script>b</script>c--></script>d</script>", "<script>a<!--<script>b</script>c</script><script>d</script>", "<script>a</script><script>b<!--<script>c</script>",
	"<script>a<!-- <script\n>b--><script>c</script>d</script>", "<script><!--\na\n--></script>",
	"<!--<script>a</script>--><!--><script>b</script>--><!---><script>c</script>--><!-- --!><script>d</script>--><!-<script>e</script>-->",
	"<textarea><script>a</script></textarea><title><script>b</script></title><noscript><script>c</script><style>c{}</style></noscript><iframe><script>d</script></iframe><xmp><script>e</script></xmp><style><script>f</script></style>",
	"<script>a</script><plaintext><script>b</script>",
	`<p title="<script>a</script>"><p title='"><script>b</script>'><p title=<script>c</script>`,
	"<template><script>a</script><style>a{}</style></template><script>b</script>",
	`<div><template shadowrootmode=open><script>a</script><style>a{}</style></template></div>`,
	`<svg><script>a&lt;b<![CDATA[<c>]]></script><script href="/x.js">d</script><script xlink:href="/x.js">e</script><script src="/x.js">f</script><style>g{}</style><style type=text/css>h{}</style></svg>`,
	"<svg><foreignObject><script>a</script></foreignObject><desc><script>b&lt;</script></desc></svg><math><script>c</script><mi><script>d</script></mi><style>e{}</style></math>",
	"<table><script>a</script><tr><script>b</script></table><select><script>c</script></select></body><script>d</script></html><script>e</script>",
	"<frameset><script>a</script></frameset><noframes><script>b</script></noframes>", "<head></head><script>a</script><body><script>b</script>",
	"<script>a\u2028b</script><script>\ufffd</script>", "<sCrIpT>a</ScRiPt><script\f>b</script><script/>c</script>",
	"<style type=TEXT/CSS media=print>b{}</style><style><!--c{}--></style>",
}

// inlineApp is a page with all that may run, and with what gets into it.
const inlineApp = `<!doctype html><meta charset="utf-8"><title>Inline</title><style>h1 { color: rgb(1, 2, 3) }</style>
<script type="importmap">{"imports": {"said": "/said.js"}}</script>
<script>window.ran = ['classic'];</script>
<script type="module">import said from 'said'; window.ran.push(said);</script>
<h1 onclick="window.ran.push('handler')">Inline</h1>`

// What runs of a page whose build wrote scripts into it, and that nothing runs that got in later; and that the gateway and the
// browser take the same for a script.
//
// shows HDR-CSP (inline scripts by hash)
func TestInlineScripts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pages := map[string]string{"index.html": inlineApp, "said.js": "export default 'module';"}
	for i, page := range tricks {
		pages[fmt.Sprintf("trick%d.html", i)] = page
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := world.New(t, world.DevProvider, world.Options{
		App: fmt.Sprintf("    static: {dir: %q, inline: hashed}\n", dir),
		Apps: fmt.Sprintf("  lab:\n    kind: spa\n    origin: http://lab.localhost\n    provider: main\n    client_id: webc_2\n    client_secret: %s\n    static: {dir: %q}\n",
			"another-client-secret-of-some-length", dir),
	})
	w.Start(1)
	chromium.Run(t, chromium.Journey{
		Name: "inline",
		Given: map[string]any{
			"origin": world.Origin, "strict": "http://lab.localhost", "tricks": tricks,
			"args": []string{"--host-resolver-rules=MAP *.localhost:80 " + w.All[0].Addr},
		},
	})
}
