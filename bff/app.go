package bff

import (
	"slices"
	"strconv"
	"time"
)

// Kind is what sort of frontend an app is.
type Kind string

// The kinds of apps.
const (
	KindSPA     Kind = "spa"     // single-page app: cookie session, SameSite=Strict
	KindWeb     Kind = "web"     // server-rendered, proxied: cookie session, SameSite=Lax
	KindMobile  Kind = "mobile"  // opaque handle
	KindDesktop Kind = "desktop" // opaque handle
)

// App is a registered frontend: an OAuth client of its own at its provider.
type App struct {
	ID     string // [a-z][a-z0-9-]*: part of cookie names and of every record's associated data
	Name   string // what a person is told it is called
	Kind   Kind
	Origin string // scheme://host[:port] of a browser app; "" for native ones
	// AllowedOrigins are other origins of the same site where pages of a browser app stand: they may call it, and be
	// returned to. Each as a browser writes it (RFC 6454 section 6.2).
	AllowedOrigins []string
	Provider       *ProviderPolicy
	ClientID       string

	RedirectURI   string // the one registered callback, absolute, built from configuration (never from a Host header)
	PostLogoutURI string // the one registered post-logout return, absolute

	// Claims are shown to the frontend, each by its name or the path to it (ClaimAt). StoredClaims are names alone: those that
	// Claims are found in, and what a route needs. Nothing else of an ID token is kept in the record.
	Claims       []string
	StoredClaims []string

	// ClientScopes are asked for with the app's own token (RFC 6749 section 4.4); none: as registered.
	ClientScopes []string

	Idle      time.Duration // a session unused for so long ends
	Absolute  time.Duration // a session ends so long after its login, however much it is used
	Recent    time.Duration // how recent the sign-in must be of who ends other sessions; 0 = none is
	Most      int           // how many sessions a user may have here; 0 = any number
	LaxCookie bool          // SameSite=Lax instead of Strict; by kind or by explicit setting

	DefaultReturn string // where a login goes that names no return target; a ReturnTarget
	// PostLogoutReturn is where a browser goes after the provider's logout: a ReturnTarget, or of a native app a URI of its own;
	// "" = nowhere.
	PostLogoutReturn string

	// Of native apps alone.
	RedirectURIs []string      // where the app is answered: exact, but for the port on loopback
	Binding      Binding       // whether handles are bound to a key (RFC 9449)
	Nonces       bool          // proofs of possession must carry a nonce of ours (RFC 9449 section 8)
	AccessLife   time.Duration // of an access handle
	Grace        time.Duration // how long a refresh handle is still answered with its successor, once that was seen
}

// Native reports whether the app is one outside a browser, whose credentials are handles.
func (a *App) Native() bool { return a.Kind == KindMobile || a.Kind == KindDesktop }

// ProviderPolicy is what the domain must know of an OpenID provider; how to speak with it is package idp's business.
type ProviderPolicy struct {
	Name        string // its name in the configuration: index names are derived from it, never from a token's iss
	Issuer      string
	SSOBy       SSOBy
	Apps        int  // how many apps of this gateway sign in there
	SIDRequired bool // a login without sid is refused, for sign-out would not reach it
	// RevocationSparesGrant: revoking a replaced session's tokens does not end the whole grant, the new session's
	// tokens with it. Where it would, a session replaced by the same subject is deleted without revoking.
	RevocationSparesGrant bool
	Issuers               []string // further names it gives itself in tokens, as behind a custom domain
	Frontchannel          bool     // its pages may end sessions by an embedded address (Front-Channel Logout 1.0)
	// Outlasting are the apps whose refresh tokens are not revoked when the provider says that its session is over
	// (Back-Channel Logout 1.0 section 2.7: those that were issued for offline_access are to stay good).
	Outlasting map[string]bool
	Logout     LogoutWay // how a sign-out here ends its own session
	// Revocable keeps the refresh token also sealed under the ring, so that a session ended without its credential can
	// be revoked at the provider, at the price that ring and dump together open it.
	Revocable bool
}

// IsIssuer reports whether iss is a name of the provider, exactly (OpenID Connect Core section 3.1.3.7, item 2).
func (p *ProviderPolicy) IsIssuer(iss string) bool {
	return iss != "" && (iss == p.Issuer || slices.Contains(p.Issuers, iss))
}

func (p *ProviderPolicy) outlastsSignOut(app string) bool { return p.Outlasting[app] }

// SSOBy says what ties the sessions of several apps into one SSO session at this provider.
type SSOBy string

// The ways to tie an SSO session.
const (
	SSOBySID     SSOBy = "sid"           // all clients get the same sid (Scalekit)
	SSOByAuthAt  SSOBy = "sub+auth_time" // each client has its own sid: subject and moment of authentication
	SSOBySubject SSOBy = "sub"           // nothing better: all sessions of the subject
)

// group names the SSO session that an identity belongs to, in the words of its provider; "" when the provider gave
// nothing to tie it by: then the session stands alone.
func (p *ProviderPolicy) group(id *Identity) string {
	switch p.SSOBy {
	case SSOBySubject:
		return "sub " + id.Subject
	case SSOByAuthAt:
		if id.AuthTime.IsZero() {
			return ""
		}
		return "sub " + id.Subject + " at " + strconv.FormatInt(id.AuthTime.Unix(), 10)
	default:
		if id.SID == "" {
			return ""
		}
		return "sid " + id.SID
	}
}
