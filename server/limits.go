package server

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"cloakroom/bff"
	"cloakroom/server/telemetry"
	"cloakroom/store"
	"cloakroom/surface"
)

// Limits per address and rule, shared by all instances.
var (
	// signInRate is for sign-in starts and callbacks: an office behind one address signs in at nine, a flood does not get
	// through.
	signInRate = store.Rate{Count: 5, Per: time.Second, Burst: 200}
	// tokenRate is for the endpoints that native apps trade and give back handles at: behind one address of a carrier are
	// thousands of phones, each of which comes every quarter of an hour, and after an outage all of them at once. Nothing can
	// be guessed there: it keeps a flood off Redis.
	tokenRate = store.Rate{Count: 50, Per: time.Second, Burst: 1000}
	// backchannelRate is for logout tokens that were refused; good ones are not counted, however many thousands come at once.
	// A provider whose setting is wrong here is refused each time, and its operator wants to see why: that many are told
	// so, and the rest is told to wait.
	backchannelRate = store.Rate{Count: 5, Per: time.Second, Burst: 200}
	// frontchannelRate is for unsigned requests to end a session: each sign-out at the provider makes one, in its user's
	// browser. An office behind one address signs out at five; who guesses at names of sessions gets no further.
	frontchannelRate = store.Rate{Count: 5, Per: time.Second, Burst: 200}
)

// rateOf is the limit of a rule.
func rateOf(rule string) store.Rate {
	switch rule {
	case surface.RuleToken:
		return tokenRate
	case ruleAdmin:
		return adminRate
	case surface.RuleBackchannel:
		return backchannelRate
	case surface.RuleFrontchannel:
		return frontchannelRate
	default:
		return signInRate
	}
}

// limit refuses more than the address may do. With the store down it lets pass: a start writes nothing, and a callback
// fails a moment later anyway.
func (s *Server) limit(ctx context.Context, rule string, r *http.Request) error {
	ok, wait, err := s.store.Allow(ctx, rule, addressBlock(telemetry.AccessOf(r.Context()).ClientIP), rateOf(rule))
	switch {
	case err != nil:
		s.log.Debug("rate limits cannot be asked", "error", err.Error()) // the outage is told once, not per request
		return nil
	case ok:
		return nil
	}
	return &bff.Error{Code: bff.CodeRateLimited, Message: "Too many requests from your address. Wait a moment.", RetryAfter: wait}
}

// addressBlock is whom an address stands for: an IPv6 subscriber has at least a /64 (RFC 6177 section 2), and would
// otherwise have as many limits as addresses.
func addressBlock(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || addr.Unmap().Is4() {
		return ip
	}
	block, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return ip
	}
	return block.String()
}
