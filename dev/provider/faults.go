package provider

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Endpoint names what a request is for, whatever its path.
type Endpoint string

// The endpoints, for faults and counts.
const (
	Discovery  Endpoint = "discovery"
	Keys       Endpoint = "keys"
	Authorize  Endpoint = "authorize"
	SignIn     Endpoint = "sign_in" // where the page of users posts to
	Token      Endpoint = "token"
	Introspect Endpoint = "introspect"
	UserInfo   Endpoint = "userinfo"
	Revoke     Endpoint = "revoke"
	Logout     Endpoint = "logout"
	SessionAPI Endpoint = "session_api" // of the Management API
	Management Endpoint = "management"  // the rest of it
)

// Always, as Fault.Times, keeps a fault until it is removed.
const Always = -1

// Fault is what happens to a matching request. First it is held (Delay, then Gate), then answered by at most one of Drop, Endless,
// Redirect and Status; with none of these the true answer is sent. Before the work means that nothing has happened inside the provider;
// AfterWork means that it has: tokens are rotated and sessions ended, but the answer is late, replaced or lost. To hang and then lose
// an answer, take a Gate and Drop together.
type Fault struct {
	Match     func(r *http.Request, form url.Values) bool // nil matches every request
	Times     int                                         // how many requests it takes; 0 means one
	AfterWork bool
	Delay     time.Duration // of the real clock
	Gate      *Gate
	Drop      bool   // the connection is closed without an answer
	Endless   bool   // 200 and a body that never ends, until the client leaves
	Redirect  string // a 307 to this address, which asks the client to send its form again
	Status    int    // with Header and Body
	Header    http.Header
	Body      string
}

// QueuedFault is a fault that waits for requests.
type QueuedFault struct {
	fault Fault
	queue *faultQueue
	left  int
	hits  int
}

// Hits is how many requests it has taken so far.
func (q *QueuedFault) Hits() int {
	q.queue.mu.Lock()
	defer q.queue.mu.Unlock()
	return q.hits
}

// Remove takes the fault away; requests that it holds already stay held.
func (q *QueuedFault) Remove() {
	q.queue.mu.Lock()
	defer q.queue.mu.Unlock()
	q.left = 0
}

type faultQueue struct {
	mu     sync.Mutex
	queued map[Endpoint][]*QueuedFault
}

// Fault queues a fault for an endpoint. A request takes the first queued fault that matches, and only that.
func (p *Provider) Fault(e Endpoint, f Fault) *QueuedFault {
	q := &QueuedFault{fault: f, queue: &p.faults, left: orElse(f.Times, 1)}
	p.faults.mu.Lock()
	defer p.faults.mu.Unlock()
	if p.faults.queued == nil {
		p.faults.queued = map[Endpoint][]*QueuedFault{}
	}
	p.faults.queued[e] = append(p.faults.queued[e], q)
	return q
}

// ClearFaults removes every queued fault; held requests stay held.
func (p *Provider) ClearFaults() {
	p.faults.mu.Lock()
	defer p.faults.mu.Unlock()
	p.faults.queued = nil
}

func (fq *faultQueue) take(e Endpoint, r *http.Request) (Fault, bool) {
	fq.mu.Lock()
	defer fq.mu.Unlock()
	fq.queued[e] = slices.DeleteFunc(fq.queuedFor(e), func(q *QueuedFault) bool { return q.left == 0 })
	for _, q := range fq.queued[e] {
		if q.fault.Match == nil || q.fault.Match(r, r.Form) {
			q.hits++
			if q.left != Always {
				q.left--
			}
			return q.fault, true
		}
	}
	return Fault{}, false
}

func (fq *faultQueue) queuedFor(e Endpoint) []*QueuedFault {
	if fq.queued == nil {
		fq.queued = map[Endpoint][]*QueuedFault{}
	}
	return fq.queued[e]
}

// serve is the way of every request: read, logged, then worked on with the fault that it met, if any.
func (p *Provider) serve(e Endpoint, do work) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.enter()
		defer p.leave()
		p.log.begin(e)
		defer p.log.end(e)
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20) // no form of OAuth comes near a MiB
		parseErr := r.ParseForm()
		p.log.arrive(e, r, p.now())
		fault, faulty := p.faults.take(e, r)
		if parseErr != nil {
			do = func(*http.Request) reply { return errorReply(badRequest("form cannot be read")) }
		}
		if !faulty {
			p.perform(do, r).write(w)
			return
		}
		p.suffer(fault, do, w, r)
	}
}

// perform does the work under the lock, and what is left to do without it.
func (p *Provider) perform(do work, r *http.Request) reply {
	re := p.locked(do, r)
	if re.after != nil {
		re.after()
	}
	return re
}

func (p *Provider) locked(do work, r *http.Request) reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	return do(r)
}

// suffer is a request with a fault. The work is done at most once, and not at all if the fault answers before it.
func (p *Provider) suffer(f Fault, do work, w http.ResponseWriter, r *http.Request) {
	var re reply
	if f.AfterWork {
		re = p.perform(do, r)
	}
	p.hold(f)
	if f.answers() {
		f.answer(p.life, w, r)
		return
	}
	if !f.AfterWork {
		re = p.perform(do, r)
	}
	re.write(w)
}

// hold keeps the request for the fault's delay and at its gate. If the provider closes meanwhile, the connection is dropped.
func (p *Provider) hold(f Fault) {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.life.Done():
		}
	}
	if f.Gate != nil {
		f.Gate.wait(p.life)
	}
	if p.life.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

func (f Fault) answers() bool { return f.Drop || f.Endless || f.Redirect != "" || f.Status != 0 }

func (f Fault) answer(life context.Context, w http.ResponseWriter, r *http.Request) {
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler) // net/http closes the connection and writes nothing
	case f.Endless:
		pour(life, w, r)
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
		w.WriteHeader(http.StatusTemporaryRedirect)
	default:
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	}
}

// pour writes a JSON document that never ends.
func pour(life context.Context, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write([]byte(`{"padding":"`))
	chunk := bytes.Repeat([]byte("a"), 32<<10) // 32 KiB: what io.Copy would move at once
	for err == nil && r.Context().Err() == nil && life.Err() == nil {
		_, err = w.Write(chunk)
	}
}
