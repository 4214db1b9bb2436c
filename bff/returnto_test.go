package bff_test

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"cloakroom/bff"
)

func sprint(format string, v any) string { return fmt.Sprintf(format, v) }

func hexOf(r bff.Root) string { return hex.EncodeToString(r.Bytes()) }

// shows RET-1
func TestReturnTarget(t *testing.T) {
	for _, good := range []string{"/", "/orders", "/orders?x=1", "/orders?next=//evil.example", "/a%20b", "/caf%C3%A9", "/#/route", `/files?at=C:\x&done=50%`, "/orders/", "/...", "/.well", "/a..b/", "/x?at=/../a//b", "/#/../a", "/" + strings.Repeat("x", 1023)} {
		if got, err := bff.ReturnTarget(good); err != nil || got != good {
			t.Errorf("%q: %q, %v; want it unchanged", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "orders", "//evil.example", "///evil", `/\evil`, `\/evil`, "/\t/evil", "/%09/evil", "/%5cevil", "/%5Cevil",
		"/%255cevil", "/%2f/evil", "/%2fevil", "https://evil.example", "https:evil", "javascript:alert(1)",
		"https://app@evil", "/\r\nSet-Cookie: x=1", "/x\x00", "/x\x7f", "/x\u0085", "/%0d%0aSet-Cookie:x",
		"/orders?x=\n", "/x%", "/" + strings.Repeat("x", 1024), "/\xff", "/%00",
		"/\u2028", "/\u2029", "/\ufeff", "/x?\u2029", "/%e2%80%a9", "/%ef%bb%bf", "/%25ef%25bb%25bf",
		"/..//evil.example", "/.//x", "/a/../..//x", "/.", "/..", "/a/.", "/a/..", "/./a", "/../a", "/a/../b", "/a//b", "/a//", "/a//?x",
		"/%2e%2e//evil.example", "/%2E./x", "/.%2e/x", "/a/%2e", "/%252e%252e/x", "/a/..#x", "/a%2f%2fb", "/a/%2f",
	} {
		if got, err := bff.ReturnTarget(bad); err == nil {
			t.Errorf("%q was accepted as %q", bad, got)
		}
	}
}

// shows RET-1 (other origins of the app)
func TestReturnTargetAtAnotherOrigin(t *testing.T) {
	const www, other = "https://www.example.com", "https://www.example.com:8443"
	for given, want := range map[string]string{
		"/orders": "/orders", www + "/": www + "/", www: www + "/", www + "/orders?x=1#part": www + "/orders?x=1#part", other + "/a": other + "/a",
		www + "/a b": www + "/a%20b", www + "/orders?next=//evil.example": www + "/orders?next=//evil.example",
		www + "/" + strings.Repeat("x", 1023-len(www)): www + "/" + strings.Repeat("x", 1023-len(www)),
	} {
		if got, err := bff.ReturnTarget(given, www, other); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", given, got, err, want)
		}
		if got, err := bff.ReturnTarget(given); given != "/orders" && err == nil {
			t.Errorf("%q was accepted as %q where no origin is listed", given, got)
		}
	}
	for _, bad := range []string{
		www + ".evil", www + ".evil/", www + "@evil/", www + ":443/", www + ":8444/", www + "?x", www + "#x", www + "evil/", www + `\evil/`,
		www + "%2fevil", www + "%40evil/", www + "\t/", "http://www.example.com/", "https://user@www.example.com/", "https://WWW.example.com/",
		"HTTPS://www.example.com/", "https:/www.example.com/", "https:www.example.com/", "//www.example.com/", `\\www.example.com/`, " " + www + "/",
		"https://example.com/", "https://evil.www.example.com/", "https://www.example.com./", "https://evil.example/" + www + "/", "https://evil.example?" + www,
		www + "//evil", www + `/\evil`, www + "/%2fevil", www + "/%252fevil", www + "/%5cevil", www + "/%255cevil", www + "/%2525252541",
		www + "/\r\nSet-Cookie: x=1", www + "/%0d%0a", www + "/x\x00", www + "/\xff", www + "/x%", www + "/" + strings.Repeat("x", 1024-len(www)),
		"/" + strings.Repeat("x", 1024),
	} {
		if got, err := bff.ReturnTarget(bad, www, other); err == nil || got != "" {
			t.Errorf("%q was accepted as %q", bad, got)
		}
	}
}

// shows RET-1
func TestPathAt(t *testing.T) {
	const own = "https://app.example.com"
	for address, want := range map[string]string{own: "/", own + "/": "/", own + "/orders?x=1#part": "/orders?x=1#part", own + "//evil": "//evil"} {
		if got, is := bff.PathAt(own, address); !is || got != want {
			t.Errorf("%q: %q, %v; want %q", address, got, is, want)
		}
	}
	for _, other := range []string{
		own + ".evil/", own + "@evil/", own + ":443/", own + "?x", own + `\evil`, own + own, "http://app.example.com/",
		"https://APP.example.com/", "//app.example.com/x", "https:/app.example.com/x", "/x", "",
	} {
		if got, is := bff.PathAt(own, other); is || got != "" {
			t.Errorf("%q is taken for %q of %s", other, got, own)
		}
	}
	if got, is := bff.PathAt("", "/x"); is {
		t.Errorf("an app without an origin has %q", got)
	}
}

func FuzzReturnTarget(f *testing.F) {
	for _, s := range []string{"/orders?x=1", "//evil", `/\evil`, "/%09/evil", "/%255c", "https:evil", "/..//evil", "/%2e%2e//evil", "/a/.%2e/b"} {
		f.Add(s)
	}
	for _, s := range []string{"https://www.example.com/x", "https://www.example.com.evil", "https://www.example.com//evil"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://app.example.com/bff/landed")
	f.Fuzz(func(t *testing.T, s string) {
		if target, err := bff.ReturnTarget(s, "https://www.example.com"); err == nil {
			if u, err := base.Parse(target); err != nil || u.Scheme != "https" || u.Host != base.Host && u.Host != "www.example.com" || u.User != nil {
				t.Errorf("%q leads to %v (%v)", s, u, err)
			}
		}
		target, err := bff.ReturnTarget(s)
		if err != nil {
			return
		}
		u, err := base.Parse(target)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
			t.Errorf("%q leads to %v (%v)", target, u, err)
		}
		// The path that a browser makes of it begins with one slash and has no dot segment: it makes nothing of it at all.
		if path := browsersPath(target); !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || path != rawPath(target) {
			t.Errorf("%q becomes %q in a browser", target, path)
		}
		if strings.ContainsAny(target, "\r\n\t\\ \"<>") && !strings.Contains(target, "?") {
			t.Errorf("%q holds what a header or attribute must not", target)
		}
	})
}

func rawPath(target string) string {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		return target[:i]
	}
	return target
}

// browsersPath folds a path as the URL Standard does in its path state: a backslash is a slash, %2e is a dot.
func browsersPath(target string) string {
	var out []string
	segments := strings.Split(strings.ReplaceAll(rawPath(target), `\`, "/"), "/")[1:]
	for i, s := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(s), "%2e", ".") {
		case "..":
			out = out[:max(0, len(out)-1)]
		case ".":
		default:
			out, last = append(out, s), false
		}
		if last { // a dot segment at the end leaves its slash
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/")
}
