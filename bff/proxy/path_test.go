package proxy_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

func TestCleanPath(t *testing.T) {
	// shows PRX-PATH
	for _, c := range []struct{ with, path, want string }{
		{"nothing special", "/api/orders/7", "/api/orders/7"},
		{"no path at all", "", "/"},
		{"the root", "/", "/"},
		{"a slash at its end", "/api/", "/api/"},
		{"an escaped space", "/api/a%20b", "/api/a%20b"},
		{"escaped UTF-8", "/api/%C3%A9", "/api/%C3%A9"},
		{"needless escapes", "/api/%61", "/api/%61"},
		{"an escaped percent sign", "/api/100%25", "/api/100%25"},
		{"a percent sign and no escape behind it", "/api/100%25zz", "/api/100%25zz"},
		{"sub-delimiters", "/api/a;b=1,2/@x:y", "/api/a;b=1,2/@x:y"},
		{"three dots", "/api/...", "/api/..."},
		{"a dot in a name", "/api/.well-known/x", "/api/.well-known/x"},
		{"an e-mail address", "/api/@evil.com", "/api/@evil.com"},
	} {
		t.Run("a path with "+c.with, func(t *testing.T) {
			got, err := proxy.CleanPath(c.path)
			if err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

var evilPaths = []struct{ with, path string }{
	{"a dot segment", "/api/../admin"},
	{"a dot segment at its end", "/api/.."},
	{"a single dot", "/api/./x"},
	{"an escaped dot segment", "/api/%2e%2e/admin"},
	{"a half-escaped dot segment", "/api/.%2E/admin"},
	{"an escaped slash behind dots", "/api/..%2fadmin"},
	{"an escaped slash", "/api/a%2Fb"},
	{"a doubly escaped dot segment", "/api/%252e%252e/admin"},
	{"a doubly escaped slash", "/api/a%252Fb"},
	{"dots and a parameter", "/api/..;/admin"},
	{"dots and a parameter with a value", "/api/..;x=1/admin"},
	{"dots and an escaped parameter", "/api/..%3Bx/admin"},
	{"a dot and a parameter", "/api/.;/admin"},
	{"a backslash", `/api\admin`},
	{"an escaped backslash", "/api/..%5cadmin"},
	{"an escaped NUL", "/api/a%00b"},
	{"an escaped line break", "/api/a%0d%0ab"},
	{"an escaped DEL", "/api/a%7fb"},
	{"a C1 control", "/api/a%C2%85b"},
	{"an empty segment", "/api//admin"},
	{"an empty segment in front", "//evil/api/x"},
	{"another address in it", "/api/http://evil/"},
	{"bad UTF-8", "/api/%ff"},
	{"an overlong form of a dot", "/api/%c0%ae%c0%ae/x"},
	{"an unfinished escape", "/api/%2"},
	{"an escape that is none", "/api/%zz"},
	{"a raw space", "/api/a b"},
	{"raw UTF-8", "/api/é"},
	{"a raw control", "/api/a\x01"},
	{"an overlong segment", "/api/" + strings.Repeat("a", 2049)},
	{"too much of it", strings.Repeat("/a", 5000)},
	{"no slash in front", "api/x"},
	{"an asterisk", "*"},
}

func TestCleanPathRefuses(t *testing.T) {
	// shows PRX-PATH, PRX-ALLOW
	for _, c := range evilPaths {
		t.Run("a path with "+c.with, func(t *testing.T) {
			got, err := proxy.CleanPath(c.path)
			if bff.CodeOf(err) != bff.CodeBadRequest || got != "" {
				t.Errorf("got %q, %v, want %s", got, err, bff.CodeBadRequest)
			}
		})
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, c := range evilPaths {
		f.Add(c.path)
	}
	for _, p := range []string{"/", "/api/%C3%A9", "/a;b/c%25", "/%2525"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		clean, err := proxy.CleanPath(p)
		if err != nil {
			return
		}
		if p != "" && clean != p {
			t.Fatalf("%q became %q", p, clean)
		}
		plain, err := url.PathUnescape(clean)
		if err != nil || !utf8.ValidString(plain) || plain[0] != '/' {
			t.Fatalf("%q decodes to %q, %v", clean, plain, err)
		}
		if strings.Count(plain, "/") != strings.Count(clean, "/") || strings.ContainsAny(plain, "\\\x00\r\n\x7f") || strings.Contains(plain, "//") {
			t.Fatalf("%q decodes to %q", clean, plain)
		}
		twice, err := url.PathUnescape(plain)
		if err == nil && twice != plain {
			t.Fatalf("%q decodes twice, to %q", clean, twice)
		}
		for s := range strings.SplitSeq(plain, "/") {
			if name, _, _ := strings.Cut(s, ";"); name == "." || name == ".." {
				t.Fatalf("%q holds the segment %q", clean, s)
			}
		}
		// What net/http's client makes of it is what was checked.
		if u := (&url.URL{Path: plain, RawPath: clean}); u.EscapedPath() != clean {
			t.Fatalf("%q goes out as %q", clean, u.EscapedPath())
		}
	})
}
