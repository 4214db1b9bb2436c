package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// KeySpec describes a key to publish beside the provider's own, good or bad.
type KeySpec struct {
	Type string // RSA (the default), EC (P-256) or oct
	Bits int    // of an RSA key; default 2048
	KID  string // default a new one; one that is published already makes a duplicate
	Alg  string // default RS256, ES256 or HS256; "-" leaves it out of the published key
	Use  string // default sig; "-" leaves it out
}

// Key is a key that the provider can sign with.
type Key struct {
	kid     string
	alg     jwa.SignatureAlgorithm
	private any
	public  map[string]any // as published
}

// KID is the key's identifier, as published.
func (k *Key) KID() string { return k.kid }

// keyring is what the provider signs with, and what it publishes.
type keyring struct {
	signing   *Key
	published []*Key
	stranger  *Key // never published; made when first asked for
}

func newKeyring(k *Key) (keyring, error) {
	if k == nil {
		var err error
		if k, err = NewKey(KeySpec{}); err != nil {
			return keyring{}, err
		}
	}
	return keyring{signing: k, published: []*Key{k}}, nil
}

// NewKey makes a key that is published nowhere: AddKey publishes it, Signing.Key signs with it.
func NewKey(spec KeySpec) (*Key, error) {
	private, alg, err := generate(spec)
	if err != nil {
		return nil, fmt.Errorf("making key: %w", err)
	}
	k := &Key{kid: orElse(spec.KID, "snk_"+digits()), alg: alg, private: private}
	k.public, err = publicForm(k, spec)
	if err != nil {
		return nil, fmt.Errorf("publishing key: %w", err)
	}
	return k, nil
}

func generate(spec KeySpec) (any, jwa.SignatureAlgorithm, error) {
	switch spec.Type {
	case "EC":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return key, jwa.ES256, err
	case "oct":
		key := make([]byte, 32) // as long as the hash of HS256
		_, err := rand.Read(key)
		return key, jwa.HS256, err
	}
	key, err := rsa.GenerateKey(rand.Reader, orElse(spec.Bits, 2048)) // RFC 7518 section 3.3: 2048 bits or more
	return key, jwa.RS256, err
}

// publicForm is the key as a member of the key set. For an oct key that is the secret itself, which is what makes it bad.
func publicForm(k *Key, spec KeySpec) (map[string]any, error) {
	key, err := jwk.FromRaw(k.private)
	if err != nil {
		return nil, err
	}
	public, err := jwk.PublicKeyOf(key)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(public)
	if err != nil {
		return nil, err
	}
	form := map[string]any{"kid": k.kid}
	if spec.Alg != "-" {
		form["alg"] = orElse(spec.Alg, k.alg.String())
	}
	if spec.Use != "-" {
		form["use"] = orElse(spec.Use, "sig")
	}
	return form, json.Unmarshal(text, &form)
}

// AddKey publishes a key after those published already; the signing key stays what it is.
func (p *Provider) AddKey(k *Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys.published = append(p.keys.published, k)
}

// RotateKeys makes a new signing key and publishes it first. The old ones stay published until RetireKeys.
func (p *Provider) RotateKeys() (*Key, error) {
	k, err := NewKey(KeySpec{})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys.signing = k
	p.keys.published = append([]*Key{k}, p.keys.published...)
	return k, nil
}

// RetireKeys takes every key but the signing one out of the key set.
func (p *Provider) RetireKeys() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys.published = []*Key{p.keys.signing}
}

// SigningKey is the key that signs at present.
func (p *Provider) SigningKey() *Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys.signing
}

// publishKeys answers GET /keys.
func (p *Provider) publishKeys(*http.Request) reply {
	keys := make([]any, 0, len(p.keys.published))
	for _, k := range p.keys.published {
		form := map[string]any{}
		overlay(form, k.public)
		keys = append(keys, form)
	}
	set := map[string]any{"keys": keys}
	if edit := p.behaviour.EditKeys; edit != nil {
		edit(set)
	}
	re := jsonReply(http.StatusOK, set)
	re.header.Set("Cache-Control", "public, max-age=3600") // documented advice is to cache keys for hours
	return re
}

// byKID finds a published RSA or EC key for checking what the provider itself has signed.
func (r keyring) byKID(kid string) (*Key, bool) {
	i := slices.IndexFunc(r.published, func(k *Key) bool { return k.kid == kid && k.alg != jwa.HS256 })
	if i < 0 {
		return nil, false
	}
	return r.published[i], true
}

// verifier is the public half of an asymmetric key.
func (k *Key) verifier() any {
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		return &private.PublicKey
	case *ecdsa.PrivateKey:
		return &private.PublicKey
	}
	return nil
}
