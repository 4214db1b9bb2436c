// Package provider is a small, real OpenID provider on a real socket: the fixture of the tests and the provider of the dev world.
//
// It knows OpenID Connect from the provider's side (discovery, keys, the authorization page, tokens, revocation, sign-out, logout
// tokens) and how to misbehave on request. It knows nothing of the gateway and imports nothing of this module, so that it cannot share
// a misunderstanding with the code that it is used to test. It is not a product: it holds passwords for nobody, keeps all state in
// memory, makes new keys at each start, and refuses to listen on anything but a loopback address unless told that this is insecure.
//
// The journey: New makes a provider with clients and users, Start gives it an address and with that its issuer. A request enters in
// serve (faults.go), is written to the log, meets the faults queued for its endpoint, and is worked on under one lock, by authorize.go
// (a code), token.go and refresh.go (tokens, built in tokens.go and signed in sign.go), userinfo.go, revoke.go or logout.go. Which
// client asks, client.go finds out, by its secret or by an assertion that it signed (assertion.go); dpop.go, whether it proves a key.
// What it should do wrong on purpose stands in a Behaviour (what it says) or a Fault (how the answer travels). What it has seen and
// given out can be read back by Requests and Issued.
package provider

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config is what a provider is made from. The zero value is a working provider with two users and no client.
type Config struct {
	// IssuerPath is appended to the origin to form the issuer, byte for byte: "" gives http://127.0.0.1:8090, "/dex" an issuer with a
	// path, "/" one that ends in a slash. The endpoints stand below it.
	IssuerPath string
	// Origin begins the issuer instead of the address of Start: for a provider that is reached under another address than the one it
	// listens on, as in a container. Scheme, host and port alone.
	Origin string
	// InsecureListen lets Start listen where other machines may come from. Whoever comes can sign in as anybody.
	InsecureListen bool
	// CookieName names the cookie of the provider's own browser session; "" means devprovider. Cookies do not know ports, so two
	// providers on one host that one browser visits need two names.
	CookieName string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// HTTP posts logout tokens; nil means a client with a five-second limit that finds *.localhost on the loopback address.
	HTTP *http.Client
	// Key signs; nil means a new RSA key. Tests that start many providers may share one and save the time of making it.
	Key *Key
	// Forgetful keeps neither requests nor secrets in the logs, only counts: for a provider that runs for days.
	Forgetful bool
	// Users may sign in; nil means Ada and Grace (see DefaultUsers).
	Users []User
	// Clients are registered from the start; Register adds more.
	Clients []Client
	// Behaviour is how it behaves from the start; Set changes it.
	Behaviour Behaviour
}

// Provider is one OpenID provider. Its methods may be called at any time from any goroutine.
type Provider struct {
	path     string // of the issuer, as configured
	origin   string // of the issuer, as configured; "" for where it listens
	anywhere bool   // InsecureListen
	cookie   string
	now      func() time.Time
	http     *http.Client

	life   context.Context // ends with Close: frees whoever is held by a gate or a delay
	finish context.CancelFunc
	listen listening
	log    journal
	faults faultQueue

	mu         sync.Mutex // guards all below; held while a request is worked on
	issuer     string
	behaviour  Behaviour
	keys       keyring
	clients    map[string]Client
	clientKeys map[string]*keySetOf // by client, what was fetched of those with keys
	assertions map[string]bool      // by jti: an assertion is good once
	users      []User
	sessions   map[string]*session // by cookie value
	flows      map[string]authRequest
	logouts    map[string]logoutRequest
	codes      map[string]*code
	refreshes  map[string]*refreshToken
	accesses   map[string]*accessToken
	grants     []*grant
	binding    binding // of tokens to keys
}

// New makes a provider; it listens nowhere until Start. The error is that of making a key.
func New(cfg Config) (*Provider, error) {
	keys, err := newKeyring(cfg.Key)
	if err != nil {
		return nil, err
	}
	p := &Provider{
		path: cfg.IssuerPath, origin: cfg.Origin, anywhere: cfg.InsecureListen, cookie: orElse(cfg.CookieName, "devprovider"),
		now: cfg.Now, http: cfg.HTTP,
		behaviour: cfg.Behaviour, keys: keys, users: cfg.Users,
		clientKeys: map[string]*keySetOf{}, assertions: map[string]bool{},
		clients: map[string]Client{}, sessions: map[string]*session{}, flows: map[string]authRequest{},
		logouts: map[string]logoutRequest{}, codes: map[string]*code{},
		refreshes: map[string]*refreshToken{}, accesses: map[string]*accessToken{},
	}
	p.log.forgetful = cfg.Forgetful
	p.fillDefaults()
	for _, c := range cfg.Clients {
		p.Register(c)
	}
	return p, nil
}

func (p *Provider) fillDefaults() {
	p.life, p.finish = context.WithCancel(context.Background())
	p.listen.idle = sync.NewCond(&p.listen.mu)
	if p.now == nil {
		p.now = time.Now
	}
	if p.http == nil {
		p.http = loopbackClient()
	}
	if p.users == nil {
		p.users = DefaultUsers()
	}
}

// Issuer is the provider's identifier, exactly as it stands in discovery and tokens; "" before Start.
func (p *Provider) Issuer() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.issuer
}

// URL gives the full URL of a path below the issuer, such as "/oauth/token".
func (p *Provider) URL(path string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url(path)
}

// url joins issuer and path. OpenID Connect Discovery section 4.1: a terminating slash of the issuer is removed before a path follows.
func (p *Provider) url(path string) string {
	return strings.TrimSuffix(p.issuer, "/") + path
}

// routes is every path that the provider answers, named as Scalekit names them.
func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range []struct {
		pattern  string
		endpoint Endpoint
		work     work
	}{
		{"GET /.well-known/openid-configuration", Discovery, p.discover},
		{"GET /keys", Keys, p.publishKeys},
		{"GET /oauth/authorize", Authorize, p.authorize},
		{"POST /oauth/authorize", Authorize, p.authorize},
		{"POST /sign-in", SignIn, p.signIn},
		{"POST /oauth/token", Token, p.token},
		{"POST /oauth/introspect", Introspect, p.introspect},
		{"GET /userinfo", UserInfo, p.userInfo},
		{"POST /userinfo", UserInfo, p.userInfo},
		{"POST /revoke", Revoke, p.revoke},
		{"GET /oidc/logout", Logout, p.logout},
		{"POST /oidc/logout", Logout, p.logout},
		{"GET /end_session", Logout, p.logout},
		{"POST /end_session", Logout, p.logout},
		{"GET /api/v1/sessions/{sid}", SessionAPI, p.sessionAPI},
		{"POST /api/v1/sessions/{sid}/revoke", SessionAPI, p.revokeSessionAPI},
		{"GET /api/v1/users/{id}", Management, p.managed(p.userAPI)},
		{"GET /api/v1/users/{id}/sessions", Management, p.managed(p.userSessionsAPI)},
		{"GET /api/v1/organizations/{org}", Management, p.managed(p.organizationAPI)},
		{"GET /api/v1/organizations/{org}/users/{user}/roles", Management, p.managed(p.rolesAPI)},
		{"POST /api/v1/organizations/{org}/users/{user}/roles", Management, p.managed(p.addRoleAPI)},
		{"DELETE /api/v1/organizations/{org}/users/{user}/roles/{role}", Management, p.managed(p.dropRoleAPI)},
	} {
		method, path, _ := strings.Cut(r.pattern, " ")
		mux.HandleFunc(method+" "+strings.TrimSuffix(p.path, "/")+path, p.serve(r.endpoint, r.work))
	}
	return mux
}

// loopbackClient posts logout tokens. Names below localhost are this machine (RFC 6761 section 6.3), but not every resolver says so.
func loopbackClient() *http.Client {
	dialer := &net.Dialer{}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".localhost") {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
		return dialer.DialContext(ctx, network, addr)
	}
	return &http.Client{
		Timeout:   5 * time.Second, // a receiver that needs longer counts as unreachable
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a logout token is for its address only
		},
	}
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
