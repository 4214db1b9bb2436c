package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// keptBytes is the longest body that is kept for a second attempt: a form or a JSON document, not an upload.
const keptBytes = 64 << 10

// bodyStall is how long a body may pause: longer than a phone is in a tunnel. Whoever sends nothing for so long holds a
// connection here and one at the API for nothing (ASVS 13.1.3).
const bodyStall = 30 * time.Second

// errLetGo is what the transport reads from a body whose request is over.
var errLetGo = errors.New("the request is over")

// body is a request's body on its way to the API: counted, and kept if it is short. The transport may still read it when
// the answer is already on its way.
type body struct {
	src    io.ReadCloser
	length int64 // declared; -1: not known
	limit  int64
	server *http.ResponseController
	stall  time.Duration // that may pass without a byte of it, give or take a part of it
	http1  bool          // it comes over HTTP/1

	mu      sync.Mutex
	read    int64
	whole   bool          // all of it was read
	reading bool          // a Read is waiting for the frontend
	set     time.Time     // when the deadline was set; zero: there is none
	idle    chan struct{} // closed when that Read returns; nil: nobody waits for it
	over    bool          // nobody wants any more of it
	talk    bool          // both directions are under way, and silence is no stall
	err     error
	keeping bool
	copy    []byte
}

// carryBody has the request stream its body.
func (x *exchange) carryBody(in *http.Request) {
	x.body = &body{
		src: in.Body, length: in.ContentLength, limit: x.route.BodyBytes,
		server: http.NewResponseController(x.ResponseWriter), stall: x.table.bodyStall, http1: in.ProtoMajor == 1,
	}
	if 0 < in.ContentLength && in.ContentLength <= keptBytes && !x.token.IsZero() && (x.call.Renew != nil || x.bound != nil) {
		x.body.keeping, x.body.copy = true, make([]byte, 0, in.ContentLength)
	}
	in.Body = x.body
}

// linger is how long a connection whose request was answered early stays open for what its frontend still sends: long
// enough that it reads the answer before the connection breaks, short enough that stalled uploads do not pile up.
const linger = 500 * time.Millisecond

// letGoOfBody ends the wait for a body that nobody wants any more. On HTTP/1 net/http would read on, for as long as the
// frontend likes; there the connection is marked to be closed by then: see fail and cleanResponse.
func (x *exchange) letGoOfBody() {
	idle, left := x.body.letGo()
	if !left {
		return
	}
	if x.body.server.SetReadDeadline(time.Unix(1, 0)) != nil { // long past: a Read that waits returns
		return
	}
	// Or net/http would interrupt that Read itself, and forget the deadline with it; and over HTTP/2 the Read would keep its
	// books on a writer that is gone with the handler.
	<-idle
	if x.in.ProtoMajor != 1 {
		return
	}
	_ = x.body.server.SetReadDeadline(time.Now().Add(linger))
}

// Read reads from the frontend, never beyond the limit.
func (b *body) Read(p []byte) (int, error) {
	// The transport asks once more behind the end. By then the answer may be on its way, and with its head net/http has closed
	// the frontend's body: the error of a read would have the transport break the answer off.
	if b.complete() {
		return 0, io.EOF
	}
	if !b.begin() {
		return 0, errLetGo
	}
	n, err := b.src.Read(p)
	return b.note(p[:n], err)
}

func (b *body) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reading = !b.over; b.reading && !b.talk {
		b.wait() // under the lock, so that it never comes after the deadline of letGoOfBody
	}
	return b.reading
}

// deadlineShare is the part of a stall after which its deadline is set anew: a long body is read in pieces that come every few
// microseconds, and each deadline costs about as much as a small piece.
const deadlineShare = 16

// wait sets the deadline of a Read that is about to begin.
func (b *body) wait() {
	now := time.Now()
	if b.set.IsZero() || now.Sub(b.set) > b.stall/deadlineShare {
		b.set = now
		_ = b.server.SetReadDeadline(now.Add(b.stall)) // a writer that knows no deadlines has none
	}
}

// rest takes the deadline away after a Read. Over HTTP/1 it may stay for as long as more of the body is to come: it acts on a
// Read alone, and the next one sets it anew. With the end of the body net/http begins to wait for the frontend on its own
// account. Over HTTP/2 it would break the stream while nobody reads.
func (b *body) rest(more bool) {
	if more && b.http1 {
		return
	}
	b.set = time.Time{}
	_ = b.server.SetReadDeadline(time.Time{})
}

// note keeps the books of one Read, and returns what the transport gets of it.
func (b *body) note(p []byte, err error) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.rest(err == nil && !b.over && b.read+int64(len(p)) != b.length)
	if b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
	b.read += int64(len(p))
	if b.read > b.limit {
		b.err = tooLarge()
		return 0, b.err
	}
	if b.keeping {
		b.copy = append(b.copy, p...)
	}
	b.whole = b.whole || err == io.EOF || b.read == b.length
	if err != nil && err != io.EOF && !b.over { // else it is our own doing
		b.err = err
	}
	return len(p), err
}

// converse lets a body of no length pause for as long as it likes: the answer is on its way, and both may go on for hours, as
// the calls of gRPC do that stream both ways. As with a WebSocket it is the session, the route's StreamTimeout and the
// drain that bound it.
func (b *body) converse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.length >= 0 || b.over {
		return
	}
	b.talk = true
	_ = b.server.SetReadDeadline(time.Time{}) // that of a Read which is under way
}

// interrupt ends a Read that waits for the frontend when the request is over for another reason. Go's HTTP/2 client looks at
// a request's context between two Reads of its body alone: without this a call that streams both ways would outlive its
// session for as long as its frontend says nothing.
func (b *body) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over && b.reading {
		_ = b.server.SetReadDeadline(time.Unix(1, 0))
	}
	b.over = true
}

// Close closes the frontend's side.
func (b *body) Close() error { return b.src.Close() }

// complete reports whether nothing of the body is left.
func (b *body) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.whole
}

// kept returns the whole body for a second attempt; nil if it was not kept, or did not come whole yet.
func (b *body) kept() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.keeping || !b.whole {
		return nil
	}
	return b.copy
}

// fault returns what went wrong in reading from the frontend.
func (b *body) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// letGo refuses further reads. It reports whether something is left to read, and returns a channel that is closed once
// no Read is under way.
func (b *body) letGo() (idle <-chan struct{}, left bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	done := make(chan struct{})
	if b.reading {
		b.idle = done
	} else {
		close(done)
	}
	return done, !b.whole
}

// serverBuffer is what net/http's server holds back of an answer before it writes.
const serverBuffer = 4 << 10

// prompt passes on an answer of known length as it arrives: what was read is flushed before more is waited for. One that
// comes in one piece, as most do, costs no flush of its own; ReverseProxy's FlushInterval would cost each a timer. Those
// of unknown length and event streams ReverseProxy flushes by itself.
type prompt struct {
	io.ReadCloser
	out   *exchange
	flush bool
	long  bool // worth a haul
}

// passOn wraps an answer's body. The head of a long answer goes out before the body is waited for. The wrapper is part of the
// exchange, for this runs for every request.
func (x *exchange) passOn(b io.ReadCloser, length int64) io.ReadCloser {
	x.prompt = prompt{ReadCloser: b, out: x, flush: length > serverBuffer, long: length > haulBytes}
	return &x.prompt
}

// Read flushes what came before. A long answer it passes on by itself, to its end.
func (p *prompt) Read(b []byte) (int, error) {
	if p.long {
		p.long = false
		return 0, p.haul()
	}
	return p.next(b)
}

// next reads one piece.
func (p *prompt) next(b []byte) (int, error) {
	if p.flush {
		_ = http.NewResponseController(p.out).Flush() // a writer that cannot flush sends when it likes
	}
	n, err := p.ReadCloser.Read(b)
	// Of a piece of two buffers and more nothing is held back: the first is filled up, and what is left goes out at once.
	p.flush = n < 2*serverBuffer
	return n, err
}

// haul passes on a long answer in larger pieces than ReverseProxy's: each costs two system calls and the clocks that watch over
// both ends. Its error is that of reading, io.EOF at the end; a frontend that cannot be written to is one that is gone, which is
// nothing to be logged as the API's fault.
func (p *prompt) haul() error {
	buf := p.out.table.hauls.Get()
	defer p.out.table.hauls.Put(buf)
	for {
		n, err := p.next(buf)
		if n > 0 {
			if _, failed := p.out.Write(buf[:n]); failed != nil {
				return context.Canceled // ReverseProxy breaks the answer off, and says nothing
			}
		}
		if err != nil {
			return err
		}
	}
}
