package surface_test

import (
	"net/url"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/surface"
)

// shows CB-PARAM-1
func TestAnswersOfAProvider(t *testing.T) {
	for query, ok := range map[string]bool{
		"code=a&state=s&iss=i": true, "error=e&error_description=d&state=s": true, "": true, "session_state=x&session_state=y&code=a": true,
		"code=a&code=b": false, "state=a&state=a": false, "iss=a&iss=b": false, "error=a&error=b": false,
		"state=" + strings.Repeat("a", 129): false, "code=" + strings.Repeat("a", 4097): false,
		"iss=" + strings.Repeat("a", 1025): false, "error=" + strings.Repeat("a", 129): false, "code=%zz": false, "a;b": false,
	} {
		_, err := surface.ReadCallback(query)
		if (err == nil) != ok || err != nil && bff.CodeOf(err) != bff.CodeBadRequest {
			t.Errorf("%.40q: %v", query, err)
		}
		if err != nil && strings.Contains(err.Error(), "zz") {
			t.Errorf("%.40q: the error quotes the query: %v", query, err)
		}
	}
	cb, err := surface.ReadCallback("error_description=" + strings.Repeat("d", 1000) + "&code=c&state=s&iss=i&error=e")
	if err != nil || len(cb.Detail) != 512 || cb.Code.Reveal() != "c" || cb.State != "s" || cb.Issuer != "i" || cb.Error != "e" {
		t.Errorf("%+v %v", cb, err)
	}
}

// FuzzReadCallback looks for an answer that is read although a parameter stands twice or is too long.
func FuzzReadCallback(f *testing.F) {
	f.Add("code=a&state=b")
	f.Add("code=a&code=b")
	f.Add("%63ode=a&code=b")
	f.Fuzz(func(t *testing.T, query string) {
		cb, err := surface.ReadCallback(query)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("%q does not parse, and was read", query)
		}
		for _, name := range []string{"code", "state", "iss", "error"} {
			if len(values[name]) > 1 {
				t.Errorf("%q: %s stands twice", query, name)
			}
		}
		if len(cb.State) > 128 || len(cb.Code.Reveal()) > 4096 {
			t.Errorf("%.60q: too long", query)
		}
	})
}

// What the answer cannot be made of is refused before anybody is asked: some token endpoints stumble over it.
//
// shows CB-PARAM-1
func TestAnswersOfOtherCharacters(t *testing.T) {
	for _, name := range []string{"code", "state", "iss", "error"} {
		for what, value := range map[string]string{"NUL": "a\x00b", "a line end": "a\r\nb", "bad UTF-8": "a\xffb", "a letter beyond ASCII": "aéb", "DEL": "a\x7fb"} {
			_, err := surface.ReadCallback(name + "=" + url.QueryEscape(value))
			if bff.CodeOf(err) != bff.CodeBadRequest {
				t.Errorf("%s with %s: %v", name, what, err)
			} else if strings.Contains(err.Error(), value) {
				t.Errorf("%s with %s: the error quotes it: %v", name, what, err)
			}
		}
		if _, err := surface.ReadCallback(name + "=" + url.QueryEscape("a b~!\"'<>{}|%/+=&")); err != nil {
			t.Errorf("%s with all kinds of visible characters: %v", name, err)
		}
	}
	if _, err := surface.ReadCallback("code=a&error_description=" + url.QueryEscape("nicht möglich")); err != nil {
		t.Errorf("a description for people: %v", err)
	}
}
