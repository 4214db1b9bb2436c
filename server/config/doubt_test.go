package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/server/config"
)

// What two hosts have in common beyond their last two labels is a site whatever stands on the list of public suffixes.
func TestOriginsWhoseSiteHangsOnAList(t *testing.T) {
	for _, row := range []struct {
		origin  string
		allowed []string // an app with …
		doubt   []string
		domain  string
	}{
		{"https://app.example.com", []string{"https://www.example.com"}, []string{"https://www.example.com"}, "example.com"},
		{"https://app.example.com", []string{"https://app.example.com:8443", "https://x.app.example.com"}, nil, "example.com"},
		{"https://a.app.example.com", []string{"https://b.app.example.com", "https://b.www.example.com"}, []string{"https://b.www.example.com"}, "example.com"},
		{"https://app.example.com", []string{"https://example.com"}, nil, "example.com"}, // a public suffix has no page
		{"https://example.com", []string{"https://www.example.com"}, nil, "example.com"},
		{"https://alice.github.io", []string{"https://bob.github.io"}, []string{"https://bob.github.io"}, "github.io"},
		{"http://app.web.localhost", []string{"http://www.web.localhost"}, nil, "web.localhost"},
		{"https://127.0.0.1", []string{"https://127.0.0.1:8443"}, nil, "127.0.0.1"},
		{"https://app.example.com", []string{"https://%", "https://xexample.com"}, nil, "example.com"}, // told elsewhere
		{"https://%", []string{"https://www.example.com"}, nil, ""},
	} {
		doubt, domain := (&config.App{Origin: row.origin, AllowedOrigins: row.allowed}).DoubtfulOrigins()
		if diff := cmp.Diff(row.doubt, doubt); diff != "" || domain != row.domain {
			t.Errorf("%s with %q: of %q, %s", row.origin, row.allowed, domain, diff)
		}
	}
}
