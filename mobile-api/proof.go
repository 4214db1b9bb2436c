package mobileapi

import (
	"errors"
	"net/http"
	"slices"

	"cloakroom/bff"
	"cloakroom/dpop"
	"cloakroom/surface"
)

// The header fields of RFC 9449 sections 4.1 and 8.1.
const (
	fieldProof = "DPoP"
	fieldNonce = "DPoP-Nonce"
)

// keyPolicy is what all apps of the surface together want of keys: what a request without an app is told.
type keyPolicy struct {
	schemes []surface.Scheme // by which any app's handle may be presented; never empty
	nonces  bool             // some app's proofs must carry a nonce of ours
}

// keyPolicyOf reads the apps.
func keyPolicyOf(apps map[string]*bff.App) (p keyPolicy) {
	bearer, bound := len(apps) == 0, false
	for _, app := range apps {
		bearer = bearer || app.Binding != bff.BindingRequired
		bound = bound || app.Binds()
		p.nonces = p.nonces || app.Nonces
	}
	if bearer {
		p.schemes = append(p.schemes, surface.SchemeBearer)
	}
	if bound {
		p.schemes = append(p.schemes, surface.SchemeDPoP)
	}
	return p
}

// binds reports whether any app's handles may be bound to a key.
func (p *keyPolicy) binds() bool { return slices.Contains(p.schemes, surface.SchemeDPoP) }

// checkProof judges the proof that a request carries beside a handle, or beside none (""). The address that it has to be for
// is the one that is configured, and the path as it was sent: whoever writes Host or X-Forwarded-Host would have proofs for
// another server taken here (RFC 9449 section 4.3, item 9).
func (s *Surface) checkProof(r *http.Request, app, handle string) (*dpop.Proof, error) {
	p, err := dpop.Check(r.Header.Values(fieldProof), dpop.Request{
		Method: r.Method, URL: s.origin + r.URL.EscapedPath(), Handle: handle, Now: s.engine.Now(),
	})
	if err != nil {
		surface.CredentialRefused(r.Context(), s.trace, app, "proof of possession: "+ruleOf(err))
	}
	return p, err
}

// ruleOf is what a proof broke, in a fixed text.
func ruleOf(err error) string {
	if bad, ok := errors.AsType[*dpop.Invalid](err); ok {
		return bad.Rule
	}
	return "not checked"
}

// possession judges the proof that came with a handle, as far as it can be without the handle's record. It asks no store: who
// has no key costs nothing but this. The answer brings the next nonce, wherever any app wants one (RFC 9449 section 8.2).
func (s *Surface) possession(w http.ResponseWriter, r *http.Request, handle string) (*bff.Possession, error) {
	if s.policy.nonces {
		w.Header().Set(fieldNonce, s.engine.Nonce())
	}
	p, err := s.checkProof(r, "", handle)
	if err != nil {
		return nil, &bff.Error{
			Code: bff.CodeProofRejected, Message: "The proof of possession is not good for this request: " + ruleOf(err) + ".", Err: err,
		}
	}
	return &bff.Possession{Key: p.Thumbprint, Proof: p.ID, Until: p.Until, Fresh: s.engine.NonceGood(p.Nonce)}, nil
}

// announced returns the thumbprint of the key that a request to an OAuth endpoint proves to hold (RFC 9449 sections 5 and
// 10.1); "" if it carries no proof. A proof that is refused costs nothing: it is judged before any code or handle is looked
// at. One that is taken is not remembered: what it gets is bound to its key, and so of no use to whoever sends it again.
func (s *Surface) announced(w http.ResponseWriter, r *http.Request, app *bff.App) (key string, err error) {
	switch {
	case len(r.Header.Values(fieldProof)) == 0:
		return "", nil
	case !app.Binds(): // never without a word less than what was asked for
		return "", surface.RefuseOAuth(surface.OAuthInvalidRequest, "This app's handles are not bound to a key: send no DPoP proof.")
	case app.Nonces:
		w.Header().Set(fieldNonce, s.engine.Nonce())
	}
	p, err := s.checkProof(r, app.ID, "")
	switch {
	case err != nil:
		return "", surface.RefuseOAuth(surface.OAuthInvalidProof, "The DPoP proof is not good for this request: "+ruleOf(err)+".")
	case app.Nonces && !s.engine.NonceGood(p.Nonce): // RFC 9449 section 8
		return "", surface.RefuseOAuth(surface.OAuthUseNonce, "The DPoP proof needs the nonce in DPoP-Nonce.")
	default:
		return p.Thumbprint, nil
	}
}
