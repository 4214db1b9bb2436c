package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Parameters that tie an answer to its request, or bring in a whole other one, are nobody's to write (RFC 6749 section 4.1.1,
// RFC 9101); what is a setting already has one place.
//
// shows PARAM-1 (configured)
func TestBadParametersOfEverySignIn(t *testing.T) {
	const own = ": the gateway sends this one itself, for each sign-in anew; delete it"
	var each []bad
	for _, name := range []string{
		"response_type", "response_mode", "state", "nonce", "code_challenge", "code_challenge_method", "dpop_jkt", "request",
		"request_uri", "registration", "claims", "max_age", "client_secret",
	} {
		each = append(each, bad{name, "preset: scalekit", "preset: scalekit\n    authorize: {" + name + ": x}", []string{
			"cloakroom.yaml:10: providers.main.authorize." + name + own,
		}})
	}
	runBad(t, append(each, []bad{
		{"what is a setting", "preset: scalekit", "preset: scalekit\n    authorize: {scope: x, prompt: login, resource: x, client_id: x}", []string{
			"cloakroom.yaml:10: providers.main.authorize.client_id: is a setting of its own; write apps.<name>.client_id",
			"cloakroom.yaml:10: providers.main.authorize.prompt: is a setting of its own; write prompt",
			"cloakroom.yaml:10: providers.main.authorize.resource: is a setting of its own; write routes[].resource",
			"cloakroom.yaml:10: providers.main.authorize.scope: is a setting of its own; write scopes",
		}},
		{"a name that ends the parameter", "preset: scalekit", "preset: scalekit\n    authorize: {\"a&state\": x}", []string{
			"cloakroom.yaml:10: providers.main.authorize.a&state: no name of a parameter; it has letters, digits, '.', '_' and '-', 64 at most",
		}},
		{"a value of two lines", "preset: scalekit", "preset: scalekit\n    authorize: {audience: \"a\\nb\"}", []string{
			"cloakroom.yaml:10: providers.main.authorize.audience: no value that goes into an address; write at most 1024 characters, none of them a control character",
		}},
		{"an app's own", "    client_id: webc_1\n", "    authorize: {nonce: x}\n    client_id: webc_1\n", []string{
			"cloakroom.yaml:16: apps.web.authorize.nonce" + own,
		}},
	}...))
}

// An app has the provider's parameters beside its own, and its own word where both name one.
func TestParametersOfEverySignInAreInherited(t *testing.T) {
	text := edit(t, base, "preset: scalekit\n", "preset: scalekit\n    authorize: {audience: api, hd: example.com, display: page}\n")
	provider := map[string]string{"audience": "api", "hd": "example.com", "display": "page"}
	if diff := cmp.Diff(provider, good(t, folder(t, nil), text).Apps["web"].Authorize); diff != "" {
		t.Errorf("an app that names none (-want +got):\n%s", diff)
	}
	c := good(t, folder(t, nil), edit(t, text, "    client_id: webc_1\n", "    authorize: {audience: shop, hd: \"\", ui: dark}\n    client_id: webc_1\n"))
	if diff := cmp.Diff(map[string]string{"audience": "shop", "hd": "", "ui": "dark", "display": "page"}, c.Apps["web"].Authorize); diff != "" {
		t.Errorf("an app that names some (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(provider, c.Providers["main"].Authorize); diff != "" {
		t.Errorf("the provider's (-want +got):\n%s", diff)
	}
}
