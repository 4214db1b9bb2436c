package idp

import (
	"encoding/base64"
	"slices"
	"strings"
)

// tokenCap is larger than any ID token that still fits into a header or a form.
const tokenCap = 64 << 10

// token is a JWS in compact form whose header was judged; claims and signature were not.
type token struct {
	alg, kid, typ string
	claims        object
	signed        string // header and payload as they were signed
	signature     []byte
}

// parse reads a compact JWS and judges its header. types are the values of typ it may have, in lower case, "" for none.
func (is *Issuer) parse(raw string, types ...string) (*token, error) {
	header, payload, signature, err := split(raw)
	if err != nil {
		return nil, err
	}
	h, err := members(header)
	if err != nil {
		return nil, broken(RuleForm, "header is "+err.Error())
	}
	t := &token{signed: raw[:strings.LastIndexByte(raw, '.')], signature: signature}
	if err := is.judgeHeader(t, h, types); err != nil {
		return nil, err
	}
	if t.claims, err = members(payload); err != nil {
		return nil, broken(RuleForm, "payload is "+err.Error())
	}
	return t, nil
}

// split takes a compact JWS apart. The JSON forms and encrypted tokens are refused by their form.
func split(raw string) (header, payload, signature []byte, err error) {
	// Go's base64 passes over line breaks; a compact JWS has none (RFC 7515 section 2).
	if len(raw) > tokenCap || strings.ContainsAny(raw, "\r\n") {
		return nil, nil, nil, broken(RuleForm, "too large, or with line breaks")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, nil, nil, broken(RuleForm, "not a compact JWS")
	}
	var decoded [3][]byte
	for i, p := range parts {
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil || p == "" {
			return nil, nil, nil, broken(RuleForm, "not a compact JWS")
		}
	}
	return decoded[0], decoded[1], decoded[2], nil
}

func (is *Issuer) judgeHeader(t *token, h object, types []string) error {
	// RFC 7515 section 4.1.11: what must be understood and is not makes the token invalid. We understand no extension;
	// b64 (RFC 7797) would change what is signed.
	if _, ok := h["crit"]; ok {
		return broken(RuleCritical, "critical header parameter")
	}
	if _, ok := h["b64"]; ok {
		return broken(RuleCritical, "header parameter b64")
	}
	alg, okAlg := h.text("alg")
	kid, okKid := h.text("kid")
	typ, okTyp := h.text("typ")
	switch {
	// RFC 8725 sections 3.1 and 3.2: an allow-list per issuer, asymmetric only.
	case !okAlg || !asymmetric(alg) || !slices.Contains(is.set.SigningAlgs, alg):
		return broken(RuleAlgorithm, "not among the accepted")
	case !okKid:
		return broken(RuleForm, "kid is no string")
	// RFC 8725 sections 3.11 and 3.12: a token of another kind says so in typ. RFC 7515 section 4.1.9: "application/" may
	// be left out, and media types have no case.
	case !okTyp || !slices.Contains(types, strings.TrimPrefix(strings.ToLower(typ), "application/")):
		return broken(RuleType, "a token of another kind")
	}
	t.alg, t.kid, t.typ = alg, kid, typ
	return nil
}
