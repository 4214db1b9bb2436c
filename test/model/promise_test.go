package model_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"
)

// suspicion is the engine's default: how long the mark of a sender that may live is watched before the later attempt.
const suspicion = 4 * time.Second

// standing is what stood in Redis of one session when it was last looked at.
type standing struct {
	rec   map[string]string
	claim string    // the attempt that holds the refresh; "" nobody
	until time.Time // the lease's end
	was   bool      // there was a record once
	ends  int64     // when it ends unless it is used: of the last record seen, in ms

	claimed   string // the attempt that was last granted the refresh
	claimedBy *instance
	claimedAt time.Time            // for the first time
	first     map[string]time.Time // when each attempt was granted it for the first time
}

// save is a refresh that was saved.
type save struct {
	by         *instance
	lookup     bff.Lookup
	generation int64
	marked     bool // an end marker stood that was about it
	asked      bool // its sender has asked for end markers since
	at         time.Time
	step       int
}

func recordKey(l bff.Lookup) string { return prefix + "s:{" + string(l) + "}" }

// look reads what stands in Redis of a session.
func (w *world) look(l bff.Lookup) (rec map[string]string, claim string, until time.Time) {
	rec = w.keeper.hash(recordKey(l))
	claim = w.keeper.hash(recordKey(l) + ":claim")["a"]
	if claim != "" {
		until = time.Now().Add(w.keeper.life(recordKey(l) + ":claim"))
	}
	return rec, claim, until
}

// happened is called after Redis has carried out a command: what stands there may have changed by it only so.
func (w *world) happened(of *instance, c command, reply string) {
	l := c.lookup()
	if c.name == "hello" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sayLocked("%s: %s -> %s", of.name, w.describeLocked(c), brief(reply))
	if c.name == "hvals" {
		w.noteAsked(of, c.keys[0])
	}
	if l == "" {
		return
	}
	before := w.seen[l]
	if before == nil {
		before = &standing{first: map[string]time.Time{}}
		w.seen[l] = before
	}
	rec, claim, until := w.look(l)
	if len(before.rec) > 0 && len(rec) > 0 {
		w.neverBack(l, before.rec, rec)
	}
	w.neverAgain(l, before, rec)
	w.leaseIsItsHolders(l, before, rec, claim, until, c)
	w.markIsItsSenders(l, before, rec, c)
	w.flown(l, before, of, c, reply)
	w.noteSave(l, before, rec, of, c)
	if c.name == "turn" {
		w.suspectTurn(l, before.rec["turn"], c)
	}
	before.rec, before.claim, before.until = rec, claim, until
	if len(rec) > 0 {
		before.was, before.ends = true, endOf(rec)
	}
}

func (w *world) describeLocked(c command) string {
	what := words(c.name)
	if l := c.lookup(); l != "" {
		what += " " + w.nameLocked(l)
	}
	return what
}

// brief is the first word of a reply.
func brief(reply string) string {
	lines := strings.Split(strings.TrimSpace(reply), "\r\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "$") && i+1 < len(lines) && len(lines[i+1]) < 12 && !strings.HasPrefix(lines[0], "*1") || len(lines) == 1 {
			if i+1 < len(lines) {
				return lines[i+1]
			}
			return line
		}
	}
	if len(lines) > 2 && len(lines[2]) < 12 {
		return lines[2]
	}
	return "…"
}

func num(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // 0 for what is no number: it was told elsewhere
	return n
}

func turnOf(rec map[string]string) int64 {
	n, _, _ := strings.Cut(rec["turn"], " ")
	return num(n)
}

// neverBack: no counter of a record goes back, nothing of its birth changes, and tokens change with their generation.
func (w *world) neverBack(l bff.Lookup, was, is map[string]string) {
	name := w.nameLocked(l)
	for _, f := range []string{"gen", "fence", "act"} {
		if num(is[f]) < num(was[f]) {
			w.brokenLocked("%s of %s went back from %s to %s", f, name, was[f], is[f])
		}
	}
	if turnOf(is) < turnOf(was) {
		w.brokenLocked("the turn of %s went back from %s to %s", name, was["turn"], is["turn"])
	}
	for _, f := range []string{"app", "kid", "began", "created", "abs", "idle", "seen", "jkt"} {
		if is[f] != was[f] {
			w.brokenLocked("%s of %s changed from %q to %q", f, name, was[f], is[f])
		}
	}
	if (is["tok"] != was["tok"]) != (num(is["gen"]) == num(was["gen"])+1) {
		w.brokenLocked("the tokens of %s went from generation %s to %s, changed: %t", name, was["gen"], is["gen"], is["tok"] != was["tok"])
	}
}

// neverAgain: a session that is gone never comes back, unless as one whose time is over.
func (w *world) neverAgain(l bff.Lookup, before *standing, rec map[string]string) {
	if len(rec) == 0 || len(before.rec) > 0 || !before.was {
		return
	}
	if time.Now().UnixMilli() < endOf(rec) || num(rec["act"]) == 0 {
		w.brokenLocked("%s came back", w.nameLocked(l))
	}
}

// leaseIsItsHolders: only its holder gives a lease back before it lapses, and only its holder prolongs it.
func (w *world) leaseIsItsHolders(l bff.Lookup, before *standing, rec map[string]string, claim string, until time.Time, c command) {
	const haste = 200 * time.Millisecond // a real server's clock goes on while the test's stands still
	stood := before.claim != "" && time.Now().Add(haste).Before(before.until) && len(rec) > 0
	own := len(c.args) > 0 && c.args[0] == before.claim
	if stood && claim != before.claim && !own {
		w.brokenLocked("somebody else (%s) took or gave back the lease of %s", words(c.name), w.nameLocked(l))
	}
	if stood && claim == before.claim && until.After(before.until.Add(haste)) && !own {
		w.brokenLocked("somebody else (%s) prolonged the lease of %s", words(c.name), w.nameLocked(l))
	}
}

// markIsItsSenders: a sent mark goes by its sender's release, by the save of new tokens, or over a later sender's.
func (w *world) markIsItsSenders(l bff.Lookup, before *standing, rec map[string]string, c command) {
	was, is := before.rec["sent"], rec["sent"]
	if was == is || len(rec) == 0 || was == "" {
		return
	}
	sender := ""
	if parts := strings.SplitN(was, " ", 5); len(parts) == 5 {
		sender = parts[3]
	}
	if c.name == "mark" || c.name == "save" || c.name == "release" && c.args[0] == sender {
		return
	}
	w.brokenLocked("somebody else (%s) settled the sent mark of %s", words(c.name), w.nameLocked(l))
}

// flown: one process has one refresh of a session under way, not more, and what it is granted is remembered.
func (w *world) flown(l bff.Lookup, before *standing, of *instance, c command, reply string) {
	if c.name != "claim" {
		return
	}
	if strings.Contains(reply, "granted") {
		if before.claimed != c.args[0] {
			at, again := before.first[c.args[0]]
			if !again {
				at = time.Now()
				before.first[c.args[0]] = at
			}
			before.claimed, before.claimedBy, before.claimedAt = c.args[0], of, at
		}
		return
	}
	if strings.Contains(reply, "held") && before.claim == before.claimed && before.claimed != c.args[0] &&
		before.claimedBy == of && !of.troubledSince(before.claimedAt) {
		w.brokenLocked("%s has two refreshes of %s under way", of.name, w.nameLocked(l))
	}
}

// noteSave remembers that new tokens stand in a record.
func (w *world) noteSave(l bff.Lookup, before *standing, rec map[string]string, of *instance, c command) {
	if c.name != "save" || num(rec["gen"]) != num(before.rec["gen"])+1 || len(before.rec) == 0 {
		return
	}
	w.provider.mu.Lock()
	for _, fam := range w.provider.families {
		if fam.lookup != l {
			continue
		}
		for n, all := range fam.sent {
			for _, pres := range all {
				if (pres.state == "good" || pres.state == "died") && pres.by == of && !pres.stored {
					pres.stored = true
					fam.stored = max(fam.stored, n+1)
				}
			}
		}
	}
	w.provider.mu.Unlock()
	marked := slices.ContainsFunc(w.sessions, func(s *session) bool { return s.lookup == l && w.marked(s) })
	w.saves = append(w.saves, save{by: of, lookup: l, generation: num(rec["gen"]), marked: marked, at: time.Now(), step: w.step})
}

// noteAsked remembers that an instance looked for end markers.
func (w *world) noteAsked(of *instance, key string) {
	for i := range w.saves {
		for _, s := range w.sessions {
			if s.lookup == w.saves[i].lookup && w.saves[i].by == of && slices.Contains(w.markersOf(s), key) {
				w.saves[i].asked = true
			}
		}
	}
}

// markersOf names the keys of the end markers that are about a session.
func (w *world) markersOf(s *session) (keys []string) {
	group := "sid " + s.fam.sso.sid
	if w.policy.SSOBy == bff.SSOBySubject {
		group = "sub " + s.fam.sso.subject
	}
	for _, t := range [][2]string{{"sub", s.fam.sso.subject}, {"sid", s.fam.sso.sid}, {"sso", group}} {
		for _, mac := range ring(0).Names(t[0], w.policy.Name, t[1]) {
			keys = append(keys, prefix+"end:"+mac)
		}
	}
	return keys
}

// marked reports whether an end marker stands in Redis that is about the session.
func (w *world) marked(s *session) bool {
	for _, key := range w.markersOf(s) {
		for _, value := range w.keeper.hash(key) {
			at, _, _ := strings.Cut(value, " ")
			if s.began.UnixMilli() < num(at) {
				return true
			}
		}
	}
	return false
}

// suspectTurn notes that a handle was presented whose successor is in use: it may cost the session.
func (w *world) suspectTurn(l bff.Lookup, turn string, c command) {
	parts := strings.Split(turn, " ")
	if len(parts) != 5 {
		return
	}
	current, presented := num(parts[0]), num(c.args[0])
	if presented < current-1 || presented == current-1 && parts[3] != "0" {
		for _, s := range w.sessions {
			if s.lookup == l {
				s.may[bff.ReasonHandleReused] = true
			}
		}
	}
}

// presented is called when a refresh token leaves an instance: RFC 9700 section 4.14.2.
func (w *world) presented(of *instance, fam *family, n int, pres *presentation, l bff.Lookup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.provider.mu.Lock()
	defer w.provider.mu.Unlock()
	name := w.nameLocked(l)
	w.sayLocked("%s: sends refresh token %d of %s", of.name, n, name)
	if fam == nil {
		w.brokenLocked("an unknown refresh token of %s is sent", name)
		return
	}
	fam.lookup = l
	prior := fam.sent[n]
	fam.sent[n] = append(prior, pres)
	st := w.seen[l]
	if st == nil || st.claimed == "" || st.claimedBy != of && !of.troubledSince(st.claimedAt) {
		w.brokenLocked("%s sends a refresh token of %s without the lease", of.name, name)
		return
	}
	w.sentUnderMark(of, n, l, name)
	waited := time.Since(st.claimedAt)
	if n < fam.stored && !of.troubledSince(st.claimedAt) {
		w.brokenLocked("refresh token %d of %s is sent, though its successor stands in the record", n, name)
	}
	for i, p := range prior {
		if why := p.forbids(fam, of, waited, i == len(prior)-1); why != "" {
			w.brokenLocked("refresh token %d of %s is sent again by %s, %s", n, name, of.name, why)
		}
	}
}

// sentUnderMark: the mark stands before the token is on the wire, or the record is gone or newer by now.
func (w *world) sentUnderMark(of *instance, n int, l bff.Lookup, name string) {
	rec := w.keeper.hash(recordKey(l))
	if len(rec) == 0 || num(rec["gen"]) != num(w.seen[l].rec["gen"]) {
		return
	}
	parts := strings.SplitN(rec["sent"], " ", 5)
	if len(parts) != 5 || parts[0] != rec["gen"] {
		w.brokenLocked("refresh token %d of %s is sent by %s, and no mark says so", n, name, of.name)
	}
}

// forbids tells why a token must not be sent once more after this presentation; "" if it may.
func (p *presentation) forbids(fam *family, of *instance, waited time.Duration, last bool) string {
	cutOff := p.by.troubledSince(p.at.Add(-10 * time.Second)) // a lease and its renewal before
	hasty := last && waited < suspicion
	switch p.state {
	case "open":
		if !cutOff && !of.troubledSince(p.at.Add(-10*time.Second)) {
			return "while the first call is open"
		}
		fam.overrun = true
		if hasty {
			return fmt.Sprintf("%s after it took the lease, while the first call is open", waited)
		}
	case "good":
		if p.stored || !cutOff {
			return "though its answer came"
		}
		fam.overrun = true
		if hasty {
			return fmt.Sprintf("%s after it took the lease, while the first sender saves", waited)
		}
	case "died", "lost":
		if hasty {
			return fmt.Sprintf("%s after it took the lease, over the mark of a sender that may live", waited)
		}
	case "spent":
		if !cutOff {
			return "though it was refused for good"
		}
	}
	return ""
}

// check compares Redis and the model.
func (w *world) check() {
	wait()
	w.mu.Lock()
	for _, s := range w.sessions {
		w.checkSession(s)
	}
	w.checkLives()
	w.mu.Unlock()
	w.judge()
}

// checkLives: shows KEY-TTL, at every moment.
func (w *world) checkLives() {
	for _, k := range w.keeper.keys() {
		if w.keeper.life(k) <= 0 && (len(w.keeper.hash(k)) > 0 || w.keeper.text(k) != "") {
			w.brokenLocked("a key without a life: %s", strings.SplitN(k, "{", 2)[0])
		}
		w.checkProof(k)
	}
}

func (w *world) checkSession(s *session) {
	rec, _, _ := w.look(s.lookup)
	if len(rec) > 0 {
		if e := w.endedBy(s); e != nil {
			w.brokenLocked("%s lives, though %s was acknowledged", s.name, e.what)
		}
		if s.gone {
			w.brokenLocked("%s was gone, and lives", s.name)
		}
		if num(rec["act"]) < s.used.UnixMilli() {
			w.brokenLocked("%s: an acknowledged activity is not in the record", s.name)
		}
		return
	}
	if s.gone {
		return
	}
	s.gone = true
	reason, _, _ := strings.Cut(w.keeper.text(recordKey(s.lookup)+":ended"), " ")
	causes := w.causes(s)
	w.sayLocked("%s is gone: %s", s.name, reason)
	if reason == "" && !w.overdue(s) && len(causes) == 0 {
		w.brokenLocked("%s is lost, and nothing says why", s.name)
	}
	if reason != "" && !causes[bff.Reason(reason)] {
		w.brokenLocked("%s ended as %s, and nothing had happened that may end it so", s.name, reason)
	}
}

// endedBy returns what is known to have ended a session; nil if nothing is.
func (w *world) endedBy(s *session) *ending {
	for _, e := range w.endings {
		if e.acked > 0 && e.must(s) {
			return e
		}
	}
	return nil
}

// overdue reports whether the session's time is over, by what was last seen of its record.
func (w *world) overdue(s *session) bool {
	st := w.seen[s.lookup]
	return st != nil && st.was && time.Now().UnixMilli() >= st.ends
}

// endOf is when a record ends unless it is used, in ms.
func endOf(rec map[string]string) int64 {
	return min(num(rec["act"])+num(rec["idle"]), num(rec["abs"]))
}

// causes returns the reasons for which a session may have ended.
func (w *world) causes(s *session) map[bff.Reason]bool {
	all := make(map[bff.Reason]bool)
	for reason := range s.may {
		all[reason] = true
	}
	for _, e := range w.endings {
		if e.may(s) {
			all[e.reason] = true
			all[bff.ReasonSignedOut] = true // so says a refresh that finds a marker: whose it is stands in none
		}
	}
	if w.overdue(s) {
		all[bff.ReasonIdle], all[bff.ReasonAbsolute] = true, true
	}
	w.provider.mu.Lock()
	defer w.provider.mu.Unlock()
	if s.fam.sso.over || s.fam.overrun || s.fam.revoked && len(all) > 0 {
		all[bff.ReasonRefreshRejected], all[bff.ReasonRefreshLost] = true, true
	}
	for _, sent := range s.fam.sent {
		if len(sent) > 1 && s.fam.dead {
			all[bff.ReasonRefreshLost] = true
		}
	}
	return all
}
