package idp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonDepth is deeper than any token's claims are nested.
const jsonDepth = 32

// errJSON says that bytes are not the one unambiguous JSON object they should be.
var errJSON = errors.New("not one unambiguous JSON object")

// members reads a JSON object by its exact member names. Go's decoder into structs would take "ISS" for iss and, of two
// members of one name, the last: other parsers take the first, and that is how tokens are read differently by who checks
// them and who uses them (RFC 8725 section 3.10, RFC 7519 section 4).
func members(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errJSON
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := walk(dec, jsonDepth); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil || o == nil {
		return nil, errJSON
	}
	return o, nil
}

// walk reads one value and refuses doubled members on every level.
func walk(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil || depth == 0 {
		return errJSON
	}
	delim, nested := t.(json.Delim)
	if !nested {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return errJSON
			}
			if s, ok := name.(string); !ok || seen[s] {
				return fmt.Errorf("%w: a member stands twice", errJSON)
			} else {
				seen[s] = true
			}
		}
		if err := walk(dec, depth-1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing bracket
		return errJSON
	}
	return nil
}

// object is a JSON object whose members are not decoded yet.
type object map[string]json.RawMessage

// has reports whether the member is there and not null.
func (o object) has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// text returns a member that must be a string. Absent is "" and good.
func (o object) text(name string) (s string, ok bool) {
	if !o.has(name) {
		return "", true
	}
	return s, o[name][0] == '"' && json.Unmarshal(o[name], &s) == nil
}

// list returns a member that is a string or an array of strings.
func (o object) list(name string) (l []string, ok bool) {
	if !o.has(name) {
		return nil, false
	}
	if s, ok := o.text(name); ok {
		return []string{s}, true
	}
	var items []*string // pointers: an element null is no string
	if json.Unmarshal(o[name], &items) != nil {
		return nil, false
	}
	for _, s := range items {
		if s == nil {
			return nil, false
		}
		l = append(l, *s)
	}
	return l, true
}

// latest is the last second of the year 9999: a date beyond it is an attack or a bug, and would overflow further on.
const latest = 253402300799

// date returns a member that must be a NumericDate (RFC 7519 section 2): a number, no string, and one that can be a date.
// Absent is the zero time and good.
func (o object) date(name string) (t time.Time, ok bool) {
	if !o.has(name) {
		return time.Time{}, true
	}
	if c := o[name][0]; c < '0' || c > '9' { // no string, no bool, no negative date
		return time.Time{}, false
	}
	f, err := strconv.ParseFloat(string(o[name]), 64)
	if err != nil || f < 1 || f > latest {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// seconds returns a member that is a number of seconds, also where it was written as a string. What is no number is 0.
func (o object) seconds(name string) float64 {
	raw := string(o[name])
	if s, ok := o.text(name); ok && s != "" {
		raw = s
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || math.IsNaN(f) {
		return 0
	}
	return f
}
