package dpop_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom/test/prover"
)

// seconds is the tests' moment and some seconds, as a number in JSON.
func seconds(more int64) string { return strconv.FormatInt(moment.Unix()+more, 10) }

// shows DPOP-4.3-1
func TestFormOfAProofWith(t *testing.T) {
	p := fixed()
	good := p.Proof("GET", address, handle)
	part := strings.Split(good, ".")
	const one, parts, jwt, size = "not exactly one proof", "not three parts", "not a signed JWT", "size"
	tests := []struct {
		name   string
		fields []string
		rule   string
	}{
		{"no field", nil, one},
		{"two fields", []string{good, good}, one},
		{"a good field and an empty one", []string{good, ""}, one},
		{"an empty field", []string{""}, parts},
		{"a list in one field", []string{good + "," + good}, jwt},
		{"a list in one field with a space", []string{good + ", " + good}, jwt},
		{"a space before it", []string{" " + good}, jwt},
		{"a space behind it", []string{good + " "}, jwt},
		{"a comma behind it", []string{good + ","}, jwt},
		{"the scheme before it", []string{"DPoP " + good}, jwt},
		{"quotes", []string{`"` + good + `"`}, jwt},
		{"garbage", []string{"garbage"}, parts},
		{"garbage in three parts", []string{"a.b.c"}, jwt},
		{"two parts", []string{part[0] + "." + part[1]}, parts},
		{"four parts", []string{good + "." + part[2]}, jwt},
		{"no signature", []string{part[0] + "." + part[1] + "."}, jwt},
		{"no payload", []string{part[0] + ".." + part[2]}, jwt},
		{"no header", []string{"." + part[1] + "." + part[2]}, jwt},
		{"the JSON form", []string{`{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`}, parts},
		{"the JSON form, encoded", []string{encode(`{"protected":"` + part[0] + `"}`)}, parts},
		{"padding", []string{part[0] + "=." + part[1] + "." + part[2]}, jwt},
		{"padding of the signature", []string{good + "=="}, jwt},
		{"a line break in it", []string{part[0] + "." + part[1][:9] + "\n" + part[1][9:] + "." + part[2]}, jwt},
		{"a carriage return at its end", []string{good + "\r"}, jwt},
		{"bits in the signature that belong to no byte", []string{spoiled(good)}, jwt},
		{"a header that is no object", []string{encode(`"typ"`) + "." + part[1] + "." + part[2]}, jwt},
		{"a header that is a list", []string{encode(`[]`) + "." + part[1] + "." + part[2]}, jwt},
		{"a header that is null", []string{encode(`null`) + "." + part[1] + "." + part[2]}, jwt},
		{"a payload that is a number", []string{part[0] + "." + encode(`1`) + "." + part[2]}, jwt},
		{"a size beyond all sense", []string{p.Proof("GET", address, handle, prover.Claim("more", strings.Repeat("x", 8<<10)))}, size},
		{"a megabyte", []string{strings.Repeat("a", 1<<20)}, size},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { mustBreak(t, tt.rule, request(), tt.fields...) })
	}
	mustHold(t, good, request())
}

// spoiled changes the last character so that it says the same bytes: 64 bytes leave four bits over.
func spoiled(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(text) - 1
	return text[:last] + string(alphabet[strings.IndexByte(alphabet, text[last])+1])
}

// bent is a row of a table: what is bent in a proof that is otherwise good, and the rule that it breaks; "" for none.
type bent struct {
	name string
	bend prover.Option
	rule string
}

// run checks each row with one prover.
func run(t *testing.T, p *prover.Prover, tests []bent) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := p.Proof("GET", address, handle, tt.bend)
			if tt.rule == "" {
				mustHold(t, text, request())
				return
			}
			mustBreak(t, tt.rule, request(), text)
		})
	}
}

// shows DPOP-4.3-1
func TestProofWith(t *testing.T) {
	const jwt = "not a signed JWT"
	full := `"jti":"1","htm":"GET","htu":"` + address + `","iat":` + seconds(0) + `,"ath":"` + prover.Hash(handle) + `"`
	run(t, fixed(), []bent{
		{"no jti", prover.NoClaim("jti"), "jti"},
		{"an empty jti", prover.ID(""), "jti"},
		{"a jti that is a number", prover.Claim("jti", 7), "jti"},
		{"a jti that is null", prover.Claim("jti", nil), "jti"},
		{"a jti that is a list", prover.Claim("jti", []string{"a"}), "jti"},
		{"a jti as long as may be", prover.ID(strings.Repeat("j", 256)), ""},
		{"a jti longer than may be", prover.ID(strings.Repeat("j", 257)), "jti"},
		{"no htm", prover.NoClaim("htm"), "htm"},
		{"an htm that is a list", prover.Claim("htm", []string{"GET"}), "htm"},
		{"no htu", prover.NoClaim("htu"), "htu"},
		{"an htu that is an object", prover.Claim("htu", map[string]any{address: true}), "htu"},
		{"no iat", prover.NoClaim("iat"), "iat"},
		{"a nonce that is a number", prover.Claim("nonce", 1), "nonce"},
		{"a nonce that is null", prover.Claim("nonce", nil), "nonce"},
		{"claims that nobody knows", prover.Claim("more", map[string]any{"a": []any{1, "x", nil, map[string]any{}}}), ""},
		{"names in another case", prover.RawPayload("{" + strings.Replace(full, "htm", "HTM", 1) + "}"), "htm"},
		{"spaces and breaks between all tokens", prover.RawPayload(" {\n" + strings.NewReplacer(":", "\t: ", ",", " ,\r\n").Replace(
			strings.ReplaceAll(full, "https:", `https\u003a`)) + "\n} "), ""},
		{"a claim twice", prover.ClaimAgain("htm", "GET"), jwt},
		{"a claim twice that says another thing", prover.ClaimAgain("htu", "https://evil.example.com/"), jwt},
		{"a claim twice, once escaped", prover.RawPayload(`{` + full + `,"\u0068tm":"POST"}`), jwt},
		{"a claim twice that nobody looks at", prover.RawPayload(`{` + full + `,"x":1,"x":1}`), jwt},
		{"a claim twice further down", prover.RawPayload(`{` + full + `,"x":[{"y":{"a":1,"a":2}}]}`), jwt},
		{"something behind the payload", prover.RawPayload(`{` + full + `}{}`), jwt},
		{"a comma at the payload's end", prover.RawPayload(`{` + full + `,}`), jwt},
		{"a comment", prover.RawPayload(`{` + full + `/**/}`), jwt},
		{"an open payload", prover.RawPayload(`{` + full), jwt},
		{"bytes that are no text", prover.RawPayload(`{` + full + ",\"x\":\"\xff\"}"), jwt},
		{"a byte order mark", prover.RawPayload("\ufeff{" + full + `}`), jwt},
		{"a depth that no proof has", prover.RawPayload(`{` + full + `,"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`), jwt},
		{"a header member twice", prover.HeaderAgain("typ", "dpop+jwt"), jwt},
		{"a second algorithm", prover.HeaderAgain("alg", "ES256"), jwt},
		{"a second key", prover.HeaderAgain("jwk", prover.New("ES256").JWK()), jwt},
		{"what must be understood", prover.Header("crit", []string{"b64"}), "crit"},
		{"nothing that must be understood", prover.Header("crit", []string{}), "crit"},
		{"an empty payload", prover.RawPayload(`{}`), "jti"},
	})
}

// A key that holds a member twice is read by one as one key and by another as another.
func TestKeyTwiceInOne(t *testing.T) {
	p := fixed()
	x, other := p.JWK()["x"].(string), prover.New("Ed25519").JWK()["x"].(string)
	for _, two := range []string{`"x":"` + x + `","x":"` + other + `"`, `"x":"` + other + `","x":"` + x + `"`} {
		header := `{"typ":"dpop+jwt","alg":"Ed25519","jwk":{"kty":"OKP","crv":"Ed25519",` + two + `}}`
		mustBreak(t, "not a signed JWT", request(), p.Proof("GET", address, handle, prover.RawHeader(header)))
	}
}

// shows DPOP-4.3-4
func TestHeaderWith(t *testing.T) {
	run(t, fixed(), []bent{
		{"no typ", prover.NoHeader("typ"), "typ"},
		{"the typ of any JWT", prover.Header("typ", "JWT"), "typ"},
		{"the typ of an access token", prover.Header("typ", "at+jwt"), "typ"},
		{"the typ in capitals", prover.Header("typ", "DPoP+JWT"), "typ"},
		{"the typ as a whole media type", prover.Header("typ", "application/dpop+jwt"), "typ"},
		{"a typ that is a list", prover.Header("typ", []string{"dpop+jwt"}), "typ"},
		{"no alg", prover.NoHeader("alg"), "alg"},
		{"alg none", prover.Header("alg", "none"), "alg"},
		{"alg None", prover.Header("alg", "None"), "alg"},
		{"an empty alg", prover.Header("alg", ""), "alg"},
		{"an HMAC", prover.Header("alg", "HS256"), "alg"},
		{"an unlisted alg that there is", prover.Header("alg", "RS512"), "alg"},
		{"a curve that is not listed", prover.Header("alg", "ES256K"), "alg"},
		{"a curve that costs too much", prover.Header("alg", "ES384"), "alg"},
		{"an alg that nobody knows", prover.Header("alg", "XY256"), "alg"},
		{"an alg in another case", prover.Header("alg", "ed25519"), "alg"},
		{"an alg that is a list", prover.Header("alg", []string{"EdDSA"}), "alg"},
		{"the older name of its alg", prover.Header("alg", "EdDSA"), ""},
		{"the alg of another kind of key", prover.Header("alg", "ES256"), "jwk"},
		{"members that nobody knows", prover.Header("more", []any{1, map[string]any{"a": 1}}), ""},
		{"a name for its key", prover.Header("kid", "../../etc/passwd"), ""},
		{"certificates", prover.Header("x5c", []string{"MIIB"}), ""},
	})
}

// The signature with the public key as an HMAC's secret is the oldest of all forgeries.
//
// shows DPOP-4.3-4
func TestHMACWithThePublicKey(t *testing.T) {
	p := at(prover.New("ES256"))
	public := p.JWK()
	for _, secret := range []string{public["x"].(string), string(must(json.Marshal(public)))} {
		forge := prover.Signature(func(signed string, _ []byte) []byte {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(signed))
			return mac.Sum(nil)
		})
		mustBreak(t, "alg", request(), p.Proof("GET", address, handle, prover.Header("alg", "HS256"), forge))
	}
	none := prover.Signature(func(string, []byte) []byte { return nil })
	mustBreak(t, "not a signed JWT", request(), p.Proof("GET", address, handle, prover.Header("alg", "none"), none))
}

// shows DPOP-4.3-8
func TestMethodWith(t *testing.T) {
	run(t, fixed(), []bent{
		{"the request's own", prover.Method("GET"), ""},
		{"another", prover.Method("POST"), "htm"},
		{"lower case", prover.Method("get"), "htm"},
		{"a space", prover.Method("GET "), "htm"},
		{"one that is like it", prover.Method("HEAD"), "htm"},
		{"nothing", prover.Method(""), "htm"},
	})
	r := request()
	r.Method = "POST"
	mustBreak(t, "htm", r, fixed().Proof("GET", address, handle))
	r.Method = "get"
	mustHold(t, fixed().Proof("get", address, handle), r) // a method of one's own is as good as any
}

// shows DPOP-4.3-11
func TestTimeWith(t *testing.T) {
	at := func(d time.Duration) prover.Option { return prover.At(moment.Add(d)) }
	number := func(text string) prover.Option { return prover.Claim("iat", json.Number(text)) }
	run(t, fixed(), []bent{
		{"now", at(0), ""},
		{"59 seconds back", at(-59 * time.Second), ""},
		{"60 seconds back", at(-60 * time.Second), "iat"},
		{"two minutes back", at(-2 * time.Minute), "iat"},
		{"ten seconds ahead", at(10 * time.Second), ""},
		{"eleven seconds ahead", at(11 * time.Second), "iat"},
		{"a minute ahead", at(time.Minute), "iat"},
		{"a part of a second less than 60 back", number(seconds(-60) + ".5"), ""},
		{"a part of a second more than ten ahead", number(seconds(10) + ".5"), "iat"},
		{"an exponent", number(seconds(0)[:1] + "." + seconds(0)[1:] + "e9"), ""},
		{"milliseconds", number(seconds(0) + "000"), "iat"},
		{"a text", prover.Claim("iat", seconds(0)), "iat"},
		{"an empty text", prover.Claim("iat", ""), "iat"},
		{"null", prover.Claim("iat", nil), "iat"},
		{"true", prover.Claim("iat", true), "iat"},
		{"a list", prover.Claim("iat", []int64{moment.Unix()}), "iat"},
		{"a negative number", number("-" + seconds(0)), "iat"},
		{"zero", number("0"), "iat"},
		{"the least number there is", number("1e-400"), "iat"},
		{"more than a number holds", number("1e400"), "iat"},
		{"more than a date holds", number("1e30"), "iat"},
		{"an end to come", prover.Claim("exp", moment.Add(time.Second).Unix()), ""},
		{"an end that a slow clock has not seen", prover.Claim("exp", moment.Add(-9*time.Second).Unix()), ""},
		{"an end that has passed", prover.Claim("exp", moment.Add(-10*time.Second).Unix()), "exp"},
		{"an end that is a text", prover.Claim("exp", "never"), "exp"},
		{"an end that is null", prover.Claim("exp", nil), "exp"},
		{"a beginning that has come", prover.Claim("nbf", moment.Unix()), ""},
		{"a beginning that a fast clock has seen", prover.Claim("nbf", moment.Add(10*time.Second).Unix()), ""},
		{"a beginning to come", prover.Claim("nbf", moment.Add(11*time.Second).Unix()), "nbf"},
		{"a beginning before all time", prover.Claim("nbf", -5), "nbf"},
		{"a beginning that no date holds", prover.Claim("nbf", json.Number("1e30")), "nbf"},
		{"a beginning that is a text", prover.Claim("nbf", "now"), "nbf"},
	})
}

// As long as a proof is taken anywhere, it is remembered: an instance whose clock is slow by as much as a proof may be ahead
// of ours does not take it after it was forgotten.
//
// shows DPOP-4.3-11
func TestNoProofOutlivesItsMemory(t *testing.T) {
	for _, made := range []time.Duration{-59 * time.Second, 0, 10 * time.Second} {
		text := fixed().Proof("GET", address, handle, prover.At(moment.Add(made)))
		until := mustHold(t, text, request()).Until
		r := request()
		r.Now = until.Add(-10 * time.Second)
		mustBreak(t, "iat", r, text)
		r.Now = r.Now.Add(-time.Nanosecond)
		mustHold(t, text, r)
	}
}

// shows DPOP-4.3-12
func TestHandleOfAProofWith(t *testing.T) {
	run(t, fixed(), []bent{
		{"its hash", prover.Claim("ath", prover.Hash(handle)), ""},
		{"no hash", prover.NoClaim("ath"), "ath"},
		{"an empty hash", prover.Claim("ath", ""), "ath"},
		{"the hash of another", prover.Claim("ath", prover.Hash("clk_other")), "ath"},
		{"the hash of nothing", prover.Claim("ath", prover.Hash("")), "ath"},
		{"itself", prover.Claim("ath", handle), "ath"},
		{"a hash with padding", prover.Claim("ath", prover.Hash(handle)+"="), "ath"},
		{"a hash in another case", prover.Claim("ath", strings.ToUpper(prover.Hash(handle))), "ath"},
		{"a hash that is a list", prover.Claim("ath", []string{prover.Hash(handle)}), "ath"},
		{"a hash that is null", prover.Claim("ath", nil), "ath"},
	})
	// A proof for one handle is none for another, nor one for the token endpoint's for any.
	mine, r := fixed().Proof("GET", address, handle), request()
	r.Handle = "clk_other"
	mustBreak(t, "ath", r, mine)
	mustBreak(t, "ath", request(), fixed().Proof("GET", address, ""))
	// With no handle there is nothing to be the hash of.
	r.Handle = ""
	mustHold(t, fixed().Proof("GET", address, ""), r)
}

// The key is the caller's to compare: another key's proof holds, and says whose it is.
//
// shows DPOP-4.3-12
func TestProofByAnotherKeyNamesThatKey(t *testing.T) {
	mine, other := fixed(), at(prover.New("ES256"))
	got := mustHold(t, other.Proof("GET", address, handle), request())
	if got.Thumbprint == mine.Thumbprint() || got.Thumbprint != other.Thumbprint() {
		t.Errorf("thumbprint %q", got.Thumbprint)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
