package server_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/server"
	"cloakroom/server/config"
	"cloakroom/spa"
)

// What the configuration takes for a place to return to is what a request may ask for, to the letter: the file is judged
// without the gateway, and this holds the two rules together.
//
// shows RET-1
func TestReturnsOfTheConfigurationAreThoseOfRequests(t *testing.T) {
	const own, www = "https://app.example.com", "https://www.example.com"
	dir := keyed(t)
	parse := func(target string) (*config.Config, error) {
		return config.Parse(filepath.Join(dir, "cloakroom.yaml"), fmt.Appendf(nil, `
public: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: "http://127.0.0.1:1"}
apps:
  web: {kind: spa, origin: %q, allowed_origins: [%q], provider: main, client_id: c, client_secret: a-secret-of-some-length-for-the-app, post_logout: %q, login: {default_return: %[3]q}}
`, own, www, target), nil)
	}
	app := &bff.App{Origin: own, AllowedOrigins: []string{www}}
	good := 0
	for _, target := range []string{
		"/", "/welcome", "/welcome/", "/#/home", "/a b", "/welcome?x=//y/..", "/caf\u00e9", "/...", "/bffalo", "/bff/signed-in", "/bff/signed-in?x", own, own + "/x", www, www + "/x?y#z",
		"/bff/logout", "/bff/login", "/bff", "/bff/", "/bff/signed-in/", "/%62ff/login", "/bff%2flogin", "/x/../bff/login", "/./bff", own + "/bff/logout", www + "/bff/login",
		"//evil", `/\evil`, "/%5cevil", "/%2fevil", "/%255cevil", "/..//evil", "/.//x", "/a/../..//x", "/%2e%2e//x", "/a/%2E", "/a//b", "/a/..", "/\t/evil", "/x%0a", "/x%zz",
		"welcome", "javascript:x", "https://evil.example/", own + ".evil/", own + "@evil/", own + "//evil", own + "?x", www + "//evil", www + "/../x", www + "/%2e./x", "http://app.example.com/",
		"/\u2028", "/%e2%80%a9", "/x#\u0085", "/" + strings.Repeat("x", 1023), "/" + strings.Repeat("x", 1024), own + "/" + strings.Repeat("x", 1023),
		www + "/" + strings.Repeat("x", 1023-len(www)), www + "/" + strings.Repeat("x", 1024-len(www)), "/%2525252525x", "/%25252541",
	} {
		_, rule := spa.ReturnTarget(app, target)
		cfg, err := parse(target)
		if (err == nil) != (rule == nil) {
			t.Errorf("%.60q: the configuration says %v, the rule %v", target, err, rule)
		}
		if err != nil {
			continue
		}
		good++
		s, err := server.New(cfg, server.Options{})
		if err != nil {
			t.Fatalf("%.60q: %v", target, err)
		}
		_ = s.Close()
	}
	if good == 0 {
		t.Error("nothing was accepted")
	}
	// Whoever makes a configuration in another way than by a file is held to the rule all the same.
	for _, set := range []func(*config.App){
		func(a *config.App) { a.Login.DefaultReturn = "/bff/logout" }, func(a *config.App) { a.PostLogout = "/..//evil" },
	} {
		cfg, err := parse("/")
		if err != nil {
			t.Fatal(err)
		}
		set(cfg.Apps["web"])
		if s, err := server.New(cfg, server.Options{}); err == nil {
			_ = s.Close()
			t.Error("a place to return to that is none was taken")
		}
	}
}
