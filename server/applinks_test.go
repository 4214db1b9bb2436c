package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What the configuration says is what a system is told, under the gateway's own host alone; and whatever address it hands to
// an app has a page for browsers that do not.
//
// shows NAT-7.2
func TestAppLinksAreServed(t *testing.T) {
	cfg, s := phoneServer(t, `
    redirect_uris: ["https://gw.example.com/open/phone", "https://gw.example.com/Open-2/a.b_c~d?x=1", "https://gw.example.com/mobile/x", "https://links.example.com/y"]
    app_links: {apple: [ABCDE12345.com.example.app], android: [{package: com.example.app, sha256: ["`+print32+`"]}]}
`)
	ask := func(host, path string) (int, string) {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const apple, android = "/.well-known/apple-app-site-association", "/.well-known/assetlinks.json"
	for path, part := range map[string]string{
		apple:   `"details":[{"appIDs":["ABCDE12345.com.example.app"],"components":[{"/":"/Open-2/a.b_c~d"},{"/":"/open/phone"}]}]`,
		android: `"package_name":"com.example.app","sha256_cert_fingerprints":["` + print32 + `"]`,
	} {
		if status, text := ask("gw.example.com", path); status != http.StatusOK || !strings.Contains(text, part) {
			t.Errorf("%s: %d %s", path, status, text)
		}
		if status, _ := ask("app.example.com", path); status != http.StatusNotFound {
			t.Errorf("%s at a browser app's: %d", path, status)
		}
	}
	paths := cfg.LinkPaths("phone")
	if len(paths) != 2 {
		t.Errorf("paths %q", paths)
	}
	for _, path := range paths {
		if status, text := ask("gw.example.com", path+"?code=x"); status != http.StatusOK || !strings.Contains(text, "<h1>Open this in") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}
