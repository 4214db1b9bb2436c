package docs_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"cloakroom/docs"
)

// The description is JSON, names this gateway and no other, and keeps the order in which it was written.
func TestTheDescriptionIsOfThisGateway(t *testing.T) {
	text, err := docs.OpenAPI("https://gw.example.org:8443")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		OpenAPI string
		Servers []struct {
			Variables map[string]struct{ Default string }
		}
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Servers) != 1 || d.Servers[0].Variables["gateway"].Default != "https://gw.example.org:8443" {
		t.Errorf("servers %+v", d.Servers)
	}
	if strings.Contains(string(text), "gateway.example.com") {
		t.Error("the description names a gateway that does not exist")
	}
	if session := d.Paths["/mobile/session"]; !bytes.Contains(session["servers"], []byte("gw.example.org:8443")) {
		t.Errorf("an alias did not become what it stands for: %s", session["servers"])
	}
	if !strings.HasPrefix(string(text), `{"openapi":"3.1.`) || bytes.Index(text, []byte(`"/bff/login"`)) > bytes.Index(text, []byte(`"/mobile/token"`)) {
		t.Errorf("another order: %.60s", text)
	}
}
