package bff

import (
	"encoding/json"
	"strings"
)

// MaxClaimDepth is how many names a path to a claim may have: three reach what providers nest (resource_access, a client,
// roles), and eight bound what a request costs.
const MaxClaimDepth = 8

// ClaimPath returns the names that lead to a claim inside objects ("realm_access.roles"), outermost first; nil of a name that
// is no path: without a dot, with nothing before, between or after its dots, or deeper than MaxClaimDepth.
func ClaimPath(name string) []string {
	path := strings.SplitN(name, ".", MaxClaimDepth+1)
	if len(path) == 1 || len(path) > MaxClaimDepth {
		return nil
	}
	for _, step := range path {
		if step == "" {
			return nil
		}
	}
	return path
}

// ClaimAt returns the claim of a name among members of a JSON object, as the provider wrote it, and whether it is there. The
// name is taken as it stands first, for claims are called "https://example.com/roles" too; a claim of that name is the one
// meant, whatever it holds. Only where there is none is it a path (ClaimPath), and each name on it that of a member of an
// object: past a text, a list or null leads none, and a member whose own name holds a dot is not found. So what is inside an
// object, which its user may write, never passes for a claim beside it.
func ClaimAt(claims map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	if value, ok := claims[name]; ok {
		return value, true
	}
	path := ClaimPath(name)
	if path == nil {
		return nil, false
	}
	value, ok := claims[path[0]]
	for _, step := range path[1:] {
		var inside map[string]json.RawMessage
		_ = json.Unmarshal(value, &inside) // what is no object has no members: closed
		value, ok = inside[step]
	}
	return value, ok
}
