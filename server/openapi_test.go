package server_test

import (
	"go/ast"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"cloakroom/docs"
	"cloakroom/dpop"
	"cloakroom/server"
	"cloakroom/server/config"
)

// The listeners and origins that the description knows, by the address of its servers.
const (
	ofApp     = "{app}"
	ofGateway = "{gateway}"
	ofOps     = "http://{ops}"
	ofAdmin   = "{scheme}://{admin}"
)

// described reads the description as the gateway serves it.
func described(t *testing.T) *openapi3.T {
	t.Helper()
	text, err := docs.OpenAPI("https://gw.example.com")
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheDescriptionIsValid(t *testing.T) {
	d := described(t)
	if !d.IsOpenAPI31OrLater() {
		t.Errorf("version %s", d.OpenAPI)
	}
	if err := d.Validate(t.Context(), openapi3.EnableMultiError(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
}

// operations lists what the description says of a server, as "/path METHOD".
func operations(d *openapi3.T, server string) (all []string) {
	for path, item := range d.Paths.Map() {
		if !slices.ContainsFunc(item.Servers, func(s *openapi3.Server) bool { return s.URL == server }) {
			continue
		}
		for method := range item.Operations() {
			all = append(all, path+" "+method)
		}
	}
	slices.Sort(all)
	return all
}

// What is described of the two surfaces is what Echo registered, and what is described of the other two listeners is what
// package ops registers: nothing more and nothing less.
func TestEveryRouteIsDescribed(t *testing.T) {
	d := described(t)
	for path, item := range d.Paths.Map() {
		if len(item.Servers) == 0 {
			t.Errorf("%s: on which server?", path)
		}
	}
	for server, registered := range map[string][]string{
		ofApp: surfaceRoutes(t, "app.example.com"), ofGateway: surfaceRoutes(t, "gw.example.com"),
		ofOps: muxRoutes(t, "ops.go"), ofAdmin: muxRoutes(t, "admin.go"),
	} {
		if diff := cmp.Diff(operations(d, server), registered); diff != "" {
			t.Errorf("%s (-described +registered):\n%s", server, diff)
		}
	}
}

// phoneServer is a gateway for the app phone and a browser app, with what is said of the phone, and after it.
func phoneServer(t *testing.T, more string) (*config.Config, *server.Server) {
	t.Helper()
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
    client_secret: secret-of-phone-at-the-provider`+more), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return cfg, s
}

// surfaceRoutes are what a gateway with everything in it registers under a host.
func surfaceRoutes(t *testing.T, host string) (all []string) {
	t.Helper()
	_, s := phoneServer(t, `
    redirect_uris: ["https://gw.example.com/open/phone"]
    app_links: {apple: [ABCDE12345.com.example.app], android: [{package: com.example.app, sha256: ["`+print32+`"]}]}
`)
	e, ok := s.Handler().(*echo.Echo)
	if !ok {
		t.Fatalf("the handler is a %T", s.Handler())
	}
	for _, r := range e.Routers()[host].Routes() {
		if r.Path == "/*" || r.Path == "/open/phone" { // routes, and what an app claims for itself: configured
			continue
		}
		all = append(all, regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}")+" "+r.Method)
	}
	slices.Sort(all)
	return all
}

// print32 is a fingerprint of a certificate.
const print32 = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

// muxRoutes are the patterns with a method that a file of package ops registers: those without one are refusals.
func muxRoutes(t *testing.T, file string) (all []string) {
	t.Helper()
	inspectFile(t, "ops/"+file, func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || !slices.Contains([]string{"Handle", "HandleFunc"}, called(call)) || len(call.Args) != 2 {
			return
		}
		pattern, _ := literal(call.Args[0])
		if method, path, ok := strings.Cut(pattern, " "); ok {
			all = append(all, path+" "+method)
		}
	})
	slices.Sort(all)
	return all
}

// The description names every code and every reason that there is, but the code that nobody is left to read.
func TestTheDescriptionListsEveryCodeAndReason(t *testing.T) {
	d := described(t)
	enum := func(schema string) (all []string) {
		for _, v := range d.Components.Schemas[schema].Value.Enum {
			all = append(all, v.(string))
		}
		slices.Sort(all)
		return all
	}
	codes := slices.DeleteFunc(constants(t, "Code", "../bff", "../surface"), func(c string) bool { return c == "client_gone" })
	if diff := cmp.Diff(enum("Code"), codes); diff != "" {
		t.Errorf("codes (-described +code):\n%s", diff)
	}
	if diff := cmp.Diff(enum("Reason"), constants(t, "Reason", "../bff")); diff != "" {
		t.Errorf("reasons (-described +code):\n%s", diff)
	}
}

// The algorithms by which a proof may be signed are those that are checked.
func TestTheDescriptionListsEveryAlgorithm(t *testing.T) {
	var all []string
	for _, v := range described(t).Components.Schemas["Metadata"].Value.Properties["dpop_signing_alg_values_supported"].Value.Items.Value.Enum {
		all = append(all, v.(string))
	}
	if diff := cmp.Diff(all, dpop.Algorithms()); diff != "" {
		t.Errorf("algorithms (-described +code):\n%s", diff)
	}
}

// The description is on the gateway's own origin alone, where no route takes its address, however it is spelled; an app's own
// API may be at that address of its origin.
func TestWhereTheDescriptionIsServed(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("an API's own")) }))
	defer api.Close()
	_, s := phoneServer(t, `
    redirect_uris: ["https://links.example.com/x"]
routes:
  - {path: /, upstream: "`+api.URL+`", methods: [GET, POST], token: none}
`)
	gateway := httptest.NewServer(s.Handler())
	defer gateway.Close()
	p := &phones{front: &front{t: t, addr: gateway.Listener.Addr().String()}}
	res, text := p.call("GET", "/openapi.json", "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json; charset=utf-8" ||
		res.Header.Get("Cache-Control") != "public, max-age=300" || len(res.Header.Values("Access-Control-Allow-Origin")) > 0 {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if want, err := docs.OpenAPI("https://gw.example.com"); err != nil || text != string(want) {
		t.Errorf("%v: %.200s", err, text)
	}
	for _, path := range []string{"/OpenAPI.json", "/openapi.json/", "/openapi.json/x", "/openapi.json;a=b"} {
		if res, text := p.call("GET", path, ""); res.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, res.StatusCode, text)
		}
	}
	if res, text := p.call("POST", "/openapi.json", ""); res.StatusCode != 405 || res.Header.Get("Allow") != "GET" {
		t.Errorf("POST: %d %v %s", res.StatusCode, res.Header, text)
	}
	req, err := http.NewRequest("GET", "http://"+p.addr+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "app.example.com"
	if res, text := p.do(req); res.StatusCode != 200 || text != "an API's own" {
		t.Errorf("at an app's origin: %d %s", res.StatusCode, text)
	}
}

// Every operation says what it is, who may call it and what it answers, in words.
func TestEveryOperationIsTold(t *testing.T) {
	d := described(t)
	tags := map[string]bool{}
	for _, tag := range d.Tags {
		tags[tag.Name] = false
	}
	for path, item := range d.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Summary == "" || op.Description == "" || op.OperationID == "" || len(op.Tags) != 1 || strings.HasSuffix(op.Summary, ".") {
				t.Errorf("%s %s: summary %q, id %q, tags %q, description %q", method, path, op.Summary, op.OperationID, op.Tags, op.Description)
			}
			for _, tag := range op.Tags {
				if _, known := tags[tag]; !known {
					t.Errorf("%s %s: tag %q is not told", method, path, tag)
				}
				tags[tag] = true
			}
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				if p.Value.Description == "" {
					t.Errorf("%s %s: parameter %s is not told", method, path, p.Value.Name)
				}
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		if !tags[tag] {
			t.Errorf("no operation has the tag %q", tag)
		}
	}
}
