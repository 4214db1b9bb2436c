package idp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"cloakroom/bff"
	"cloakroom/dpop"
)

// schemeDPoP is the token_type of what is bound to a key, and the scheme that it is presented by (RFC 9449 section 7.1).
const schemeDPoP = "DPoP"

// errChallenge is how a server says that it wants a nonce of its own in the proof: RFC 9449 section 8.
const errChallenge = "use_dpop_nonce"

// ErrNoDPoP says that the provider's metadata does not promise to bind tokens by proofs that are signed by ES256.
var ErrNoDPoP = errors.New("provider does not list ES256 among its dpop_signing_alg_values_supported")

// errUnproved is what an answer breaks that binds no token although a key was proved and the settings want it bound.
var errUnproved = errors.New("the provider does not bind tokens to keys: set its dpop to off, or allow it for this client there")

var _ bff.Prover = (*Client)(nil)

// checkBinding asks before anything is sent whether the provider can bind tokens at all, where the settings want them bound: RFC
// 9449 section 5.1 has it say so. Otherwise every answer would have to be given back, and a refresh token that was traded for it
// were lost: nobody is to be signed out by a setting.
func (is *Issuer) checkBinding(ctx context.Context, m *metadata) error {
	if !is.set.DPoP || slices.Contains(m.DPoPAlgs, "ES256") {
		return nil
	}
	is.alarm(ctx, "provider without DPoP", ErrNoDPoP)
	return ErrNoDPoP
}

// Prove makes a proof for a call to an API: bff.Prover. The API's nonces are its own; none of the provider's is ever in it (RFC
// 9449 section 9).
func (c *Client) Prove(key bff.Secret, method, address, nonce string, access bff.Secret) (string, error) {
	k, err := dpop.NewKey([]byte(key.Reveal()))
	if err != nil {
		return "", err
	}
	return k.Proof(dpop.Request{Method: method, URL: address, Handle: access.Reveal(), Now: c.is.now()}, nonce)
}

// keyFor is what a call for tokens proves: the key that the caller's tokens are bound to already, whatever the settings say
// now, for the provider may take no other (RFC 9449 section 5, public clients); otherwise a new one where the settings want
// tokens bound, also those of a session that is older than the setting; otherwise none.
func (c *Client) keyFor(had bff.Secret) bff.Secret {
	if !had.IsZero() || !c.is.set.DPoP {
		return had
	}
	var raw [dpop.KeyBytes]byte
	_, _ = rand.Read(raw[:]) // never fails: the runtime stops the process instead
	return bff.NewSecret(string(raw[:]))
}

// loginKey is the key of a login whose tokens are to be bound.
func (c *Client) loginKey(key bff.Secret) bff.Secret {
	if !c.is.set.DPoP {
		return bff.Secret{}
	}
	return c.keyFor(key)
}

// thumbprintOf is what dpop_jkt announces of a key (RFC 9449 section 10).
func thumbprintOf(key bff.Secret) (string, error) {
	k, err := dpop.NewKey([]byte(key.Reveal()))
	if err != nil {
		return "", err
	}
	return k.Thumbprint(), nil
}

// nonces are what the provider's servers gave last, by server: at most as many as it has endpoints. They live in this process
// alone: another instance gets its own at its first call.
type nonces struct {
	mu sync.Mutex
	by map[string]string
}

func (n *nonces) of(server string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.by[server]
}

// note keeps the nonce that an answer gives for next time, whatever else it says (RFC 9449 section 8.2).
func (n *nonces) note(server string, h http.Header) {
	nonce := bff.ServerNonce(h["Dpop-Nonce"])
	if nonce == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.by == nil {
		n.by = make(map[string]string)
	}
	n.by[server] = nonce
}

// proving is how calls to one endpoint prove a key. nil proves nothing.
type proving struct {
	is     *Issuer
	key    *dpop.Key
	server string     // whose nonces go in: the kind of endpoint, and its origin
	access bff.Secret // what is presented beside; zero at the token endpoint
	nonce  string     // of the proof that was sent last
}

// newProving returns nil without a key.
func (is *Issuer) newProving(key bff.Secret, kind, endpoint string, access bff.Secret) (*proving, error) {
	if key.IsZero() {
		return nil, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, ErrEndpoint
	}
	k, err := dpop.NewKey([]byte(key.Reveal()))
	if err != nil {
		return nil, err
	}
	// RFC 9449 section 9: a nonce is for who gave it: one of the token endpoint is none of UserInfo, which is a resource.
	return &proving{is: is, key: k, server: kind + " " + u.Scheme + "://" + u.Host, access: access}, nil
}

// sign puts a new proof on a request: a new identifier and the newest nonce each time (RFC 9449 section 4.2).
func (p *proving) sign(req *http.Request) error {
	if p == nil {
		return nil
	}
	p.nonce = p.is.nonces.of(p.server)
	proof, err := p.key.Proof(dpop.Request{
		Method: req.Method, URL: req.URL.String(), Handle: p.access.Reveal(), Now: p.is.now(),
	}, p.nonce)
	if err != nil {
		return fmt.Errorf("proving a key: %w", err)
	}
	req.Header["Dpop"] = []string{proof}
	return nil
}

// challenged notes the nonce of an answer, and reports whether the answer says no more than that the proof lacked it. What was
// asked was not done then, and a grant not used: RFC 9449 section 8.
func (p *proving) challenged(a *answer) bool {
	if p == nil || a == nil {
		return false
	}
	sent := p.nonce
	p.is.nonces.note(p.server, a.header)
	if a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized {
		return false
	}
	given := bff.ServerNonce(a.header["Dpop-Nonce"])
	return given != "" && given != sent && (oauthError(a) == errChallenge || challengesNonce(a.header))
}

// challengesNonce reads the challenge of a resource, which has no body to speak of: RFC 9449 section 9.
func challengesNonce(h http.Header) bool {
	for _, v := range h["Www-Authenticate"] {
		scheme, rest, _ := strings.Cut(v, " ")
		if strings.EqualFold(scheme, schemeDPoP) && strings.Contains(rest, `error="`+errChallenge+`"`) {
			return true
		}
	}
	return false
}

// sendProved sends a grant with its proof, and once more where the token endpoint wants its nonce: the same grant, under
// another proof and another client assertion (RFC 9449 section 8; RFC 7523 section 3: a jti is used once). The challenge is a
// definite answer that left the grant unused, so the second sending is no second use; and it is asked for as the first was: a
// process that stood still in between may have lost its lease.
func (c *Client) sendProved(ctx context.Context, m *metadata, form url.Values, key bff.Secret) (*answer, *refusal) {
	p, err := c.is.newProving(key, "token", m.Token, bff.Secret{})
	if err != nil {
		return nil, &refusal{outcome: bff.OutcomeTransient, err: err}
	}
	a, refused := c.sendOnce(ctx, m, form, p)
	if !p.challenged(a) || refused != nil {
		return a, refused
	}
	if err := bff.Sending(ctx); err != nil {
		return nil, &refusal{outcome: bff.OutcomeTransient, unasked: true, err: err}
	}
	a, refused = c.sendOnce(ctx, m, form, p)
	p.challenged(a) // for its nonce: whoever comes next has it
	return a, refused
}
