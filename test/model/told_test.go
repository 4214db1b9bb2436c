package model_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloakroom/bff"
)

// recently is how long a trouble explains a 503: a call's deadline, a lease and the suspicion, and a rest.
const recently = 60 * time.Second

// handOut is called when a login has reached its browser or app.
func (w *world) handOut(d *deed, s *session) {
	s.name = w.nameLocked(s.lookup)
	w.provider.mu.Lock()
	s.fam.handed = true
	w.provider.mu.Unlock()
	w.sayLocked("%s: %s has %s of %s", d.in.name, s.browser.name, s.name, s.fam.sso.sid)
	w.sessions = append(w.sessions, s)
	s.browser.sessions[s.app.ID] = s
}

// refusedLogin judges the refusal of a login. ghost is the session that it would have given.
func (w *world) refusedLogin(d *deed, ghost *session, err error) {
	code := bff.CodeOf(err)
	w.sayLocked("%s: %s is not signed in: %s", d.in.name, ghost.browser.name, code)
	switch code {
	case bff.CodeInternal:
		w.brokenLocked("a sign-in broke: %v", err)
	case bff.CodeStoreUnavailable:
		w.excused(d, err)
	case bff.CodeLoginSignedOut:
		if !slices.ContainsFunc(w.endings, func(e *ending) bool { return e.may(ghost) }) {
			w.brokenLocked("a sign-in was refused as signed out, and nobody had signed out")
		}
	}
}

// excused breaks the promise that nobody is told "unavailable" without a cause.
func (w *world) excused(d *deed, err error) {
	if d.in.troubledSince(d.at.Add(-recently)) || w.gate.isDown() {
		return
	}
	w.brokenLocked("%s: %s was told %v, and Redis was there", d.in.name, d.what, err)
}

// turnedAway judges what the holder of a session was told instead of an answer.
func (w *world) turnedAway(d *deed, s *session, turn int64, err error) {
	code := bff.CodeOf(err)
	w.sayLocked("%s: %s is told %s", d.in.name, d.what, code)
	rec, _, _ := w.look(s.lookup)
	switch code {
	case bff.CodeSessionRequired, bff.CodeSessionEnded, bff.CodeSessionExpired, bff.CodeGrantRejected:
		if len(rec) == 0 || len(w.causes(s)) > 0 || w.staleHandle(s, turn, rec) {
			return
		}
		w.brokenLocked("the holder of %s is told %s, though it lives", s.name, code)
	case bff.CodeStoreUnavailable:
		w.excused(d, err)
	case bff.CodeIDPUnavailable:
		w.provider.mu.Lock()
		away := !w.provider.trouble.IsZero() && !w.provider.trouble.Before(d.at.Add(-recently))
		w.provider.mu.Unlock()
		for _, in := range w.instances {
			away = away || in.troubledSince(d.at.Add(-recently)) || in.isDead()
		}
		if !away {
			w.brokenLocked("%s is told that the provider is away, and it was not", d.what)
		}
	case bff.CodeInternal:
		w.brokenLocked("%s broke: %v", d.what, err)
	}
}

// staleHandle reports whether a handle of a turn may be refused although its session lives.
func (w *world) staleHandle(s *session, turn int64, rec map[string]string) bool {
	if !s.app.Native() || s.key != "" {
		return false
	}
	parts := strings.Split(rec["turn"], " ")
	if len(parts) != 5 {
		return false
	}
	return turn < num(parts[0]) || time.Now().UnixMilli() >= num(parts[2])+s.app.AccessLife.Milliseconds()
}

// served judges the tokens that a request was given.
func (w *world) served(d *deed, s *session, t bff.TokenSet) {
	w.sayLocked("%s: %s is answered", d.in.name, d.what)
	if e := w.endedBy(s); e != nil && e.acked < d.step {
		w.brokenLocked("%s was answered, though %s had been acknowledged before it began", d.what, e.what)
	}
	if t.Access.IsZero() {
		return // an extension gives none
	}
	w.provider.mu.Lock()
	defer w.provider.mu.Unlock()
	var family string
	var n int
	if _, err := fmt.Sscanf(t.Access.Reveal(), "access %s %d", &family, &n); err != nil || family != s.fam.name {
		w.brokenLocked("%s got a token of somebody else", d.what)
		return
	}
	if !d.at.Before(t.ExpiresAt) {
		w.brokenLocked("%s got a token that was over before it came", d.what)
	}
	for _, sv := range w.saves {
		// It waited for that save. (Whoever reads the record of an end that nobody was told of yet gets what is in it.)
		waited := sv.by == d.in && d.step <= sv.step
		if waited && sv.lookup == s.lookup && sv.generation == int64(n) && sv.marked && !sv.by.troubledSince(sv.at.Add(-recently)) && !w.gate.isDown() {
			w.brokenLocked("%s got tokens that were saved after the end marker of %s", d.what, s.name)
		}
	}
}

// rotated judges new handles: an older one than the record's never works, but for the grace.
func (w *world) rotated(d *deed, s *session, in *instance, turn int64, n *bff.Session) {
	w.sayLocked("%s: %s gives turn %d", d.in.name, d.what, n.Turn.N)
	if e := w.endedBy(s); e != nil && e.acked < d.step {
		w.brokenLocked("%s was answered, though %s had been acknowledged before it began", d.what, e.what)
	}
	if n.Turn.N > turn+1 {
		w.brokenLocked("a handle of turn %d of %s that was rotated away twice still works", turn, s.name)
	}
	if late := n.Turn.Seen; turn < n.Turn.N-1 || !late.IsZero() && d.at.After(late.Add(s.app.Grace)) {
		w.brokenLocked("a handle of turn %d of %s works after its successor was in use for longer than the grace", turn, s.name)
	}
	s.take(in, n)
}

// finish mends everything, lets all come to rest, and asks each session what became of it.
func (w *world) finish() {
	w.check()
	w.say("everything is mended")
	if w.gate.isDown() {
		w.outage(false)
	}
	w.settle(everything)
	w.stage = lastStage
	for i := range w.slots {
		if w.slots[i] != nil {
			w.slots[i].setDeaf(false)
		}
	}
	w.elapse(45*time.Second, everything) // leases, suspicions and what waits for them
	for i, in := range w.slots {
		if in != nil {
			w.slots[i] = nil
			w.kill(in, false) // at rest: nothing is lost with it
		}
		w.start(i)
	}
	wait()
	w.check()
	for range 2 {
		w.ending = true
		for _, s := range w.sessions {
			w.probe(s)
		}
		w.elapse(tokenLife+time.Second, everything)
		w.check()
	}
	w.elapse(10*time.Second, everything) // what was to be saved again is
	w.leftovers()
	w.judge()
}

// probe has every instance serve a session that must live, and none serve one that must not.
func (w *world) probe(s *session) {
	for _, in := range w.up() {
		err := w.ask(s, in)
		for range 3 {
			if bff.CodeOf(err) != bff.CodeIDPUnavailable {
				break
			}
			w.elapse(10*time.Second, everything) // a rest after a failure, and one more suspicion
			err = w.ask(s, in)
		}
		w.mu.Lock()
		lives := err == nil
		must := w.endedBy(s)
		mayBeGone := len(w.causes(s)) > 0
		switch {
		case lives && must != nil:
			w.brokenLocked("%s is served in the end, though %s was acknowledged", s.name, must.what)
		case !lives && !mayBeGone && !errors.Is(err, errStale):
			w.brokenLocked("%s is not served in the end: %v", s.name, err)
		}
		w.mu.Unlock()
	}
}

// errStale is a native session whose newest handle is too old for a call: its app has to rotate first.
var errStale = errors.New("the app has to rotate first")

// ask makes one request and waits for its answer.
func (w *world) ask(s *session, in *instance) error {
	if rec, _, _ := w.look(s.lookup); len(rec) > 0 && s.app.Native() && w.staleHandle(s, s.turn, rec) {
		return errStale
	}
	var err error
	w.do(in, "the last request of "+s.name, func(ctx context.Context, d *deed) func() {
		n, e := w.present(ctx, s, in, s.pairs[s.turn].access)
		var t bff.TokenSet
		if e == nil {
			t, e = in.FreshTokens(ctx, s.app, n)
		}
		err = e
		return func() {
			if e == nil {
				w.served(d, s, t)
			} else {
				w.turnedAway(d, s, s.turn, e)
			}
		}
	})
	w.settle(everything)
	for range 60 { // the longest wait of use is shorter
		w.mu.Lock()
		on := len(w.deedsOn)
		w.mu.Unlock()
		if on == 0 {
			break
		}
		w.elapse(time.Second, everything)
	}
	return err
}

// leftovers: what came for a session that was gone is revoked, and no record is nobody's.
func (w *world) leftovers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.provider.mu.Lock()
	defer w.provider.mu.Unlock()
	for _, fam := range w.provider.families {
		if fam.revoked || fam.dead || fam.overrun || fam.sso.over {
			continue
		}
		if !fam.handed && !fam.by.isDead() {
			continue
		}
		for _, pres := range fam.sent[fam.issued-1] {
			if rec := w.keeper.hash(recordKey(fam.lookup)); pres.state == "good" && !pres.stored && len(rec) == 0 {
				w.brokenLocked("tokens that came for %s after its end are not revoked", w.nameLocked(fam.lookup))
			}
		}
	}
	w.ownSaves()
}

// ownSaves: whoever saved knows it, also where the answer to the save was lost; otherwise what follows a save (the look for
// a sign-out, the report) would not be done.
func (w *world) ownSaves() {
	for i, sv := range w.saves {
		overtaken := slices.ContainsFunc(w.saves[i+1:], func(next save) bool {
			// Before its sender could ask again: an outage may have kept it from that for any time.
			return next.lookup == sv.lookup && (next.at.Sub(sv.at) < 10*time.Second || sv.by.troubledSince(sv.at.Add(time.Millisecond)))
		})
		if overtaken || sv.by.crashed || len(w.keeper.hash(recordKey(sv.lookup))) == 0 {
			continue
		}
		if !slices.Contains(w.told[sv.lookup.ID()], sv.generation) {
			w.brokenLocked("%s saved generation %d of %s, and does not know it", sv.by.name, sv.generation, w.nameLocked(sv.lookup))
		}
		if !sv.asked && !sv.by.troubledSince(sv.at.Add(time.Millisecond)) {
			w.brokenLocked("%s saved generation %d of %s, and never looked for a sign-out", sv.by.name, sv.generation, w.nameLocked(sv.lookup))
		}
	}
}
