package leak_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	mrand "math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"cloakroom/test/leak"
)

// jwt makes a token as a provider would: one header for all, a payload that shares its beginning, a signature.
func jwt(n int) string {
	part := base64.RawURLEncoding.EncodeToString
	var signature [256]byte
	_, _ = rand.Read(signature[:])
	payload := fmt.Sprintf(`{"iss":"https://op.example.test","aud":"https://api.example.test","jti":"%d","scope":"api:read"}`, n)
	return part([]byte(`{"alg":"RS256","typ":"JWT","kid":"key-one"}`)) + "." + part([]byte(payload)) + "." + part(signature[:])
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// noise is text that looks like what a run produces and holds no secret.
func noise(n int) []byte {
	source := mrand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = source.Read(b)
	return []byte(`{"level":"INFO","trace":"` + base64.StdEncoding.EncodeToString(b) + `"}`)
}

func plant(secret string) []byte {
	return bytes.Join([][]byte{noise(300), []byte(secret), noise(301)}, nil)
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

const awkward = "v1/a+b=<&'\"\\ü~long-secret/with+all=kinds"

func TestFindsEveryForm(t *testing.T) {
	token := jwt(1)
	b64 := func(e *base64.Encoding, prefix string) func(string) string {
		return func(s string) string { return e.EncodeToString([]byte(prefix + s + "tail")) }
	}
	for name, write := range map[string]func(string) string{
		"raw":                       func(s string) string { return s },
		"base64":                    b64(base64.StdEncoding, ""),
		"base64 after one byte":     b64(base64.StdEncoding, "x"),
		"base64 after two bytes":    b64(base64.StdEncoding, "xy"),
		"base64 as in Basic":        b64(base64.StdEncoding, "client:"),
		"base64url":                 b64(base64.RawURLEncoding, ""),
		"base64url after one byte":  b64(base64.RawURLEncoding, "x"),
		"base64url after two bytes": b64(base64.RawURLEncoding, "xy"),
		"hex":                       func(s string) string { return hex.EncodeToString([]byte(s)) },
		"upper-case hex":            func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"a query":                   url.QueryEscape,
		"a path":                    url.PathEscape,
		"a query in lower case": func(s string) string {
			return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "%2F", "%2f"), "%2B", "%2b")
		},
		"JSON":                      quote,
		"JSON with escaped slashes": func(s string) string { return strings.ReplaceAll(quote(s), "/", `\/`) },
		"HTML":                      html.EscapeString,
		"a printed byte slice":      func(s string) string { return fmt.Sprintf("%v", []byte(s)) },
		"a gzip body":               func(s string) string { return string(zipped(plant(s))) },
		"its last sixteen bytes":    func(s string) string { return s[len(s)-16:] },
		"sixteen bytes of a middle": func(s string) string { return s[len(s)-23 : len(s)-7] },
	} {
		for kind, secret := range map[string]string{"token": token, "cookie": random(32), "client-secret": awkward, "short": "a-b_c-d_e-f_g"} {
			if kind == "short" && strings.Contains(name, "sixteen") {
				continue // thirteen bytes have no such pieces
			}
			s := leak.New()
			s.Secret("other", random(32))
			s.Secret(kind, secret)
			data := plant(write(secret))
			if name == "a gzip body" {
				data = []byte(write(secret))
			}
			s.Observe("GET /bff/session", "body", data)
			got := s.Report()
			if len(got) == 0 || got[0].Kind != kind || got[0].Place != "GET /bff/session" || got[0].Field != "body" {
				t.Errorf("a %s written as %s: found %v", kind, name, got)
			}
		}
	}
}

func TestEverySixteenBytesAreFound(t *testing.T) {
	secret := random(60)
	for i := 0; i+16 <= len(secret); i++ {
		s := leak.New()
		s.Secret("handle", secret)
		s.Observe("log", "line", plant(secret[i:i+16]))
		if len(s.Report()) != 1 {
			t.Errorf("the piece at %d was not found", i)
		}
		less := leak.New()
		less.Secret("handle", secret)
		less.Observe("log", "line", plant(" "+secret[i:i+15]+" "))
		if got := less.Report(); len(got) != 0 {
			t.Errorf("fifteen bytes at %d count: %v", i, got)
		}
	}
}

func TestSecretsThatShareText(t *testing.T) {
	shared, last := random(40), random(40)
	s := leak.New()
	s.Secret("first", shared+"-"+random(40))
	s.Secret("second", shared+"-"+last)
	text := shared + "-" + last
	for at := len(shared) - 14; at <= len(shared); at++ { // pieces across the seam: the second's alone
		s.Observe("log", fmt.Sprint("piece ", at), plant(text[at:at+16]))
	}
	s.Observe("log", "whole", plant(text))
	got := s.Report()
	if len(got) != 16 {
		t.Errorf("%d of 16 fields found: %v", len(got), got)
	}
	for _, f := range got {
		if f.Kind != "second" {
			t.Errorf("taken for another: %v", f)
		}
	}
}

func TestCleanNoise(t *testing.T) {
	s := leak.New()
	for n := range 50 {
		s.Secret("access_token", jwt(n))
	}
	s.Secret("pin", "1234") // too short to mean anything
	s.Public("https://op.example.test")
	s.Public(`{"iss":"https://op.example.test","aud":"https://api.example.test",`)
	other := strings.Split(jwt(999), ".")
	for _, clean := range []string{
		string(noise(10_000)), "pin 1234 1234 1234 1234", "issuer https://op.example.test",
		other[0], // the header that all tokens share
		base64.StdEncoding.EncodeToString([]byte(other[0])),
		base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://op.example.test","aud":"https://api.example.test","sub":"someone"}`)),
	} {
		s.Observe("GET /", "body", []byte(clean))
	}
	if got := s.Report(); len(got) != 0 {
		t.Errorf("clean text was reported: %v", got)
	}
}

func TestAllow(t *testing.T) {
	cookie, access, id := random(32), jwt(1), jwt(2)
	for _, row := range []struct {
		name, place, field, value string
		want                      int
	}{
		{"its kind, place and field", "GET /bff/callback?x=1", "header Set-Cookie", "web=" + cookie, 0},
		{"another place", "GET /bff/session", "header Set-Cookie", "web=" + cookie, 1},
		{"another field", "GET /bff/callback", "body", "web=" + cookie, 1},
		{"another kind", "GET /bff/callback", "header Set-Cookie", "web=" + access, 1},
		{"a token that shares pieces with one not allowed", "GET /logout", "header Location", id, 0},
		{"that other token", "GET /logout", "header Location", access, 1},
		{"both of them", "GET /logout", "header Location", id + " " + access, 1},
		{"every kind", "redis", "value", access, 0},
	} {
		s := leak.New()
		s.Secret("session-cookie", cookie)
		s.Secret("access_token", access)
		s.Secret("id_token", id)
		s.Allow(leak.Rule{Kinds: []string{"session-cookie"}, Place: "GET /bff/callback*", Field: "header Set-Cookie"})
		s.Allow(leak.Rule{Kinds: []string{"id_token"}, Place: "GET /logout", Field: "header Location"})
		s.Allow(leak.Rule{Kinds: []string{"*"}, Place: "redis", Field: "*"})
		s.Observe(row.place, row.field, []byte(row.value))
		if got := s.Report(); len(got) != row.want {
			t.Errorf("a field with %s: %d findings, want %d: %v", row.name, len(got), row.want, got)
		}
	}
}

func TestLearnedLaterAndCounted(t *testing.T) {
	s, secret := leak.New(), random(32)
	for range 3 {
		s.Observe("log", "line", []byte("same "+secret)) // the same line is one observation
	}
	s.Observe("log", "line", []byte("other "+secret+" "+secret))
	s.Secret("handle", secret)
	s.Secret("exchange-code", secret)
	got := s.Report()
	if len(got) != 1 || got[0].Count != 3 || got[0].Form != "raw" || got[0].Piece != secret[:40] {
		t.Fatalf("got %v", got)
	}
	if text := got[0].String(); !strings.Contains(text, "handle in line of log, raw, 3 times") {
		t.Errorf("the finding reads %q", text)
	}
	s.Allow(leak.Rule{Kinds: []string{"exchange-code"}, Place: "log", Field: "line"})
	if got := s.Report(); len(got) != 0 {
		t.Errorf("allowed by its second kind, yet %v", got)
	}
}

// BenchmarkReport is a whole run's size: 2,000 tokens and 50 MB. It takes seconds.
func BenchmarkReport(b *testing.B) {
	s := leak.New()
	for n := range 2000 {
		s.Secret("access_token", jwt(n)+random(300))
	}
	for n := range 500 {
		s.Observe(fmt.Sprint("GET /", n), "body", noise(75_000+n))
	}
	for b.Loop() {
		if got := s.Report(); len(got) != 0 {
			b.Fatal(got)
		}
	}
}
