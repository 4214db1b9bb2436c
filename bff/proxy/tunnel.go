package proxy

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"cloakroom/bff"
)

// partTime is how long both ends have to take leave once a WebSocket is over: to answer a close frame, and to read what
// was sent before the connection goes (RFC 6455 section 7.1.1). A close with unread bytes would reset the connection, and
// take the last frame with it.
const partTime = 500 * time.Millisecond

// The ends of a WebSocket, as Options.Opened is told them.
const (
	EndSession  = "session"  // its session ended: the frontend gets 1008
	EndDrain    = "drain"    // this instance shuts down: 1001
	EndTimeout  = "timeout"  // the route's StreamTimeout has passed: 1001
	EndUpstream = "upstream" // the upstream closed it, or broke off: what it said, else 1011
	EndFrontend = "frontend" // the frontend closed it, or is gone
)

// tunnel is an open WebSocket: two connections, and bytes between them. Each direction reads no more than it can write, so
// that whoever does not read slows down whoever sends. There is no limit on silence: a WebSocket may be silent for hours,
// and its own pings pass like all else.
type tunnel struct {
	front    net.Conn
	back     io.ReadWriteCloser
	down, up *direction
	closer   atomic.Pointer[direction] // whose close frame came first; nil: none did
}

// newTunnel joins the two. read is what of the frontend's bytes was read with its request; stall is how long the upstream
// may take nothing of what it is sent, as the server bounds that for frontends; active is told that the user did
// something, often; nil: nobody is.
func newTunnel(front net.Conn, read *bufio.Reader, back io.ReadWriteCloser, stall time.Duration, active func()) *tunnel {
	early, _ := read.Peek(read.Buffered())
	t := &tunnel{front: front, back: back}
	t.down = &direction{from: back, to: front, source: EndUpstream, closer: &t.closer}
	t.up = &direction{
		from: io.MultiReader(bytes.NewReader(bytes.Clone(early)), front), to: &patient{back, stall},
		source: EndFrontend, closer: &t.closer, active: active,
	}
	t.down.broke = func() { _ = front.SetReadDeadline(time.Now().Add(partTime)) }
	return t
}

// patient is an upstream that is written to: one that takes nothing for too long is let go.
type patient struct {
	back  io.ReadWriteCloser
	stall time.Duration
}

// Write writes all of p, or breaks off: the connection of an answer knows no deadlines, so it is closed.
func (w *patient) Write(p []byte) (int, error) {
	late := time.AfterFunc(w.stall, func() { _ = w.back.Close() })
	defer late.Stop()
	return w.back.Write(p)
}

// ending is why a tunnel ends, and what the frontend is told; code 0: nothing.
type ending struct {
	by   string
	code uint16
	text string
}

// run carries bytes until ctx ends, the instance leaves, or an end is gone, takes leave of both, and returns by whom it ended.
func (t *tunnel) run(ctx context.Context, leaving <-chan struct{}) string {
	over := make(chan string, 2)
	go func() { over <- t.down.carry() }()
	go func() { over <- t.up.carry() }()
	var e ending
	var closer string
	running := 2
	select {
	case <-ctx.Done():
		e = endingOf(ctx)
	case <-leaving:
		e = ending{EndDrain, closeGoingAway, "going away"}
	case by := <-over:
		running--
		e, closer = t.left(by), t.closedBy()
	}
	late := time.AfterFunc(partTime, t.close)
	defer late.Stop()
	t.part(e)
	for ; running > 0; running-- {
		<-over
	}
	t.close()
	return cmp.Or(closer, e.by)
}

// endingOf reads why the context of a WebSocket was cancelled.
func endingOf(ctx context.Context) ending {
	cause := context.Cause(ctx)
	if _, ok := errors.AsType[*bff.SessionEndedCause](cause); ok {
		return ending{EndSession, closePolicy, "session ended"}
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return ending{EndTimeout, closeGoingAway, "time is up"}
	}
	return ending{EndDrain, closeGoingAway, "going away"}
}

// left is the ending by one of the ends. An upstream that broke off without a close frame is told of: nobody else can.
func (t *tunnel) left(by string) ending {
	if by == EndUpstream && !t.up.isClosed() {
		return ending{by, closeBroken, "upstream gone"}
	}
	return ending{by: by}
}

// closedBy tells who asked for the end by a close frame; "" where nobody did. Whose connection goes first says nothing: it is
// the server that closes it (RFC 6455 section 7.1.1), the upstream, whoever had enough.
func (t *tunnel) closedBy() string {
	if d := t.closer.Load(); d != nil {
		return d.source
	}
	return ""
}

// part takes leave. Nothing more passes from here on; what still comes is read, so that the last frames arrive, but not
// for long.
func (t *tunnel) part(e ending) {
	_ = t.front.SetDeadline(time.Now().Add(partTime))
	t.down.over.Store(true)
	t.up.over.Store(true) // before the frontend can answer: the upstream is told by us
	var last, masked []byte
	if e.code != 0 {
		last = closeFrame(e.code, e.text, false)
	}
	if e.by != EndUpstream && e.by != EndFrontend {
		masked = closeFrame(closeGoingAway, "", true)
	}
	t.down.finish(last)
	t.up.finish(masked)
	if e.by == EndFrontend {
		t.halfClose()
	}
	if t.down.isClosed() { // the upstream has said its last: nothing of it is waited for
		_ = t.back.Close()
	}
	if t.up.isClosed() {
		_ = t.front.SetReadDeadline(time.Unix(1, 0)) // long past: a Read that waits returns
	}
}

// halfClose tells the upstream that nothing more comes, so that it reads what came before, and closes.
func (t *tunnel) halfClose() {
	half, ok := t.back.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		_ = t.back.Close()
	}
}

func (t *tunnel) close() {
	_ = t.front.Close()
	_ = t.back.Close()
}

// direction is one of the two of a tunnel.
type direction struct {
	from   io.Reader
	to     io.Writer
	source string                     // who is gone when reading breaks off
	closer *atomic.Pointer[direction] // of the tunnel
	active func()                     // nil: nobody asks
	broke  func()                     // told when writing breaks off; nil: nobody is

	mu     sync.Mutex // held for each write, so that frames are put in between two
	came   frames     // as they were read
	passed frames     // as they were written
	broken bool       // a write has broken off: nothing more can pass

	over atomic.Bool // nothing more may pass; also for a write that waits for the lock
}

// smallPiece is what a silent WebSocket holds to read into: chat and ticks fit. Longer messages are read in pieces of
// bufferBytes for as long as they come.
const smallPiece = 1 << 10

// carry copies until an end is gone, and returns which.
func (d *direction) carry() string {
	small := make([]byte, smallPiece)
	buf := small
	for {
		n, err := d.from.Read(buf)
		if n > 0 {
			d.pass(buf[:n])
		}
		if err != nil || d.done() {
			return d.source
		}
		switch {
		case n == smallPiece && len(buf) == smallPiece:
			buf = make([]byte, bufferBytes)
		case n <= smallPiece:
			buf = small
		}
	}
}

// pass writes one piece on. That it cannot be written is no end yet: whoever is gone may have said something before, which
// the other direction still reads, and that one ends. Until then nothing passes here.
func (d *direction) pass(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	message := d.came.take(p)
	if d.came.closed {
		d.closer.CompareAndSwap(nil, d)
	}
	if d.broken || d.over.Load() {
		return
	}
	d.passed = d.came
	if message && d.active != nil {
		d.active()
	}
	if _, err := d.to.Write(p); err != nil {
		if d.broken = true; d.broke != nil {
			d.broke()
		}
	}
}

// done reports whether nothing is waited for any more.
func (d *direction) done() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over.Load() && d.came.closed
}

// isClosed reports whether a close frame has come.
func (d *direction) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.came.closed
}

// finish waits for a write that is under way, and adds a last frame if it fits between two: in the middle of one it would
// be taken for a part of that. Call it when over is set.
func (d *direction) finish(last []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.broken && d.passed.between() && last != nil {
		_, _ = d.to.Write(last) // bounded by part
	}
}
