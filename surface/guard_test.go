package surface_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"cloakroom/bff"
	"cloakroom/surface"
)

// with makes a request with these header fields, in pairs; a name may stand twice.
func with(fields ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// shows NAT-8.12 (nothing a page embeds; nothing that a browser does on its own)
func TestWhatOpensAPage(t *testing.T) {
	refuse := func(ctx context.Context, rule string) error {
		return surface.GuardRefused(ctx, &bff.Trace{}, "", rule) // nobody listens
	}
	nav := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	for _, row := range []struct {
		with   string
		fields []string
		code   bff.Code // "" = it passes
	}{
		{"a navigation", nav, ""},
		{"an old browser's navigation", nil, ""},
		{"a mode alone", nav[:2], ""},
		{"a destination alone", nav[2:], ""},
		{"another purpose", append(nav, "Sec-Purpose", "x", "Purpose", "y"), ""},
		{"a frame", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, bff.CodeCSRFFailed},
		{"an embedded object", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "object"}, bff.CodeCSRFFailed},
		{"a frame without a mode", []string{"Sec-Fetch-Dest", "frame"}, bff.CodeCSRFFailed},
		{"a fetch of a document", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "document"}, bff.CodeCSRFFailed},
		{"a fetch without a destination", []string{"Sec-Fetch-Mode", "no-cors"}, bff.CodeCSRFFailed},
		{"a mode that stands twice", append(nav, "Sec-Fetch-Mode", "navigate"), bff.CodeCSRFFailed},
		{"a destination that stands twice", append(nav, "Sec-Fetch-Dest", "document"), bff.CodeCSRFFailed},
		{"a prefetch", append(nav, "Sec-Purpose", "prefetch"), bff.CodeForbidden},
		{"a page made ahead", append(nav, "Sec-Purpose", "prefetch;prerender"), bff.CodeForbidden},
		{"an older prefetch", append(nav, "Purpose", "prefetch"), bff.CodeForbidden},
		{"a prefetch of old Firefox", append(nav, "X-Moz", "prefetch"), bff.CodeForbidden},
		{"a preview of Safari", append(nav, "X-Purpose", "preview"), bff.CodeForbidden},
		{"a prefetch in the second field", append(nav, "Sec-Purpose", "x", "Sec-Purpose", "prefetch"), bff.CodeForbidden},
		{"a prefetch of a frame", []string{"Sec-Fetch-Dest", "iframe", "Sec-Purpose", "prefetch"}, bff.CodeForbidden},
	} {
		called := false
		err := surface.TopLevel(refuse, func(http.ResponseWriter, *http.Request) error { called = true; return nil })(httptest.NewRecorder(), with(row.fields...))
		if called != (row.code == "") || bff.CodeOf(err) != row.code {
			t.Errorf("%s: called %v, %v", row.with, called, err)
		}
	}
}

// shows NAT-8.6 (the click is protected): where a form comes from.
func TestWhereAFormComesFrom(t *testing.T) {
	const origin = "https://gw.example"
	for _, row := range []struct {
		with   string
		fields []string
		ours   bool
	}{
		{"metadata and origin", []string{"Sec-Fetch-Site", "same-origin", "Origin", origin}, true},
		{"metadata alone", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"its origin alone", []string{"Origin", origin}, true},
		{"nothing", nil, false},
		{"an empty origin", []string{"Origin", ""}, false},
		{"a hidden origin", []string{"Origin", "null"}, false},
		{"another origin", []string{"Origin", "https://evil.example"}, false},
		{"an origin that begins alike", []string{"Origin", origin + ".evil.example"}, false},
		{"another port", []string{"Origin", origin + ":444"}, false},
		{"its origin twice", []string{"Origin", origin, "Origin", origin}, false},
		{"its origin and another", []string{"Origin", origin, "Origin", "https://evil.example"}, false},
		{"a sibling's metadata and its origin", []string{"Sec-Fetch-Site", "same-site", "Origin", origin}, false},
		{"foreign metadata and its origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", origin}, false},
		{"metadata of no page and its origin", []string{"Sec-Fetch-Site", "none", "Origin", origin}, false},
		{"metadata twice", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "same-origin", "Origin", origin}, false},
		{"metadata and foreign metadata", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, false},
	} {
		if surface.FromOrigin(with(row.fields...), origin) != row.ours {
			t.Errorf("a form with %s: ours %v", row.with, !row.ours)
		}
	}
	if surface.IsServiceWorker(with()) || !surface.IsServiceWorker(with("Service-Worker", "")) {
		t.Error("a service worker's script is told by the field, whatever it says")
	}
}
