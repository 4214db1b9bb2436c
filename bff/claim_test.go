package bff_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cloakroom/bff"
)

// shows PRX-AUTHZ: whoever may write inside an object reaches no claim but those inside that object.
func TestClaimsByNameAndByPath(t *testing.T) {
	nested := func(names int) string { return strings.Repeat(`{"d":`, names) + "1" + strings.Repeat("}", names) }
	deep := func(names int) string { return strings.TrimSuffix(strings.Repeat("d.", names), ".") }
	for _, row := range []struct{ with, claims, name, want string }{
		{"a name", `{"a":"x"}`, "a", `"x"`},
		{"a name that nothing has", `{"a":"x"}`, "b", ""},
		{"a name of dots and slashes", `{"https://example.com/roles":["r"],"https://example":{"com/roles":["root"]}}`, "https://example.com/roles", `["r"]`},
		{"a path", `{"realm_access":{"roles":["r"]}}`, "realm_access.roles", `["r"]`},
		{"a path of three", `{"resource_access":{"web":{"roles":["r"]}}}`, "resource_access.web.roles", `["r"]`},
		{"a path to an object", `{"a":{"b":{"c":1}}}`, "a.b", `{"c":1}`},
		{"a path to null", `{"a":{"b":null}}`, "a.b", `null`},
		{"a path of another case", `{"A":{"b":"root"},"a":{"B":"root"}}`, "a.b", ""},
		{"a path past a text", `{"a":"{\"b\":\"root\"}"}`, "a.b", ""},
		{"a path past a list", `{"a":[{"b":"root"}]}`, "a.b", ""},
		{"a path by a list's places", `{"a":["root"]}`, "a.0", ""},
		{"a path past null", `{"a":null}`, "a.b", ""},
		{"a path past what is missing", `{"b":"root"}`, "a.b", ""},
		{"a claim called as the path, beside it", `{"a.b":"x","a":{"b":"root"}}`, "a.b", `"x"`},
		{"a claim called as the path, that says nothing", `{"a.b":null,"a":{"b":"root"}}`, "a.b", `null`},
		{"a claim called as the path, that is an object", `{"a.b":{},"a":{"b":"root"}}`, "a.b", `{}`},
		{"a member called as the path's rest", `{"a":{"b.c":"root"}}`, "a.b.c", ""},
		{"a member called as the whole path", `{"a":{"a.b":"root"},"profile":{"a.b":"root","a":{"b":"root"}}}`, "a.b", ""},
		{"a claim called as the path's beginning", `{"a.b":{"c":"root"}}`, "a.b.c", ""},
		{"a dot before", `{"":{"b":"root"}}`, ".b", ""},
		{"a dot after", `{"a":{"":"root"}}`, "a.", ""},
		{"two dots", `{"a":{"":{"b":"root"}}}`, "a..b", ""},
		{"a dot alone", `{"":{"":"root"}}`, ".", ""},
		{"a path as deep as there is", nested(bff.MaxClaimDepth), deep(bff.MaxClaimDepth), "1"},
		{"a path too deep", nested(bff.MaxClaimDepth + 1), deep(bff.MaxClaimDepth + 1), ""},
		{"a deeper name that stands", `{"` + deep(bff.MaxClaimDepth+1) + `":"x"}`, deep(bff.MaxClaimDepth + 1), `"x"`},
	} {
		var claims map[string]json.RawMessage
		if err := json.Unmarshal([]byte(row.claims), &claims); err != nil {
			t.Fatalf("%s: %v", row.with, err)
		}
		value, ok := bff.ClaimAt(claims, row.name)
		if string(value) != row.want || ok != (row.want != "") {
			t.Errorf("claims with %s: %s is %s, %t; want %q", row.with, row.name, value, ok, row.want)
		}
	}
	if value, ok := bff.ClaimAt(nil, "a.b"); ok {
		t.Errorf("no claims hold %s", value)
	}
}
