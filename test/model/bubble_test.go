package model_test

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"cloakroom/bff"

	"pgregory.net/rapid"
)

// world is one run.
type world struct {
	t        *rapid.T
	keeper   keeper
	gate     gate
	scripts  scripts
	provider *provider
	policy   *bff.ProviderPolicy
	apps     []*bff.App
	browsers []*browser
	began    time.Time

	one sync.Mutex // one command at a time is carried out

	ending bool            // it is the end of the run: see fateOf
	lost   map[string]bool // the saves whose answer was lost there

	slots [3]*instance // by place: A, B, C; nil while it is down
	stage int          // of the keyring that the next start gets

	ears      sync.Mutex
	instances []*instance // all that ever were; under ears

	mu       sync.Mutex
	names    map[bff.Lookup]string
	sessions []*session // that were handed out
	endings  []*ending
	tokens   []*logoutToken // that the provider has made
	proofs   []*shown
	deedsOn  []*deed // in flight
	seen     map[bff.Lookup]*standing
	told     map[string][]int64 // generations that were told as refreshed, by session
	saves    []save
	step     int
	log      []string
	faults   []string // promises that were broken
}

// browser is where a person signs in; what it has of the provider, and what a sign-out left in it.
type browser struct {
	name, subject string
	at            *sso
	notices       map[string]notice // by app
	sessions      map[string]*session
}

// notice is the cookie that a sign-out leaves, good for a minute.
type notice struct {
	value string
	of    *ending
	by    *instance // that sealed it
	until time.Time
}

func newWorld(t *rapid.T, k keeper) *world {
	w := &world{
		t: t, keeper: k, began: time.Now(), names: map[bff.Lookup]string{},
		seen: map[bff.Lookup]*standing{}, told: map[string][]int64{}, lost: map[string]bool{},
	}
	w.provider = &provider{w: w, ssos: map[string]*sso{}, codes: map[string]*sso{}, tokens: map[string]*logoutToken{}}
	w.policy = &bff.ProviderPolicy{
		Name: "main", Issuer: "https://op.example.com", SSOBy: bff.SSOBySID, RevocationSparesGrant: true,
	}
	app := func(id string, kind bff.Kind) *bff.App {
		return &bff.App{
			ID: id, Kind: kind, Provider: w.policy, ClientID: "client-" + id, Origin: "https://" + id + ".example.com",
			RedirectURI: "https://" + id + ".example.com/bff/callback", DefaultReturn: "/",
			StoredClaims: []string{"sub"}, Idle: 20 * time.Minute, Absolute: time.Hour,
		}
	}
	w.apps = []*bff.App{app("shop", bff.KindSPA), app("docs", bff.KindWeb), app("phone", bff.KindMobile)}
	phone := w.apps[2]
	phone.Origin, phone.RedirectURIs = "", []string{claimed}
	phone.AccessLife, phone.Grace = 15*time.Minute, 30*time.Second
	phone.Binding = bff.BindingAllowed
	for i, subject := range []string{"ada", "ada", "bob"} {
		w.browsers = append(w.browsers, &browser{
			name: fmt.Sprintf("browser %d of %s", i+1, subject), subject: subject,
			notices: map[string]notice{}, sessions: map[string]*session{},
		})
	}
	return w
}

// begin starts the machines, and signs somebody in.
func (w *world) begin() {
	w.keeper.listen(w.hear)
	known, err := loadScripts(w.keeper)
	if err != nil {
		w.t.Fatal(err)
	}
	w.scripts = known
	if rapid.Bool().Draw(w.t, "sso by subject") {
		w.policy.SSOBy = bff.SSOBySubject
	}
	if rapid.Bool().Draw(w.t, "provider with a grace") {
		w.provider.grace = 30 * time.Second
	}
	n := rapid.IntRange(2, 3).Draw(w.t, "instances")
	for i := range n {
		w.start(i)
	}
	wait()
	w.signIn(w.apps[0], w.browsers[0], w.slots[0], w.slots[1], nil, "", false)
	w.settle(everything)
	w.signIn(w.apps[2], w.browsers[0], w.slots[0], w.slots[1], nil, w.drawKey(), false)
	w.settle(everything)
}

// start starts the instance of a place.
func (w *world) start(place int) {
	in := w.launch(string(rune('A'+place)), w.stage)
	w.slots[place] = in
	w.ears.Lock()
	defer w.ears.Unlock()
	w.instances = append(w.instances, in)
}

// close ends the run, whatever state it is in: nothing may be left in the bubble.
func (w *world) close() {
	w.gate.close()
	wait()
	for _, in := range w.instances {
		if !in.isDead() {
			w.kill(in, false)
		}
	}
	wait()
	for _, in := range w.instances {
		in.bury()
	}
	for _, d := range w.deedsOn {
		d.cancel()
	}
	w.keeper.close()
	time.Sleep(5 * time.Second) // the client's own goroutines look once a second whether it was closed
	wait()
}

// up returns the instances that run.
func (w *world) up() (up []*instance) {
	for _, in := range w.slots {
		if in != nil {
			up = append(up, in)
		}
	}
	return up
}

// anyone draws an instance that runs; nil if none does.
func (w *world) anyone(label string) *instance {
	up := w.up()
	if len(up) == 0 {
		return nil
	}
	return up[rapid.IntRange(0, len(up)-1).Draw(w.t, label)]
}

// say adds a line to the story of the run.
func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sayLocked(format, args...)
}

func (w *world) sayLocked(format string, args ...any) {
	w.step++
	w.log = append(w.log, fmt.Sprintf("%10s  ", time.Since(w.began))+fmt.Sprintf(format, args...))
}

// broken notes a broken promise. The test fails at its next check, on its own goroutine.
func (w *world) broken(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.brokenLocked(format, args...)
}

func (w *world) brokenLocked(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
	w.sayLocked("BROKEN: "+format, args...)
}

// judge fails the run if a promise was broken, with its story.
func (w *world) judge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) == 0 {
		return
	}
	w.t.Logf("what happened:\n%s", strings.Join(w.log, "\n"))
	w.t.Fatal(w.faults[0])
}

// nameOf names a record in the order in which they are first seen.
func (w *world) nameOf(l bff.Lookup) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nameLocked(l)
}

func (w *world) nameLocked(l bff.Lookup) string {
	if w.names[l] == "" {
		w.names[l] = fmt.Sprintf("r%d", len(w.names)+1)
	}
	return w.names[l]
}

// troubled notes that something went wrong between an instance and Redis.
func (w *world) troubled(in *instance) {
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.trouble = time.Now()
}

// troubledSince reports whether anything went wrong between it and Redis since then.
func (in *instance) troubledSince(t time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.trouble.IsZero() && !in.trouble.Before(t)
}

func everything(*call) bool     { return true }
func redisOnly(c *call) bool    { return c.kind == toRedis }
func notOf(in *instance) filter { return func(c *call) bool { return c.of != in } }

// filter picks calls that may go.
type filter func(*call) bool

// settle lets go what waits and is not given up, one after the other, until nothing waits any more.
func (w *world) settle(ok filter) {
	for range 3000 { // far more than any run has; without the bound a wait that never ends would hang the test
		wait()
		next := w.gate.waiting(func(c *call) bool { return !c.late && ok(c) })
		if len(next) == 0 {
			return
		}
		w.gate.grant(next[0], w.fateOf(next[0]))
	}
	w.broken("the instances never come to rest")
}

// fateOf is that of a call while all goes on: it passes, but for each session's first save at the end of a run, whose answer
// is lost.
func (w *world) fateOf(c *call) fate {
	if !w.ending || w.lost[c.what] || !strings.HasPrefix(c.what, "save ") {
		return passes
	}
	w.lost[c.what] = true
	return unanswered
}

// quantum is how far time goes at once while calls go on: less than any wait of the engine's that matters.
const quantum = 500 * time.Millisecond

// elapse lets time pass in which the calls that ok accepts go on, and the others hang. Of a long time all but the end goes
// at once.
func (w *world) elapse(d time.Duration, ok filter) {
	const long = 2 * time.Minute
	w.settle(ok)
	if d > long {
		w.hanging()
		w.gate.leaveAjar(ok)
		time.Sleep(d - long)
		w.gate.leaveAjar(nil)
		d = long
	}
	for ; d > 0; d -= quantum {
		w.settle(ok)
		w.hanging()
		time.Sleep(min(d, quantum))
	}
	w.settle(ok)
	w.hanging()
}

// hanging notes whom the calls that hang are a trouble to.
func (w *world) hanging() {
	wait()
	for _, c := range w.gate.waiting(func(c *call) bool { return !c.late }) {
		if c.kind == toRedis {
			w.troubled(c.of)
		} else {
			w.provider.noteTrouble()
		}
	}
}
