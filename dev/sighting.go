package dev

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

const (
	signInsKept = 1000 // bounds the memory of a long-running demo; the one that was quiet for longest is forgotten
	tokensKept  = 16   // of one sign-in: requests in flight use the last two or three
)

// Sighting tells which of a sign-in's access tokens a request came with.
type Sighting struct {
	Number    int   `json:"number"`     // 1 is the first that was seen since the sign-in
	Age       int64 `json:"age"`        // seconds since it was issued
	ExpiresIn int64 `json:"expires_in"` // seconds it is still good for
}

// signIn is what an access token says about where it comes from: all that come from one sign-in say the same.
type signIn struct {
	sub, client, sid string
	authTime         int64
}

// seen are the tokens of one sign-in, the last ones by name.
type seen struct {
	count int
	last  []named
	at    time.Time
}

type named struct {
	name   string
	number int
}

// sightings counts distinct access tokens per sign-in.
type sightings struct {
	mu  sync.Mutex
	all map[signIn]*seen
}

// number is the token's place among those of its sign-in. The name is its jti, or what stands for one.
func (s *sightings) number(from signIn, name string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[from]
	if one == nil {
		one = s.admit(from)
	}
	one.at = now
	if i := slices.IndexFunc(one.last, func(n named) bool { return n.name == name }); i >= 0 {
		return one.last[i].number
	}
	one.count++
	one.last = append(one.last, named{name, one.count})
	if len(one.last) > tokensKept {
		one.last = slices.Delete(one.last, 0, len(one.last)-tokensKept)
	}
	return one.count
}

// admit makes room for a sign-in.
func (s *sightings) admit(from signIn) *seen {
	if len(s.all) >= signInsKept {
		var quietest signIn
		var since time.Time
		for key, one := range s.all {
			if since.IsZero() || one.at.Before(since) {
				quietest, since = key, one.at
			}
		}
		delete(s.all, quietest)
	}
	one := &seen{}
	s.all[from] = one
	return one
}

// see tells of the token that a caller came with.
func (a *API) see(c claims) Sighting {
	now := a.now()
	return Sighting{
		Number:    a.sightings.number(c.signIn, c.token, now),
		Age:       max(0, int64(now.Sub(c.issued).Seconds())),
		ExpiresIn: max(0, int64(c.ends.Sub(now).Seconds())),
	}
}

// hashName names a token without jti, so that the token itself is not kept.
func hashName(token string) string {
	sum := sha256.Sum256([]byte(token))
	return string(sum[:])
}
