// Package wire is a TCP proxy for tests, between a client and a server of any protocol, with the faults of a network
// behind switches: refused and cut connections, silence, latency, and single requests or answers that get lost or held.
//
// It knows bytes and their direction, and enough of RESP to count Redis commands. It knows nothing of what they mean: a
// fault picks its request by a predicate over the bytes of a flight, which is all that a client sends until it is answered.
//
// The journey: a connection is accepted, the target dialled, and two pumps carry bytes, each asking before every write
// whether the wire hangs; the upward pump counts and arms faults, the downward pump carries them out.
package wire

import (
	"errors"
	"io"
	"maps"
	"net"
	"sync"
	"testing"
	"time"
)

const (
	dialPatience = 5 * time.Second // a loopback server that does not take a connection in this time is frozen
	chunk        = 64 << 10        // bytes carried at once; a flight longer than this is matched by its first part
)

// Counts is what has passed since the start or the last Reset.
type Counts struct {
	Connections int
	// Flights are bursts from client to server after an answer: the round trips that a client waited for.
	Flights int
	// Commands are Redis commands by upper-case name; empty for other protocols.
	Commands map[string]int
}

// Proxy is a listening proxy. All methods are safe for concurrent use; switches act on open connections too unless they
// say otherwise.
type Proxy struct {
	tb   testing.TB
	addr string

	mu       sync.Mutex
	target   string
	listener net.Listener
	links    map[*link]bool
	gate     chan struct{} // closed: bytes flow
	delay    time.Duration
	faults   []*fault
	counts   Counts
	closed   bool
	running  sync.WaitGroup
}

// Start listens on a free loopback port for connections to target (host:port) until the test ends.
func Start(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p := &Proxy{tb: tb, addr: "127.0.0.1:0", target: target, links: map[*link]bool{}, gate: make(chan struct{})}
	close(p.gate)
	p.counts.Commands = map[string]int{}
	p.listen()
	tb.Cleanup(p.close)
	return p
}

// Addr is the proxy's host:port, the same for its whole life.
func (p *Proxy) Addr() string { return p.addr }

// listen opens the proxy's port, unless it is open.
func (p *Proxy) listen() {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.tb.Fatalf("listening for the wire: %v", err)
	}
	p.listener, p.addr = l, l.Addr().String()
	p.running.Go(func() { p.accept(l) })
}

func (p *Proxy) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // Refuse or close took the listener away
		}
		k := &link{proxy: p, client: conn.(*net.TCPConn), done: make(chan struct{}), answered: true}
		if !p.add(k) {
			k.cut()
			return
		}
		p.running.Go(k.run)
	}
}

func (p *Proxy) add(k *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.links[k] = true
	p.counts.Connections++
	return true
}

// Pass undoes Refuse, Hang and Delay. Bytes that hung are delivered now.
func (p *Proxy) Pass() {
	p.tb.Helper()
	p.mu.Lock()
	p.delay = 0
	p.openGate()
	p.mu.Unlock()
	p.listen()
}

func (p *Proxy) openGate() {
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// Refuse closes the port: the kernel refuses new connections, open ones live on. Pass reopens it.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
}

// Cut resets all open connections, on both sides. New ones are taken as before.
func (p *Proxy) Cut() {
	p.mu.Lock()
	links := maps.Clone(p.links)
	p.mu.Unlock()
	for k := range links {
		k.cut()
	}
}

// Hang accepts new connections and keeps open ones, and delivers nothing in either direction until Pass.
func (p *Proxy) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default: // hangs already
	}
}

// Delay makes every chunk from the server arrive d later; 0 ends it.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Retarget sends new connections to another server, as after a failover. Open ones stay.
func (p *Proxy) Retarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Counts is a copy of the counters. What a client was answered for is in it.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Commands = maps.Clone(c.Commands)
	return c
}

// Reset sets the counters to zero.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts = Counts{Commands: map[string]int{}}
}

// close ends the proxy and waits for its goroutines.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.openGate()
	p.mu.Unlock()
	p.Refuse()
	p.Cut()
	p.running.Wait()
}

// link is one connection through the proxy.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	done   chan struct{}
	once   sync.Once

	mu     sync.Mutex
	server *net.TCPConn

	// Kept under the proxy's mutex.
	answered bool   // the server has spoken since the client last did
	flight   []byte // what the client sent since
	armed    *fault // what happens to the answer
	commands resp
}

func (k *link) run() {
	defer k.forget()
	if !k.waitOpen() {
		return
	}
	conn, err := net.DialTimeout("tcp", k.proxy.targetAddr(), dialPatience)
	if err != nil {
		return // forget resets the client, as a balancer without a backend does
	}
	k.mu.Lock()
	k.server = conn.(*net.TCPConn)
	k.mu.Unlock()
	var pumps sync.WaitGroup
	pumps.Go(func() { k.pump(k.client, k.server, k.upward) })
	pumps.Go(func() { k.pump(k.server, k.client, k.downward) })
	pumps.Wait()
}

func (p *Proxy) targetAddr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// forget resets whatever is still open and drops the link from the proxy.
func (k *link) forget() {
	k.cut()
	k.proxy.mu.Lock()
	defer k.proxy.mu.Unlock()
	delete(k.proxy.links, k)
}

// cut resets both sides: no FIN, so that a peer learns that something broke.
func (k *link) cut() {
	k.once.Do(func() { close(k.done) })
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range []*net.TCPConn{k.client, k.server} {
		if conn != nil {
			_ = conn.SetLinger(0) // a connection that is closed already needs no reset
			_ = conn.Close()
		}
	}
}

// pump carries bytes one way; deliver tells whether a chunk may go on. An orderly end is passed on as one.
func (k *link) pump(from, to *net.TCPConn, deliver func([]byte) bool) {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !deliver(buf[:n]) {
				k.cut()
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				k.cut()
				return
			}
		}
		if errors.Is(err, io.EOF) {
			_ = to.CloseWrite() // fails only if that side has gone too
			return
		}
		if err != nil {
			k.cut()
			return
		}
	}
}

// upward looks at a chunk from the client: counts it, and arms the first fault that its flight meets.
func (k *link) upward(b []byte) bool {
	if !k.waitOpen() {
		return false
	}
	if f := k.note(b); f != nil {
		return f.strike(k.done)
	}
	return true
}

// downward looks at a chunk from the server: carries an armed fault out, waits for the delay and the gate.
func (k *link) downward(b []byte) bool {
	f, delay := k.answer()
	if f != nil && !f.strike(k.done) {
		return false
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-k.done:
			return false
		}
	}
	return k.waitOpen()
}

// waitOpen waits while the wire hangs; false is a link that ended meanwhile.
func (k *link) waitOpen() bool {
	for {
		k.proxy.mu.Lock()
		gate := k.proxy.gate
		k.proxy.mu.Unlock()
		select {
		case <-gate:
			return true
		case <-k.done:
			return false
		}
	}
}

// note counts a chunk from the client and returns the fault about the request that it has just met, if any; one about the
// answer is armed.
func (k *link) note(b []byte) *fault {
	p := k.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.answered {
		k.answered, k.flight = false, k.flight[:0]
		p.counts.Flights++
	}
	k.flight = append(k.flight, b[:min(len(b), chunk-min(len(k.flight), chunk))]...)
	k.commands.feed(b, func(name string) { p.counts.Commands[name]++ })
	if k.armed != nil {
		return nil
	}
	f := p.take(k.flight)
	if f != nil && !f.early() {
		k.armed, f = f, nil
	}
	return f
}

// answer notes that the server speaks and returns the fault that strikes this answer.
func (k *link) answer() (*fault, time.Duration) {
	p := k.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	f := k.armed
	k.answered, k.armed = true, nil
	return f, p.delay
}
