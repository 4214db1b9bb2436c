package upstream

import (
	"math/rand/v2"
	"time"
)

// chosen is a target that a request goes to.
type chosen struct {
	*target
	index int
	trial bool
}

// pick chooses a target that is not among those that were tried, and counts the request there: release it. Of two random
// ones that are in, the one with fewer requests under way: so a slow one gets less, and no two instances agree on one. One that
// is due for a trial comes first for a safe request; for another one only where none is in. nil: there is none.
func (u *Upstream) pick(tried uint64, safe bool) *chosen {
	in := u.in(tried)
	if c := u.trial(tried, safe, in); c != nil {
		return c
	}
	if len(in) == 0 {
		return nil
	}
	i := rand.IntN(len(in))
	if len(in) > 1 {
		j := rand.IntN(len(in) - 1)
		if j >= i {
			j++
		}
		if u.targets[in[j]].underway.Load() < u.targets[in[i]].underway.Load() {
			i = j
		}
	}
	c := &chosen{target: u.targets[in[i]], index: in[i]}
	c.underway.Add(1)
	return c
}

// in are the targets that are in and were not tried, by index.
func (u *Upstream) in(tried uint64) []int {
	var held [8]int // as many as most upstreams have
	in := held[:0]
	for i, t := range u.targets {
		if tried&(1<<i) == 0 && !t.out.Load() {
			in = append(in, i)
		}
	}
	return in
}

// trial chooses a target that is out and due.
func (u *Upstream) trial(tried uint64, safe bool, in []int) *chosen {
	if !safe && len(in) > 0 {
		return nil
	}
	nobodyElse := u.Down()
	for i, t := range u.targets {
		if tried&(1<<i) != 0 || !t.out.Load() {
			continue
		}
		if trial, ok := t.admit(nobodyElse); ok {
			t.underway.Add(1)
			return &chosen{target: t, index: i, trial: trial}
		}
	}
	return nil
}

// down says that nobody can be asked, and when to come back.
func (u *Upstream) down() error {
	wait := time.Hour
	for _, t := range u.targets {
		wait = min(wait, t.wait())
	}
	return &DownError{Origin: u.set.Origin, RetryAfter: max(wait, time.Second)}
}
