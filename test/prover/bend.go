package prover

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Option bends one thing in a proof.
type Option func(*draft)

// draft is a proof that is not signed yet.
type draft struct {
	header, payload parts
	signer          *Prover
	rawHeader       *string // in place of the members
	rawPayload      *string
	signature       func(signed string, signature []byte) []byte
}

// parts are members in their order; a name may stand in it twice.
type parts []part

type part struct {
	name  string
	value any
}

// Header sets a member of the header, or adds it. The value may be anything that encoding/json can write.
func Header(name string, value any) Option {
	return func(d *draft) { d.header = d.header.with(name, value) }
}

// Claim sets a member of the payload, or adds it.
func Claim(name string, value any) Option {
	return func(d *draft) { d.payload = d.payload.with(name, value) }
}

// NoHeader drops a member of the header.
func NoHeader(name string) Option {
	return func(d *draft) { d.header = d.header.without(name) }
}

// NoClaim drops a member of the payload.
func NoClaim(name string) Option {
	return func(d *draft) { d.payload = d.payload.without(name) }
}

// HeaderAgain adds a member to the header also where there is one of that name.
func HeaderAgain(name string, value any) Option {
	return func(d *draft) { d.header = append(d.header, part{name, value}) }
}

// ClaimAgain adds a member to the payload also where there is one of that name.
func ClaimAgain(name string, value any) Option {
	return func(d *draft) { d.payload = append(d.payload, part{name, value}) }
}

// RawHeader writes the header as it is given.
func RawHeader(text string) Option { return func(d *draft) { d.rawHeader = &text } }

// RawPayload writes the payload as it is given.
func RawPayload(text string) Option { return func(d *draft) { d.rawPayload = &text } }

// ID is the claim jti: one that was used before makes a replay that is freshly signed.
func ID(jti string) Option { return Claim("jti", jti) }

// At is the claim iat.
func At(t time.Time) Option { return Claim("iat", t.Unix()) }

// Nonce is the claim nonce, as an answer's DPoP-Nonce gave it.
func Nonce(nonce string) Option { return Claim("nonce", nonce) }

// URL is the claim htu: the address that the world knows the gateway by, where the test reaches it by another.
func URL(address string) Option { return Claim("htu", address) }

// Method is the claim htm.
func Method(method string) Option { return Claim("htm", method) }

// SignedBy signs with the key of another prover, under the header as it stands.
func SignedBy(other *Prover) Option { return func(d *draft) { d.signer = other } }

// Signature bends the signature after it was made, or puts another in its place; signed is the text that it is over.
func Signature(bend func(signed string, signature []byte) []byte) Option {
	return func(d *draft) { d.signature = bend }
}

func (m parts) with(name string, value any) parts {
	if i := slices.IndexFunc(m, func(p part) bool { return p.name == name }); i >= 0 {
		m[i].value = value
		return m
	}
	return append(m, part{name, value})
}

func (m parts) without(name string) parts {
	return slices.DeleteFunc(m, func(p part) bool { return p.name == name })
}

// json writes the members in their order.
func (m parts) json() string {
	var b strings.Builder
	for i, p := range m {
		b.WriteByte("{,"[min(i, 1)])
		b.Write(made(json.Marshal(p.name)))
		b.WriteByte(':')
		b.Write(made(json.Marshal(p.value)))
	}
	if len(m) == 0 {
		return "{}"
	}
	return b.String() + "}"
}

// text signs it: RFC 7515 section 7.1.
func (d *draft) text() string {
	header, payload := d.header.json(), d.payload.json()
	if d.rawHeader != nil {
		header = *d.rawHeader
	}
	if d.rawPayload != nil {
		payload = *d.rawPayload
	}
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	signature := d.signer.sign(text)
	if d.signature != nil {
		signature = d.signature(text, signature)
	}
	return text + "." + b64(signature)
}
