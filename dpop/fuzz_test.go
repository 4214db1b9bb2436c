package dpop_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/dpop"
	"cloakroom/test/prover"
)

// FuzzCheck looks for a panic, and for a field that holds and was signed by nobody. That the signature itself has two spellings
// with ECDSA is no harm: what is remembered of a proof does not depend on it.
func FuzzCheck(f *testing.F) {
	_, resource := rfcRequests()
	own := dpop.Request{Method: "GET", URL: address, Handle: handle, Now: moment}
	good := []string{rfcResource, fixed().Proof("GET", address, handle, prover.ID("1"))}
	for _, text := range good {
		f.Add(text)
		part := strings.Split(text, ".")
		f.Add(part[0] + ".." + part[2])
		f.Add(part[0] + "." + part[1] + ".AA")
		f.Add(text + "=")
	}
	f.Add("..")
	f.Add(encode(`{"typ":"dpop+jwt","alg":"none"}`) + "." + encode(`{}`) + ".AA")
	f.Fuzz(func(t *testing.T, field string) {
		for _, r := range []dpop.Request{resource, own} {
			p, err := dpop.Check([]string{field}, r)
			var invalid *dpop.Invalid
			switch {
			case err != nil && (!errors.As(err, &invalid) || p != nil):
				t.Errorf("%v beside %v", p, err)
			case err == nil && !slices.ContainsFunc(good, func(g string) bool { return signed(g) == signed(field) }):
				t.Errorf("%q holds", field)
			}
		}
	})
}

// signed is what the signature is over.
func signed(text string) string { return text[:max(strings.LastIndexByte(text, '.'), 0)] }

// FuzzPayload signs what it is given, and reads again with encoding/json whatever holds: both must have read the same.
func FuzzPayload(f *testing.F) {
	full := `"jti":"1","htm":"GET","htu":"` + address + `","iat":` + seconds(0) + `,"ath":"` + prover.Hash(handle) + `"`
	for _, text := range []string{
		"{" + full + "}", "{" + full + `,"x":[1,{"a":null}],"y":"\"\\"}`, "{" + full + `,"\u0068tm":"POST"}`,
		" {\n" + full + "\t}\r ", "{" + full + `,"nonce":"\ud800n"}`, "{" + full + "}{}", "{" + full + `,"x":-1.5E+3 , "z" : true}`,
		"{" + full + `,"a":{},"b":[],"c":[[],{}],"d":""}`, "[]", "",
	} {
		f.Add(text)
	}
	p := fixed()
	f.Fuzz(func(t *testing.T, payload string) {
		got, err := dpop.Check([]string{p.Proof("GET", address, handle, prover.RawPayload(payload))}, request())
		if err != nil {
			return
		}
		claims, ok := read(payload)
		if !ok {
			t.Fatalf("%q is one object to us alone", payload)
		}
		again := []prover.Option{prover.ID(claims.text("jti")), prover.URL(claims.text("htu")), prover.Method(claims.text("htm"))}
		same := mustHold(t, p.Proof("GET", address, handle, again...), request())
		if same.ID != got.ID || claims.text("ath") != prover.Hash(handle) || claims.text("nonce") != got.Nonce {
			t.Errorf("%q is read otherwise: %+v", payload, got)
		}
		if n, ok := claims["iat"].(float64); !ok || got.Until.Sub(time.Unix(int64(n), 0)) < time.Minute {
			t.Errorf("%q: kept until %v", payload, got.Until)
		}
	})
}

// object is JSON as encoding/json reads it.
type object map[string]any

func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

// read reads one object, and counts the names of all levels in it: a doubled one is lost in a map.
func read(text string) (o object, ok bool) {
	if json.Unmarshal([]byte(text), &o) != nil {
		return nil, false
	}
	tokens := 0
	dec := json.NewDecoder(strings.NewReader(text))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, false
		}
		tokens++
	}
	return o, tokens == count(map[string]any(o))
}

// count is how many tokens a value is written with.
func count(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			n += 1 + count(member)
		}
		return n + 2
	case []any:
		for _, item := range v {
			n += count(item)
		}
		return n + 2
	default:
		return 1
	}
}

// FuzzAddress signs any htu: what holds is the request's address to net/url too.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{
		address, "HTTPS://GW.example.com:443/x/%2e%2e/%61pi/./orders?a#b", "https://gw.example.com@evil.example.com/api/orders",
		`https://gw.example.com\@evil.example.com/api/orders`, "https://gw.example.com/api%2forders", "https:///api/orders", "%", "://", "",
	} {
		f.Add(text)
	}
	p := fixed()
	f.Fuzz(func(t *testing.T, claimed string) {
		if _, err := dpop.Check([]string{p.Proof("GET", address, handle, prover.URL(claimed))}, request()); err != nil {
			return
		}
		place, _, _ := strings.Cut(claimed, "#")
		place, _, _ = strings.Cut(place, "?")
		u, err := url.Parse(place)
		if err != nil {
			t.Fatalf("%q holds: %v", claimed, err)
		}
		u = u.ResolveReference(&url.URL{Path: u.Path})
		if u.Scheme != "https" || u.User != nil || !strings.EqualFold(u.Hostname(), "gw.example.com") ||
			u.Port() != "" && u.Port() != "443" || u.Path != "/api/orders" {
			t.Errorf("%q holds: %+v", claimed, u)
		}
	})
}
