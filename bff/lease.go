package bff

import (
	"context"
	"time"
)

// Leases decides, over all instances, who may refresh a session and whose answer is saved. The lease decides who may
// call the provider, the generation decides who may save. Errors that are ErrStore leave everything open.
type Leases interface {
	// Claim takes the refresh of a session for attempt, for ttl, unless another attempt holds it. It counts the
	// record's fence up. Claiming again under the same attempt is the same success. ErrNoSession or an *EndedError if
	// the record is gone.
	Claim(ctx context.Context, lookup Lookup, attempt string, ttl time.Duration) (Claim, error)
	// Renew prolongs attempt's lease to ttl from now. ErrClaimLost if it is not attempt's any more.
	Renew(ctx context.Context, lookup Lookup, attempt string, ttl time.Duration) error
	// MarkSent writes the sent mark, if the lease is still attempt's and the record still of this generation:
	// otherwise ErrClaimLost or ErrConflict, and nothing may be sent. ErrNoSession if the record is gone.
	MarkSent(ctx context.Context, lookup Lookup, attempt string, generation int64, at time.Time) error
	// Release gives the lease back if it is attempt's, and settles its mark: cleared if the token is known to be good,
	// turned into doubt otherwise. It wakes those who wait. Releasing what is gone is no error.
	Release(ctx context.Context, lookup Lookup, attempt string, settle Settlement) error
	// Save writes the token set as the generation after s.Generation if the record exists and is still of s.Generation
	// (or of an older one: a failover undid a save, and what came back is used up), clears the mark, frees attempt's
	// lease and adds the index entries again. It returns nil also if this very attempt saved before. ErrConflict if
	// another save came first; ErrNoSession or an *EndedError if the record is gone: it never brings one back.
	// Identity (nil: unchanged) replaces the session's claims.
	Save(ctx context.Context, s *Session, attempt string, g *Grant) error
}

// Claim is the answer to a claim on a session's refresh.
type Claim struct {
	Granted    bool
	Fence      int64 // counts the claims granted on this record
	Generation int64 // of the record at that moment
	// Remaining is how long the lease of the attempt that holds it may last, when not granted.
	Remaining time.Duration
}

// Settlement is what the end of an attempt leaves of its sent mark.
type Settlement int

// The settlements of a sent mark.
const (
	SettleNothing Settlement = iota // nothing was sent under this attempt, or nothing was heard: the mark stays as it is
	SettleGood                      // the provider's answer leaves the refresh token good
	SettleDoubt                     // answered, without telling whether the token was used
)
