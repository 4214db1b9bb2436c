package leak

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const maxInflated = 64 << 20 // bytes read of one compressed body; a bomb is cut off there

// form is one way of writing a secret.
type form struct {
	name   string
	secret string
	text   []byte
}

// formsOf lists the different ways in which software writes text. Padding of base64 does not matter, because the
// incomplete last character is left out.
func formsOf(secret string) []form {
	all := []form{{"raw", secret, []byte(secret)}}
	for shift := range 3 {
		all = append(all,
			form{"base64", secret, shifted(base64.RawStdEncoding, secret, shift)},
			form{"base64url", secret, shifted(base64.RawURLEncoding, secret, shift)})
	}
	lower := hex.EncodeToString([]byte(secret))
	query, path := url.QueryEscape(secret), url.PathEscape(secret)
	quoted, err := json.Marshal(secret)
	if err != nil {
		quoted = []byte(strconv.Quote(secret)) // text that is not UTF-8 has no JSON form of its own
	}
	plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted))
	for _, f := range [][2]string{
		{"hex", lower},
		{"hex", strings.ToUpper(lower)},
		{"url-escaped", query},
		{"url-escaped", path},
		{"url-escaped", lowerEscapes(query)},
		{"url-escaped", lowerEscapes(path)},
		{"json", string(quoted[1 : len(quoted)-1])},
		{"json", plain[1 : len(plain)-1]},
		{"json", strings.ReplaceAll(plain[1:len(plain)-1], "/", `\/`)},
		{"html", html.EscapeString(secret)},
	} {
		all = append(all, form{f[0], secret, []byte(f[1])})
	}
	return distinct(all)
}

// shifted is the base64 of secret as it stands behind shift other bytes, without the characters that those and what
// follows have a part in.
func shifted(e *base64.Encoding, secret string, shift int) []byte {
	text := e.EncodeToString(append(make([]byte, shift), secret...))
	whole := (shift + len(secret)) * 8 / 6 // characters that belong to known bytes alone
	first := (shift*8 + 5) / 6
	return []byte(text[first:whole])
}

var escape = regexp.MustCompile(`%[0-9A-F]{2}`)

func lowerEscapes(s string) string { return escape.ReplaceAllStringFunc(s, strings.ToLower) }

func distinct(forms []form) []form {
	seen := map[string]bool{}
	var kept []form
	for _, f := range forms {
		if !seen[string(f.text)] && len(f.text) >= minSecret {
			seen[string(f.text)] = true
			kept = append(kept, f)
		}
	}
	return kept
}

var decimals = regexp.MustCompile(`\[(?:\d{1,3} ){11,}\d{1,3}\]`)

// unfold returns data and what is folded into it: an inflated gzip stream, and byte slices printed with %v.
func unfold(data []byte) [][]byte {
	all := [][]byte{data}
	if r, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
		plain, _ := io.ReadAll(io.LimitReader(r, maxInflated)) // a broken stream is scanned as far as it goes
		all = append(all, plain)
	}
	for _, list := range decimals.FindAll(data, -1) {
		all = append(all, printed(list))
	}
	return all
}

// printed turns "[101 121 74]" back into bytes.
func printed(list []byte) []byte {
	var b []byte
	for word := range bytes.FieldsSeq(list[1 : len(list)-1]) {
		n, err := strconv.ParseUint(string(word), 10, 8)
		if err != nil {
			return nil
		}
		b = append(b, byte(n))
	}
	return b
}
