package proxy

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"cloakroom/bff"
)

// Tokens that are bound to a key (RFC 9449): each call presents one with a proof of its own, made for the address that the API
// is asked under. A route whose tokens are bound to none pays nothing for it.

// errNoProver is a bug of whoever calls Forward: a bound token without a proof is none.
var errNoProver = errors.New("a token that is bound to a key, and nobody to prove it")

// nonce is what an API gave last for the next proof (RFC 9449 section 8.2): one for each origin, in this process. It is never
// one that another API or the provider gave.
type nonce struct{ last atomic.Pointer[string] }

func (n *nonce) get() string {
	if s := n.last.Load(); s != nil {
		return *s
	}
	return ""
}

// note keeps the nonce of an answer. RFC 9449 section 8.2: a good answer may bring the next one, and so does a challenge.
func (n *nonce) note(res *http.Response) {
	if res.StatusCode/100 != 2 && res.StatusCode != http.StatusUnauthorized {
		return
	}
	if given := bff.ServerNonce(res.Header["Dpop-Nonce"]); given != "" && given != n.get() {
		n.last.Store(&given)
	}
}

// nonceOf returns the nonce that all routes to one origin share.
func (t *Table) nonceOf(to target) *nonce {
	origin := to.scheme + "://" + to.host
	if t.nonces == nil {
		t.nonces = make(map[string]*nonce)
	}
	if t.nonces[origin] == nil {
		t.nonces[origin] = new(nonce)
	}
	return t.nonces[origin]
}

// present has the request carry the access token of t, and prove it if t is bound.
func (x *exchange) present(t *bff.TokenSet) {
	x.token, x.tokenTyp, x.bound = t.Access, t.TokenType, nil
	if t.Bound() {
		x.bound = t
	}
}

// prove puts a new proof on a request: RFC 9449 sections 4.2 and 7.1. htu is the API's own origin and the path as it is sent,
// whatever the frontend asked for and whatever machine answers.
func (x *exchange) prove(out *http.Request) error {
	if x.table.prove == nil {
		return &bff.Error{Code: bff.CodeInternal, Err: errNoProver}
	}
	x.proved = x.route.nonce.get()
	htu := x.route.target.scheme + "://" + x.route.target.host + out.URL.EscapedPath()
	proof, err := x.table.prove(x.call.App, *x.bound, out.Method, htu, x.proved)
	if err != nil {
		return err
	}
	out.Header["Dpop"] = []string{proof}
	return nil
}

// send asks the API, by a proof where the token needs one. An API that wants a nonce of its own in the proof is asked once
// more, if the request can be repeated, by a new proof: it has done nothing yet (RFC 9449 section 9). What it answers then
// stands.
func (t retry) send(x *exchange, out *http.Request) (*http.Response, error) {
	if x.bound == nil {
		return t.next.RoundTrip(out)
	}
	res, err := t.proved(x, out)
	if err != nil || x.challengedOnce || !x.wantsNonce(res) || !x.repeatable() {
		return res, err
	}
	x.challengedOnce = true
	discard(res.Body)
	return t.proved(x, x.repeat(out))
}

// proved asks the API by a proof, and keeps the nonce that it gives for the next one.
func (t retry) proved(x *exchange, out *http.Request) (*http.Response, error) {
	if err := x.prove(out); err != nil {
		return nil, err
	}
	res, err := t.next.RoundTrip(out)
	if err == nil {
		x.route.nonce.note(res)
	}
	return res, err
}

// wantsNonce reports whether an answer refuses the proof for want of a nonce that it gives, and that was not in it.
func (x *exchange) wantsNonce(res *http.Response) bool {
	if res.StatusCode != http.StatusUnauthorized {
		return false
	}
	given := bff.ServerNonce(res.Header["Dpop-Nonce"])
	_, why := x.challenged(res)
	return given != "" && given != x.proved && strings.EqualFold(why, "use_dpop_nonce")
}

// refusedProof reports whether an answer is about the proof (RFC 9449 sections 7.1 and 9): that is between the API and the
// gateway, and the frontend, which has no key, can do nothing about it.
func (x *exchange) refusedProof(res *http.Response) bool {
	if x.bound == nil || res.StatusCode != http.StatusUnauthorized {
		return false
	}
	_, why := x.challenged(res)
	return strings.EqualFold(why, "use_dpop_nonce") || strings.EqualFold(why, "invalid_dpop_proof")
}
