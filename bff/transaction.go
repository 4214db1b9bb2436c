package bff

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

const (
	// transactionLife is how long a login may take at the provider (the seeds' codes live as long).
	transactionLife = 10 * time.Minute
	// maxTransaction is what one transaction cookie may hold: five of them stay below 8 KiB of Cookie header.
	maxTransaction = 1536
	// flowChars of a hash name a flow's cookie: 96 bits, so that flows of one browser never collide.
	flowChars = 16
)

// transaction is one login in flight. It is sealed into a cookie, so that starting a login stores nothing; issuer, client
// and redirect URI are frozen as associated data (RFC 9700 section 4.4.2: the callback believes only what was recorded).
// State, nonce and PKCE verifier are derived from one random seed: independent of each other, and small.
type transaction struct {
	seed     []byte
	began    time.Time
	returnTo string
	replaces Root   // the session the browser carried at the start: at the callback its Strict cookie is absent
	seen     string // id of the marker that this browser's last sign-out wrote; "" = none
	silent   bool   // prompt=none: whatever goes wrong is told to the app, not to the user
	of       string // of a browser app's step-up: a hash of the subject that may complete it; "" = of any other login
	anew     bool   // prompt=login: the user is to be signed in again, whatever session the provider has
	maxAge   *int   // seconds; nil = not asked
	acr      string
	native   *NativeRequest // nil: of a browser app
}

func newTransaction(began time.Time) *transaction {
	tx := &transaction{seed: make([]byte, 32), began: began}
	_, _ = rand.Read(tx.seed) // never fails: the runtime stops the process instead
	return tx
}

// derive returns 256 bits for one use, as 43 unreserved characters (the form RFC 7636 section 4.1 wants of a verifier).
func (tx *transaction) derive(use string) string {
	return base64.RawURLEncoding.EncodeToString(tx.raw(use))
}

// raw returns the 256 bits themselves.
func (tx *transaction) raw(use string) []byte {
	b, _ := hkdf.Key(sha256.New, tx.seed, nil, "cloakroom transaction "+use, 32) // errs only for absurd lengths
	return b
}

func (tx *transaction) state() string    { return tx.derive("state") }
func (tx *transaction) nonce() string    { return tx.derive("nonce") }
func (tx *transaction) verifier() string { return tx.derive("verifier") }

// proofKey is the key of this login's tokens, where the provider binds them: no other login ever has it, whatever its app,
// user or provider is (RFC 9449 section 11.4: a key that several share tells who belongs together).
func (tx *transaction) proofKey() Secret { return NewSecret(string(tx.raw("proof key"))) }

// since is CodeExchange.Since.
func (tx *transaction) since() time.Time {
	if !tx.anew {
		return time.Time{}
	}
	return tx.began
}

// Flow names the transaction cookie that belongs to a state.
func Flow(state string) string {
	sum := sha256.Sum256([]byte(state))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:flowChars]
}

// transactionContext is what a transaction is bound to beside its content.
func transactionContext(app *App) []string {
	return []string{app.ID, app.Provider.Issuer, app.ClientID, app.RedirectURI}
}

// sealTransaction returns the cookie value, or an error if it would be too large to be one.
func (e *Engine) sealTransaction(app *App, tx *transaction) (string, error) {
	sealed := base64.RawURLEncoding.EncodeToString(e.ring.Seal(PurposeTransaction, tx.encode(), transactionContext(app)...))
	if len(sealed) > maxTransaction {
		return "", errors.New("transaction too large for its cookie")
	}
	return sealed, nil
}

// openTransaction opens a cookie value and checks that it is the one of state. Every failure looks the same from outside.
func (e *Engine) openTransaction(app *App, sealed, state string) (*transaction, error) {
	if len(sealed) > maxTransaction {
		return nil, ErrTampered
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, ErrTampered
	}
	plain, err := e.ring.Open(PurposeTransaction, raw, transactionContext(app)...)
	if err != nil {
		return nil, err
	}
	tx, err := decodeTransaction(plain)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(tx.state()), []byte(state)) != 1 {
		return nil, ErrTampered
	}
	return tx, nil
}

// encode writes version, flags, seed, start, then what there is, each text behind its length.
func (tx *transaction) encode() []byte {
	b := []byte{1, tx.flags()}
	b = append(b, tx.seed...)
	b = binary.BigEndian.AppendUint64(b, uint64(tx.began.UnixMilli()))
	b = append(b, tx.replaces.Bytes()...)
	if tx.maxAge != nil {
		b = binary.BigEndian.AppendUint32(b, uint32(*tx.maxAge))
	}
	texts := []string{tx.seen, tx.acr, tx.returnTo}
	if n := tx.native; n != nil {
		texts = append(texts, n.RedirectURI, n.Challenge, n.State)
		if n.Key != "" {
			texts = append(texts, n.Key)
		}
		if n.Replaces != "" {
			texts = append(texts, string(n.Replaces), n.Of)
		}
	}
	if tx.of != "" {
		texts = append(texts, tx.of)
	}
	for _, s := range texts {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

const (
	flagSilent = 1 << iota
	flagReplaces
	flagMaxAge
	flagNative         // three more texts stand at the end
	flagKey            // and one more
	flagStepUp         // and one more
	flagReplacesNative // and two more
	flagAnew
)

func (tx *transaction) flags() (f byte) {
	if tx.silent {
		f |= flagSilent
	}
	if tx.of != "" {
		f |= flagStepUp
	}
	if tx.anew {
		f |= flagAnew
	}
	if !tx.replaces.IsZero() {
		f |= flagReplaces
	}
	if tx.maxAge != nil {
		f |= flagMaxAge
	}
	if tx.native != nil {
		f |= flagNative
		if tx.native.Key != "" {
			f |= flagKey
		}
		if tx.native.Replaces != "" {
			f |= flagReplacesNative
		}
	}
	return f
}

// decodeTransaction reads what encode wrote. It was sealed by us, so a bad one means another version.
func decodeTransaction(b []byte) (*transaction, error) {
	r := &reader{b: b}
	version, flags := r.take(1), r.take(1)
	tx := &transaction{seed: r.take(32)}
	began := r.take(8)
	if r.bad || version[0] != 1 {
		return nil, ErrTampered
	}
	tx.began = time.UnixMilli(int64(binary.BigEndian.Uint64(began)))
	tx.silent, tx.anew = flags[0]&flagSilent != 0, flags[0]&flagAnew != 0
	if flags[0]&flagReplaces != 0 {
		tx.replaces, _ = RootFromBytes(r.take(rootBytes))
	}
	if flags[0]&flagMaxAge != 0 {
		if b := r.take(4); !r.bad {
			age := int(binary.BigEndian.Uint32(b))
			tx.maxAge = &age
		}
	}
	tx.seen, tx.acr, tx.returnTo = r.text(), r.text(), r.text()
	if flags[0]&flagNative != 0 {
		tx.native = &NativeRequest{RedirectURI: r.text(), Challenge: r.text(), State: r.text()}
		if flags[0]&flagKey != 0 {
			tx.native.Key = r.text()
		}
		if flags[0]&flagReplacesNative != 0 {
			tx.native.Replaces, tx.native.Of = Lookup(r.text()), r.text()
		}
	}
	if flags[0]&flagStepUp != 0 {
		tx.of = r.text()
	}
	if r.bad || len(r.b) != 0 {
		return nil, ErrTampered
	}
	return tx, nil
}

// reader takes pieces off a byte slice and remembers that one was missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return make([]byte, rootBytes) // as long as any fixed piece: the caller may index it before it looks at bad
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) text() string {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	r.b = r.b[size:]
	return string(r.take(int(n)))
}
