package surface_test

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/surface"
)

// No parameter twice, nothing that does not parse, and nothing of either in the error but the start of a name.
func TestReadingOnce(t *testing.T) {
	long := strings.Repeat("n", 200)
	for raw, want := range map[string]string{
		"": "", "a=1&b=2": "", "a=": "", "a": "",
		"a=1&a=1": "twice", "a=1&%61=2": "twice", "a&a": "twice", long + "=secret&" + long + "=secret": "twice",
		"a=1;b=2": "parse", "a=%zz": "parse", "secret=1&%zz": "parse", "a=1&secret;x=1": "parse",
	} {
		values, err := surface.ReadOnce(raw)
		if (err == nil) != (want == "") || err != nil && values != nil {
			t.Errorf("%.40q: %v %v", raw, values, err)
			continue
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "zz") || len(err.Error()) > 80) {
			t.Errorf("%.40q: the error quotes it: %v", raw, err)
		}
	}
}

// What may be asked of a login, at its bounds: what is not listed is dropped, what is not allowed is refused.
func TestBoundsOfLoginParameters(t *testing.T) {
	all := surface.LoginPolicy{
		Prompts: []string{"none", "login"}, ACRValues: []string{"gold"}, MaxAge: true, LoginHint: true, UILocales: true,
		Extra: map[string]surface.Param{
			"org": {Name: "organization", Values: []string{"acme"}}, "nothing": {}, "pattern": {Pattern: regexp.MustCompile(`^[a-z]+$`)},
		},
	}
	for _, row := range []struct {
		name, value string
		ok          bool
	}{
		{"login_hint", strings.Repeat("h", 256), true},
		{"login_hint", strings.Repeat("h", 257), false},
		{"login_hint", "änn@example.com", true},
		{"login_hint", "a\x00b", false},
		{"login_hint", "a\r\nb", false},
		{"login_hint", "a\x1fb", false},
		{"login_hint", "a\x7fb", false},
		{"login_hint", "a\xffb", false},
		{"max_age", "0", true},
		{"max_age", "999999999", true},
		{"max_age", "1000000000", false},
		{"max_age", "-1", false},
		{"max_age", "+1", false},
		{"max_age", "1e3", false},
		{"max_age", "1 ", false},
		{"ui_locales", "de-AT en", true},
		{"ui_locales", "de,en", false},
		{"ui_locales", "de  en", false},
		{"ui_locales", "<b>", false},
		{"ui_locales", strings.Repeat("a", 36), false},
		{"ui_locales", "a b c d e f g h i j", true},
		{"ui_locales", "a b c d e f g h i j k", false},
		{"prompt", "none", true},
		{"prompt", "none login", false},
		{"prompt", "consent", false},
		{"prompt", "login consent", false},
		{"acr_values", "gold", true},
		{"acr_values", "silver", false},
		{"acr_values", "gold silver", false},
		{"org", "acme", true},
		{"org", "evil", false},
		{"nothing", "x", false},
		{"pattern", "abc", true},
		{"pattern", "ABC", false},
	} {
		var req bff.LoginRequest
		shown, err := all.Read(url.Values{row.name: {row.value}}, &req)
		if (err == nil) != row.ok || err != nil && bff.CodeOf(err) != bff.CodeBadRequest || row.ok && shown.Get(row.name) != row.value {
			t.Errorf("%s=%.40q: %v %v", row.name, row.value, shown, err)
		}
		if e, _ := errors.AsType[*bff.Error](err); e != nil && strings.Contains(e.Message, row.value) {
			t.Errorf("%s=%.40q: the answer quotes it: %s", row.name, row.value, e.Message)
		}
		req = bff.LoginRequest{}
		if shown, err := (surface.LoginPolicy{}).Read(url.Values{row.name: {row.value}}, &req); row.name != "prompt" && row.name != "acr_values" &&
			(err != nil || len(shown)+len(req.Extra) != 0 || req.MaxAge != nil) {
			t.Errorf("%s=%.40q without a policy: %v %v %v", row.name, row.value, shown, req, err)
		}
	}
}
