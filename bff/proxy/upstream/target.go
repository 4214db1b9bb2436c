package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// target is one machine, or one address, that answers for the API.
type target struct {
	name       string // host:port, for people
	address    string // what is dialled; "": what the origin says
	set        *Settings
	shared     *http.Transport                   // without a time of its own
	handshakes *http.Transport                   // for WebSockets, where the others do not speak HTTP/1.1; else nil
	transports map[time.Duration]*http.Transport // all of them, by the time they keep

	underway atomic.Int64          // requests that wait for an answer or carry one
	out      atomic.Bool           // no request is sent here but a trial: broken or sick
	failures atomic.Int32          // attempts in a row that came to nothing
	lastGood atomic.Int64          // when an answer was last good, in Unix nanoseconds
	lastBad  atomic.Pointer[error] // what an attempt that came to nothing met with last

	mu     sync.Mutex
	broken bool      // too many failures in a row
	sick   bool      // by its own word, or for want of one
	until  time.Time // before then no trial
	trying bool      // a trial is under way
}

// upgradeKey is where transports has the one for handshakes.
const upgradeKey = -1

func newTarget(address string, s *Settings) *target {
	t := &target{name: address, address: address, set: s, transports: make(map[time.Duration]*http.Transport)}
	if address == "" {
		t.name = ownAddress(s.Origin)
	}
	t.shared = t.plain(s, 0)
	if s.Protocol == HTTP2 || s.Protocol == H2C {
		// RFC 8441's way is not gone: RFC 6455 is spoken by every server of WebSockets.
		t.handshakes = newTransport(s, address, HTTP1, 0)
		t.transports[upgradeKey] = t.handshakes
	}
	return t
}

// ownAddress is the origin's host and port.
func ownAddress(origin string) string {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Port() != "":
		return u.Host // New has checked the origin
	case u.Scheme == "http":
		return u.Host + ":80"
	default:
		return u.Host + ":443"
	}
}

// plain returns the transport that keeps a time by itself; 0: none.
func (t *target) plain(s *Settings, head time.Duration) *http.Transport {
	if t.transports[head] == nil {
		t.transports[head] = newTransport(s, t.address, s.Protocol, head)
	}
	return t.transports[head]
}

// over is the transport for a request: a WebSocket begins with HTTP/1.1 (RFC 6455 section 4.1).
func (t *target) over(usual *http.Transport, r *http.Request) *http.Transport {
	if t.handshakes != nil && r.Header["Upgrade"] != nil {
		return t.handshakes
	}
	return usual
}

// admit lets a request in, as a trial if the target is out and it is time for one. A target that says itself that it is not
// well gets one only where no other is in.
func (t *target) admit(nobodyElse bool) (trial, ok bool) {
	if !t.out.Load() {
		return false, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.broken && !t.sick {
		return false, true
	}
	if t.trying || t.sick && !nobodyElse || time.Now().Before(t.until) {
		return false, false
	}
	t.trying = true
	return true, true
}

// wait is how long until the target may get a trial; 0: it is in, or one is under way.
func (t *target) wait() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(time.Until(t.until), 0)
}

// verdict is what an attempt says about its target.
type verdict int

const (
	none       verdict = iota // nothing: whoever asked is gone, or broke its own request off
	good                      // it answers
	failed                    // it was reached, and gave no answer, or half of one
	unreached                 // there was no connection to be had
	unanswered                // it was too late
)

// met keeps what an attempt met with that came to nothing, for people: see Told.Moved. That the frontend is gone is nothing of
// the target's.
func (t *target) met(err error) {
	if !errors.Is(err, context.Canceled) {
		t.lastBad.Store(&err)
	}
}

// judge takes an attempt's verdict.
func (t *target) judge(v verdict, began time.Time, trial bool) {
	switch {
	case v == good:
		t.lastGood.Store(time.Now().UnixNano())
		if t.failures.Load() != 0 {
			t.failures.Store(0)
		}
		if t.out.Load() {
			t.move(WhyAnswer, func() { t.broken, t.trying = false, t.trying && !trial; t.rest() })
		}
	case v == none, v != unreached && t.lastGood.Load() > began.UnixNano():
		// What has answered others meanwhile is not down: one address of an API that crashes or hangs, asked over and over by
		// somebody, must not put the API out for everybody.
		if trial {
			t.move(WhyFailures, func() { t.trying = false })
		}
	case t.failures.Add(1) >= int32(t.set.Failures), trial:
		t.move(WhyFailures, func() {
			if !t.broken || trial {
				t.broken, t.trying, t.until = true, t.trying && !trial, time.Now().Add(t.set.Open)
			}
		})
	}
}

// rest gives a target that stays out although it answered its time between two trials.
func (t *target) rest() {
	if t.sick {
		t.until = time.Now().Add(t.set.Open)
	}
}

// feel takes the target's own word. One that says that it is well again, and is out for its failures as well, is due for a
// trial at once.
func (t *target) feel(well bool) {
	if t.isSick() == !well {
		return
	}
	t.move(WhyHealth, func() {
		if t.sick, t.until = !well, time.Now(); t.sick {
			t.until = t.until.Add(t.set.Open)
		}
	})
}

func (t *target) isSick() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sick
}

// move changes what keeps the target out, and tells of it when it comes in or goes out.
func (t *target) move(why string, change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	if out := t.broken || t.sick; t.out.Swap(out) != out {
		t.failures.Store(0)
		var cause error
		if met := t.lastBad.Load(); out && met != nil {
			cause = *met
		}
		t.set.Told.Moved(t.set.Origin, t.name, !out, why, cause)
	}
}
