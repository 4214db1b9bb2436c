package proxy_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff/proxy"
)

// shows STEP-3
func TestChallengesOfAnAPIAreRead(t *testing.T) {
	type params = map[string]string
	one := func(scheme string, p params) []proxy.Challenge { return []proxy.Challenge{{Scheme: scheme, Params: p}} }
	for _, row := range []struct {
		with  string
		lines []string
		want  []proxy.Challenge
	}{
		{"no line", nil, nil},
		{"an empty line", []string{""}, nil},
		{"commas alone", []string{" , ,\t,"}, nil},
		{"a bare scheme", []string{"Bearer"}, one("bearer", nil)},
		{"a scheme in capitals", []string{`BEARER Error=invalid_token`}, one("bearer", params{"error": "invalid_token"})},
		{"a token value", []string{`Bearer error=invalid_token`}, one("bearer", params{"error": "invalid_token"})},
		{"a quoted value", []string{`Bearer error="invalid_token"`}, one("bearer", params{"error": "invalid_token"})},
		{"the words of RFC 9470", []string{
			`Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="myACR"`,
		}, one("bearer", params{
			"error": "insufficient_user_authentication", "error_description": "A different authentication level is required", "acr_values": "myACR",
		})},
		{"max_age as a token", []string{`Bearer max_age=5`}, one("bearer", params{"max_age": "5"})},
		{"max_age quoted", []string{`Bearer max_age="5"`}, one("bearer", params{"max_age": "5"})},
		{"white space around the equals sign", []string{"Bearer a = b ,\tc\t=\t\"d\""}, one("bearer", params{"a": "b", "c": "d"})},
		{"a comma in a quoted string", []string{`Bearer a="x, DPoP b=c", d=e`}, one("bearer", params{"a": "x, DPoP b=c", "d": "e"})},
		{"a quote in a quoted string", []string{`Bearer a="x\", error=\"y", b=c`}, one("bearer", params{"a": `x", error="y`, "b": "c"})},
		{"an empty quoted string", []string{`Bearer a=""`}, one("bearer", params{"a": ""})},
		{"token68", []string{`Negotiate YII==`}, one("negotiate", nil)},
		{"token68 without padding, and another", []string{`NTLM abc, Bearer a=b`}, []proxy.Challenge{{Scheme: "ntlm"}, {Scheme: "bearer", Params: params{"a": "b"}}}},
		{"two challenges on a line", []string{`Basic realm="x", DPoP error=e, algs="ES256 RS256"`}, []proxy.Challenge{
			{Scheme: "basic", Params: params{"realm": "x"}}, {Scheme: "dpop", Params: params{"error": "e", "algs": "ES256 RS256"}},
		}},
		{"two bare schemes", []string{`Bearer, DPoP`}, []proxy.Challenge{{Scheme: "bearer"}, {Scheme: "dpop"}}},
		{"two lines", []string{`Bearer a=b`, `DPoP c=d`}, []proxy.Challenge{
			{Scheme: "bearer", Params: params{"a": "b"}}, {Scheme: "dpop", Params: params{"c": "d"}},
		}},
		{"one challenge over two lines", []string{`Bearer a=b`, `c=d`}, one("bearer", params{"a": "b", "c": "d"})},
		{"a scheme that is a name elsewhere", []string{`error error="x"`}, one("error", params{"error": "x"})},

		{"a parameter twice", []string{`Bearer error=x, ERROR=y, DPoP a=b`}, one("dpop", params{"a": "b"})},
		{"a string that does not end", []string{`Bearer error="insufficient_user_authentication`, `DPoP a=b`}, one("dpop", params{"a": "b"})},
		{"a string that ends in a backslash", []string{`Bearer error="x\`}, nil},
		{"a parameter of no scheme", []string{`error=x`}, nil},
		{"a value that is missing", []string{`Bearer error=, a=b`}, nil},
		{"two values", []string{`Bearer error=a b`}, nil},
		{"a string with something behind", []string{`Bearer error="a"b`}, nil},
		{"a semicolon", []string{`Bearer error=a; b=c`}, nil},
		{"a scheme with a colon", []string{`Bearer: error=a`}, nil},
		{"what came before what does not parse", []string{`Basic realm=x, Bearer error=?`}, one("basic", params{"realm": "x"})},
		{"a name without a value among parameters", []string{`Bearer a=b, error, c=d`}, []proxy.Challenge{{Scheme: "bearer", Params: params{"a": "b"}}}},
	} {
		t.Run("an answer with "+row.with, func(t *testing.T) {
			if diff := cmp.Diff(row.want, proxy.ReadChallenges(row.lines...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzChallenges: whatever a server sends, reading ends, and what was read is read again from its own plain form.
func FuzzChallenges(f *testing.F) {
	for _, seed := range []string{
		"", "Bearer", `Bearer error="invalid_token", DPoP algs="ES256"`, `Basic realm="a\"b", x = y`, `Negotiate YII==`, `a=b`, "Bearer a=\"\\",
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		read := proxy.ReadChallenges(a, b)
		var lines []string
		for _, c := range read {
			if c.Scheme == "" || c.Scheme != strings.ToLower(c.Scheme) {
				t.Fatalf("scheme %q", c.Scheme)
			}
			line := c.Scheme
			glue := " "
			for name, value := range c.Params {
				line += glue + name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
				glue = ","
			}
			lines = append(lines, line)
		}
		if diff := cmp.Diff(read, proxy.ReadChallenges(lines...)); diff != "" {
			t.Errorf("%s read as %s: %s", strconv.Quote(a), lines, diff)
		}
	})
}
