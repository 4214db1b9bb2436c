package bff

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// KeyBytes is the length of every key: 256 bits.
const KeyBytes = 32

// Purposes of what is sealed under the ring directly. Each has a key of its own, derived, so that nothing sealed for
// one opens for another.
const (
	PurposeTransaction = "transaction"
	PurposeSignedOut   = "signed-out"
	PurposeTicket      = "ticket"
	PurposeRevocation  = "revocation"
	PurposePurge       = "purge"
	PurposeClientToken = "client-token"

	purposePushed = "pushed-request"
	purposeNonce  = "nonce"
	purposeStepUp = "step-up"
)

// Key is a named key of the ring.
type Key struct {
	ID    string // part of every sealed value, in the clear
	Bytes Secret // KeyBytes raw bytes
}

// Keyring holds the sealing keys (the first seals, all open), the ids of those retired on purpose, and the index
// keys, under all of which names are written and asked, so that either list can be changed while instances roll.
type Keyring struct {
	sealing []Key
	retired []string
	index   []Key
}

// NewKeyring checks lengths and that no id stands twice or is both used and retired.
func NewKeyring(sealing []Key, retired []string, index []Key) (*Keyring, error) {
	if len(sealing) == 0 || len(index) == 0 {
		return nil, errors.New("at least one sealing key and one index key are needed")
	}
	// An id in two places would make it chance which key opens a record, or whether its session lives.
	seen := slices.Clone(retired)
	for _, k := range sealing {
		if slices.Contains(seen, k.ID) {
			return nil, fmt.Errorf("sealing key %q stands twice, or is retired as well", k.ID)
		}
		seen = append(seen, k.ID)
	}
	for _, k := range slices.Concat(sealing, index) {
		if len(k.Bytes.Reveal()) != KeyBytes || k.ID == "" || len(k.ID) > 255 { // its length is one byte
			return nil, fmt.Errorf("key %q: want an id and %d bytes", k.ID, KeyBytes)
		}
	}
	return &Keyring{sealing: sealing, retired: retired, index: index}, nil
}

// Front returns the id of the key that seals: the birth key of a session that begins now.
func (r *Keyring) Front() string { return r.sealing[0].ID }

// key finds a sealing key by id, or tells whether it was retired or is not known here (yet).
func (r *Keyring) key(id string) (Key, error) {
	for _, k := range r.sealing {
		if k.ID == id {
			return k, nil
		}
	}
	if !isKeyID(id) { // what somebody sent, not what we sealed: no other instance will know it either
		return Key{}, ErrTampered
	}
	// Only a key that was named as gone signs anybody out. Any other unknown id is a rollout in the wrong order, which the
	// next instance may know better: 503, and the cookie is kept.
	if slices.Contains(r.retired, id) {
		return Key{}, ErrKeyRetired
	}
	return Key{}, ErrKeyUnknown
}

// isKeyID reports whether id may name a key at all: the configuration takes no other.
func isKeyID(id string) bool {
	return id != "" && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '-' && c != '.'
	})
}

// RecordBox seals and opens the parts of one session's record.
type RecordBox struct {
	aead  cipher.AEAD
	bound string // what the associated data says besides the part: key id, app and lookup
}

// Record derives the key of one session's record from its birth key and its root: a dump of the store opens nothing,
// and a dump plus the ring opens nothing without the root. lookup is root's, which the caller has at hand. ErrKeyUnknown
// and ErrKeyRetired as they say.
func (r *Keyring) Record(keyID string, root Root, lookup Lookup, app string) (*RecordBox, error) {
	birth, err := r.key(keyID)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(joined(birth, root), "record")
	if err != nil {
		return nil, err
	}
	return &RecordBox{aead: aead, bound: bind(keyID, app, string(lookup))}, nil
}

// Pending derives the key of a login that waits under a code, as Record does from the root: a dump plus the ring opens
// nothing without the code. ErrKeyUnknown and ErrKeyRetired as they say.
func (r *Keyring) Pending(keyID string, code Root) (*RecordBox, error) {
	birth, err := r.key(keyID)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(joined(birth, code), "pending login")
	if err != nil {
		return nil, err
	}
	return &RecordBox{aead: aead, bound: bind(keyID)}, nil
}

// Turn returns the MAC by which a handle of a session shows that this gateway gave it out, as this kind and for this turn.
// Its key is derived from the session's birth key and its root: neither a dump nor the ring makes a handle. ErrKeyUnknown
// and ErrKeyRetired as they say.
func (r *Keyring) Turn(keyID string, root Root, kind HandleKind, n int64) ([]byte, error) {
	birth, err := r.key(keyID)
	if err != nil {
		return nil, err
	}
	key, err := derived(joined(birth, root), "turn")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(kind)) // no kind is the beginning of another, and the number is of fixed length: one reading
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return mac.Sum(nil), nil
}

// joined is what the keys of one session are derived from. Both parts are of fixed length, so that the join has one
// reading; both are random, so that HKDF does without a salt (RFC 5869 section 3.1).
func joined(birth Key, root Root) []byte {
	ikm := make([]byte, 0, KeyBytes+rootBytes)
	return append(append(ikm, birth.Bytes.Reveal()...), root.bytes[:]...)
}

// Seal encrypts one part of the record under its name.
func (b *RecordBox) Seal(part string, plain []byte) []byte {
	// The part is bound in as well (RFC 5116 section 2.1, associated data): a body is never taken for a token set.
	return b.aead.Seal(nil, nil, plain, []byte(bind(part)+b.bound))
}

// Open decrypts a part. ErrTampered if it was altered, or sealed for another part, key, app or session: whoever can
// write to the store cannot swap records (RFC 6749 sections 10.3 and 10.4).
func (b *RecordBox) Open(part string, sealed []byte) ([]byte, error) {
	plain, err := b.aead.Open(nil, nil, sealed, []byte(bind(part)+b.bound))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrTampered, part)
	}
	return plain, nil
}

// Seal encrypts plain under the front key for one purpose, bound to context. The key id stands in front.
func (r *Keyring) Seal(purpose string, plain []byte, context ...string) []byte {
	k := r.sealing[0]
	out := append([]byte{byte(len(k.ID))}, k.ID...)
	aead, err := newAEAD([]byte(k.Bytes.Reveal()), purpose)
	if err != nil {
		panic(err) // the key's length was checked when the ring was made
	}
	return aead.Seal(out, nil, plain, []byte(bind(append([]string{purpose, k.ID}, context...)...)))
}

// Open opens what Seal sealed for the same purpose and context. ErrKeyUnknown, ErrKeyRetired or ErrTampered.
func (r *Keyring) Open(purpose string, sealed []byte, context ...string) ([]byte, error) {
	if len(sealed) == 0 || len(sealed) < 1+int(sealed[0]) {
		return nil, ErrTampered
	}
	// The id is not trusted for standing in the clear: it is part of the associated data, so a changed one opens nothing.
	id := string(sealed[1 : 1+int(sealed[0])])
	k, err := r.key(id)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD([]byte(k.Bytes.Reveal()), purpose)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed[1+len(id):], []byte(bind(append([]string{purpose, id}, context...)...)))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrTampered, purpose)
	}
	return plain, nil
}

// macs authenticate text for one purpose: by a key that is derived from each sealing key, the one in front first.
func (r *Keyring) macs(purpose string, text []byte) [][]byte {
	out := make([][]byte, len(r.sealing))
	for i, k := range r.sealing {
		key, err := derived([]byte(k.Bytes.Reveal()), purpose)
		if err != nil {
			panic(err) // it errs only for absurd lengths
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(text)
		out[i] = mac.Sum(nil)
	}
	return out
}

// Names returns the stored names of something: a MAC under each index key, so that a dump shows neither subject nor
// session id of the provider. Writers write and readers ask under all of them.
func (r *Keyring) Names(parts ...string) []string {
	names := make([]string, len(r.index))
	for i, k := range r.index {
		mac := hmac.New(sha256.New, []byte(k.Bytes.Reveal()))
		// Keyed, unlike a lookup: a subject can be guessed, and a plain hash of it would confirm the guess.
		mac.Write([]byte(bind(parts...)))
		names[i] = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return names
}

// derived is the key for one use, by HKDF (RFC 5869).
func derived(ikm []byte, info string) ([]byte, error) {
	return hkdf.Key(sha256.New, ikm, nil, "cloakroom "+info+" v1", KeyBytes)
}

// newAEAD derives a key and makes AES-256-GCM of it, with random nonces: a key of one record seals a
// few thousand times at most, a key of the ring far less than the 2^32 times that random nonces allow.
func newAEAD(ikm []byte, info string) (cipher.AEAD, error) {
	key, err := derived(ikm, info)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bind writes parts so that no two different lists give the same text: each part behind its length.
func bind(parts ...string) string {
	b := make([]byte, 0, 128) // room for what a record is bound to
	for _, p := range parts {
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(append(b, ':'), p...)
	}
	return string(b)
}
