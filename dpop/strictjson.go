package dpop

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// maxDepth is deeper than what a proof nests: header, key, a list in it.
const maxDepth = 8

// object is a JSON object by its exact member names. Its values are string, json.Number, bool, nil, object and list.
type object map[string]any

// list is a JSON array. Nothing that is looked at in a proof is one.
type list []any

// members reads one JSON object, and nothing that two readers could read differently: no member twice on any level, no name
// in another case, no bytes that are no text (RFC 8725 section 3.10, RFC 7515 section 4).
func members(data []byte) (object, bool) {
	// Valid first: the decoder's tokens alone are not held to the whole grammar.
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, ok := value(dec, maxDepth)
	if !ok {
		return nil, false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	o, ok := v.(object)
	return o, ok
}

// value reads the next value.
func value(dec *json.Decoder, depth int) (any, bool) {
	t, err := dec.Token()
	if err != nil || depth == 0 {
		return nil, false
	}
	switch t {
	case json.Delim('{'):
		return memberList(dec, depth)
	case json.Delim('['):
		return items(dec, depth)
	default:
		return t, true
	}
}

// memberList reads an object after its bracket.
func memberList(dec *json.Decoder, depth int) (object, bool) {
	o := object{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, false
		}
		if _, twice := o[name]; twice {
			return nil, false
		}
		if o[name], ok = value(dec, depth-1); !ok {
			return nil, false
		}
	}
	_, err := dec.Token()
	return o, err == nil
}

// items reads an array after its bracket.
func items(dec *json.Decoder, depth int) (list, bool) {
	var l list
	for dec.More() {
		v, ok := value(dec, depth-1)
		if !ok {
			return nil, false
		}
		l = append(l, v)
	}
	_, err := dec.Token()
	return l, err == nil
}

// text returns a member that is a string; "" and false for what is none.
func (o object) text(name string) (string, bool) {
	s, ok := o[name].(string)
	return s, ok
}

// optional returns a member that is a string if it is there.
func (o object) optional(name string) (s string, ok bool) {
	v, there := o[name]
	if !there {
		return "", true
	}
	s, ok = v.(string)
	return s, ok
}
