package upstream

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// call is one request and its attempts.
type call struct {
	view  *view
	out   *http.Request
	body  *upload
	safe  bool
	until time.Time // for the head of the answer, all attempts together
	left  int       // attempts
	tried uint64    // targets, by index
	broke uint64    // those of them that were reached, and broke off
	// blamed answered that it, or the API, cannot
	blamed *chosen
}

// balance asks a target, and others after it where that is safe.
func (v *view) balance(out *http.Request) (*http.Response, error) {
	c := &call{view: v, out: out, body: newUpload(out), safe: safe(out), until: time.Now().Add(v.head), left: v.up.set.Attempts}
	v.up.budget.asked()
	at := v.up.pick(0, c.safe)
	if at == nil {
		return nil, v.up.down()
	}
	for {
		c.left--
		c.tried |= 1 << at.index
		res, why, err := c.try(at)
		if why == "" {
			return res, err
		}
		next := c.next()
		if next == nil {
			return res, err
		}
		if res != nil {
			discard(res.Body)
		}
		if err := c.renew(); err != nil {
			c.drop(next)
			return nil, err
		}
		v.up.set.Told.Retried(v.up.set.Origin, why)
		at = next
	}
}

// next chooses where the request is sent once more; nil: nowhere. A target that was reached and broke off may be asked again
// where no other is in.
func (c *call) next() *chosen {
	u := c.view.up
	if c.left == 0 || c.out.Context().Err() != nil || !time.Now().Before(c.until) {
		return nil
	}
	at := u.pick(c.tried, c.safe)
	if at == nil && c.broke != 0 && len(u.targets) > 1 {
		at = u.pick(c.tried&^c.broke, c.safe)
	}
	if at != nil && (!u.budget.take() || !c.body.anew()) {
		c.drop(at)
		return nil
	}
	return at
}

// drop gives back a target that was chosen and is not asked.
func (c *call) drop(at *chosen) {
	at.underway.Add(-1)
	at.judge(none, time.Now(), at.trial)
}

// renew makes the request ready to be sent once more.
func (c *call) renew() error {
	again := c.view.up.set.Again
	if again == nil {
		return nil
	}
	c.out = c.out.WithContext(c.out.Context())
	c.out.Header = c.out.Header.Clone() // the last attempt's write may still read the other one
	return again(c.out)
}

// try makes one attempt. why says why another one is in order; "": there is none to be made. With an answer that is good enough
// to be passed on it comes with that answer.
func (c *call) try(at *chosen) (res *http.Response, why string, err error) {
	tr := at.shared
	if c.view.lone != nil {
		tr = c.view.lone
	}
	began := time.Now()
	share := c.share(at)
	res, a, err := c.view.up.send(at, tr, c.out, c.body, share)
	if err != nil {
		at.underway.Add(-1)
		at.met(err)
		at.judge(c.verdict(err, a), began, at.trial)
		return nil, c.whyAfter(at, a, err), err
	}
	if len(c.view.up.targets) == 1 {
		at.guard(res, good, began, at.trial, a)
		return res, "", nil
	}
	v := good
	if unwell(res.StatusCode) {
		v = none // whether it is the target that is not well or the API, another target shows
	}
	at.guard(res, v, began, at.trial, a)
	if c.safe && short(res) {
		if err := readWhole(res, share); err != nil {
			c.broke |= 1 << at.index
			return nil, c.whyCut(err), err
		}
	}
	if v == good {
		c.blame(began)
	} else if c.blamed = at; c.safe && c.body.rewind() {
		return res, WhyStatus, nil
	}
	return res, "", nil
}

// errWorse is what a target is blamed for.
var errWorse = errors.New("502, 503 or 504, where another target answered")

// blame counts it against the target that answered 502, 503 or 504 that another one answered better. Where all of them answer
// so it is the API's word.
func (c *call) blame(began time.Time) {
	if c.blamed != nil {
		c.blamed.met(errWorse)
		c.blamed.judge(failed, began, c.blamed.trial)
	}
}

// verdict is what a failed attempt says about its target.
func (c *call) verdict(err error, a *attempt) verdict {
	v := verdictOf(c.out.Context(), err, c.body)
	if v == failed && a.counted && a.unsent() {
		return unreached
	}
	return v
}

// share is how much of what is left of the time an attempt gets: an even part for a safe request that could be made elsewhere,
// all of it for any other.
func (c *call) share(at *chosen) time.Duration {
	others := 0
	for i, t := range c.view.up.targets {
		if i != at.index && c.tried&(1<<i) == 0 && !t.out.Load() {
			others++
		}
	}
	parts := min(c.left, others) + 1
	if !c.safe {
		parts = 1
	}
	return max(time.Until(c.until)/time.Duration(parts), time.Millisecond) // never at once: a target may have answered already
}

// whyAfter says why an attempt that came to nothing is made again.
func (c *call) whyAfter(at *chosen, a *attempt, err error) string {
	var network net.Error
	var op *net.OpError
	dialled := errors.As(err, &op) && op.Op == "dial"
	switch {
	case !c.body.rewind():
		return ""
	case dialled:
		return WhyUnsent
	case a.counted && a.unsent():
		if a.connected() { // an old connection was dead: a new one may be had
			c.broke |= 1 << at.index
		}
		return WhyUnsent
	case !c.safe:
		return ""
	case errors.As(err, &network) && network.Timeout():
		return WhyTimeout
	default:
		c.broke |= 1 << at.index
		return WhyLost
	}
}

// whyCut says why a request whose answer could not be read is made again.
func (c *call) whyCut(err error) string {
	if !c.body.rewind() {
		return ""
	}
	if errors.Is(err, errStalled) {
		return WhyTimeout
	}
	return WhyCut
}

// unwell reports whether a status is one that another target need not answer.
func unwell(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// discard reads a little of a body that nobody wants, so that its connection can be used again, and closes it.
func discard(body io.ReadCloser) {
	const most = 4 << 10 // an error page; to read more costs more than a new connection
	_, _ = io.CopyN(io.Discard, body, most)
	_ = body.Close()
}

const (
	budgetSeconds = 10  // that are looked back on
	budgetPart    = 5   // one request more for so many: what is left of an API that staggers must not be hit twice by everybody
	budgetLeast   = 100 // in all those seconds: few requests have no storm in them
)

// budget bounds what is sent once more, over all requests.
type budget struct {
	mu       sync.Mutex
	second   int64
	requests [budgetSeconds]int
	again    [budgetSeconds]int
}

// asked counts a request.
func (b *budget) asked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests[b.slot()]++
}

// take takes one retry; false: there is none left.
func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := b.slot()
	requests, again := 0, 0
	for i := range b.requests {
		requests, again = requests+b.requests[i], again+b.again[i]
	}
	if again >= max(requests/budgetPart, budgetLeast) {
		return false
	}
	b.again[slot]++
	return true
}

// slot is that of this second; those that have passed since the last call are emptied.
func (b *budget) slot() int64 {
	now := time.Now().Unix()
	for ; b.second < now; b.second++ {
		if now-b.second > budgetSeconds {
			b.second = now - budgetSeconds
		}
		b.requests[(b.second+1)%budgetSeconds], b.again[(b.second+1)%budgetSeconds] = 0, 0
	}
	return b.second % budgetSeconds
}
