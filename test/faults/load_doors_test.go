//go:build integration

package faults_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// doors are people who come and go while a load runs: each outage meets some of them half-way.
type doors struct {
	l       *load
	leaving []*member // not yet gone
	both    bool      // people come, too

	mu       sync.Mutex
	gone     []*member // whose sign-out was confirmed with 200
	come     []*member // whose sign-in gave them a cookie
	attempts []answered

	stop    func()
	done    chan struct{}
	running sync.WaitGroup
}

// openDoors takes n sessions out of the load, before it begins, to sign them out one after the other, and signs others in
// between. Both go on until close: what was answered 503 is tried again.
func (l *load) openDoors(n int, every time.Duration) *doors {
	l.t.Helper()
	d := l.openLeaving(n, every)
	d.both = true
	d.running.Go(func() { d.each(every, d.enter) })
	return d
}

// openLeaving is openDoors where nobody signs in.
func (l *load) openLeaving(n int, every time.Duration) *doors {
	l.t.Helper()
	d := &doors{l: l, leaving: slices.Clone(l.members[:n]), done: make(chan struct{})}
	d.stop = sync.OnceFunc(func() { close(d.done); d.running.Wait() })
	l.t.Cleanup(d.stop) // where the test ended early
	l.members = l.members[n:]
	d.running.Go(func() { d.each(every, d.leave) })
	return d
}

// each calls act again and again until the doors close.
func (d *doors) each(every time.Duration, act func(i int)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-d.done:
			return
		case <-tick.C:
			act(i)
		}
	}
}

// leave signs the next one out. Whoever got 503 is asked again: nothing or all of it happened, and both are repeatable.
func (d *doors) leave(i int) {
	if len(d.leaving) == 0 {
		return
	}
	m := d.leaving[0]
	a := d.l.call(m, i%len(d.l.instances), "POST", "/bff/logout")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts = append(d.attempts, a)
	switch a.status {
	case http.StatusOK:
		d.gone = append(d.gone, m)
		d.leaving = d.leaving[1:]
	case http.StatusUnauthorized: // an earlier attempt, answered 503, had ended it
		d.leaving = d.leaving[1:]
	}
}

// enter signs somebody in.
func (d *doors) enter(i int) {
	const others = 10_000 // away from the numbers of the load's own
	began := time.Now()
	m, status, err := d.l.signIn(others + i)
	d.mu.Lock()
	defer d.mu.Unlock()
	a := answered{at: began, took: time.Since(began), member: others + i, status: status, retry: true, code: "sign-in"}
	if err != nil {
		d.l.t.Errorf("a sign-in: %v", err)
	}
	d.attempts = append(d.attempts, a)
	if m != nil {
		d.come = append(d.come, m)
	}
}

// close ends the coming and going. Sign-outs were 200, 503, or 401 for who had gone; sign-ins gave a session or 503.
func (d *doors) close() {
	d.l.t.Helper()
	d.stop()
	for _, a := range d.attempts {
		switch a.status {
		case http.StatusOK, http.StatusServiceUnavailable, http.StatusUnauthorized:
		default:
			d.l.t.Errorf("coming or going (session %d) was answered %d %q", a.member, a.status, a.code)
		}
	}
	d.l.t.Logf("coming and going: %s; %d signed in, %d signed out", tally(d.attempts), len(d.come), len(d.gone))
	if d.both && len(d.come) == 0 || len(d.gone) == 0 {
		d.l.t.Error("nobody came, or nobody left")
	}
}

// back returns those who had signed out and are signed in again: a sign-out that did not last.
func (d *doors) back() (undone []*member) {
	for _, m := range d.gone {
		if d.l.settled(m) == http.StatusOK {
			undone = append(undone, m)
		}
	}
	return undone
}

// missing returns those who signed in and are not signed in.
func (d *doors) missing() (lost []*member) {
	for _, m := range d.come {
		if d.l.settled(m) != http.StatusOK {
			lost = append(lost, m)
		}
	}
	return lost
}

// settled is the status of one more request of m, at any instance, when the outage is over: 200 or 401.
func (l *load) settled(m *member) (status int) {
	l.t.Helper()
	await(l.t, "an answer that is no outage", healTime, func() bool {
		status = l.call(m, m.id%len(l.instances), "GET", "/api/orders").status
		return status == http.StatusOK || status == http.StatusUnauthorized
	})
	return status
}

// nobodyLost fails if any session of the load, or any that began meanwhile, is gone, or any that ended is back.
func (l *load) nobodyLost(t *testing.T, d *doors) {
	t.Helper()
	if lost := l.alive(); len(lost) > 0 {
		t.Errorf("%d of %d sessions were lost", len(lost), len(l.members))
	}
	if d == nil {
		return
	}
	if lost := d.missing(); len(lost) > 0 {
		t.Errorf("%d of %d that signed in meanwhile are not signed in", len(lost), len(d.come))
	}
	if undone := d.back(); len(undone) > 0 {
		t.Errorf("%d of %d sign-outs did not last", len(undone), len(d.gone))
	}
}

// alongside lets the short run of a load go on beside another: it mostly waits. The full one has the machine for itself.
func alongside(t *testing.T) {
	t.Helper()
	if !soak() {
		t.Parallel()
	}
}
