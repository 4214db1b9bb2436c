package static_test

import (
	"strings"
	"testing"

	"cloakroom/spa/static"
)

// What others look for below /.well-known (RFC 8615) is a file of the folder or nothing: no page stands for it, and a
// protected folder shows none but what is public.
//
// shows PRX-PATH (files)
func TestWellKnownFiles(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{".well-known/assetlinks.json": "[]", ".well-known/apple-developer-merchantid-domain-association": "7B", ".well-known/sub/x.txt": "x"})
	h := serve(t, static.Options{Dir: dir})
	for path, want := range map[string]string{
		"/.well-known/security.txt": "Contact: x", "/%2ewell-known/security.txt": "Contact: x", "/.well-known/assetlinks.json": "[]",
		"/.well-known/apple-developer-merchantid-domain-association": "7B", "/.well-known/change-password": "", "/.well-known/": "", "/.well-known/sub/": "", "/.well-known/gone.txt": "",
	} {
		for _, fields := range [][]string{nil, script, navigation} {
			a := h.ask("GET", path, fields...)
			if want != "" && (a.status != 200 || a.body != want) || want == "" && (a.status != 404 || strings.Contains(a.body, "<p>index")) {
				t.Errorf("%s: %d %.60s, want %q", path, a.status, a.body, want)
			}
		}
	}
	shut := static.Options{Dir: dir, Protected: true, Public: []string{"/.well-known/security.txt"}}
	if p := serve(t, shut); p.ask("GET", "/.well-known/security.txt").header.Get("Cache-Control") == p.ask("GET", "/.well-known/assetlinks.json").header.Get("Cache-Control") {
		t.Error("what is public is described as what is not")
	}
}
