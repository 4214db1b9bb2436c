package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

var (
	errNoToken         = errors.New("no bearer token")
	errBadToken        = errors.New("bearer token not acceptable")
	errKeysUnreachable = errors.New("keys of the issuer not reachable")
)

// claims are what the endpoints know of a caller.
type claims struct {
	Sub   string
	Scope string

	signIn signIn
	token  string // its jti, or a hash of it
	issued time.Time
	ends   time.Time
}

// bearer verifies access tokens: JWTs signed by one issuer with RS256 or ES256, and their proofs where they are bound to a key.
type bearer struct {
	cfg APIConfig

	mu      sync.Mutex
	keys    jwk.Set
	fetched time.Time

	proofs proofs
}

func newBearer(cfg APIConfig) *bearer { return &bearer{cfg: cfg, keys: jwk.NewSet()} }

// verify reads the one Authorization header and checks signature, issuer, audience and times of its token (RFC 9068 section 4).
func (b *bearer) verify(r *http.Request) (claims, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return claims{}, errNoToken
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	scheme = strings.ToLower(scheme)
	if scheme != "bearer" && scheme != "dpop" || token == "" {
		return claims{}, errNoToken
	}
	key, alg, err := b.keyFor(r.Context(), token)
	if err != nil {
		return claims{}, err
	}
	parsed, err := jwt.Parse([]byte(token), jwt.WithKey(alg, key), jwt.WithIssuer(b.cfg.Issuer), jwt.WithRequiredClaim("exp"),
		jwt.WithClock(jwt.ClockFunc(b.cfg.Now)))
	if err != nil {
		return claims{}, fmt.Errorf("%w: %w", errBadToken, err)
	}
	if err := b.proofs.judge(r, scheme, token, keyOf(parsed), b.cfg.Now()); err != nil {
		return claims{}, err
	}
	c, err := b.read(parsed)
	c.token = cmp.Or(parsed.JwtID(), hashName(token))
	return c, err
}

func (b *bearer) read(token jwt.Token) (claims, error) {
	ours := func(aud string) bool { return slices.Contains(b.cfg.Audiences, aud) }
	if b.cfg.Audiences != nil && !slices.ContainsFunc(token.Audience(), ours) {
		return claims{}, fmt.Errorf("%w: made for another audience", errBadToken)
	}
	if token.Subject() == "" {
		return claims{}, fmt.Errorf("%w: no subject", errBadToken)
	}
	authTime, _ := token.Get("auth_time")
	at, _ := authTime.(float64) // any JSON number
	return claims{
		Sub: token.Subject(), Scope: text(token, "scope"), issued: token.IssuedAt(), ends: token.Expiration(),
		signIn: signIn{sub: token.Subject(), client: text(token, "client_id"), sid: text(token, "sid"), authTime: int64(at)},
	}, nil
}

// text is a claim that is a text; "" for another, or none.
func text(token jwt.Token, name string) string {
	value, _ := token.Get(name)
	s, _ := value.(string)
	return s
}

// keyFor chooses the key by the token's kid. RFC 8725 section 3.1: the algorithm comes from a list of ours, without HMAC, so that a
// public key never serves as a secret; jwx then refuses a key whose type does not fit the algorithm.
func (b *bearer) keyFor(ctx context.Context, token string) (jwk.Key, jwa.SignatureAlgorithm, error) {
	msg, err := jws.Parse([]byte(token), jws.WithCompact())
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errBadToken, err)
	}
	header := msg.Signatures()[0].ProtectedHeaders()
	if alg := header.Algorithm(); alg != jwa.RS256 && alg != jwa.ES256 {
		return nil, "", fmt.Errorf("%w: algorithm not allowed", errBadToken)
	}
	key, err := b.lookup(ctx, header.KeyID())
	return key, header.Algorithm(), err
}

// lookup finds a key, asking the issuer again for one that is unknown, at most once a second so that forged tokens cost little.
func (b *bearer) lookup(ctx context.Context, kid string) (jwk.Key, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if key, ok := b.keys.LookupKeyID(kid); ok {
		return key, nil
	}
	if !b.fetched.IsZero() && b.cfg.Now().Sub(b.fetched) < time.Second && b.keys.Len() > 0 {
		return nil, fmt.Errorf("%w: unknown key", errBadToken)
	}
	keys, err := jwk.Fetch(ctx, b.cfg.JWKSURL, jwk.WithHTTPClient(b.cfg.HTTP))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errKeysUnreachable, err)
	}
	b.keys, b.fetched = keys, b.cfg.Now()
	if key, ok := keys.LookupKeyID(kid); ok {
		return key, nil
	}
	return nil, fmt.Errorf("%w: unknown key", errBadToken)
}
