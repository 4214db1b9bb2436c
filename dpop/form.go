package dpop

import (
	"encoding/base64"
	"strings"
)

// maxProof is how many bytes a proof may have: one by a key of RSA 4096 has less than 2.5 KiB, and reading is work that
// anybody can ask for.
const maxProof = 8 << 10

// strict refuses texts whose last character holds bits that belong to no byte: two texts never mean the same bytes. Line
// breaks, which the library's decoders skip, are refused by plain.
var strict = base64.RawURLEncoding.Strict()

// form is a proof that is taken apart and not believed yet.
type form struct {
	header, payload object
	signed          []byte // what the signature is over: both parts as they were sent
	signature       []byte
}

// parse takes a proof apart. RFC 9449 section 4.3, items 1 and 2: one field, one JWT; in the compact form, which is the only
// one that a JWT has (RFC 7519 section 3).
func parse(fields []string) (*form, error) {
	if len(fields) != 1 {
		return nil, refuse("not exactly one proof")
	}
	text := fields[0]
	if len(text) > maxProof {
		return nil, refuse("size")
	}
	head, rest, _ := strings.Cut(text, ".")
	body, tail, found := strings.Cut(rest, ".")
	if !found {
		return nil, refuse("not three parts")
	}
	f := &form{signed: []byte(text[:len(head)+1+len(body)])}
	var ok [3]bool
	f.header, ok[0] = part(head)
	f.payload, ok[1] = part(body)
	f.signature, ok[2] = plain(tail)
	if ok != [3]bool{true, true, true} {
		return nil, refuse("not a signed JWT")
	}
	return f, f.judgeHeader()
}

// part reads the header or the payload.
func part(text string) (object, bool) {
	raw, ok := plain(text)
	if !ok {
		return nil, false
	}
	return members(raw)
}

// plain decodes base64url without padding, in its one canonical spelling.
func plain(text string) ([]byte, bool) {
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	raw, err := strict.DecodeString(text)
	return raw, err == nil
}

// judgeHeader asks for the type and for what the header says must be understood.
func (f *form) judgeHeader() error {
	// RFC 9449 section 4.3, item 4; RFC 8725 section 3.11: letter by letter, so that no token of another kind that the key may
	// have signed passes for a proof.
	if typ, _ := f.header.text("typ"); typ != "dpop+jwt" {
		return refuse("typ")
	}
	// RFC 7515 section 4.1.11: what is critical and not understood makes the whole invalid, and nothing is understood here.
	if _, there := f.header["crit"]; there {
		return refuse("crit")
	}
	return nil
}
