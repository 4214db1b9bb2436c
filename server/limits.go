package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/config"
	"cloakroom/server/ratelimit"
	"cloakroom/server/telemetry"
	"cloakroom/store"
	"cloakroom/surface"
)

// limitKeys is how many keys each limit remembers in this process, some 55 bytes each: more addresses than an honest site
// sees in the seconds that a burst takes to come back, and 3.5 MiB in the middle of an attack by millions.
const limitKeys = 1 << 16

// limit is one limit: this process's own count, and behind it, where shared, the one of all instances. What the first
// refuses is not asked of the second, so that a flood costs Redis no more than what the rate allows each instance.
type limit struct {
	rule   string // names the shared count: the same on every instance of the same configuration
	by     string // what of a request is counted, for metrics: a rule of package surface, or config's word of a route
	rate   ratelimit.Rate
	local  *ratelimit.Limiter
	shared bool
}

func (s *Server) newLimit(rule, by string, rate config.Rate, shared bool) *limit {
	r := ratelimit.Rate(rate)
	return &limit{rule: rule, by: by, rate: r, local: ratelimit.New(r, limitKeys, s.options.Now), shared: shared}
}

// wireLimits makes the limits of the surfaces, of the administrator's listener, and of the routes.
func (s *Server) wireLimits() error {
	set := s.cfg.Limits
	s.limits = make(map[string]*limit)
	for rule, rate := range map[string]config.Rate{
		surface.RuleLogin: set.SignIn, surface.RuleCallback: set.SignIn, surface.RuleTicket: set.SignIn, surface.RuleToken: set.Token,
		surface.RuleBackchannel: set.Backchannel, surface.RuleFrontchannel: set.Frontchannel, ruleAdmin: adminRate,
	} {
		s.limits[rule] = s.newLimit(rule, rule, rate, set.Shared)
	}
	s.routeLimits = make([][]*limit, len(s.cfg.Routes))
	for i, rt := range s.cfg.Routes {
		for _, l := range rt.Limits {
			rule := fmt.Sprintf("route %s %v %v by %s in %s", rt.Path, rt.Methods, rt.Apps, l.By, l.Per)
			s.routeLimits[i] = append(s.routeLimits[i], s.newLimit(rule, l.By, l.Rate(), l.Shared))
		}
	}
	return nil
}

// limit refuses more than the address may do where nobody is signed in yet (ASVS 2.4.1).
func (s *Server) limit(ctx context.Context, rule string, r *http.Request) error {
	return s.count(ctx, s.limits[rule], addressBlock(telemetry.AccessOf(r.Context()).ClientIP))
}

// count counts one event of a subject, or refuses it. Redis that cannot be asked refuses nobody: what this process counts
// still holds, and a start writes nothing there.
func (s *Server) count(ctx context.Context, l *limit, subject string) error {
	if wait := l.local.Allow(subject); wait > 0 {
		s.tel.RateLimited(l.by, false)
		return l.tooMany(wait)
	}
	if !l.shared {
		return nil
	}
	ok, wait, err := s.store.Allow(ctx, l.rule, subject, store.Rate(l.rate))
	switch {
	case err != nil:
		s.log.Debug("rate limits cannot be asked", "error", err.Error()) // the outage is told once, not per request
		return nil
	case ok:
		return nil
	}
	l.local.Hold(subject, wait) // until then the answer is known
	s.tel.RateLimited(l.by, true)
	return l.tooMany(wait)
}

// tooMany says how long to wait (RFC 6585 section 4).
func (l *limit) tooMany(wait time.Duration) error {
	message := "Too many requests from your address. Wait a moment."
	switch l.by {
	case bySession:
		message = "Too many requests from your session. Wait a moment."
	case byRoute:
		message = "Too many requests at the moment. Wait a little."
	}
	return &bff.Error{Code: bff.CodeRateLimited, Message: message, RetryAfter: wait}
}

// What the limit of a route counts by.
const (
	byAddress = "address"
	bySession = "session"
	byRoute   = "route"
)

// admitWithin admits a request within the limits of its route: those by address before a credential is looked at, so that
// a flood costs no read of a session, and the others when it is known who calls. On the native surface only the handle tells
// which of several routes it is; the limits of that one count then.
func (s *Server) admitWithin(w http.ResponseWriter, r *http.Request, st *site, m *proxy.Match) (*proxy.Match, caller, error) {
	first := m.Route().Place
	if err := s.limitAddress(r, first); err != nil {
		return m, caller{}, err
	}
	m, who, err := st.admit(w, r, s.routes, m)
	if err != nil || who.done {
		return m, who, err
	}
	if who.session != nil { // for the log, also of a refusal
		a := telemetry.AccessOf(r.Context())
		a.App, a.Session = who.app.ID, who.session.ID()
	}
	place := m.Route().Place
	if place != first {
		if err := s.limitAddress(r, place); err != nil {
			return m, who, err
		}
	}
	return m, who, s.limitCaller(r, place, who.session)
}

// limitAddress counts a request against the limits by address of the route at a place in the configuration.
func (s *Server) limitAddress(r *http.Request, place int) error {
	for _, l := range s.routeLimits[place] {
		if l.by != byAddress {
			continue
		}
		if err := s.count(r.Context(), l, addressBlock(telemetry.AccessOf(r.Context()).ClientIP)); err != nil {
			return err
		}
	}
	return nil
}

// limitCaller counts a request against the route's other limits. Who has no session where none is needed is counted by
// address: else all of them would pass, or stand in each other's way.
func (s *Server) limitCaller(r *http.Request, place int, session *bff.Session) error {
	for _, l := range s.routeLimits[place] {
		subject := "" // all of the route
		switch {
		case l.by == byAddress:
			continue
		case l.by == bySession && session != nil:
			subject = "session " + session.ID()
		case l.by == bySession:
			subject = "address " + addressBlock(telemetry.AccessOf(r.Context()).ClientIP)
		}
		if err := s.count(r.Context(), l, subject); err != nil {
			return err
		}
	}
	return nil
}
