package bff

import (
	"context"
	"errors"
	"time"
)

// save stores the new tokens, or ends with the definite answer that the session is gone. While the store is in trouble
// requests are answered from memory and the save is tried again, until the process ends.
func (a *attempt) save(ctx context.Context, g *Grant) (TokenSet, int64, error) {
	next := a.session.Generation + 1
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) { // a failover takes seconds
		err := a.engine.ports.Leases.Save(ctx, a.session, a.id, g)
		switch {
		case err == nil:
			return a.saved(ctx, g, next)
		case errors.Is(err, ErrConflict):
			a.release(ctx, SettleNothing)
			return a.overtaken(ctx, g, next)
		case errors.Is(err, ErrNoSession):
			// Deleted meanwhile: a sign-out wins over a save, and tokens nobody can reach are given back (RFC 7009 section 2.1).
			if a.orphaned(err) {
				a.discard(g)
			}
			return TokenSet{}, 0, err
		}
		// Once: whoever waits gets the tokens from memory, and the operator is told that they are nowhere else.
		if _, _, _, landed := a.flight.result(); !landed {
			a.engine.trace.alarm(ctx, "saving refreshed tokens: they are in memory only", err)
			a.flight.land(g.answer(), next, nil)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			a.engine.trace.alarm(context.WithoutCancel(ctx), "refreshed tokens were never saved", err)
			return TokenSet{}, 0, ctx.Err()
		}
	}
}

// overtaken is for an attempt whose answer came after another one had saved: the other's tokens are as good; ours may be
// the same ones. Where the other's are for something else, ours are good for those who wait, and are not kept.
func (a *attempt) overtaken(ctx context.Context, g *Grant, next int64) (TokenSet, int64, error) {
	t, generation, err := a.adopt(ctx)
	if errors.Is(err, errUnserved) {
		return g.answer(), next, nil
	}
	return t, generation, err
}

// saved checks, after the save, whether a sign-out was under way that did not see this session's index entry.
func (a *attempt) saved(ctx context.Context, g *Grant, generation int64) (TokenSet, int64, error) {
	ended, err := a.engine.ended(ctx, a.session)
	switch {
	// Saved is saved. The tokens are good, and what could not be asked is asked again at the next refresh.
	case err != nil:
		a.engine.trace.alarm(ctx, "checking for a sign-out after a refresh", err)
	// A sign-out wrote its marker before it read the index, and found no entry: it is carried out here.
	case ended:
		a.discard(g)
		return TokenSet{}, 0, a.engine.endSession(ctx, a.session, ReasonSignedOut)
	}
	if err := a.outlived(ctx); err != nil {
		a.discard(g)
		return TokenSet{}, 0, err
	}
	return g.answer(), generation, nil
}

// outlived ends a session whose own time ran out while its refresh was under way: a refresh prolongs no session (RFC 9470
// section 6.1). The idle end may have moved meanwhile, so it is judged by the record. nil for a session that lives.
func (a *attempt) outlived(ctx context.Context) error {
	now := a.engine.now()
	if now.Before(a.session.AbsoluteEnd) && now.Before(a.session.IdleEnd()) {
		return nil
	}
	s, err := a.engine.ports.Records.Read(ctx, a.session.Root)
	switch {
	case errors.Is(err, ErrNoSession):
		return err
	case err != nil:
		return nil // saved is saved: whoever comes next is told by the record
	}
	return a.engine.overdue(ctx, s)
}

// orphaned reports whether tokens that came for a session that is gone are nobody's. Where revoking one token ends the
// whole grant (RFC 7009 section 2.1 lets a provider do so), those of a session that a new sign-in replaced are not: the
// new session would lose its own. Should the new one be another user's, they pass by themselves, known to nobody.
func (a *attempt) orphaned(gone error) bool {
	ended, known := errors.AsType[*EndedError](gone)
	return !known || ended.Reason != ReasonReplaced || a.app.Provider.RevocationSparesGrant
}

// discard revokes tokens that came for a session that is over.
func (a *attempt) discard(g *Grant) {
	orphan := *a.session
	orphan.Tokens = g.Tokens
	orphan.Tokens.Access = g.answer().Access
	a.engine.beside(revokeDeadline, func(ctx context.Context) { a.engine.revoke(ctx, &orphan) })
}
