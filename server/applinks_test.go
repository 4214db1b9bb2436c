package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloakroom/server"
	"cloakroom/server/config"
)

// What the configuration says is what a system is told, under the gateway's own host alone; and whatever address it hands to
// an app has a page for browsers that do not.
//
// shows NAT-7.2
func TestAppLinksAreServed(t *testing.T) {
	cfg, err := config.Parse(keyed(t)+"/cloakroom.yaml", []byte(`
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {main: {issuer: "http://127.0.0.1:1"}}
apps:
  web: {kind: spa, origin: "https://app.example.com", provider: main, client_id: web, client_secret: secret-of-web-at-the-provider}
  phone:
    kind: mobile
    provider: main
    client_id: phone
    client_secret: secret-of-phone-at-the-provider
    redirect_uris: ["https://gw.example.com/open/phone", "https://gw.example.com/Open-2/a.b_c~d?x=1", "https://gw.example.com/mobile/x", "https://links.example.com/y"]
    app_links: {apple: [ABCDE12345.com.example.app], android: [{package: com.example.app, sha256: ["`+print32+`"]}]}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
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
