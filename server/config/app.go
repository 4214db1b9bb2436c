package config

import "time"

// App is a registered frontend: a confidential client of its own at a provider.
type App struct {
	// Kind is spa, web (server-rendered, proxied), mobile or desktop.
	Kind string `yaml:"kind"`
	// Origin is where a browser app lives: scheme, host and port, nothing else.
	// https, or http for loopback names. spa and web only, required there.
	Origin string `yaml:"origin"`
	// Name is what a person is told the app is called. Default the app's id.
	Name string `yaml:"name"`
	// Provider is the name of one of Config.Providers.
	Provider string `yaml:"provider"`
	// ClientID is the app's at the provider.
	ClientID string `yaml:"client_id"`
	// ClientSecret is the app's own; no two apps share one (RFC 9700 section 2.5).
	ClientSecret Secret `yaml:"client_secret"`
	// ClientKeys are private keys in place of a secret (private_key_jwt, OpenID
	// Connect Core section 9): the first signs, all are published at the app's
	// jwks_uri, which `cloakroom urls` prints. A new key is appended, moved to the
	// front once the provider has seen it, and the old one removed later.
	ClientKeys []*ClientKey `yaml:"client_keys"`
	// Scopes are asked for at sign-in; openid must be among them. Default: the
	// provider's.
	Scopes []string `yaml:"scopes"`
	// Authorize are parameters that go with each of the app's authorization
	// requests, beside the provider's and in place of those of the same name; an
	// empty text sends none. Default: the provider's.
	Authorize map[string]string `yaml:"authorize"`
	// ClientScopes are asked for with the app's own token, which routes with token:
	// client take. Default none: the provider gives what is registered.
	ClientScopes []string `yaml:"client_scopes"`
	// Claims are what the session answer tells of the user: each a name, or the path
	// to a claim inside objects, as realm_access.roles, under which it is told then.
	// Default sub, name, email, picture.
	Claims []string `yaml:"claims"`
	// Session is how long a session lasts, how many a user may have, and how its
	// cookie travels.
	Session SessionRules `yaml:"session"`
	// Login is what a sign-in may be asked to do.
	Login Login `yaml:"login"`
	// PostLogout is where a browser comes to after signing out: a path that is not
	// below /bff/, or an address of an origin in AllowedOrigins. Default "/".
	// Of a mobile or desktop app it is a URI of its own, by the rules of
	// RedirectURIs; by default a page says that one can go back to the app.
	PostLogout string `yaml:"post_logout"`
	// AllowedOrigins are other origins of the same site where the app's pages
	// stand: they may call its endpoints and API routes, start a sign-in, and be
	// returned to. Each exactly as a browser writes it; there are no wildcards.
	// Default none. spa and web only.
	AllowedOrigins []string `yaml:"allowed_origins"`
	// RedirectURIs are where a native app is answered, matched exactly but for
	// the port on a loopback address (RFC 8252 section 7). mobile and desktop
	// only, required there.
	RedirectURIs []string `yaml:"redirect_uris"`
	// AppLinks say what the systems of phones know the app by, so that they hand it
	// those of RedirectURIs that are https addresses on public.url. mobile and
	// desktop only.
	AppLinks AppLinks `yaml:"app_links"`
	// Handle is how a native app's handle behaves. mobile and desktop only.
	Handle Handle `yaml:"handle"`
	// Static is what is served at the app's origin where no route matches. spa
	// and web only.
	Static Static `yaml:"static"`
}

// Native reports whether the app holds a handle (mobile, desktop) rather than a
// cookie (spa, web).
func (a *App) Native() bool { return a.Kind == "mobile" || a.Kind == "desktop" }

// SessionRules are how long a session lasts, how many a user may have, and how its
// cookie travels.
type SessionRules struct {
	// Idle ends a session that was not used for so long. Default 30m; for mobile
	// and desktop 336h (two weeks).
	Idle time.Duration `yaml:"idle"`
	// Absolute ends any session so long after it began. Default 12h; for mobile
	// and desktop 2160h (90 days).
	Absolute time.Duration `yaml:"absolute"`
	// Recent is how long ago the sign-in may be of a user who ends other sessions
	// of theirs (/bff/sessions, /mobile/sessions). Default 10m.
	Recent time.Duration `yaml:"recent"`
	// Most is how many sessions a user may have at this app; a sign-in beyond it
	// ends the oldest. Default 0: any number.
	Most int `yaml:"most"`
	// SameSite is strict or lax; none is refused. Default strict for spa, lax
	// for web. spa and web only.
	SameSite string `yaml:"same_site"`
}

// Login is what a sign-in may be asked to do. spa and web only, but for Params.
type Login struct {
	// Params are the parameters that pass from the request to the provider.
	Params LoginParams `yaml:"params"`
	// StartOrigins are other origins whose pages may start a sign-in without the
	// click-through page. Default none.
	StartOrigins []string `yaml:"start_origins"`
	// Initiate serves GET /bff/initiate, for sign-ins that begin at the
	// provider. Default false.
	Initiate bool `yaml:"initiate"`
	// DefaultReturn is where to land when the request names nothing: a path that is
	// not below /bff/, or an address of an origin in the app's AllowedOrigins.
	// Default "/".
	DefaultReturn string `yaml:"default_return"`
}

// LoginParams are the parameters that an app lets pass to the provider. One
// passes only if the provider's LoginParams name it too.
type LoginParams struct {
	// Prompt are the values let through. Default: the provider's Prompts.
	Prompt []string `yaml:"prompt"`
	// ACRValues are the values let through. Default none.
	ACRValues []string `yaml:"acr_values"`
	// LoginHint lets login_hint through. Default true, as for those below.
	LoginHint bool `yaml:"login_hint"`
	// MaxAge lets max_age through.
	MaxAge bool `yaml:"max_age"`
	// UILocales lets ui_locales through.
	UILocales bool `yaml:"ui_locales"`
	// OrganizationID lets organization_id through.
	OrganizationID bool `yaml:"organization_id"`
	// ConnectionID lets connection_id through.
	ConnectionID bool `yaml:"connection_id"`
	// SocialProvider lets social_provider through.
	SocialProvider bool `yaml:"social_provider"`
	// DomainHint lets domain_hint through.
	DomainHint bool `yaml:"domain_hint"`
}

// Handle is how a native app's handle behaves.
type Handle struct {
	// DPoP says whether handles are bound to a key of the app (RFC 9449): off
	// (the default), allowed or required.
	DPoP string `yaml:"dpop"`
	// DPoPNonce asks for a nonce of the gateway in every proof (RFC 9449 section
	// 8): proofs made in stock are worthless then. Libraries answer its challenge
	// by one more request, once. Default false.
	DPoPNonce bool `yaml:"dpop_nonce"`
	// Grace is how long a replaced refresh handle is still answered with its
	// successor. Default 30s.
	Grace time.Duration `yaml:"grace"`
	// AccessLife is how long an unbound access handle lasts. Default 15m.
	AccessLife time.Duration `yaml:"access_life"`
}

// AppLinks say what the systems of phones know a native app by: from the files that
// the gateway then serves, a system learns that the app's https redirect URIs on
// public.url belong to this app and to no other (RFC 8252 section 7.2). Only their
// paths are named, no other address of the gateway.
type AppLinks struct {
	// Apple are its app ids, as ABCDE12345.com.example.app: the prefix, ten
	// characters, mostly the team's id, then the bundle's. They go into
	// /.well-known/apple-app-site-association, as universal links and for
	// ASWebAuthenticationSession, which takes https callbacks since iOS 17.4.
	Apple []string `yaml:"apple"`
	// Android are its packages. They go into /.well-known/assetlinks.json.
	Android []*AndroidApp `yaml:"android"`
}

// AndroidApp is a package of an app on Android.
type AndroidApp struct {
	// Package is its name, as com.example.app (applicationId).
	Package string `yaml:"package"`
	// SHA256 are the fingerprints of the certificates that may sign it, as keytool
	// prints them: 32 pairs of hexadecimal digits in capitals, with colons. Where
	// Google Play signs the app, it is the one that the Play Console shows.
	SHA256 []string `yaml:"sha256"`
}

// Static is what is served at a browser app's origin where no route matches: a
// folder or another server, not both.
type Static struct {
	// Dir is a folder of built files.
	Dir string `yaml:"dir" path:"dir"`
	// URL is a server to forward to, as a development server; loopback only.
	URL string `yaml:"url"`
	// CSP is the Content-Security-Policy of the folder's documents and scripts
	// (a worker goes by its script's), in place of the default, which lets them
	// load from the app's own origin alone. dir only.
	CSP string `yaml:"csp"`
	// Inline says what becomes of the scripts and styles that a build writes into
	// its pages: refused, the default, leaves them to CSP; hashed adds the hashes
	// of those in the very page to its policy, so that they run, and nothing that
	// gets into it later. Not for pages that are built from what strangers wrote:
	// a script that they got in would be allowed too. dir only.
	Inline string `yaml:"inline"`
	// Protected shows them to nobody but whoever is signed in; others are sent
	// to sign in and come back to the very page. Default false.
	Protected bool `yaml:"protected"`
	// Public are the paths of a protected folder that everybody may see: each
	// exactly, or all below it if it ends in a slash. Default none.
	Public []string `yaml:"public"`
}

// HashInline reports whether the scripts and styles of a page are allowed by
// their hashes.
func (s Static) HashInline() bool { return s.Inline == "hashed" }
