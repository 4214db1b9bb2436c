package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"
	"cloakroom/server/config"
	"cloakroom/server/telemetry"
	"cloakroom/store"
)

// provider is a configured provider and the apps that are its clients.
type provider struct {
	name    string
	policy  *bff.ProviderPolicy
	issuer  *idp.Issuer
	clients map[string]*idp.Client // by app id
}

// asked is what metrics are asked for at each scrape.
func (s *Server) asked() telemetry.Asked {
	return telemetry.Asked{
		Drift:   func() time.Duration { return s.store.Drift() },
		Pool:    func() telemetry.Pool { return telemetry.Pool(s.store.Pool()) },
		Unsaved: func() int { return s.engine.Unsaved() },
		Held: func() map[string]bool {
			held := make(map[string]bool, len(s.idps))
			for name, p := range s.idps {
				held[name] = p.issuer.Held()
			}
			return held
		},
		Version: version(),
	}
}

// wireStore makes the keyring, the store and the engine.
func (s *Server) wireStore() error {
	ring, err := keyring(s.cfg)
	if err != nil {
		return err
	}
	r := s.cfg.Redis
	secure, err := clientTLS(r.TLS)
	if err != nil {
		return err
	}
	s.store, err = store.New(store.Options{
		Addrs: r.Addrs, MasterName: r.MasterName, Cluster: r.Cluster,
		Username: r.Username, Password: secret(r.Password),
		SentinelUsername: r.SentinelUsername, SentinelPassword: secret(r.SentinelPassword),
		DB: r.DB, TLS: secure, KeyPrefix: r.KeyPrefix,
		DialTimeout: r.Timeouts.Dial, ReadTimeout: r.Timeouts.Read, WriteTimeout: r.Timeouts.Write,
		PoolTimeout: r.Timeouts.PoolWait, PoolSize: r.PoolSize, Pipeline: r.Pipeline, ReadRetries: readRetries(r),
		WaitReplicas: r.WaitReplicas, WaitTimeout: r.WaitTimeout,
		MarkerLife: longestSession(s.cfg) + time.Hour, // an hour covers every clock and every login in flight
		Revocable:  s.revocable, Ring: ring, Now: s.options.Now, Instance: instanceName(), Log: s.log,
		Done: s.tel.Redis(), Tracer: s.options.Traces.Redis(),
	})
	if err != nil {
		return err
	}
	s.engine = bff.NewEngine(bff.Ports{
		Records: s.store, Leases: s.store, Markers: s.store, OneTime: s.store, Events: s.store, Turns: s.store, Proofs: s.store, Codes: s.store,
		Devices: s.store, Scan: s.store, Replays: s.store, States: s.store, ClientTokens: s.store, Kept: s.store, Providers: s.providerOf,
	}, ring, s.store.Now, s.trace, s.options.Limits)
	return nil
}

// readRetries says "never" as the store has it, whose zero is its default.
func readRetries(r config.Redis) int {
	if r.ReadRetries == 0 {
		return -1
	}
	return r.ReadRetries
}

// keyring takes the keys over.
func keyring(cfg *config.Config) (*bff.Keyring, error) {
	keys := func(from []*config.Key) (to []bff.Key) {
		for _, k := range from {
			to = append(to, bff.Key{ID: k.ID, Bytes: bff.NewSecret(string(k.Bytes()))})
		}
		return to
	}
	return bff.NewKeyring(keys(cfg.SealingKeys), cfg.RetiredKeys, keys(cfg.IndexKeys))
}

// clientKeys takes an app's keys over, as its provider wants them used.
func clientKeys(a *config.App, p *config.Provider) (keys []*idp.ClientKey, err error) {
	for _, k := range a.ClientKeys {
		key, err := idp.NewClientKey(k.ID, k.Signer(), p.AssertionRSA == "RS256")
		if err != nil {
			return nil, fmt.Errorf("client_keys %s: %w", k.ID, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func secret(s config.Secret) bff.Secret { return bff.NewSecret(s.Reveal()) }

// longestSession is the longest absolute life of any app: end markers outlive it.
func longestSession(cfg *config.Config) (longest time.Duration) {
	for _, a := range cfg.Apps {
		longest = max(longest, a.Session.Absolute)
	}
	return longest
}

// instanceName tells operators apart which process holds a claim.
func instanceName() string {
	host, _ := os.Hostname()
	return host + "-" + rand.Text()[:6]
}

func (s *Server) revocable(name string) bool {
	p := s.idps[name]
	return p != nil && p.policy.Revocable
}

// providerOf returns an app's client at its provider.
func (s *Server) providerOf(app string) bff.Provider {
	return s.idps[s.cfg.Apps[app].Provider].clients[app]
}

// wireProviders makes an issuer of each provider.
func (s *Server) wireProviders() error {
	s.idps = make(map[string]*provider, len(s.cfg.Providers))
	alarm := func(ctx context.Context, what string, err error) {
		s.trace.Alarm(ctx, bff.AlarmEvent{What: what, Err: err})
	}
	for name, p := range s.cfg.Providers {
		roots, err := certPool(p.CAFile)
		if err != nil {
			return err
		}
		set := issuerSettings(name, p, roots)
		set.Through = s.tel.Provider(name, idp.EndpointOf)
		s.idps[name] = &provider{
			name: name, policy: s.providerPolicy(name, p), clients: make(map[string]*idp.Client),
			issuer: idp.NewIssuer(set, s.store.Now, s.log, alarm),
		}
	}
	return nil
}

func (s *Server) providerPolicy(name string, p *config.Provider) *bff.ProviderPolicy {
	return &bff.ProviderPolicy{
		Name: name, Issuer: p.Issuer, Issuers: p.Issuers, SSOBy: bff.SSOBy(p.SSOBy), SIDRequired: p.SID == "required",
		RevocationSparesGrant: p.Revocation == "token", Revocable: p.Revocable, Logout: bff.LogoutWay(p.Logout),
		Apps:         appsAt(s.cfg.Apps, name),
		Frontchannel: p.FrontchannelLogout, Outlasting: outlasting(s.cfg.Apps, name, p.LogoutTokenRevokes),
	}
}

// appsAt is how many apps sign in at a provider.
func appsAt(apps map[string]*config.App, provider string) (n int) {
	for _, a := range apps {
		if a.Provider == provider {
			n++
		}
	}
	return n
}

// outlasting are the apps of a provider whose refresh tokens a logout token leaves good there.
func outlasting(apps map[string]*config.App, provider, revokes string) map[string]bool {
	keeps := make(map[string]bool)
	for id, a := range apps {
		offline := slices.Contains(a.Scopes, "offline_access")
		if a.Provider == provider && (revokes == "none" || revokes == "online" && offline) {
			keeps[id] = true
		}
	}
	return keeps
}

func issuerSettings(name string, p *config.Provider, roots *x509.CertPool) idp.Settings {
	set := idp.Settings{
		Name: name, Issuer: p.Issuer, Issuers: p.Issuers,
		TokenAuth: p.TokenAuth, AssertionAudience: p.AssertionAudience, AssertionTyp: p.AssertionTyp,
		SigningAlgs: p.SigningAlgs, SIDRequired: p.SID == "required",
		IssUnannounced: p.IssUnannounced, PKCEKnown: p.PKCE == "known",
		AccessTokenJWT: p.AccessToken == "jwt", AccessTokenAudiences: p.AccessTokenAudiences,
		TrustedAudiences: p.TrustedAudiences, Prompt: p.Prompt, SpentShapes: p.Spent, UserInfo: p.UserInfo,
		LogoutByRedirect: p.LogoutBy == "redirect", LogoutExpOptional: p.LogoutExp == "optional", StrictLogoutTyp: p.StrictTyp,
		Endpoints: idp.Endpoints{
			Authorization: p.AuthorizationEndpoint, Token: p.TokenEndpoint, JWKS: p.JWKSURI,
			UserInfo: p.UserInfoEndpoint, Revocation: p.RevocationEndpoint, EndSession: p.EndSessionEndpoint,
		},
		AskAuthTime: bff.SSOBy(p.SSOBy) == bff.SSOByAuthAt,
		DPoP:        p.DPoP == "required",
		ClockSkew:   p.ClockSkew, HTTPTimeout: p.HTTPTimeout, RefreshTimeout: p.RefreshTimeout,
		DefaultTokenLife: p.DefaultTokenLife, InsecureHTTP: p.InsecureHTTP, RootCAs: roots,
	}
	if p.Preset == "scalekit" {
		set.ParamNames = map[string][]string{"social_provider": {"provider"}, "domain_hint": {"domain_hint", "domain"}}
	}
	if p.Logout != "redirect" {
		set.SessionAPI = strings.TrimSuffix(p.Issuer, "/") + "/api/v1"
	}
	if p.Revocation == "none" {
		set.RevocationSupported = new(bool)
	}
	return set
}

// clientTLS is how Redis is spoken to; nil: in the clear.
func clientTLS(t config.RedisTLS) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	roots, err := certPool(t.CAFile)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: t.ServerName}
	if t.CertFile == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	c.Certificates = []tls.Certificate{pair}
	return c, err
}

// certPool reads a bundle of certificate authorities; nil, the system's, for "".
func certPool(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(file + ": no certificate in it")
	}
	return pool, nil
}
