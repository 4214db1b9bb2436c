package config

import "time"

// RateLimits are how often one address may come where nobody is signed in yet;
// an IPv6 address counts as its /64. Beyond, the answer is 429 with Retry-After.
type RateLimits struct {
	// SignIn is for the starts of sign-ins, for callbacks with their confirmations,
	// and for one-time sign-out addresses, each counted by itself. Default 200 at
	// once and 5 a second: an office behind one address signs in at nine, a flood
	// does not get through.
	SignIn Rate `yaml:"sign_in"`
	// Token is for /mobile/par, /mobile/token and /mobile/revoke together. Default
	// 1000 at once and 50 a second: behind one address of a carrier are thousands
	// of phones, each of which comes every quarter of an hour, and after an outage
	// all of them at once.
	Token Rate `yaml:"token"`
	// Backchannel is for logout tokens that were refused; good ones are not
	// counted, however many thousands come at once. Default 200 at once and 5 a
	// second: who set up a provider wrong wants to see why.
	Backchannel Rate `yaml:"backchannel"`
	// Frontchannel is for unsigned requests to end a session. Default 200 at once
	// and 5 a second: an office signs out at five, who guesses at names of sessions
	// gets no further.
	Frontchannel Rate `yaml:"frontchannel"`
	// Shared counts over all instances, in Redis, behind each instance's own count,
	// which keeps a flood off it. false: each instance counts for itself alone.
	// Default true.
	Shared bool `yaml:"shared"`
}

// Rate is how often something may happen.
type Rate struct {
	// Count is how many in each per, on average.
	Count int `yaml:"count"`
	// Per is the time that count is for.
	Per time.Duration `yaml:"per"`
	// Burst is how many at once, after a pause.
	Burst int `yaml:"burst"`
}

// RouteLimit is how often a route may be taken; a WebSocket or an event stream
// counts once, when it begins.
type RouteLimit struct {
	// By is what is counted: address, before a credential is looked at (an IPv6
	// address counts as its /64); session, or the address of who has none; route,
	// all of its requests together.
	By string `yaml:"by"`
	// Count is how many in each per, on average.
	Count int `yaml:"count"`
	// Per is the time that count is for. Default 1s.
	Per time.Duration `yaml:"per"`
	// Burst is how many at once, after a pause. Default: the count.
	Burst int `yaml:"burst"`
	// Shared counts over all instances, which is one more round trip to Redis for
	// every request within the limit. Default false: each instance counts for
	// itself.
	Shared bool `yaml:"shared"`
}

// Rate is the limit's rate.
func (l RouteLimit) Rate() Rate { return Rate{l.Count, l.Per, l.Burst} }
