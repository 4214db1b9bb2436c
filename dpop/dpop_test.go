package dpop_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dpop"
	"cloakroom/test/prover"
)

const (
	address = "https://gw.example.com/api/orders"
	handle  = "clk_handle"
)

// moment is when the requests of these tests arrive, and when their proofs are made if nothing else is said.
var moment = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// request is what the proofs of these tests are for if nothing else is said.
func request() dpop.Request {
	return dpop.Request{Method: "GET", URL: address, Handle: handle, Now: moment}
}

// at gives a prover the tests' clock.
func at(p *prover.Prover) *prover.Prover {
	p.Now = func() time.Time { return moment }
	return p
}

// fixed is a prover whose proofs are the same in each process: its key is made of zeros, and Ed25519 takes no chances.
func fixed() *prover.Prover {
	return at(prover.Of("Ed25519", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))))
}

// mustHold checks a proof that has to hold.
func mustHold(t *testing.T, text string, r dpop.Request) *dpop.Proof {
	t.Helper()
	p, err := dpop.Check([]string{text}, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mustBreak checks a proof that has to break just the one rule.
func mustBreak(t *testing.T, rule string, r dpop.Request, fields ...string) {
	t.Helper()
	p, err := dpop.Check(fields, r)
	var invalid *dpop.Invalid
	if !errors.As(err, &invalid) || p != nil {
		t.Fatalf("%+v, %v; want an *Invalid and no proof", p, err)
	}
	if invalid.Rule != rule {
		t.Errorf("refused for %q, want %q", invalid.Rule, rule)
	}
}

func TestProofBy(t *testing.T) {
	for _, alg := range dpop.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			p := at(prover.New(alg))
			got := mustHold(t, p.Proof("GET", address, handle, prover.Nonce("n1")), request())
			if got.Thumbprint != p.Thumbprint() || !dpop.IsThumbprint(got.Thumbprint) {
				t.Errorf("thumbprint %q, want %q", got.Thumbprint, p.Thumbprint())
			}
			if got.Nonce != "n1" {
				t.Errorf("nonce %q", got.Nonce)
			}
			if until := moment.Add(70 * time.Second); !got.Until.Equal(until) {
				t.Errorf("kept until %v, want %v", got.Until, until)
			}
			if len(got.ID) != 22 {
				t.Errorf("identifier %q", got.ID)
			}
		})
	}
}

// What RFC 9449 prints itself: the proofs of figures 2 and 13, and in figure 9 the thumbprint of their key.
const (
	rfcHeader = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpD" +
		"a0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6" +
		"IlAtMjU2In19."
	rfcTokenRequest = rfcHeader + "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVy" +
		"LmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ." +
		"2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcResource = rfcHeader + "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5l" +
		"eGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhX" +
		"WG9hTnk1OUlpS0NBcWtzbVFFbyJ9." +
		"2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfcThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	rfcToken      = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
)

// rfcRequests are what the two proofs are for.
func rfcRequests() (token, resource dpop.Request) {
	return dpop.Request{Method: "POST", URL: "https://server.example.com/token", Now: time.Unix(1562262616, 0)},
		dpop.Request{
			Method: "GET", URL: "https://resource.example.org/protectedresource", Handle: rfcToken, Now: time.Unix(1562262618, 0),
		}
}

func TestProofsThatTheRFCPrints(t *testing.T) {
	token, resource := rfcRequests()
	first, second := mustHold(t, rfcTokenRequest, token), mustHold(t, rfcResource, resource)
	if first.Thumbprint != rfcThumbprint || second.Thumbprint != rfcThumbprint {
		t.Errorf("thumbprints %q and %q, want %q", first.Thumbprint, second.Thumbprint, rfcThumbprint)
	}
	if first.ID == second.ID {
		t.Error("two proofs have one identifier")
	}
	mustBreak(t, "iat", dpop.Request{Method: token.Method, URL: token.URL, Now: time.Now()}, rfcTokenRequest)
}

// What is remembered of a proof must be the same for the same identifier, however it is written and signed, and another for
// another identifier or key: or a replay goes through, or an app locks out another.
func TestIdentifier(t *testing.T) {
	p, other := fixed(), at(prover.New("ES256"))
	check := func(p *prover.Prover, bend ...prover.Option) string {
		t.Helper()
		return mustHold(t, p.Proof("GET", address, handle, bend...), request()).ID
	}
	first := check(p, prover.ID("id"))
	same := map[string]string{
		"made later":           check(p, prover.ID("id"), prover.At(moment.Add(time.Second))),
		"with a nonce":         check(p, prover.ID("id"), prover.Nonce("n")),
		"by its escaped names": check(p, prover.RawPayload(`{"\u006ati":"i\u0064","htm":"GET","htu":"`+address+`","iat":`+seconds(0)+`,"ath":"`+prover.Hash(handle)+`"}`)),
	}
	for name, id := range same {
		if id != first {
			t.Errorf("the same identifier %s is another", name)
		}
	}
	another := map[string]string{
		"another identifier":         check(p, prover.ID("id2")),
		"an identifier in capitals":  check(p, prover.ID("ID")),
		"an identifier with a space": check(p, prover.ID("id ")),
		"another key":                check(other, prover.ID("id")),
	}
	for name, id := range another {
		if id == first {
			t.Errorf("%s is the same", name)
		}
	}
	// Signed twice, ECDSA gives two texts; the second is as much a replay as the first text again.
	if check(other, prover.ID("id")) != another["another key"] {
		t.Error("a proof that is signed anew is another")
	}
}

func TestThumbprintWith(t *testing.T) {
	good := prover.Hash("key")
	tests := []struct {
		name, text string
		want       bool
	}{
		{"the form of one", good, true},
		{"nothing", "", false},
		{"a character less", good[1:], false},
		{"a character more", good + "A", false},
		{"padding", good + "=", false},
		{"the other alphabet", "+" + good[1:], false},
		{"bits that belong to no byte", good[:42] + "B", false},
		{"a line break", good[:20] + "\n" + good[20:], false},
		{"hexadecimal digits", strings.Repeat("ab", 32), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := dpop.IsThumbprint(tt.text); got != tt.want {
				t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
			}
		})
	}
}

// Nothing that stands in a proof may reach a log: not by the error's text, and not by the error in another.
func TestRefusalShowsNothingOfTheProof(t *testing.T) {
	p := fixed()
	for _, bend := range []prover.Option{
		prover.ID(strings.Repeat("leak", 100)), prover.Method("leak"), prover.URL("https://leak.example.com/"),
		prover.Claim("ath", "leak"), prover.Claim("iat", "leak"), prover.Header("alg", "leak"), prover.Header("typ", "leak"),
		prover.Header("jwk", "leak"), prover.ClaimAgain("iat", "leak"),
	} {
		_, err := dpop.Check([]string{p.Proof("GET", address, handle, bend)}, request())
		if err == nil || strings.Contains(err.Error(), "leak") {
			t.Errorf("%v", err)
		}
	}
}

func TestAlgorithmsAreTheCallersOwn(t *testing.T) {
	first := dpop.Algorithms()
	first[0] = "none"
	if diff := cmp.Diff([]string{"ES256", "Ed25519", "EdDSA", "PS256", "RS256"}, dpop.Algorithms()); diff != "" {
		t.Error(diff)
	}
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func BenchmarkCheck(b *testing.B) {
	for _, alg := range dpop.Algorithms() {
		b.Run(alg, func(b *testing.B) {
			fields := []string{at(prover.New(alg)).Proof("GET", address, handle)}
			r := request()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := dpop.Check(fields, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a signature by ES256 costs alone: the rest of a check is what there is to save.
func BenchmarkSignature(b *testing.B) {
	key, sum := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), sha256.Sum256(nil)
	signature := must(ecdsa.SignASN1(rand.Reader, key, sum[:]))
	b.ReportAllocs()
	for b.Loop() {
		if !ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature) {
			b.Fatal("refused")
		}
	}
}

// What a refusal costs that comes before the signature: most of what an attacker can send.
func BenchmarkRefusal(b *testing.B) {
	fields := []string{fixed().Proof("GET", address, handle)}
	r := request()
	r.Method = "POST"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dpop.Check(fields, r); err == nil {
			b.Fatal("taken")
		}
	}
}
