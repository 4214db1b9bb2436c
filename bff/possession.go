package bff

import (
	"context"
	"errors"
	"time"
)

// Binding says whether an app's handles are bound to a key of the app (RFC 9449). The zero value is BindingOff.
type Binding string

// The ways to bind.
const (
	BindingOff      Binding = "off"      // a proof is refused: nothing here would ask for the next
	BindingAllowed  Binding = "allowed"  // the app decides, at each sign-in
	BindingRequired Binding = "required" // neither given out nor taken unbound
)

// Binds reports whether handles of the app may be bound to a key.
func (a *App) Binds() bool { return a.Binding == BindingAllowed || a.Binding == BindingRequired }

// The refusals of a proof of possession.
const (
	CodeProofRejected Code = "invalid_dpop_proof" // 401: malformed, for something else, too old, used, or by another key
	CodeNonceRequired Code = "use_dpop_nonce"     // 401: the proof lacks a nonce of ours, or has an old one
)

// ErrBound says that a handle which is bound to a key came without a proof that whoever presents it holds that key.
var ErrBound = errors.New("bound handle without proof")

// ErrUnbound says that a handle which is bound to no key came as if it were, or is of an app that takes no such handles. Its
// session may well live.
var ErrUnbound = errors.New("unbound handle")

// Possession is a proof that who presents a handle holds a key. It was checked but for two things, which only the handle's
// record can tell: whether the key is the one that the handle is bound to, and whether it is the proof's first use.
type Possession struct {
	Key   string    // its thumbprint: RFC 7638, SHA-256, base64url
	Proof string    // names the proof among all of its key: 128 bits of a hash, base64url
	Until time.Time // from then on it is too old to be presented
	Fresh bool      // it has a nonce of ours that is still good (Engine.NonceGood)
}

// Proofs reads records by handles that are bound to a key, and remembers which proofs were used, over all instances.
type Proofs interface {
	// ReadProven is Records.Read of a record that is bound to p.Key, and uses p up in the same round trip: ErrUsed where it was
	// used before, whatever else is wrong. Of a record that is bound to another key or to none it is Read and remembers
	// nothing, and so where there is no record: nobody but the holder of the key makes the store keep anything. A repetition
	// of one call is safe.
	ReadProven(ctx context.Context, root Root, p *Possession) (*Session, error)
}

// proofRejected is the one answer to a proof that is not good for the handle it came with (RFC 9449 section 7.1).
func proofRejected(cause error) error {
	return &Error{Code: CodeProofRejected, Message: "The proof of possession is not good for this handle and request.", Err: cause}
}

// errNonce is the answer to a proof that is good but for its nonce (RFC 9449 section 9).
func errNonce() error {
	return &Error{Code: CodeNonceRequired, Message: "The proof of possession needs the nonce that this answer brings."}
}

// readPresented reads the record of a handle, with the proof that came with it; nil of none.
func (e *Engine) readPresented(ctx context.Context, root Root, p *Possession) (*Session, error) {
	if p == nil {
		return e.read(ctx, nil, root)
	}
	s, err := e.ports.Proofs.ReadProven(ctx, root, p)
	switch {
	case errors.Is(err, ErrUsed):
		e.trace.refusedCredential(ctx, nil, "proof used twice") // RFC 9449 section 11.1
		return nil, proofRejected(err)
	case err != nil:
		return nil, e.unread(ctx, nil, root.Lookup(), err)
	default:
		return s, nil
	}
}

// unheld is the refusal of a handle that did not come as its session is bound: nil if it did. RFC 9449 section 7.2: what is
// bound is not taken without a proof, nor what is not bound with one, for whoever sends that believes it bound.
func (e *Engine) unheld(ctx context.Context, app *App, s *Session, p *Possession) error {
	refuse := func(rule string, err error) error {
		e.trace.refusedCredential(ctx, app, rule)
		return err
	}
	switch {
	case s.Key == "" && p != nil:
		return refuse("proof with an unbound handle", errNoSession(ErrUnbound))
	case s.Key == "" && app.Binding == BindingRequired:
		return refuse("unbound handle of an app that binds", errNoSession(ErrUnbound))
	case s.Key == "":
		return nil
	case p == nil:
		return refuse("bound handle without proof", errNoSession(ErrBound))
	case p.Key != s.Key: // RFC 9449 section 4.3, item 12
		return refuse("proof by another key", proofRejected(nil))
	case app.Nonces && !p.Fresh: // RFC 9449 section 11.3: once asked for, never done without. The next try is another proof
		return errNonce()
	default:
		return nil
	}
}
