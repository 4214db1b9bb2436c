package config

import "time"

const (
	// mostEvents bounds counts and bursts: nobody means to limit to more a second
	// than one machine serves.
	mostEvents = 1_000_000
	// longestBurst is how long a whole burst may take to come back: what is counted
	// is remembered for so long.
	longestBurst = 31 * 24 * time.Hour
)

func (r *report) validateRates(c *Config) {
	r.rate("limits.sign_in", c.Limits.SignIn)
	r.rate("limits.token", c.Limits.Token)
	r.rate("limits.backchannel", c.Limits.Backchannel)
	r.rate("limits.frontchannel", c.Limits.Frontchannel)
}

// rate refuses what would let nobody through, or could not be counted.
func (r *report) rate(path string, rate Rate) {
	found := len(r.list)
	r.events(join(path, "count"), rate.Count)
	r.events(join(path, "burst"), rate.Burst)
	r.within(join(path, "per"), rate.Per, time.Millisecond, longestBurst)
	if len(r.list) > found || rate.Count < 1 || r.has(path) { // a count that is no number has been told already
		return
	}
	if back := rate.Per.Seconds() / float64(rate.Count) * float64(rate.Burst); back > longestBurst.Seconds() {
		r.add(join(path, "burst"), "takes more than %s to be free again; write a smaller one", durationText(longestBurst))
	}
}

func (r *report) events(path string, n int) {
	if n < 1 || n > mostEvents {
		r.add(path, "out of bounds; write something from 1 to %d", mostEvents)
	}
}

// routeRates are those of one route: of each kind one for each stretch of time.
func (r *report) routeRates(path string, route *Route) {
	for i, l := range route.Limits {
		here := at(path, i)
		r.oneOf(join(here, "by"), l.By, "address", "session", "route")
		if r.written(join(here, "count")) {
			r.rate(here, l.Rate())
		} else {
			r.add(join(here, "count"), "missing; write how many may pass in each per")
		}
		if l.By == "session" && route.Token == "none" {
			r.add(join(here, "by"), "no session is looked at with token: none; write by: address, or token: user-or-none")
		}
		for _, other := range route.Limits[:i] {
			if l.By == other.By && l.Per == other.Per {
				r.add(here, "the second by %s for the same time; delete one of them", l.By)
				break
			}
		}
	}
}
