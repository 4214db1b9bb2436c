// Package ratelimit counts how often something happens, in this process and in bounded memory: the wall that stands in
// front of the one that all instances share, so that a flood costs Redis nothing, and the only one where none is shared.
//
// It knows keys, rates and a clock. It does not know what a key stands for (an address, a session, a route), what is
// counted elsewhere, or what a refusal looks like.
//
// The rule is the generic cell rate algorithm, the same as the one in Redis, so that both walls agree: of a key one number
// is kept, the moment at which all of its burst is free again. golang.org/x/time/rate would do the same by a bucket with a
// lock and four numbers of its own for each key, and says nothing about who has to go when there are too many keys; that
// is most of what is here (limiter.go, soonest.go).
package ratelimit

import "time"

// Rate is how often something may happen: Count times in each Per on average, and Burst times at once after a pause. All
// three must be positive, and a whole burst must come back within some years: Per times Burst by Count.
type Rate struct {
	Count int
	Per   time.Duration
	Burst int
}

// room is the time that one event takes, at least a nanosecond.
func (r Rate) room() int64 { return max(1, int64(r.Per)/int64(r.Count)) }

// span is the time that a whole burst takes to be free again.
func (r Rate) span() int64 { return r.room() * int64(r.Burst) }
