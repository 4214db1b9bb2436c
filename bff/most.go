package bff

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// unlinedFor is how long a session that stands in no line may still be on its way there: what a callback does is over by
// then (callbackDeadline), and clocks are kept within a second of each other. An older one began before there was a limit,
// at an instance that knows none, or so long ago that the line has forgotten it.
const unlinedFor = callbackDeadline + 15*time.Second

// holdToMost ends what its user has at the app beyond App.Most, the oldest first (ASVS 7.1.2), after s was stored and found
// alive; never s itself, and not what s replaces, which ends anyhow. Each login ends of those that lined up before it; the
// last to line up finds all, so that at most so many are left however many sign in at once, and no fewer.
func (e *Engine) holdToMost(ctx context.Context, app *App, s, replaced *Session) error {
	if app.Most <= 0 {
		return nil
	}
	line, err := e.ports.Devices.LineUp(ctx, s)
	if err != nil {
		return storeError("lining up", err)
	}
	all, err := e.Devices(ctx, s)
	if err != nil {
		return err
	}
	elders := e.elders(all, line, s, replaced)
	for _, d := range elders[:max(len(elders)-(app.Most-1), 0)] {
		if err := e.endUnopened(ctx, d.Lookup, nil, ReasonLimit); err != nil {
			return storeError("ending a session beyond the limit", err)
		}
	}
	return nil
}

// elders are the live sessions at the app of s that stand before it, the oldest first. What stands in no line is older
// than all that do, or has not lined up yet: then it will find s.
func (e *Engine) elders(all []Device, line []Lookup, s, replaced *Session) []Device {
	before := e.now().Add(-unlinedFor)
	elders := slices.DeleteFunc(all, func(d Device) bool {
		own := d.Lookup == s.Lookup || replaced != nil && d.Lookup == replaced.Lookup
		return own || d.App != s.App || !slices.Contains(line, d.Lookup) && d.CreatedAt.After(before)
	})
	slices.SortFunc(elders, func(a, b Device) int {
		return cmp.Or(
			cmp.Compare(slices.Index(line, a.Lookup), slices.Index(line, b.Lookup)), // -1: in no line
			a.CreatedAt.Compare(b.CreatedAt),
		)
	})
	return elders
}
