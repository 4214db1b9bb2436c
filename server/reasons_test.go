package server_test

import (
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/surface"
)

// Every reason that a session can end for has words for the person whose session it was, none the same as another's.
func TestEveryReasonHasWords(t *testing.T) {
	said := make(map[string]string)
	for _, reason := range constants(t, "Reason", "../bff") {
		words := surface.Because(bff.Reason(reason))
		if words == "" || !strings.HasSuffix(words, ".") {
			t.Errorf("%s is told as %q", reason, words)
		}
		if other := said[words]; other != "" {
			t.Errorf("%s and %s are told alike", reason, other)
		}
		said[words] = reason
	}
}
