package bff_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cloakroom/bff"
)

// waitedOut are leases that somebody else holds, and whose last answer comes too late: as from a store whose client gives
// up with the caller.
type waitedOut struct{ bff.Leases }

func (waitedOut) Claim(ctx context.Context, _ bff.Lookup, _ string, _ time.Duration) (bff.Claim, error) {
	<-ctx.Done()
	return bff.Claim{}, fmt.Errorf("%w: claiming: %w", bff.ErrStore, ctx.Err())
}

// shows REF-SOFT: a wait for another instance's refresh that ends in the middle of a command is no outage of the store.
func TestWaitForARefreshThatEndsWithinACommand(t *testing.T) {
	w := newWorld(t)
	w.limit.CallDeadline, w.limit.Lease, w.limit.Suspicion = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	in := w.instance(func(p *bff.Ports) { p.Leases = waitedOut{p.Leases} })
	root := w.login(in)
	w.expire()
	_, err := in.FreshTokens(context.Background(), w.app, w.session(in, root))
	wantCode(t, "waiting for a refresh", err, bff.CodeIDPUnavailable)
}
