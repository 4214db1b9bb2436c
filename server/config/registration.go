package config

import "strings"

// Registration is what an app is registered with at its provider: exact strings,
// without query, as providers compare them.
type Registration struct {
	RedirectURI          string // where a sign-in is answered
	PostLogoutURI        string // where a sign-out comes back to
	BackchannelLogoutURI string // OpenID Connect Back-Channel Logout 1.0 section 2.2
	// FrontchannelLogoutURI is that of Front-Channel Logout 1.0 section 2, to be registered with
	// frontchannel_logout_session_required; empty where the provider's setting does not serve it.
	FrontchannelLogoutURI string
	JWKSURI               string // the app's public keys (RFC 7591 section 2); empty where the app has a secret
	InitiateLoginURI      string // third-party sign-in (OpenID Connect Core section 4); empty where the app has none
}

// Registration returns that of an app of the configuration. A browser app has the
// endpoints at its own origin; a native app at the gateway's, where the callback
// names it.
func (c *Config) Registration(id string) Registration {
	app := c.Apps[id]
	base, callback := app.Origin+"/bff", "/callback"
	if app.Native() {
		base, callback = strings.TrimSuffix(c.Public.URL, "/")+"/mobile", "/callback/"+id
	}
	r := Registration{
		RedirectURI: base + callback, PostLogoutURI: base + "/logged-out", BackchannelLogoutURI: base + "/backchannel-logout",
	}
	if len(app.ClientKeys) > 0 {
		r.JWKSURI = app.Origin + "/.well-known/jwks.json"
		if app.Native() {
			r.JWKSURI = base + "/jwks/" + id
		}
	}
	if p := c.Providers[app.Provider]; p != nil && p.FrontchannelLogout {
		r.FrontchannelLogoutURI = base + "/frontchannel-logout"
	}
	if app.Login.Initiate {
		r.InitiateLoginURI = base + "/initiate"
	}
	return r
}
