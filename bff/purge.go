package bff

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
)

// purgeAtOnce is how many sessions of one step are ended at once: enough that the round trips to the store overlap, few
// beside the requests of users.
const purgeAtOnce = 8

// Purge ends all sessions that began before its marker: those of one app, or of all. Apps have no index, so every record is
// gone over, step by step; the marker catches who is signing in meanwhile. Cursor tells how far it came: with that it can be
// resumed on any instance, and ends nothing that began after it. Not safe for concurrent use.
type Purge struct {
	Pass    int // counts from 1: servers that changed on the way are gone over again
	Scanned int // records looked at, those of repeated passes again
	Ended   int // by this one and those it resumes; of a dry run those that would be

	engine *Engine
	of     PurgeOf
	marker Marker
	next   string
	revoke revocations
}

// PurgeOf says what is purged.
type PurgeOf struct {
	App    *App   // nil: all apps
	Apps   []*App // all that are configured: each gets the marker where App is nil
	DryRun bool   // counts, ends nothing, writes no marker
}

// BeginPurge writes the markers and returns a purge that has looked at nothing yet.
func (e *Engine) BeginPurge(ctx context.Context, of PurgeOf) (*Purge, error) {
	p := &Purge{engine: e, of: of, marker: Marker{ID: newID(), At: e.now()}}
	return p.begin(ctx)
}

// ResumePurge goes on with a purge by its cursor. CodeBadRequest for what is no cursor of this very purge; CodeKeyUnknown
// for one that this instance cannot open yet.
func (e *Engine) ResumePurge(ctx context.Context, of PurgeOf, cursor string) (*Purge, error) {
	p := &Purge{engine: e, of: of}
	if err := p.open(cursor); err != nil {
		return nil, err
	}
	return p.begin(ctx) // the markers again: a failover may have lost them
}

// begin writes the markers, before anything is looked at: who is not found by the scan finds them.
func (p *Purge) begin(ctx context.Context) (*Purge, error) {
	p.revoke.places = make(chan struct{}, revokeAtOnce)
	if p.of.DryRun {
		return p, nil
	}
	if err := p.engine.ports.Markers.Mark(ctx, p.of.targets(), p.marker); err != nil {
		return nil, storeError("ending sessions", err)
	}
	return p, nil
}

// targets are what the marker is written for.
func (of PurgeOf) targets() (all []Target) {
	apps := of.Apps
	if of.App != nil {
		apps = []*App{of.App}
	}
	for _, a := range apps {
		all = append(all, Target{ScopeApp, a.Provider.Name, a.ID})
	}
	return all
}

// context is what a cursor is bound to: one of another app, or of a dry run, opens nothing.
func (of PurgeOf) context() []string {
	app, kind := "", "ends"
	if of.App != nil {
		app = of.App.ID
	}
	if of.DryRun {
		kind = "counts"
	}
	return []string{app, kind}
}

// purgeCursor is how far a purge came.
type purgeCursor struct {
	Marker  string    `json:"m"`
	At      time.Time `json:"t"`
	Next    string    `json:"n,omitempty"`
	Scanned int       `json:"s,omitempty"`
	Ended   int       `json:"e,omitempty"`
}

// Cursor tells how far the purge came. It is sealed: nobody makes up a marker, or moves the time of one.
func (p *Purge) Cursor() string {
	plain, _ := json.Marshal(purgeCursor{ // texts, numbers and a time of this century: it cannot fail
		Marker: p.marker.ID, At: p.marker.At, Next: p.next, Scanned: p.Scanned, Ended: p.Ended,
	})
	return base64.RawURLEncoding.EncodeToString(p.engine.ring.Seal(PurposePurge, plain, p.of.context()...))
}

func (p *Purge) open(sealed string) error {
	var c purgeCursor
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err == nil {
		raw, err = p.engine.ring.Open(PurposePurge, raw, p.of.context()...)
	}
	if errors.Is(err, ErrKeyUnknown) {
		return adminError("opening a cursor", err)
	}
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return &Error{Code: CodeBadRequest, Message: "This cursor does not belong to what is asked for.", Err: err}
	}
	p.marker, p.next, p.Scanned, p.Ended = Marker{ID: c.Marker, At: c.At}, c.Next, c.Scanned, c.Ended
	return nil
}

// Step looks at some hundred records and ends those that are meant. done: there are no more. After an error the same step
// can be asked for again, here or by the cursor.
func (p *Purge) Step(ctx context.Context) (done bool, err error) {
	step, err := p.engine.ports.Scan.Scan(ctx, p.next)
	if err != nil {
		return false, storeError("going over the sessions", err)
	}
	if p.of.DryRun && step.Pass > p.Pass {
		p.Scanned, p.Ended = 0, 0 // what an earlier pass counted is counted again
	}
	p.Pass = step.Pass
	meant, err := p.meant(ctx, step.Lookups)
	if err == nil {
		err = p.end(ctx, meant)
	}
	if err != nil {
		return false, storeError("ending sessions", err)
	}
	p.Scanned += len(step.Lookups)
	p.next = step.Next
	return p.next == "", nil
}

// meant are those of the app.
func (p *Purge) meant(ctx context.Context, lookups []Lookup) (meant []Lookup, err error) {
	if p.of.App == nil {
		return lookups, nil
	}
	described, err := p.engine.ports.Scan.Described(ctx, lookups)
	for _, d := range described {
		if d.App == p.of.App.ID {
			meant = append(meant, d.Lookup)
		}
	}
	return meant, err
}

// end ends those of the lookups that the marker applies to, some at once.
func (p *Purge) end(ctx context.Context, lookups []Lookup) error {
	if p.of.DryRun {
		p.Ended += len(lookups)
		return nil
	}
	ended, err := together(p.engine, lookups, purgeAtOnce, func(l Lookup) (*Ended, error) {
		return p.engine.ports.Records.Delete(ctx, l, &p.marker, ReasonAdmin)
	})
	for _, was := range ended {
		if was == nil { // gone already, or begun after the marker
			continue
		}
		p.Ended++
		p.engine.trace.sessionEnded(ctx, *was, ReasonAdmin)
		p.engine.revokePurged(ctx, &p.revoke, was)
	}
	return err
}
