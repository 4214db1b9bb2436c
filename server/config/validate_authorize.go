package config

import (
	"maps"
	"regexp"
	"slices"
)

// authorize checks the parameters that go with every authorization request. Names are RFC 6749's (appendix A, param-name), and
// what they are sent is bounded, for all of it becomes one address.
func (r *report) authorize(path string, params map[string]string) {
	names := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		here := join(path, name)
		setting, taken := ownParams()[name]
		switch {
		case taken && setting == "":
			r.add(here, "the gateway sends this one itself, for each sign-in anew; delete it")
		case taken:
			r.add(here, "is a setting of its own; write %s", setting)
		case !names.MatchString(name):
			r.add(here, "no name of a parameter; it has letters, digits, '.', '_' and '-', 64 at most")
		case len(params[name]) > 1024 || !printable(params[name]):
			r.add(here, "no value that goes into an address; write at most 1024 characters, none of them a control character")
		}
	}
}

// ownParams are the parameters of an authorization request that are not to be had by name, and the setting that says them; "" for
// those that tie an answer to its request, or bring in a whole other request (RFC 9101).
func ownParams() map[string]string {
	return map[string]string{
		"response_type": "", "response_mode": "", "state": "", "nonce": "", "code_challenge": "", "code_challenge_method": "",
		"dpop_jkt": "", "request": "", "request_uri": "", "registration": "", "claims": "", "max_age": "", "client_secret": "",
		"client_id": "apps.<name>.client_id", "redirect_uri": "apps.<name>.redirect_uris", "scope": "scopes", "prompt": "prompt",
		"resource": "routes[].resource",
	}
}

func printable(text string) bool {
	return !slices.ContainsFunc([]rune(text), func(c rune) bool { return c < ' ' || c == 0x7f })
}
