package provider

import (
	"net/http"
	"net/url"
	"time"
)

// SIDs says what clients are told of the browser session they share.
type SIDs int

// The choices providers make for the sid claim.
const (
	SharedSID    SIDs = iota // one sid for all clients of a browser session, as at Scalekit
	SIDPerClient             // each client gets its own
	NoSID                    // none is told
)

// Reach says how much a revocation (RFC 7009) takes along.
type Reach int

// How far a revoked refresh token reaches.
const (
	ReachFamily  Reach = iota // the tokens that came from the same code
	ReachGrant                // all tokens that this user gave this client
	ReachSession              // the browser session, with the tokens of every client in it
)

// Form is how the userinfo endpoint answers.
type Form int

// The forms of a userinfo answer.
const (
	AsJSON Form = iota
	AsJWT       // signed, application/jwt (OpenID Connect Core section 5.3.2)
	AsHTML      // a page, as a misconfigured proxy would send
)

// Edit changes a token's JOSE header and claims just before signing. It runs under the provider's lock: it must not call the provider.
type Edit func(header, claims map[string]any)

// Behaviour is what the provider says and does, right or wrong. The zero value is right, and like Scalekit where providers differ. A
// duration of zero means the default beside it. Functions run under the provider's lock and must not call the provider.
type Behaviour struct {
	CodeLife     time.Duration // default 10 min, as Scalekit
	AccessLife   time.Duration // default 5 min, as Scalekit; whole seconds, at least one
	IDLife       time.Duration // default 30 min, as Scalekit
	RefreshLife  time.Duration // default 30 days
	SessionLife  time.Duration // of the browser session from sign-in; default 12 h
	RefreshGrace time.Duration // how long a used refresh token still gives its one successor; default none

	AssertionAudience string // aud that client assertions must have, instead of the issuer
	AssertionTyp      string // typ that they must have; default client-authentication+jwt

	OmitIss          bool             // no iss in authorization answers, nor the promise of it in discovery (RFC 9207)
	AnswerIss        string           // iss of authorization answers instead of the issuer
	AuthorizeError   string           // every good authorization request is answered with this error
	ErrorDescription string           // goes with AuthorizeError
	SendsBack        bool             // every good authorization request is sent to the client's initiate-login URL
	EditAnswer       func(url.Values) // last word over the authorization answer's parameters
	IgnorePKCE       bool             // neither asks for a challenge nor looks at a verifier
	IgnoreNonce      bool             // the nonce is not echoed
	IgnorePrompt     bool             // whoever is signed in is not asked again, whatever prompt says

	SIDs             SIDs
	IDTokenOnRefresh bool
	NoRotation       bool    // a refresh token is good for ever, and refresh answers carry none
	ReuseSpares      bool    // a used refresh token is refused, but its family lives
	OfflineSurvives  bool    // refresh tokens outlive the end of the browser session
	OpaqueAccess     bool    // access tokens are random strings
	Spent            *Answer // answers a refresh token that is used, revoked or unknown; nil means 400 invalid_grant

	IDClaims        map[string]any // laid over the ID token's claims; a nil value removes one
	AccessClaims    map[string]any // the same for access tokens
	EditIDToken     Edit
	EditAccessToken Edit
	EditLogoutToken Edit // of every logout token
	IDSigning       Signing
	AccessSigning   Signing
	Omit            []string             // members left out of token answers, such as "refresh_token"
	TokenType       string               // default Bearer
	ExpiresIn       int                  // seconds told in token answers instead of the truth; 0 tells the truth
	EditTokenAnswer func(map[string]any) // last word over token answers
	ExchangeAnswer  map[string]any       // laid over the answers to exchanges (RFC 8693); a nil value removes a member

	DPoPRequired bool // no token without a proof (RFC 9449); one that comes is always checked, and binds
	DPoPNonces   bool // no proof without a nonce of ours (section 8)
	DPoPIgnored  bool // what proofs come is not looked at: every token is Bearer

	UserInfoForm   Form
	UserInfoClaims map[string]any // laid over the answer; {"sub": …} makes it another user's
	EditUserInfo   Edit           // header and claims of the signed form

	EditDiscovery     func(map[string]any)
	EditKeys          func(map[string]any) // the key set document: {"keys": [ {…}, … ]}
	Revocation        Reach
	SkipBackchannel   bool // no logout tokens of its own accord
	HintAloneSignsOut bool // a logout with a good hint but without our cookie ends the hint's session
}

// Set changes the behaviour for all requests that are worked on from now on.
func (p *Provider) Set(change func(*Behaviour)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.behaviour)
}

// Answer is a whole HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

func (b Behaviour) accessLife() time.Duration { return orElse(b.AccessLife, 5*time.Minute) }

// overlay lays the changes over the claims; nil removes.
func overlay(claims, changes map[string]any) {
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
}
