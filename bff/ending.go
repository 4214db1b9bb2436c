package bff

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ending is how sessions end that are found by their indexes.
type ending struct {
	marker Marker
	reason Reason
	spare  Lookup                // the one that is left to the caller; "" = none
	keeps  func(app string) bool // whose refresh tokens stay good at the provider; nil = nobody's
}

// endAll is endEach where nothing needs to be counted.
func (e *Engine) endAll(ctx context.Context, targets []Target, m Marker, reason Reason, spare Lookup) error {
	_, err := e.endEach(ctx, targets, ending{marker: m, reason: reason, spare: spare})
	return err
}

// endTarget is endEach for one target. A session that is not there is success; an error means that it must be asked again.
func (e *Engine) endTarget(ctx context.Context, t Target, by ending) (ended int, err error) {
	if ended, err = e.endEach(ctx, []Target{t}, by); err != nil {
		return ended, storeError("ending sessions", err)
	}
	return ended, nil
}

// endEach writes the marker for all targets and for every SSO session that is tied to them, then deletes the sessions
// indexed there that the marker applies to, and counts them. It goes on after an error and returns all of them.
func (e *Engine) endEach(ctx context.Context, targets []Target, by ending) (ended int, err error) {
	members, err := e.mark(ctx, targets, by.marker)
	loose, tying := inOrder(members, by.spare)
	ended, failed := e.endTogether(ctx, loose, by)
	errs := []error{err, failed}
	for _, member := range tying {
		if errors.Join(errs...) != nil {
			break
		}
		was, err := e.endMember(ctx, member, by)
		errs = append(errs, err)
		if was {
			ended++
		}
	}
	return ended, errors.Join(errs...)
}

// inOrder names each member once, but for spare. Those that tie SSO sessions together go last, the farthest first: whoever
// repeats this finds the rest by them.
func inOrder(members []Member, spare Lookup) (loose, tying []Member) {
	done := map[Lookup]bool{spare: true}
	for _, member := range slices.Backward(members) {
		switch {
		case done[member.Lookup]:
			continue
		case len(member.Groups) > 1:
			tying = append(tying, member)
		default:
			loose = append(loose, member)
		}
		done[member.Lookup] = true
	}
	return loose, tying
}

// endsAtOnce is how many sessions are ended at the same time: of one SSO session all, so that the last hears of it with the
// first although replicas are waited for; few enough that requests behind them find a free connection (the pool has 64).
const endsAtOnce = 16

// endTogether ends sessions in no order, several at once.
func (e *Engine) endTogether(ctx context.Context, members []Member, by ending) (ended int, err error) {
	done, err := together(e, members, endsAtOnce, func(m Member) (bool, error) { return e.endMember(ctx, m, by) })
	for _, was := range done {
		if was {
			ended++
		}
	}
	return ended, err
}

// together does something for each of many, so many at once and in no order, and returns what came of it and all errors.
// One that breaks off is an error.
func together[T, R any](e *Engine, many []T, atOnce int, do func(T) (R, error)) (done []R, err error) {
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, one := range many {
		places <- struct{}{}
		all.Go(func() {
			var came R
			err := errBrokeOff
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				done, errs = append(done, came), append(errs, err)
				<-places
			}()
			defer e.survive()
			came, err = do(one)
		})
	}
	all.Wait()
	return done, errors.Join(errs...)
}

// errBrokeOff is the cause of an ending that broke off by a panic: nobody is to take it for done.
var errBrokeOff = errors.New("the ending broke off")

// mark writes the marker for the targets, then reads who is indexed under them; and so on with the SSO sessions those
// belong to, until there is no other. A session that stepped up belongs to two (see joinGroups), and all that is tied in
// that way is one session at the provider. Each marker is written before its index is read: whoever is not in the index
// then will find the marker.
func (e *Engine) mark(ctx context.Context, targets []Target, m Marker) ([]Member, error) {
	var members []Member
	var errs []error
	known := make(map[Target]bool)
	for _, t := range targets {
		known[t] = true
	}
	for len(targets) > 0 {
		if err := e.ports.Markers.Mark(ctx, targets, m); err != nil {
			return members, errors.Join(append(errs, err)...)
		}
		var tied []Target
		for _, t := range targets {
			found, err := e.ports.Markers.Members(ctx, t)
			errs, members = append(errs, err), append(members, found...)
			tied = append(tied, tiedTo(found, t.Provider, m, known)...)
		}
		targets = tied
	}
	return members, errors.Join(errs...)
}

// tiedTo returns the SSO sessions of these members that are not known yet, and notes them. Whom the marker spares leads
// nowhere.
func tiedTo(members []Member, provider string, m Marker, known map[Target]bool) (targets []Target) {
	for _, member := range members {
		for _, g := range member.Groups {
			t := Target{ScopeSSO, provider, g}
			if known[t] || m.Except != "" && slices.Contains(member.Groups, m.Except) {
				continue
			}
			known[t] = true
			targets = append(targets, t)
		}
	}
	return targets
}

// endMember ends one session found by an index, if the marker applies to it; was tells whether it was there.
func (e *Engine) endMember(ctx context.Context, member Member, by ending) (was bool, err error) {
	ended, err := e.ports.Records.Delete(ctx, member.Lookup, &by.marker, by.reason)
	if err != nil || ended == nil {
		return false, err
	}
	e.trace.sessionEnded(ctx, *ended, by.reason)
	if by.keeps == nil || !by.keeps(ended.App) {
		e.revokeUnopened(ended)
	}
	return true, nil
}

// endUnopened ends one session whose root is not at hand, if the marker (nil: unconditionally) applies to it.
func (e *Engine) endUnopened(ctx context.Context, lookup Lookup, m *Marker, reason Reason) error {
	ended, err := e.ports.Records.Delete(ctx, lookup, m, reason)
	if err != nil || ended == nil {
		return err
	}
	e.trace.sessionEnded(ctx, *ended, reason)
	e.revokeUnopened(ended)
	return nil
}

// revokeUnopened revokes beside what can be read of a session that was ended without its root: nothing of its record
// opens, but where the provider has revocable: true its refresh token is under the ring.
func (e *Engine) revokeUnopened(ended *Ended) {
	if ended.Refresh.IsZero() {
		return
	}
	e.beside(revokeDeadline, func(ctx context.Context) {
		e.revoke(ctx, &Session{Lookup: ended.Lookup, App: ended.App, Tokens: TokenSet{Refresh: ended.Refresh}})
	})
}
