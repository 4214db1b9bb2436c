package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// signedBy is a fingerprint as keytool prints it.
var signedBy = strings.Repeat("AB:", 31) + "0F"

// links are redirect URIs of the app of base, and what phones know it by.
func links(redirects, more string) string {
	return "[" + redirects + "]\n    app_links: " + more
}

// What a system would drop without a word stops the start.
//
// shows NAT-7.2
func TestBadAppLinks(t *testing.T) {
	const (
		was     = "[\"com.example.app:/signed-in\"]"
		claimed = "https://gw.example.com/open/phone"
		here    = "cloakroom.yaml:24: apps.phone.app_links"
		noID    = "no app id; write ten capitals or digits, a dot and the bundle id, as ABCDE12345.com.example.app"
		noName  = "no package name; write the applicationId, as com.example.app"
		noPrint = "no SHA-256 fingerprint; write 32 pairs of hexadecimal digits in capitals with colons between them, as keytool prints it"
		noPath  = "none of redirect_uris is an https address on public.url with a path outside /mobile/, /bff/, /.well-known/, /healthz and /openapi.json; write one, as https://gw.example.com/open/app"
	)
	apple := func(id string) string { return "{apple: [" + id + "]}" }
	android := func(name, by string) string { return "{android: [{package: " + name + ", sha256: [\"" + by + "\"]}]}" }
	tests := []bad{
		{"links that name no app", was, links(claimed, "{}"), []string{here + ": names no app; write its ids under apple or android, or delete it"}},
		{"links of a browser app", "kind: spa", "kind: spa\n    app_links: " + apple("ABCDE12345.com.example.app"), []string{
			"cloakroom.yaml:14: apps.web.app_links: belongs to mobile and desktop apps; delete it",
		}},
		{"the same id twice", was, links(claimed, apple("ABCDE12345.com.example.app, ABCDE12345.com.example.app")), []string{here + ".apple[1]: listed twice; delete one of them"}},
		{"the same package twice", was, links(claimed, "{android: [{package: com.example.app, sha256: [\""+signedBy+"\"]}, {package: com.example.app, sha256: [\""+signedBy+"\"]}]}"), []string{
			here + ".android[1].package: listed twice; write all its fingerprints in one sha256",
		}},
		{"a package that nobody signed", was, links(claimed, "{android: [{package: com.example.app}]}"), []string{
			here + ".android[0].sha256: missing; without a fingerprint anybody's app of this name would do",
		}},
	}
	for _, id := range []string{"com.example.app", "ABCDE1234.com.example.app", "abcde12345.com.example.app", "ABCDE12345.", "ABCDE12345.com..app", "ABCDE12345.*", "ABCDE12345.com.example_app"} {
		tests = append(tests, bad{"an id like " + id, was, links(claimed, apple("\""+id+"\"")), []string{here + ".apple[0]: " + noID}})
	}
	for _, name := range []string{"example", "com.example.", ".com.example", "com.1example", "com.example-app", "\"com.example.*\""} {
		tests = append(tests, bad{"a package like " + name, was, links(claimed, android(name, signedBy)), []string{here + ".android[0].package: " + noName}})
	}
	for what, wrong := range map[string]string{
		"of SHA-1": strings.Repeat("AB:", 19) + "0F", "in small letters": strings.ToLower(signedBy), "without colons": strings.ReplaceAll(signedBy, ":", ""),
		"too long": signedBy + ":00", "of other letters": "G" + signedBy[1:], "after a word": "SHA256: " + signedBy,
	} {
		tests = append(tests, bad{"a fingerprint " + what, was, links(claimed, android("com.example.app", wrong)), []string{here + ".android[0].sha256[0]: " + noPrint}})
	}
	for what, uri := range map[string]string{
		"none here": "com.example.app:/signed-in", "another host": "https://links.example.com/open", "a host that begins like it": "https://gw.example.com.evil.example/open",
		"another port": "https://gw.example.com:444/open", "no path": "https://gw.example.com", "the whole host": "https://gw.example.com/", "its own paths": "https://gw.example.com/mobile/open",
		"what describes it": "https://gw.example.com/openapi.json",
		"a pattern":         "https://gw.example.com/$(lang)/open", "an encoding": "https://gw.example.com/%6Dobile/authorize",
	} {
		tests = append(tests, bad{"redirects with " + what, was, links("\""+uri+"\"", apple("ABCDE12345.com.example.app")), []string{here + ": " + noPath}})
	}
	runBad(t, tests)
}

// Only the paths of the app's own addresses are named to a system, each as it stands there.
//
// shows NAT-7.2
func TestThePathsOfAppLinks(t *testing.T) {
	text := edit(t, base, "[\"com.example.app:/signed-in\"]", links(
		`"com.example.app:/x", "https://gw.example.com/open/phone", "https://gw.example.com/Open?x=1", "https://gw.example.com/Open", "https://other.example/y", "https://gw.example.com/bff/z", "https://gw.example.com/healthz",
			"https://gw.example.com", "https://gw.example.com/", "https://gw.example.com/mobile", "https://gw.example.com/mobile/x", "https://gw.example.com/.well-known/x", "https://gw.example.com/openapi.json",
			"https://gw.example.com/{x}", "https://gw.example.com/:x", "https://gw.example.com/%2Fx", "https://gw.example.com:444/x"`,
		`{apple: [ABCDE12345.com.example.app, 0123456789.a], android: [{package: com.example.app, sha256: ["`+signedBy+`"]}, {package: com.Example_2.b, sha256: ["`+signedBy+`"]}]}`))
	c := good(t, folder(t, nil), text)
	if diff := cmp.Diff([]string{"/open/phone", "/Open"}, c.LinkPaths("phone")); diff != "" {
		t.Error(diff)
	}
	if got := c.LinkPaths("web"); len(got) > 0 {
		t.Errorf("a browser app claims %q", got)
	}
}
