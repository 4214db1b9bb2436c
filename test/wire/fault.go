package wire

import (
	"bytes"
	"slices"
)

type faultKind int

const (
	loseReply faultKind = iota
	loseRequest
	holdReply
	holdRequest
)

// fault waits for one flight that match accepts.
type fault struct {
	kind    faultKind
	match   func([]byte) bool
	met     chan struct{}
	release chan struct{}
}

// LoseReply swallows the answer to the next request that match accepts: the server gets the request and does its work,
// and when it answers, the client's connection is reset instead. The channel closes then. Faults strike once each, in
// the order they were set.
func (p *Proxy) LoseReply(match func([]byte) bool) <-chan struct{} {
	return p.addFault(loseReply, match).met
}

// LoseRequest resets the connection instead of delivering the next request that match accepts: the server never sees it.
// The channel closes then.
func (p *Proxy) LoseRequest(match func([]byte) bool) <-chan struct{} {
	return p.addFault(loseRequest, match).met
}

// HoldReply keeps the answer to the next request that match accepts until release is called, which is to be called once.
// The channel closes when the server has answered, so its work is done by then.
func (p *Proxy) HoldReply(match func([]byte) bool) (held <-chan struct{}, release func()) {
	f := p.addFault(holdReply, match)
	return f.met, func() { close(f.release) }
}

// HoldRequest keeps the next request that match accepts from the server until release is called, which is to be called
// once. The channel closes when the request is there. A client that gives up meanwhile changes nothing: what was sent is
// delivered, late.
func (p *Proxy) HoldRequest(match func([]byte) bool) (held <-chan struct{}, release func()) {
	f := p.addFault(holdRequest, match)
	return f.met, func() { close(f.release) }
}

// Contains makes a predicate: a flight that contains text, whatever its case.
func Contains(text string) func([]byte) bool {
	want := bytes.ToLower([]byte(text))
	return func(flight []byte) bool { return bytes.Contains(bytes.ToLower(flight), want) }
}

func (p *Proxy) addFault(kind faultKind, match func([]byte) bool) *fault {
	f := &fault{kind: kind, match: match, met: make(chan struct{}), release: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return f
}

// take removes and returns the first fault that a flight meets. The proxy's mutex is held.
func (p *Proxy) take(flight []byte) *fault {
	i := slices.IndexFunc(p.faults, func(f *fault) bool { return f.match(flight) })
	if i < 0 {
		return nil
	}
	f := p.faults[i]
	p.faults = slices.Delete(p.faults, i, i+1)
	return f
}

// early reports whether the fault is about the request, not its answer.
func (f *fault) early() bool { return f.kind == loseRequest || f.kind == holdRequest }

// strike is carried out when what it is about is there; it tells whether that goes on.
func (f *fault) strike(done <-chan struct{}) bool {
	close(f.met)
	if f.kind == loseReply || f.kind == loseRequest {
		return false
	}
	select {
	case <-f.release:
		return true
	case <-done:
		return false
	}
}
