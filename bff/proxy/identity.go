package proxy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cloakroom/bff"
)

// claims are the members of the session's claims, read once per request and only if a route asks.
type claims map[string]json.RawMessage

// authorize checks what the route requires of the session, and takes the token. It fails closed: without a session
// nothing of a user's route passes, and nothing that asks for a claim.
func (x *exchange) authorize() error {
	rt := x.route
	if rt.Token == TokenNone {
		x.call.Session = nil // nothing of it may reach an anonymous route
		return nil
	}
	if x.call.Session == nil {
		if rt.Token != TokenUserOrNone || rt.needsSession() {
			return &bff.Error{Code: bff.CodeSessionRequired, Message: "Sign in to continue."}
		}
		return nil
	}
	scopes := x.call.Session.Tokens.Scope
	if !rt.own() { // else the user's token is not touched, and prepareOwn takes the app's
		if x.present(&x.call.Tokens); x.token.IsZero() {
			return &bff.Error{Code: bff.CodeSessionRequired, Message: "Sign in to continue."}
		}
		scopes = x.call.Tokens.Scope
	}
	for _, scope := range rt.RequireScopes {
		if !hasWord(scopes, scope) {
			return claimRequired("scope " + scope)
		}
	}
	for name, allowed := range rt.RequireClaims {
		if !intersect(x.claimValues(name), allowed) {
			return claimRequired("claim " + name)
		}
	}
	return x.checkSignIn()
}

// hasWord reports whether a space-separated list holds a word (RFC 6749 section 3.3).
func hasWord(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// claim returns one claim as text; "" if it is missing, empty or not one value.
func (x *exchange) claim(name string) string {
	if name == "org" {
		for _, c := range x.table.orgClaims {
			if v := x.claim(c); v != "" {
				return v
			}
		}
		return ""
	}
	if v := x.claimValues(name); len(v) == 1 {
		return v[0]
	}
	return ""
}

// claimValues returns a claim, by its name or the path to it inside objects, as texts: a string, a number or a truth value is
// one, a list of them several. What the session itself knows goes before its stored claims.
func (x *exchange) claimValues(name string) []string {
	s := x.call.Session
	if s == nil {
		return nil
	}
	switch name {
	case "sub":
		return oneOrNone(s.Subject)
	case "sid":
		return oneOrNone(s.SID)
	case "acr":
		return oneOrNone(s.ACR)
	}
	if x.claims == nil {
		x.claims = make(claims)
		_ = json.Unmarshal(s.Claims, &x.claims) // what does not decode holds no claim: closed
	}
	value, _ := bff.ClaimAt(x.claims, name)
	return texts(value)
}

func oneOrNone(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// texts reads a JSON string, number, truth value, or a flat list of them.
func texts(raw json.RawMessage) []string {
	if len(raw) == 0 {
		return nil
	}
	switch raw[0] {
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			return nil
		}
		var all []string
		for _, item := range list {
			if len(item) > 0 && item[0] != '[' {
				all = append(all, texts(item)...)
			}
		}
		return all
	case '{', 'n':
		return nil
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // a member of an object that decoded
		return oneOrNone(s)
	default:
		return []string{string(raw)}
	}
}

// identityField is one field of a route that carries a claim.
type identityField struct{ name, claim string }

func identityFieldsOf(headers map[string]string) []identityField {
	fields := make([]identityField, 0, len(headers))
	for name, claim := range headers {
		fields = append(fields, identityField{http.CanonicalHeaderKey(name), claim})
	}
	slices.SortFunc(fields, func(a, b identityField) int { return strings.Compare(a.name, b.name) })
	return fields
}

// identify sets the route's identity fields. A list is joined by commas; commas inside its members are escaped.
func (x *exchange) identify(h http.Header) {
	for _, f := range x.route.identity {
		values := []string{x.claim(f.claim)}
		if values[0] == "" {
			values = x.claimValues(f.claim)
		}
		for i, v := range values {
			values[i] = fieldText(v, len(values) > 1)
		}
		if text := strings.Join(values, ","); text != "" {
			h[f.name] = []string{text}
		}
	}
}

// fieldText writes a claim as a field value: what is not printable ASCII, and the percent sign itself, as percent
// escapes of its UTF-8, so that no claim can end a line or smuggle bytes, and whoever decodes gets the claim back.
func fieldText(s string, inList bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		edge := c == ' ' && (i == 0 || i == len(s)-1) // RFC 9110 section 5.5 would trim it
		if c < ' ' || c >= 0x7f || c == '%' || c == ',' && inList || edge {
			b.WriteByte('%')
			if c < 0x10 {
				b.WriteByte('0')
			}
			b.WriteString(strings.ToUpper(strconv.FormatUint(uint64(c), 16)))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
