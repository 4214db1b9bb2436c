package gateway

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// eventTime bounds the wait for an event: on two busy cores it finds what hangs, not what is slow.
const eventTime = 30 * time.Second

// Event is one server-sent event.
type Event struct {
	Name, Data string
	At         time.Time // when it came
}

// Stream is an open event stream, on a connection of its own.
type Stream struct {
	Header http.Header
	conn   net.Conn
	events chan Event
}

// Listen opens an event stream: it fails unless the answer is 200. It costs one goroutine and little memory, so that there
// may be thousands.
func (in *Instance) Listen(tb testing.TB, r *http.Request) *Stream {
	tb.Helper()
	conn, err := net.Dial("tcp", in.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := r.Write(conn); err != nil {
		tb.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), r) // a head is a few hundred bytes
	if err != nil {
		tb.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		tb.Fatalf("opening %s: %s", r.URL, answer.Status)
	}
	s := &Stream{Header: answer.Header, conn: conn, events: make(chan Event, 8)}
	go s.read(answer)
	return s
}

// read passes events on until the stream ends.
func (s *Stream) read(answer *http.Response) {
	defer close(s.events)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 512), 64<<10) // an event is small
	name := ""
	for lines.Scan() {
		if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = n
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			s.events <- Event{name, data, time.Now()}
		}
	}
}

// Next returns the next event; the zero Event where the stream ended without one.
func (s *Stream) Next(tb testing.TB) Event {
	tb.Helper()
	select {
	case e := <-s.events:
		return e
	case <-time.After(eventTime):
		tb.Fatal("no event")
		return Event{}
	}
}

// Close gives the stream up, as a closed tab does.
func (s *Stream) Close() { _ = s.conn.Close() }
