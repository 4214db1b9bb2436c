package surface_test

import (
	"net/url"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/surface"
)

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
