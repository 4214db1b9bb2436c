// Package idp is who is asked: it speaks with OpenID providers as their relying party. It implements bff.Provider and
// bff.LogoutProvider, so that package bff need not know OAuth, JOSE or HTTP.
//
// What it knows: discovery, signing keys, the rules for ID tokens, access tokens that are JWTs and UserInfo, the token
// endpoint and what each of its answers means, revocation, the end of the provider's session by the browser or by its
// session API, and what a provider says unasked: logout tokens, and words on a sign-in that begins there. What it does not know:
// sessions of frontends, Redis, cookies, and the configuration file. It keeps nothing but caches and counters.
//
// The words used here:
//
//   - An Issuer is one configured provider: its metadata, its keys, and the gate before its token endpoint. All apps of
//     a provider share it.
//   - A Client is one app at an Issuer: a client id with its own secret or keys, its own redirect URI, and its own breaker
//     behind the gate.
//   - A rule is one thing a token must keep; a RuleError names the one that was broken, and never shows the token.
//
// The journey of a login: Client.AuthorizationURL reads the metadata and builds the request; Client.CheckIssuer compares
// the iss that came back; Client.Exchange passes gate and breaker (breaker.go), proves the app by its secret or by an
// assertion (assertion.go), sends the code once (endpoint.go), judges the answer (classify.go), verifies what came
// (verify.go) and returns a grant. A refresh takes the same way with other judgements (refresh.go): a refresh token that
// was used cannot be asked for again, so each failure is told apart by what is known of the token afterwards. An app's own
// token goes it too (clienttoken.go). What comes by itself is read strictly (strictjson.go) and verified with the same keys
// (logouttoken.go, initiate.go). What may be asked of a provider before anybody signs in there is in probe.go and
// probeclient.go.
package idp

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"cloakroom/bff"
)

// Settings say how to speak with one provider. Zero values take the defaults named here.
type Settings struct {
	Name string // the provider's configured name, for logs
	// Issuer is compared byte for byte and never normalised: it may have a path and may end in a slash (OpenID Connect
	// Discovery section 4.3).
	Issuer  string
	Issuers []string // further values of iss accepted in tokens, as behind a custom domain

	// TokenAuth is how a secret is shown: client_secret_basic, client_secret_post or none. Empty chooses once from the
	// metadata, basic first (the default of RFC 8414 section 2); it is never probed, as a code sent twice is a code lost. A
	// client with keys authenticates by them, whatever stands here; with private_key_jwt no other may ask at all.
	TokenAuth         string
	AssertionAudience string // AudienceIssuer (default) or AudienceTokenEndpoint
	AssertionTyp      string // the typ of assertions. Default client-authentication+jwt

	SigningAlgs    []string // accepted on tokens; asymmetric ones only. Default RS256, PS256, ES256, EdDSA
	SIDRequired    bool     // an ID token without sid fails the login
	IssUnannounced string   // a right iss that the metadata did not announce: IssAccept (default) or IssRefuse
	PKCEKnown      bool     // S256 is known to work although the metadata does not list it

	AccessTokenJWT       bool     // access tokens are JWTs meant to be read here: verified once, when received
	AccessTokenAudiences []string // one of which such a token must name; default the client id
	TrustedAudiences     []string // may stand in an ID token's aud beside the client id

	Prompt string // sent with a login that asks for none; "" sends none
	// ParamNames renames parameters of a login: Scalekit wants domain_hint as domain_hint and domain, social_provider as
	// provider. One that is not listed keeps its name.
	ParamNames map[string][]string
	// SpentShapes are answers to a refresh that mean a used token beside invalid_grant: ShapeInvalidRequest, ShapeEmpty400,
	// ShapeInteraction.
	SpentShapes []string
	// RevocationSupported overrides the metadata; nil believes it.
	RevocationSupported *bool
	UserInfo            bool // ask the UserInfo endpoint for claims that the ID token lacks
	// AskAuthTime has every sign-in tell when the user authenticated: where that is what ties sessions together, a provider
	// that leaves it out would leave them untied.
	AskAuthTime bool
	// DPoP has every token bound to a key (RFC 9449): each call for one proves a key, and an answer that binds none is refused.
	DPoP              bool
	LogoutExpOptional bool // a logout token may lack exp: its iat bounds it then
	StrictLogoutTyp   bool // a logout token without typ, or with JWT, is refused
	// SessionAPI is where the provider's sessions are ended by a call, without a slash at its end: Scalekit's Management API.
	SessionAPI       string
	LogoutByRedirect bool // end the provider's session by redirect; otherwise by form POST, with nothing in a URL

	Endpoints Endpoints // what is set here wins over the metadata

	ClockSkew          time.Duration // at most and by default 60 s
	HTTPTimeout        time.Duration // for one request. Default 10 s
	RefreshTimeout     time.Duration // for a refresh, longer, as its answer must not be lost. Default 20 s
	DefaultTokenLife   time.Duration // of an access token that came without expires_in. Default 60 s
	KeyRefetchInterval time.Duration // an unknown kid fetches the keys at most so often. Default 30 s

	InsecureHTTP bool           // plain http elsewhere than on loopback
	RootCAs      *x509.CertPool // who signs the provider's certificate; nil for the system's
	// DialContext reaches the provider; nil dials directly, or by the proxy that the environment names.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Through stands around the transport of every call, for metrics and traces; nil: nothing does. It may not repeat a call.
	Through func(http.RoundTripper) http.RoundTripper
}

// What to do with a right iss parameter that the metadata did not announce (RFC 9207 section 2.4).
const (
	IssAccept = "accept"
	IssRefuse = "refuse"
)

// The faces of a spent refresh token beside invalid_grant, each the habit of one product.
const (
	ShapeInvalidRequest = "invalid_request" // Dex
	ShapeEmpty400       = "empty_400"       // Glewlwyd: 400 without a body
	// ShapeInteraction is Entra ID: it or its kin in OpenID Connect Core section 3.1.2.6. A policy wants the user back, and
	// no refresh is granted before a new sign-in.
	ShapeInteraction = "interaction_required"
)

// Endpoints are URLs of a provider. Empty ones are taken from its metadata.
type Endpoints struct {
	Authorization, Token, JWKS, UserInfo, Revocation, EndSession string
}

func (s Settings) withDefaults() Settings {
	if len(s.SigningAlgs) == 0 {
		s.SigningAlgs = []string{"RS256", "PS256", "ES256", "EdDSA"}
	}
	if s.AssertionTyp == "" {
		s.AssertionTyp = assertionTyp
	}
	if s.ClockSkew <= 0 || s.ClockSkew > time.Minute {
		s.ClockSkew = time.Minute // more would make short-lived tokens meaningless
	}
	for _, d := range []struct {
		at  *time.Duration
		def time.Duration
	}{
		{&s.HTTPTimeout, 10 * time.Second},
		{&s.RefreshTimeout, 20 * time.Second},
		{&s.DefaultTokenLife, time.Minute},
		{&s.KeyRefetchInterval, 30 * time.Second},
	} {
		if *d.at <= 0 {
			*d.at = d.def
		}
	}
	return s
}

// Issuer is one provider. It is made without asking anything: a provider that is down costs its own apps only, and heals
// by itself.
type Issuer struct {
	set   Settings
	now   func() time.Time
	log   *slog.Logger
	alarm func(ctx context.Context, what string, err error)

	plain  *http.Client // metadata, keys, UserInfo, revocation: safe to do twice
	grants *http.Client // the token endpoint: nothing is ever done twice

	// metadata is kept without end: whatever is sent goes by TLS to the hosts it names, so that an old copy can only be of
	// no use, and without one nobody is renewed. keys are not: a provider that withdrew one may be out of reach because of
	// whoever stole it. Sign-ins and logout tokens stop then; sessions do not, for a renewal needs no key.
	metadata cached[*metadata]
	keys     cached[[]key]
	keyAsk   interval // when an unknown kid may have the keys fetched again
	gate     *gate
	nonces   nonces // for proofs

	authMu sync.Mutex
	auth   string // the token endpoint authentication, once chosen

	breakersMu sync.Mutex
	breakers   []*breaker // one for each client

	besides sync.WaitGroup
	slots   chan struct{} // bounds what runs beside
}

// NewIssuer makes the Issuer of one provider. alarm is told, by a fixed text and a cause, what an operator should look at;
// it must not block. Nothing is fetched yet.
func NewIssuer(set Settings, now func() time.Time, log *slog.Logger, alarm func(ctx context.Context, what string, err error)) *Issuer {
	set = set.withDefaults()
	is := &Issuer{
		set: set, now: now, log: log.With("provider", set.Name), alarm: alarm,
		plain: plainClient(set), grants: grantClient(set),
		slots: make(chan struct{}, 32), // revocations at once: a burst beyond that is not worth the memory
	}
	is.keyAsk.every = set.KeyRefetchInterval
	is.keys.most = keysMostOld
	is.gate = newGate()
	return is
}

// ClientSettings are one app's registration at the provider.
type ClientSettings struct {
	ClientID     string
	Secret       bff.Secret        // zero for a public client, or one with keys
	Keys         []*ClientKey      // for private_key_jwt: the first signs, all are published
	RedirectURI  string            // the registered one, sent exactly so
	Scopes       []string          // asked for at each login, openid among them
	Authorize    map[string]string // sent with each login that does not ask for another value itself; "" sends none
	Resources    []string          // asked for at each login (RFC 8707 section 2.1): absolute URIs, as the provider knows them
	StoredClaims []string          // what is kept of ID token and UserInfo
}

// Client is one app at the provider.
type Client struct {
	is      *Issuer
	set     ClientSettings
	breaker *breaker
	targets *targets
}

var (
	_ bff.Provider       = (*Client)(nil)
	_ bff.LogoutProvider = (*Client)(nil)
	_ bff.LogoutVerifier = (*Client)(nil)
)

// Client returns the provider as seen by one app.
func (is *Issuer) Client(set ClientSettings) *Client {
	c := &Client{is: is, set: set, breaker: is.newBreaker("client_id", set.ClientID), targets: new(targets)}
	is.breakersMu.Lock()
	defer is.breakersMu.Unlock()
	is.breakers = append(is.breakers, c.breaker)
	return c
}

// ErrBusy says that work beside a request was not begun, because too much of it is running.
var ErrBusy = errors.New("too much work beside requests")

// beside runs best-effort work that must not hold up the request that caused it, on a context that outlives it.
func (is *Issuer) beside(ctx context.Context, what string, work func(context.Context) error) {
	ctx = context.WithoutCancel(ctx)
	select {
	case is.slots <- struct{}{}:
	default:
		is.alarm(ctx, what, ErrBusy)
		return
	}
	is.besides.Go(func() {
		defer func() { <-is.slots }()
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // three tries with pauses fit in
		defer cancel()
		if err := work(ctx); err != nil {
			is.alarm(ctx, what, err)
		}
	})
}

// Drain waits until the work beside requests (revocations of tokens that were not accepted) is done, or ctx ends.
func (is *Issuer) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() { is.besides.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unavailable is the answer while the provider cannot be asked: the session, if there is one, lives.
func unavailable(retryAfter time.Duration, err error) *bff.Error {
	return &bff.Error{
		Code: bff.CodeIDPUnavailable, Message: "The sign-in service cannot be reached right now. Try again in a moment.",
		RetryAfter: max(retryAfter, time.Second), Err: err, // at once is never worth it
	}
}
