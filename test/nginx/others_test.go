package nginx_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// load reads one of the documented configurations of other proxies, which no test here can run.
func load(t *testing.T, name string) any {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return tree
}

// at follows keys and, by number, items; nil where there is none.
func at(tree any, steps ...any) any {
	for _, step := range steps {
		switch s := step.(type) {
		case string:
			m, _ := tree.(map[string]any)
			tree = m[s]
		case int:
			l, _ := tree.([]any)
			if s >= len(l) {
				return nil
			}
			tree = l[s]
		}
	}
	return tree
}

// texts are the texts of a list, or those that exact matchers in it have.
func texts(list any) (all []string) {
	items, _ := list.([]any)
	for _, item := range items {
		switch v := item.(type) {
		case string:
			all = append(all, v)
		case map[string]any:
			for _, text := range v {
				all = append(all, text.(string))
			}
		}
	}
	return all
}

// Traefik drops what a frontend says of itself before it asks, believes nobody in front, and takes a field out of the request
// for each that the gateway may answer with.
func TestTraefik(t *testing.T) {
	tree := load(t, "traefik/dynamic.yaml")
	if got := texts(at(tree, "http", "routers", "api", "middlewares")); !slices.Equal(got, []string{"unspoofed", "credential", "asked", "spent"}) {
		t.Errorf("the order is %v", got)
	}
	middle := func(steps ...any) any { return at(tree, append([]any{"http", "middlewares"}, steps...)...) }
	asked := middle("asked", "forwardAuth")
	if at(asked, "trustForwardHeader") != false || at(asked, "forwardBody") != false || !strings.HasSuffix(at(asked, "address").(string), "/traefik") {
		t.Errorf("asked by %v", asked)
	}
	if got := texts(at(asked, "authResponseHeaders")); !slices.Equal(got, []string{"Authorization", "Cookie", "X-Forwarded-User"}) {
		t.Errorf("the answer's fields: %v", got)
	}
	for _, name := range []string{"Cloakroom-Credential", "X-Forwarded-User", "X-Original-URL"} {
		if got, there := middle("unspoofed", "headers", "customRequestHeaders").(map[string]any)[name]; !there || got != "" {
			t.Errorf("a frontend's %s stays", name)
		}
	}
	for _, step := range []string{"unspoofed", "spent"} {
		if got, there := middle(step, "headers", "customRequestHeaders").(map[string]any)["Cloakroom-Credential"]; !there || got != "" {
			t.Errorf("%s leaves the credential", step)
		}
	}
	if middle("credential", "headers", "customRequestHeaders", "Cloakroom-Credential") == nil {
		t.Error("no credential is sent")
	}
}

// Envoy lets nothing pass without an answer, believes nobody in front, leaves paths as they came, sends what the guards look at
// and no frontend's own credential.
func TestEnvoy(t *testing.T) {
	tree := load(t, "envoy/envoy.yaml")
	http := at(tree, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config")
	auth := at(http, "http_filters", 0, "typed_config")
	if at(auth, "failure_mode_allow") != false || at(auth, "http_service", "path_prefix") != "/envoy" {
		t.Errorf("asked by %v", auth)
	}
	if at(http, "use_remote_address") != true || at(http, "normalize_path") != false || at(http, "merge_slashes") != false ||
		at(http, "path_with_escaped_slashes_action") != "REJECT_REQUEST" {
		t.Errorf("requests are read by %v", http)
	}
	sent := texts(at(auth, "allowed_headers", "patterns"))
	for _, name := range []string{"authorization", "cookie", "dpop", "origin", "referer", "accept", "x-csrf", "x-forwarded-for", "x-forwarded-proto", "sec-", "service-worker", "via"} {
		if !slices.Contains(sent, name) {
			t.Errorf("%s, which guards look at, is not sent", name)
		}
	}
	for _, name := range sent {
		if strings.HasPrefix(name, "cloakroom") || strings.HasPrefix(name, "x-original") {
			t.Errorf("a frontend's %s is sent", name)
		}
	}
	if got := at(auth, "http_service", "authorization_request", "headers_to_add", 0, "key"); got != "cloakroom-credential" {
		t.Errorf("the credential is sent as %v", got)
	}
	if got := texts(at(auth, "http_service", "authorization_response", "allowed_upstream_headers", "patterns")); !slices.Equal(got, []string{"authorization", "cookie", "x-forwarded-user"}) {
		t.Errorf("the answer's fields: %v", got)
	}
	client := texts(at(auth, "http_service", "authorization_response", "allowed_client_headers", "patterns"))
	if slices.Contains(client, "authorization") || !slices.Contains(client, "www-authenticate") || !slices.Contains(client, "location") {
		t.Errorf("a refusal's fields: %v", client)
	}
	routes := at(http, "route_config", "virtual_hosts", 0, "routes")
	if at(routes, 0, "match", "prefix") != "/api/" || at(routes, 0, "typed_per_filter_config") != nil {
		t.Errorf("the API's route: %v", at(routes, 0))
	}
}
