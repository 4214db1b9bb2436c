package surface_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// stage is one session with one reader of its events.
type stage struct {
	bff.Records // nothing of it but Delete is called
	engine      *bff.Engine
	session     *bff.Session
	trace       *bff.Trace
	deliver     func(bff.Event)
	subscribed  chan struct{}

	mu    sync.Mutex
	state bff.State
	told  []string // by the trace
}

func (s *stage) States(_ context.Context, lookups []bff.Lookup) []bff.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Repeat([]bff.State{s.state}, len(lookups))
}

func (s *stage) note(told string) { s.mu.Lock(); s.told = append(s.told, told); s.mu.Unlock() }

func (s *stage) set(st bff.State) { s.mu.Lock(); s.state = st; s.mu.Unlock() }

func (s *stage) Delete(context.Context, bff.Lookup, *bff.Marker, bff.Reason) (*bff.Ended, error) {
	return nil, nil
}

func (s *stage) Subscribe(ctx context.Context, deliver func(bff.Event)) {
	s.deliver = deliver
	close(s.subscribed)
	<-ctx.Done()
}

// used moves the idle end, as another request does.
func (s *stage) used() {
	s.set(bff.State{LastActive: time.Now()})
	s.deliver(bff.Event{Kind: bff.EventExtended, Lookup: s.session.Lookup})
}

// reader is the server's side of a connection. A write waits while the frontend takes nothing.
type reader struct {
	header http.Header
	stuck  chan struct{} // if set, writes wait for it
	gone   bool          // writes fail

	mu      sync.Mutex
	text    strings.Builder
	flushed int // bytes of text
	at      []time.Time
}

func (r *reader) Header() http.Header { return r.header }
func (r *reader) WriteHeader(int)     {}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	stuck := r.stuck
	r.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return 0, errors.New("nobody is there")
	}
	return r.text.Write(p)
}

// FlushError is what http.ResponseController calls.
func (r *reader) FlushError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushed = r.text.Len()
	r.at = append(r.at, time.Now())
	return nil
}

// events returns what was sent, without comments.
func (r *reader) events(t *testing.T) (events []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flushed != r.text.Len() {
		t.Error("something was written and not sent")
	}
	for block := range strings.SplitSeq(strings.TrimSuffix(r.text.String(), "\n\n"), "\n\n") {
		if block != ":" {
			events = append(events, block)
		}
	}
	return events
}

// onStage runs a test in a bubble, with an engine around one session of ten minutes idle and an hour in all.
func onStage(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := &stage{subscribed: make(chan struct{}), state: bff.State{LastActive: now}}
		s.trace = &bff.Trace{
			EventStream: func(_ context.Context, e bff.StreamEvent) {
				s.note(e.App + " " + e.Surface + " " + strconv.FormatBool(e.Open))
			},
			EventSent: func(_ context.Context, e bff.SentEvent) { s.note(e.App + " " + e.Event) },
		}
		s.session = &bff.Session{Lookup: "lookup", LastActive: now, Idle: 10 * time.Minute, AbsoluteEnd: now.Add(time.Hour)}
		s.session.Subject = "the-subject"
		s.session.Tokens.Refresh = bff.NewSecret("the-token")
		s.engine = bff.NewEngine(bff.Ports{Records: s, Events: s, States: s}, nil, time.Now, s.trace, bff.Limits{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.engine.Run(ctx) })
		<-s.subscribed
		defer running.Wait()
		defer cancel()
		test(t, s)
		if err := s.engine.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// open serves one stream and returns once the first event is out. over is closed when the stream is.
func (s *stage) open(t *testing.T, ctx context.Context, w *reader) (over chan struct{}) {
	t.Helper()
	if w.header == nil {
		w.header = http.Header{}
	}
	over = make(chan struct{})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/bff/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(over)
		stream := surface.EventStream{
			App: &bff.App{ID: "web"}, Session: s.session, Engine: s.engine, Trace: s.trace, Surface: "browser",
		}
		if err := stream.Serve(w, r); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	return over
}

// hello is the first thing sent, without the time to wait.
const hello = "event: session\n" +

	`data: {"authenticated":true,"session":{"id":"` + "ID" + `","expires_in":3600,"idle_expires_in":600}}`

// shows PRX-LIVE, SESS-IDLE
func TestAStreamTellsWhatBecomesOfItsSession(t *testing.T) {
	event := func(name, data string) string { return "event: " + name + "\ndata: " + data }
	for _, c := range []struct {
		name    string
		happens func(s *stage, cancel context.CancelCauseFunc)
		want    []string
		goesOn  bool
	}{
		{"nothing", func(*stage, context.CancelCauseFunc) { time.Sleep(5 * time.Minute) }, nil, true},
		{"a use", func(s *stage, _ context.CancelCauseFunc) {
			time.Sleep(time.Minute + time.Millisecond) // between two looks: one at this very moment might find it at once
			s.used()
		}, []string{event("session-extended", `{"expires_in":3539,"idle_expires_in":599}`)}, true},
		{"a use before it listened, which its first look finds", func(s *stage, _ context.CancelCauseFunc) {
			s.set(bff.State{LastActive: time.Now().Add(time.Second)})
		}, []string{event("session-extended", `{"expires_in":3599,"idle_expires_in":600}`)}, true},
		{"a sign-out elsewhere", func(s *stage, _ context.CancelCauseFunc) {
			s.deliver(bff.Event{Kind: bff.EventEnded, Lookup: "lookup", Reason: bff.ReasonSignedOut})
		}, []string{event("session-ended", `{"reason":"signed_out"}`)}, false},
		{"an end of another session", func(s *stage, _ context.CancelCauseFunc) {
			s.deliver(bff.Event{Kind: bff.EventEnded, Lookup: "other", Reason: bff.ReasonSignedOut})
		}, nil, true},
		{"a refresh of its tokens", func(s *stage, _ context.CancelCauseFunc) {
			s.deliver(bff.Event{Kind: bff.EventRefreshed, Lookup: "lookup"})
		}, nil, true},
		{"a forged event", func(s *stage, _ context.CancelCauseFunc) {
			s.deliver(bff.Event{Kind: bff.EventEnded, Lookup: "lookup", Reason: "x\"}\n\nevent: session"})
		}, []string{event("session-ended", `{"reason":"signed_out"}`)}, false},
		{"a new sign-in of the browser", func(s *stage, _ context.CancelCauseFunc) {
			s.deliver(bff.Event{Kind: bff.EventReplaced, Lookup: "lookup"})
		}, []string{event("session-replaced", `{"reason":"replaced"}`)}, false},
		{
			"its idle end", func(*stage, context.CancelCauseFunc) { time.Sleep(11 * time.Minute) },
			[]string{event("session-ended", `{"reason":"idle"}`)},
			false,
		},
		{"a stop of the instance", func(_ *stage, cancel context.CancelCauseFunc) {
			cancel(errors.New("draining"))
		}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				ctx, cancel := context.WithCancelCause(t.Context())
				w := &reader{}
				over := s.open(t, ctx, w)
				c.happens(s, cancel)
				time.Sleep(3 * time.Second)
				synctest.Wait()
				select {
				case <-over:
					if c.goesOn {
						t.Error("the stream ended")
					}
				default:
					if !c.goesOn {
						t.Error("the stream goes on")
					}
				}
				want := append([]string{strings.Replace(hello, "ID", s.session.ID(), 1)}, c.want...)
				if diff := cmp.Diff(want, w.events(t)[1:]); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
				cancel(nil)
				<-over
			})
		})
	}
}

func TestTheHeadOfAStream(t *testing.T) {
	retries := map[string]bool{}
	for range 20 {
		onStage(t, func(t *testing.T, s *stage) {
			ctx, cancel := context.WithCancel(t.Context())
			w := &reader{}
			over := s.open(t, ctx, w)
			for name, want := range map[string]string{
				"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
				"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := w.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			first := w.events(t)[0]
			retries[first] = true
			ms, err := strconv.Atoi(strings.TrimPrefix(first, "retry: "))
			if err != nil || ms < 1000 || ms > 5000 {
				t.Errorf("%q: it is opened again after %d ms, want 1000 to 5000", first, ms)
			}
			for _, secret := range []string{"the-subject", "the-token", "lookup"} {
				if strings.Contains(w.text.String(), secret) {
					t.Errorf("%q is told", secret)
				}
			}
			cancel()
			<-over
			want := []string{"web browser true", "web session", "web browser false"}
			if diff := cmp.Diff(want, s.told); diff != "" {
				t.Errorf("metrics are told (-want +got):\n%s", diff)
			}
		})
	}
	if len(retries) < 5 {
		t.Errorf("all streams come back at once: %v", retries)
	}
}

func TestAStreamGivesASignOfLife(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session.Idle = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		w := &reader{}
		over := s.open(t, ctx, w)
		time.Sleep(30 * time.Minute)
		w.mu.Lock()
		gaps := map[time.Duration]bool{}
		for i := 1; i < len(w.at); i++ {
			gap := w.at[i].Sub(w.at[i-1])
			gaps[gap] = true
			if gap < 15*time.Second || gap > 25*time.Second {
				t.Errorf("nothing for %v, want 15 s to 25 s", gap)
			}
		}
		w.mu.Unlock()
		if len(gaps) < 20 {
			t.Errorf("they keep time: %d different gaps", len(gaps))
		}
		cancel()
		<-over
	})
}

// Who reads slowly has the latest when it reads again, and kept nobody waiting.
func TestASlowReaderHasTheLatest(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ctx, cancel := context.WithCancel(t.Context())
		slow, quick := &reader{}, &reader{}
		overSlow, overQuick := s.open(t, ctx, slow), s.open(t, ctx, quick)
		stuck := make(chan struct{})
		slow.mu.Lock()
		slow.stuck = stuck
		slow.mu.Unlock()
		for range 5 {
			time.Sleep(time.Minute)
			s.used()
		}
		time.Sleep(time.Second)
		if n := len(quick.events(t)); n != 2+5 {
			t.Errorf("the quick one was sent %d events", n)
		}
		close(stuck)
		synctest.Wait()
		events := slow.events(t)
		if n := len(events); n > 2+2 { // what was being written, and the latest
			t.Errorf("the slow one was sent %d events", n)
		}
		if want := `"idle_expires_in":599}`; !strings.HasSuffix(events[len(events)-1], want) {
			t.Errorf("the last is %q, want %s", events[len(events)-1], want)
		}
		cancel()
		<-overSlow
		<-overQuick
	})
}

// A frontend that is gone, which no event tells, is found out by a sign of life.
func TestAStreamOfNobodyEnds(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		w := &reader{}
		over := s.open(t, t.Context(), w)
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
		time.Sleep(26 * time.Second)
		<-over
		if n := s.engine.Watched(); n != 0 {
			t.Errorf("%d sessions are still watched", n)
		}
	})
}

func TestOneStreamTooManyIsRefusedBeforeItBegins(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ctx, cancel := context.WithCancel(t.Context())
		var all []chan struct{}
		for range 20 {
			all = append(all, s.open(t, ctx, &reader{}))
		}
		w := &reader{header: http.Header{}}
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "/bff/events", nil)
		err := surface.EventStream{
			App: &bff.App{ID: "web"}, Session: s.session, Engine: s.engine, Trace: s.trace, Surface: "browser",
		}.Serve(w, r)
		if bff.CodeOf(err) != bff.CodeRateLimited || w.text.Len() != 0 || len(w.header) != 0 {
			t.Errorf("the next: %v, %q", err, w.text.String())
		}
		cancel()
		for _, over := range all {
			<-over
		}
	})
}

// Streams that were opened together, as after an instance stopped, do not give their first sign of life together.
func TestFirstSignsOfLifeAreSpread(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session.Idle = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		began, readers, over := time.Now(), make([]*reader, 10), make([]chan struct{}, 10)
		for i := range readers {
			readers[i] = new(reader)
			over[i] = s.open(t, ctx, readers[i])
		}
		time.Sleep(30 * time.Second) // each has given one by then
		cancel()
		first := map[time.Duration]bool{}
		for i, r := range readers {
			<-over[i]
			first[r.at[1].Sub(began)] = true
		}
		if len(first) < 8 {
			t.Errorf("ten streams gave their first sign at %d moments", len(first))
		}
	})
}
