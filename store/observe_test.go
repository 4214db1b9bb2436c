package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// told collects what Options.Done is told.
type told struct {
	mu     sync.Mutex
	counts map[string]int // by operation
	errs   []error
}

func (d *told) done(operation string, took time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts == nil {
		d.counts = make(map[string]int)
	}
	d.counts[operation]++
	if took <= 0 {
		d.errs = append(d.errs, fmt.Errorf("%s took %v", operation, took))
	}
	if err != nil {
		d.errs = append(d.errs, err)
	}
}

func (d *told) dials() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts["dial"]
}

// since returns what was told after the last call, without the client's own questions.
func (d *told) since() (counts map[string]int, errs []error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts, errs = d.counts, d.errs
	delete(counts, "dial") // a Cluster's client makes connections to each node as it meets it
	delete(counts, "hello")
	delete(counts, "cluster")
	delete(counts, "command")
	d.counts, d.errs = nil, nil
	return counts, errs
}

func TestEachCommandIsToldOfOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		want(t, "touch", w.Touch(t.Context(), s, w.clock.Now()), nil) // Redis knows the scripts from here on
		var d told
		watched := w.open(func(o *store.Options) { o.Done = d.done })
		if _, err := watched.Read(t.Context(), bff.NewRoot()); !errors.Is(err, bff.ErrNoSession) {
			t.Fatal(err)
		}
		if d.dials() == 0 {
			t.Error("not told of a connection")
		}
		counts, errs := d.since()
		if counts["hmget"] != 1 || counts["get"] != 1 || len(errs) != 0 {
			t.Errorf("told of %v, %v after a read that found nothing, and no end (which is no error)", counts, errs)
		}
		if _, err := watched.Read(t.Context(), s.Root); err != nil {
			t.Fatal(err)
		}
		counts, errs = d.since()
		if diff := cmp.Diff(map[string]int{"hmget": 1}, counts); diff != "" || len(errs) != 0 {
			t.Errorf("told after a read (-want +got):\n%s%v", diff, errs)
		}
		if err := watched.Touch(t.Context(), s, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		counts, errs = d.since()
		if counts["evalsha"] != 1 || counts["pipeline"] == 0 || len(errs) != 0 {
			t.Errorf("told of %v, %v after a touch: want the indexes in a pipeline for each node, and a script", counts, errs)
		}
		w.forgetScripts()
		want(t, "touch", watched.Touch(t.Context(), s, w.clock.Now()), nil)
		counts, errs = d.since()
		if counts["evalsha"] != 1 || counts["eval"] != 4 || len(errs) != 0 {
			t.Errorf("told of %v, %v after a touch of a server that forgot its scripts, which is no error", counts, errs)
		}
		broken := w.open(func(o *store.Options) {
			o.Done, o.ReadRetries = d.done, -1
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
		})
		_ = broken.Ping(t.Context())
		if _, errs := d.since(); len(errs) == 0 {
			t.Error("not told that a dial failed")
		}
	})
}

// A read may be repeated as often as was asked for; a write never.
func TestReadsAreRepeatedAsOftenAsAskedFor(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		s := w.created()
		for _, c := range []struct{ retries, dials int }{{-1, 1}, {0, 3}, {1, 2}, {3, 4}} {
			var d told
			down := w.open(func(o *store.Options) {
				o.Done, o.ReadRetries = d.done, c.retries
				o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
			})
			_, err := down.Read(t.Context(), s.Root)
			want(t, "read", err, bff.ErrStore)
			if counts, _ := d.since(); counts["hmget"] != c.dials {
				t.Errorf("%d reads with ReadRetries %d, want %d", counts["hmget"], c.retries, c.dials)
			}
			_, err = down.Claim(t.Context(), s.Lookup, "a1", time.Second)
			want(t, "claim", err, bff.ErrStore)
			if counts, _ := d.since(); counts["evalsha"]+counts["eval"] != 1 {
				t.Errorf("a write was sent %v times", counts)
			}
		}
	})
}

// shows LOG-1
func TestSpansHoldNothingOfTheArguments(t *testing.T) {
	for _, pipelined := range []bool{false, true} {
		each(t, func(t *testing.T, w *world) {
			spans := tracetest.NewSpanRecorder()
			provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
			defer func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) }()
			w.Store = w.open(func(o *store.Options) { o.Tracer, o.Pipeline = provider, pipelined })
			s := w.session()
			for doing, err := range w.everything(t.Context(), s) {
				if errors.Is(err, bff.ErrStore) {
					t.Errorf("%s: %v", doing, err)
				}
			}
			failing := w.open(func(o *store.Options) { // every command is refused in words that repeat what was asked
				o.Tracer, o.Pipeline, o.ReadRetries = provider, pipelined, -1
				o.Dialer = func(context.Context, string, string) (net.Conn, error) { return unknowing(w), nil }
			})
			for doing, err := range w.refusals(failing, s) {
				// A Cluster's client is refused the map of the slots already, one of Sentinels the primary, each in its words.
				if !errors.Is(err, bff.ErrStore) || w.server.alone() && !strings.Contains(err.Error(), "unknown command") {
					t.Errorf("%s: %v, want a refusal of the command", doing, err)
				}
				if strings.Contains(err.Error(), w.prefix) || strings.Contains(err.Error(), string(s.Lookup)) {
					t.Errorf("%s: an error that repeats what was asked: %v", doing, err)
				}
			}
			w.wantDiscreet(spans.Ended(), s)
		})
	}
}

// unknowing is a connection to a Redis that knows no command, and says so as Redis does: with the arguments.
func unknowing(w *world) net.Conn {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		buf := make([]byte, 1<<20)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			asked := strings.NewReplacer("\r", " ", "\n", " ").Replace(string(buf[:min(n, 4096)]))
			reply := "-ERR unknown command, with args beginning with: " + asked + "\r\n"
			if _, err := server.Write([]byte(strings.Repeat(reply, strings.Count(string(buf[:n]), "\n*")+1))); err != nil {
				return
			}
		}
	}()
	w.t.Cleanup(func() { _ = client.Close() })
	return client
}

// refusals asks a store for a few things that no server knows.
func (w *world) refusals(s *store.Store, n *bff.Session) map[string]error {
	ctx := w.t.Context()
	_, read := s.Read(ctx, n.Root)
	_, claim := s.Claim(ctx, n.Lookup, "attempt-of-a-refused-claim", time.Second)
	return map[string]error{
		"a read": read, "a claim": claim, "a touch": s.Touch(ctx, n, w.clock.Now()), "a save": s.Save(ctx, n, "a9", next(9)),
		"a put": s.Put(ctx, "out", "ticket", []byte("value"), time.Minute),
	}
}

// wantDiscreet looks for names and secrets in everything that a span can hold.
func (w *world) wantDiscreet(spans []trace.ReadOnlySpan, s *bff.Session) {
	w.t.Helper()
	if len(spans) < 20 {
		w.t.Errorf("%d spans: too few to show anything", len(spans))
	}
	forbidden := []string{
		w.prefix, string(s.Lookup), s.Root.Reveal(), subject, sid, "access-token", "refresh-token", "id-token", "ticket",
		"attempt", "instance 1", "created_at", "HMGET " + w.prefix, "s:{",
	}
	for _, span := range spans {
		text := fmt.Sprintf("%s %+v %+v %+v %+v %+v", span.Name(), span.Attributes(), span.Events(), span.Status(),
			span.Links(), span.Resource())
		for _, f := range forbidden {
			if strings.Contains(text, f) {
				w.t.Errorf("%q in the span %s", f, text)
			}
		}
	}
}

func TestThePoolTellsItsConnections(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		tight := w.open(func(o *store.Options) { o.PoolSize, o.PoolTimeout = 1, time.Millisecond })
		if _, err := tight.Read(t.Context(), s.Root); err != nil {
			t.Fatal(err)
		}
		if p := tight.Pool(); p.Open == 0 || p.Idle == 0 || p.Timeouts != 0 {
			t.Errorf("%+v after a read: want an idle connection", p)
		}
		eventually(t, "a wait in vain", func() bool {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() { _, _ = tight.Read(t.Context(), s.Root) })
			}
			all.Wait()
			return tight.Pool().Timeouts > 0 && tight.Pool().Waits > 0
		})
	})
}
