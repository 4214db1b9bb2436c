package idp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"cloakroom/bff"
)

// Limits of the way to a token endpoint.
const (
	callsMost    = 64               // calls at once: what is more would only queue at the provider
	kindMost     = 48               // of them refreshes, and as many codes: a quarter is always left to the other kind
	exchangeMost = 32               // exchanges at once, beside those: they take no place from what keeps users signed in
	queueMost    = 10 * time.Second // for a place; with the longest call that is what the engine gives a refresh
	failuresMost = 10               // in a row: fewer happen at a restart of the provider
	failureSpan  = 30 * time.Second // after which failures in a row are forgotten
	openFor      = 5 * time.Second  // until one call tries again
)

// Limits of a burst of spent refresh tokens. Tokens are used up one by one; when many are refused at once it is the
// provider that has lost them (a restored backup, a wiped cache), and may find them again.
const (
	burstSpan  = 10 * time.Second
	burstSpent = 20               // different sessions within the span …
	burstShare = 2                // … and more than one answer in so many …
	burstLast  = 2 * burstSpent   // … of the last so many: what went well before, at a busy gateway thousands of times, is past
	burstWait  = time.Second      // for so long the first of many wait for the others: a user notices no more of it
	burstHold  = 30 * time.Second // for so long no session is ended by a spent token
	burstSlow  = 5 * time.Minute  // and so much longer at most burstSpent of them per span
)

// ErrBurst is the cause of a refusal that is held back, as too many sessions get it at once.
var ErrBurst = errors.New("burst of spent refresh tokens")

// errNothingSaid marks calls that say nothing about the provider.
var errNothingSaid = errors.New("nothing said about the provider")

// grant is what a call to the token endpoint sends, as far as it matters for its way there.
type grant int

// The kinds of grants.
const (
	grantOther   grant = iota // a code, which a browser brought, or the app's own credentials
	grantRefresh              // a session's refresh token
	grantSubject              // a session's access token, to be exchanged for one for another API
)

func grantOf(form url.Values) grant {
	switch form.Get("grant_type") {
	case "refresh_token":
		return grantRefresh
	case grantExchange:
		return grantSubject
	default:
		return grantOther
	}
}

// gate is what every call to the token endpoint passes: a bound on calls at once. A storm of renewals leaves room to sign
// in, and a storm of codes, which anybody can begin, leaves room for renewals. Exchanges have a room of their own: without one a
// call to one API is refused, without the others a user is signed out.
type gate struct {
	slots            chan struct{}
	refreshes, codes chan struct{} // a place in one of these comes before one in slots
	exchanges        chan struct{}
	unjudged         atomic.Int64 // renewals that began and whose answer is not in burst yet
	burst            burst
}

func newGate() *gate {
	return &gate{
		slots:     make(chan struct{}, callsMost),
		refreshes: make(chan struct{}, kindMost), codes: make(chan struct{}, kindMost),
		exchanges: make(chan struct{}, exchangeMost),
	}
}

// place waits for a place, for so long that the call still has its own time afterwards.
func (g *gate) place(ctx context.Context, sent grant) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, queueMost)
	defer cancel()
	kind := g.codes
	switch sent {
	case grantRefresh:
		kind = g.refreshes
	case grantSubject:
		return func() { <-g.exchanges }, take(ctx, g.exchanges)
	}
	if err := take(ctx, kind); err != nil {
		return nil, err
	}
	if err := take(ctx, g.slots); err != nil {
		<-kind
		return nil, err
	}
	return func() { <-g.slots; <-kind }, nil
}

// renewal counts a renewal as being on its way until what came of it is known: from before it has a place until after it has
// given that back, so that among many that are refused at one moment none is overlooked in between.
func (g *gate) renewal() (judged func()) {
	g.unjudged.Add(1)
	return sync.OnceFunc(func() { g.unjudged.Add(-1) })
}

func take(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a place at the token endpoint: %w", ctx.Err())
	}
}

// breaker keeps one app from a provider that fails it. Each app has its own: what a provider answers to one whose
// registration is broken, a firewall's page or a stumble, closes the way for no other.
type breaker = gobreaker.TwoStepCircuitBreaker[struct{}]

func (is *Issuer) newBreaker(about ...any) *breaker {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        is.set.Name,
		Interval:    failureSpan,
		Timeout:     openFor,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failuresMost },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNothingSaid) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			is.log.Warn("token endpoint breaker moved", append(about, "from", from.String(), "to", to.String())...)
		},
	})
}

// breakerFor is the one that a call has to pass. Exchanges have one for each target: a provider that stumbles over one API's
// closes neither the way to another API's nor that to a renewal, and no sign-in is held by it.
func (c *Client) breakerFor(form url.Values) *breaker {
	if grantOf(form) != grantSubject {
		return c.breaker
	}
	target := url.Values{"audience": form["audience"], "resource": form["resource"]}.Encode()
	return c.targets.breaker(target, func() *breaker { return c.is.newBreaker("client_id", c.set.ClientID, "exchange", target) })
}

// targets are the breakers of one app's exchanges, by what they are for: as many as routes name.
type targets struct {
	mu     sync.Mutex
	byName map[string]*breaker
}

func (ts *targets) breaker(name string, make func() *breaker) *breaker {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byName == nil {
		ts.byName = map[string]*breaker{}
	}
	if ts.byName[name] == nil {
		ts.byName[name] = make()
	}
	return ts.byName[name]
}

// Held reports whether a breaker keeps an app's calls from the provider's token endpoint, or lets one through to try.
func (is *Issuer) Held() bool {
	is.breakersMu.Lock()
	defer is.breakersMu.Unlock()
	return slices.ContainsFunc(is.breakers, func(b *breaker) bool { return b.State() != gobreaker.StateClosed })
}

// enter waits for a place and asks the breaker. The returned function must be told what became of the call. A refusal
// means that nothing was sent.
func (c *Client) enter(ctx context.Context, form url.Values) (leave func(*refusal), closed *refusal) {
	free, err := c.is.gate.place(ctx, grantOf(form))
	if err != nil {
		return nil, &refusal{outcome: bff.OutcomeTransient, unasked: true, retryAfter: time.Second, err: err}
	}
	done, err := c.breakerFor(form).Allow()
	if err != nil {
		free()
		return nil, &refusal{outcome: bff.OutcomeTransient, unasked: true, retryAfter: openFor, err: err}
	}
	return func(r *refusal) {
		free()
		done(health(r, grantOf(form)))
	}, nil
}

// health tells the breaker what a call says about the provider: whoever refuses a token or a client is well. An answer
// to a code says little: anybody can send a callback with a code that a provider stumbles over, and ten of them must not
// close the way to everybody's renewal.
func health(r *refusal, sent grant) error {
	if r == nil || r.outcome == bff.OutcomeSpent || r.outcome == bff.OutcomeClient {
		return nil
	}
	_, answered := errors.AsType[*AnswerError](r.err)
	switch {
	case answered && sent == grantOther, errors.Is(r.err, context.Canceled), r.unasked:
		return errNothingSaid
	default:
		return r.err
	}
}

// burst counts the answers to refreshes.
type burst struct {
	mu      sync.Mutex
	answers []verdict
	held    time.Time // no spent token ends a session before
	slow    time.Time // and few do before
}

type verdict struct {
	at       time.Time
	client   string
	session  bff.Lookup
	spent    bool
	honoured bool
}

// good counts a refresh that succeeded.
func (b *burst) good(now time.Time, client string, session bff.Lookup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trim(now)
	b.answers = append(b.answers, verdict{at: now, client: client, session: session})
}

// spent counts a refused refresh token. Whether it may end its session is judged when it has been heard what becomes of
// those that are on their way.
func (b *burst) spent(now time.Time, client string, session bff.Lookup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trim(now)
	b.answers = append(b.answers, verdict{at: now, client: client, session: session, spent: true})
}

// judge reports whether a spent token that was counted may end its session, and whether a burst began with it.
func (b *burst) judge(now time.Time, client string, session bff.Lookup) (honoured, began bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case now.Before(b.held):
		return false, false
	case now.Before(b.slow):
		honoured = b.honoured() < burstSpent
	case b.bursting("") || b.bursting(client):
		b.held, b.slow = now.Add(burstHold), now.Add(burstHold+burstSlow)
		return false, true
	default:
		honoured = true
	}
	for i, a := range b.answers {
		if a.session == session && a.spent {
			b.answers[i].honoured = honoured
		}
	}
	return honoured, false
}

// undecided reports whether what is on its way, so many calls, could still make a burst of what was counted, were all of
// it refused. Where it could not, nobody waits.
func (b *burst) undecided(now time.Time, client string, underway int) (could bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.slow) || underway == 0 {
		return false
	}
	for _, of := range [...]string{"", client} {
		sessions, spent, answers := b.count(of)
		if isBurst(sessions, spent, answers) {
			return false
		}
		could = could || isBurst(sessions+underway, spent+underway, answers+underway)
	}
	return could
}

// verdict counts a spent token and says whether it may end its session, and whether a burst began with it. One that comes
// alone is judged at once. Where many are refused at the same moment the first ones wait a little for the others: they
// are no more spent than those.
func (g *gate) verdict(ctx context.Context, now func() time.Time, client string, session bff.Lookup, judged func()) (honoured, began bool) {
	g.burst.spent(now(), client, session)
	judged()
	ctx, cancel := context.WithTimeout(ctx, burstWait)
	defer cancel()
	tick := time.NewTicker(burstWait / 100)
	defer tick.Stop()
	for g.burst.undecided(now(), client, int(g.unjudged.Load())) && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return g.burst.judge(now(), client, session)
}

func (b *burst) trim(now time.Time) {
	old := 0
	for old < len(b.answers) && now.Sub(b.answers[old].at) >= burstSpan {
		old++
	}
	b.answers = b.answers[old:]
}

// count counts the last answers about one client, "" for all: the sessions whose token was spent, spent tokens, and answers.
func (b *burst) count(client string) (sessions, spent, answers int) {
	of := make(map[bff.Lookup]bool)
	for _, a := range slices.Backward(b.answers) {
		if client != "" && a.client != client {
			continue
		}
		if answers == burstLast {
			break
		}
		answers++
		if a.spent {
			of[a.session] = true
			spent++
		}
	}
	return len(of), spent, answers
}

// bursting reports whether the tokens of one client, "" for all, are refused as only a provider's own trouble makes it: the
// good answers to one app do not speak for another one, whose registration may be what was lost.
func (b *burst) bursting(client string) bool {
	return isBurst(b.count(client))
}

func isBurst(sessions, spent, answers int) bool {
	return sessions >= burstSpent && spent*burstShare > answers
}

func (b *burst) honoured() (n int) {
	for _, a := range b.answers {
		if a.honoured {
			n++
		}
	}
	return n
}
