package model_test

import (
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// callGoes lets one call go, whichever.
func (w *world) callGoes(t *rapid.T) {
	wait()
	all := w.gate.waiting(everything)
	if len(all) == 0 {
		return
	}
	c := all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
	w.gate.grant(c, passes)
	wait()
}

// callsGo lets several go, each whichever.
func (w *world) callsGo(t *rapid.T) {
	for range rapid.IntRange(2, 12).Draw(t, "how many") {
		w.callGoes(t)
	}
}

// refreshes has a token run out, one or more requests that need the next one, and some of what they set off.
func (w *world) refreshes(t *rapid.T) {
	s := w.drawSession("request")
	if s == nil || len(w.up()) == 0 {
		return
	}
	w.say("%s's token runs out", s.name)
	w.elapse(tokenLife+time.Second, redisOnly)
	for range rapid.IntRange(1, 3).Draw(t, "requests") {
		if in := w.anyone("at"); in != nil {
			w.request(s, in, false)
		}
	}
	wait()
	if at := rapid.SampledFrom([]string{"save", "answer", "mark", "claim", "send", "release", ""}).Draw(t, "trouble at"); at != "" {
		w.troubleAt(t, at)
		return
	}
	for range rapid.IntRange(0, 8).Draw(t, "calls") {
		w.callGoes(t)
	}
}

// troubleAt has the next call that begins so fare badly.
func (w *world) troubleAt(t *rapid.T, begins string) {
	f := rapid.SampledFrom([]fate{unanswered, belated, dropped, doubled, slow}).Draw(t, "fate")
	if c := w.reach(begins); c != nil {
		w.say("%s: %s", c, f)
		w.gate.grant(c, f)
		wait()
	}
}

// reach lets calls go until one waits that begins so; nil if none comes.
func (w *world) reach(begins string) *call {
	for range 40 { // a refresh has a dozen
		wait()
		all := w.gate.waiting(func(c *call) bool { return !c.late })
		if len(all) == 0 {
			return nil
		}
		if i := slices.IndexFunc(all, func(c *call) bool { return strings.HasPrefix(c.what, begins) }); i >= 0 {
			return all[i]
		}
		w.gate.grant(all[0], passes)
	}
	return nil
}

// crossing has a browser sign in at one app while it signs out at another.
func (w *world) crossing(t *rapid.T) {
	s := w.drawSession("sign-out")
	if s == nil || len(w.up()) == 0 {
		return
	}
	w.settle(everything)
	at, out := w.anyone("in at"), w.anyone("out at")
	app, key := rapid.SampledFrom(w.apps).Draw(t, "app"), ""
	if app.Native() {
		key = w.drawKey()
	}
	w.signIn(app, s.browser, at, at, nil, key, false)
	wait()
	w.reach(rapid.SampledFrom([]string{"write the indexes", "exchange", "create", "put"}).Draw(t, "when"))
	w.elapse(time.Millisecond, func(*call) bool { return false }) // it began before, by any clock
	w.signOut(s, out, false)
	wait()
	for range rapid.IntRange(4, 14).Draw(t, "calls") {
		w.callGoes(t)
	}
}

// arrives has something arrive that its sender has given up.
func (w *world) arrives(t *rapid.T) {
	wait()
	all := w.gate.waiting(func(c *call) bool { return c.late })
	if len(all) == 0 {
		return
	}
	c := all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
	w.say("%s: arrives", c)
	w.gate.grant(c, passes)
	wait()
}

// callFaresBadly lets one call go to its fate.
func (w *world) callFaresBadly(t *rapid.T) {
	wait()
	all := w.gate.waiting(func(c *call) bool { return c.kind != byBrowser && !c.late })
	if len(all) == 0 {
		return
	}
	c := all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
	fates := []fate{unanswered, dropped, doubled, belated, slow}
	if c.kind != toRedis {
		fates = []fate{unanswered, refused, dropped, belated}
	}
	f := rapid.SampledFrom(fates).Draw(t, "fate")
	w.say("%s: %s", c, f)
	w.gate.grant(c, f)
	wait()
}

// allGoesOn lets everything run, or everything but the provider's calls.
func (w *world) allGoesOn(t *rapid.T) {
	if rapid.Bool().Draw(t, "the provider hangs") {
		w.settle(redisOnly)
		return
	}
	w.settle(everything)
}

// timePasses moves the clock, while all goes on, or the provider hangs, or one instance hangs, or everything.
func (w *world) timePasses(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second, 5 * time.Second, 8 * time.Second,
		31 * time.Second, 51 * time.Second, tokenLife + time.Second, 6 * time.Minute, 21 * time.Minute,
	}).Draw(t, "for")
	ok, who := filter(everything), ""
	switch rapid.IntRange(0, 3).Draw(t, "while") {
	case 1:
		ok, who = redisOnly, ", the provider hangs"
	case 2:
		if in := w.anyone("who hangs"); in != nil && d < time.Minute {
			ok, who = notOf(in), ", "+in.name+" hangs"
		}
	case 3:
		if d < time.Minute {
			ok, who = func(*call) bool { return false }, ", everything hangs"
		}
	}
	w.say("%s pass%s", d, who)
	w.elapse(d, ok)
}

// weather is what happens to machines.
func (w *world) weather(t *rapid.T) {
	switch rapid.SampledFrom([]string{"crash", "crash", "start", "start", "outage", "deafness", "keys"}).Draw(t, "what") {
	case "crash":
		w.crash(t)
	case "start":
		for i := range w.slots {
			if w.slots[i] == nil {
				w.start(i)
				w.say("%s starts", w.slots[i].name)
				wait()
				return
			}
		}
	case "outage":
		w.outage(!w.gate.isDown())
	case "deafness":
		if in := w.anyone("who"); in != nil {
			in.setDeaf(!in.deaf)
			w.say("%s is deaf to events: %t", in.name, in.deaf)
		}
	case "keys":
		if w.stage < lastStage {
			w.stage++
			w.say("the keyring's next stage is handed to whoever starts")
		}
	}
	wait()
}

func (w *world) crash(t *rapid.T) {
	in := w.anyone("who")
	if in == nil {
		return
	}
	arrives := rapid.Bool().Draw(t, "what it sent arrives")
	w.say("%s dies", in.name)
	for i := range w.slots {
		if w.slots[i] == in {
			w.slots[i] = nil
		}
	}
	in.crashed = true
	w.kill(in, arrives)
}

// outage takes Redis away from everybody, or brings it back. It loses nothing.
func (w *world) outage(begins bool) {
	w.say("Redis is away: %t", begins)
	w.gate.setDown(begins)
	for _, in := range w.up() {
		w.troubled(in)
	}
	if begins {
		w.gate.sweep(dropped, func(c *call) bool { return c.kind == toRedis && !c.late })
	}
	wait()
}
