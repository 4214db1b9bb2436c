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
	for _, good := range []string{"/", "/orders", "/orders?x=1", "/orders?next=//evil.example", "/a%20b", "/caf%C3%A9", "/#/route", "/" + strings.Repeat("x", 1023)} {
		if got, err := bff.ReturnTarget(good); err != nil || got != good {
			t.Errorf("%q: %q, %v; want it unchanged", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "orders", "//evil.example", "///evil", `/\evil`, `\/evil`, "/\t/evil", "/%09/evil", "/%5cevil", "/%5Cevil",
		"/%255cevil", "/%2f/evil", "/%2fevil", "https://evil.example", "https:evil", "javascript:alert(1)",
		"https://app@evil", "/\r\nSet-Cookie: x=1", "/x\x00", "/x\x7f", "/x\u0085", "/%0d%0aSet-Cookie:x",
		"/orders?x=\n", "/x%", "/" + strings.Repeat("x", 1024), "/\xff", "/%00",
	} {
		if got, err := bff.ReturnTarget(bad); err == nil {
			t.Errorf("%q was accepted as %q", bad, got)
		}
	}
}

func FuzzReturnTarget(f *testing.F) {
	for _, s := range []string{"/orders?x=1", "//evil", `/\evil`, "/%09/evil", "/%255c", "https:evil"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://app.example.com/bff/landed")
	f.Fuzz(func(t *testing.T, s string) {
		target, err := bff.ReturnTarget(s)
		if err != nil {
			return
		}
		u, err := base.Parse(target)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
			t.Errorf("%q leads to %v (%v)", target, u, err)
		}
		if strings.ContainsAny(target, "\r\n\t\\ \"<>") && !strings.Contains(target, "?") {
			t.Errorf("%q holds what a header or attribute must not", target)
		}
	})
}
