package provider

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Bounds of a proof's iat: as strict as a server may be that has good clocks around it.
const (
	proofBack  = 60 * time.Second
	proofAhead = 5 * time.Second
)

// Proof is a DPoP proof (RFC 9449) that was found good for one request. Whether it came before is for whoever asks to remember.
type Proof struct {
	Thumbprint string // of its key (RFC 7638), base64url
	ID         string // jti
	Nonce      string // "" when it has none
}

// ErrProof says that a proof is none, or not one for this request.
var ErrProof = errors.New("no good DPoP proof")

// proofClaims are those of RFC 9449 section 4.2.
type proofClaims struct {
	ID     string `json:"jti"`
	Method string `json:"htm"`
	URL    string `json:"htu"`
	Issued int64  `json:"iat"`
	Hash   string `json:"ath"`
	Nonce  string `json:"nonce"`
}

// ReadProof checks the one proof among a request's header fields for a method, an address without query, and the access token that
// comes with it, "" for none: RFC 9449 section 4.3, and stricter. The address must be claimed letter by letter, and ES256 is all that
// is taken. What passes here passes at any server that keeps to the text. The error is ErrProof.
func ReadProof(h http.Header, method, address, access string, now time.Time) (Proof, error) {
	values := h.Values("DPoP")
	if len(values) != 1 {
		return Proof{}, fmt.Errorf("%w: %d fields", ErrProof, len(values))
	}
	payload, jkt, err := openProof(values[0])
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	var c proofClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if why := c.fault(method, address, access, now); why != "" {
		return Proof{}, fmt.Errorf("%w: %s", ErrProof, why)
	}
	return Proof{Thumbprint: jkt, ID: c.ID, Nonce: c.Nonce}, nil
}

// openProof verifies a proof by the key that it brings.
func openProof(text string) (payload []byte, jkt string, err error) {
	m, err := jws.ParseString(text)
	if err != nil || len(m.Signatures()) != 1 || strings.Count(text, ".") != 2 {
		return nil, "", errors.New("not one compact JWS")
	}
	h := m.Signatures()[0].ProtectedHeaders()
	key := h.JWK()
	if h.Type() != "dpop+jwt" || h.Algorithm() != jwa.ES256 || key == nil || h.KeyID() != "" {
		return nil, "", errors.New("header is not that of a proof")
	}
	if private, err := jwk.IsPrivateKey(key); private || err != nil {
		return nil, "", errors.New("the key is not a public one")
	}
	if payload, err = jws.Verify([]byte(text), jws.WithKey(jwa.ES256, key)); err != nil {
		return nil, "", err
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	return payload, base64.RawURLEncoding.EncodeToString(sum), err
}

func (c proofClaims) fault(method, address, access string, now time.Time) string {
	sum := sha256Sum(access)
	at := time.Unix(c.Issued, 0)
	switch {
	case len(c.ID) < 16: // 96 bits in base64url
		return "jti can be guessed"
	case c.Method != method || c.URL != address:
		return fmt.Sprintf("made for %s %s, sent to %s %s", c.Method, c.URL, method, address)
	case at.Before(now.Add(-proofBack)) || at.After(now.Add(proofAhead)):
		return "iat is not now"
	case access == "" && c.Hash != "" || access != "" && c.Hash != base64.RawURLEncoding.EncodeToString(sum[:]):
		return "ath is not that of the token"
	}
	return ""
}

// binding is what the provider remembers of proofs and nonces.
type binding struct {
	used   map[string]bool // by key and jti: a proof is good once
	nonces map[string]bool // that were given out and are good
}

// RollNonces forgets every nonce that was given out, as a provider does that starts anew.
func (p *Provider) RollNonces() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.binding.nonces = nil
}

// newNonce gives out one more.
func (p *Provider) newNonce() string {
	if p.binding.nonces == nil {
		p.binding.nonces = map[string]bool{}
	}
	n := secret()
	p.binding.nonces[n] = true
	return n
}

// proved judges the proof of a token request: RFC 9449 section 5. jkt is "" for a request without one.
func (p *Provider) proved(r *http.Request, client Client) (jkt string, err error) {
	b := p.behaviour
	switch {
	case b.DPoPIgnored, !b.DPoPRequired && r.Header["Dpop"] == nil:
		return "", nil
	}
	p.log.issue(KindProof, client.ID, r.Header.Get("DPoP"), p.now())
	proof, err := ReadProof(r.Header, r.Method, p.url("/oauth/token"), "", p.now())
	if err != nil {
		return "", refuse("invalid_dpop_proof", err.Error())
	}
	return proof.Thumbprint, p.acceptProof(proof)
}

// acceptProof refuses a proof without a nonce of ours, if we want one (RFC 9449 section 8), and one that came before.
func (p *Provider) acceptProof(proof Proof) error {
	if p.behaviour.DPoPNonces && !p.binding.nonces[proof.Nonce] {
		return refuse("use_dpop_nonce", "Authorization server requires nonce in DPoP proof")
	}
	name := proof.Thumbprint + " " + proof.ID
	if p.binding.used[name] {
		return refuse("invalid_dpop_proof", "the proof was used before")
	}
	if p.binding.used == nil {
		p.binding.used = map[string]bool{}
	}
	p.binding.used[name] = true
	return nil
}

// withNonce gives the next nonce with an answer, good or bad: RFC 9449 section 8.2.
func (p *Provider) withNonce(re reply) reply {
	if p.behaviour.DPoPNonces && !p.behaviour.DPoPIgnored {
		re.header["Dpop-Nonce"] = []string{p.newNonce()}
	}
	return re
}

// presents judges how an access token is presented at the userinfo endpoint: RFC 9449 sections 7.1 and 7.2: a bound one by a proof of
// its key, another as it always was.
func (p *Provider) presents(r *http.Request, scheme, value string, rec *accessToken) bool {
	if rec.jkt == "" {
		return strings.EqualFold(scheme, "Bearer")
	}
	proof, err := ReadProof(r.Header, r.Method, p.url("/userinfo"), value, p.now())
	return err == nil && strings.EqualFold(scheme, "DPoP") && proof.Thumbprint == rec.jkt && p.acceptProof(proof) == nil
}
