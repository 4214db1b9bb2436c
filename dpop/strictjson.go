package dpop

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxDepth is deeper than what a proof nests: its header, the key in it, a list in that.
const maxDepth = 8

// object is a JSON object by its exact member names. A value is a string, a json.Number, an object, or nil for all others:
// nobody looks at more of them than that they are there.
type object map[string]any

// members reads one JSON object, and nothing that two readers could read differently: no member twice on any level, no name
// in another case, no bytes that are no text (RFC 7515 section 4, RFC 7519 section 4, RFC 8725 section 3.7).
func members(data []byte) (object, bool) {
	// The grammar is the library's to judge. What follows walks once over text that keeps to it: the library's decoder into
	// maps lets doubled members pass, and its tokens cost half as much as a signature.
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, false
	}
	w := &walk{rest: string(data)}
	w.pass(0)
	v, ok := w.value(maxDepth)
	if !ok {
		return nil, false
	}
	o, ok := v.(object)
	return o, ok
}

// walk goes over valid JSON. Its rest always begins with a token.
type walk struct{ rest string }

// pass takes n bytes off, and then what may stand between two tokens. Commas and colons are taken for space: the grammar has
// judged where they stand.
func (w *walk) pass(n int) { w.rest = strings.TrimLeft(w.rest[n:], " \t\r\n,:") }

// value reads the next value.
func (w *walk) value(depth int) (any, bool) {
	if depth == 0 {
		return nil, false
	}
	switch w.rest[0] {
	case '{':
		return w.object(depth)
	case '[':
		return nil, w.items(depth)
	case '"':
		return w.text(), true
	default:
		return w.literal(), true
	}
}

// object reads an object; false if a member stands in it twice.
func (w *walk) object(depth int) (object, bool) {
	o := object{}
	for w.pass(1); w.rest[0] != '}'; {
		name := w.text()
		if _, twice := o[name]; twice {
			return nil, false
		}
		v, ok := w.value(depth - 1)
		if !ok {
			return nil, false
		}
		o[name] = v
	}
	w.pass(1)
	return o, true
}

// items walks over an array; false if something in it cannot be read.
func (w *walk) items(depth int) bool {
	for w.pass(1); w.rest[0] != ']'; {
		if _, ok := w.value(depth - 1); !ok {
			return false
		}
	}
	w.pass(1)
	return true
}

// text reads a string.
func (w *walk) text() (s string) {
	end := 1
	for ; w.rest[end] != '"'; end++ {
		if w.rest[end] == '\\' {
			end++ // what follows a backslash ends nothing
		}
	}
	raw := w.rest[:end+1]
	w.pass(end + 1)
	if !strings.Contains(raw, `\`) {
		return raw[1:end]
	}
	if json.Unmarshal([]byte(raw), &s) != nil {
		return "" // cannot be: it is a valid string
	}
	return s
}

// literal reads a number, or one of the three words.
func (w *walk) literal() any {
	end := strings.IndexAny(w.rest, " \t\r\n,]}")
	if end < 0 {
		end = len(w.rest)
	}
	raw := w.rest[:end]
	w.pass(end)
	if c := raw[0]; c == '-' || '0' <= c && c <= '9' {
		return json.Number(raw)
	}
	return nil
}

// text returns a member that is a string; "" and false for what is none.
func (o object) text(name string) (string, bool) {
	s, ok := o[name].(string)
	return s, ok
}

// optional returns a member that is a string if it is there.
func (o object) optional(name string) (string, bool) {
	if _, there := o[name]; !there {
		return "", true
	}
	return o.text(name)
}
