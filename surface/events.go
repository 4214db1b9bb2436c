package surface

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"cloakroom/bff"
)

// EventStream tells a frontend about its own session, by server-sent events (HTML standard, section 9.2), for as long as the
// session lives. No event holds a token, a subject, or anything of another session; having one open is no activity.
type EventStream struct {
	App     *bff.App
	Session *bff.Session // live, as the request's credential opened it
	Engine  *bff.Engine
	Trace   *bff.Trace
	Surface string // in metrics: "browser" or "native"
}

// The events. Names and data are contract.
const (
	eventSession  = "session"          // first of all: the session as it is
	eventExtended = "session-extended" // its idle end moved
	eventEnded    = "session-ended"    // and the stream with it
	eventReplaced = "session-replaced" // this browser has another session; the stream ends
)

// helloData opens a stream. Its members are those of Answer.
type helloData struct {
	Authenticated bool         `json:"authenticated"`
	Session       helloSession `json:"session"`
}

type helloSession struct {
	ID string `json:"id"`
	leftData
}

// leftData is how long the session lasts, as AnsweredSession says it.
type leftData struct {
	ExpiresIn     int `json:"expires_in"`
	IdleExpiresIn int `json:"idle_expires_in"`
}

type endData struct {
	Reason bff.Reason `json:"reason"`
}

const (
	// Between two comments lie 15 to 25 s: less than the 30 s after which the shortest of proxies give up a silent
	// connection, and never all streams at once.
	beatAtLeast, beatSpread = 15 * time.Second, 10 * time.Second
	// A stream that broke is opened again after 1 to 5 s: those of an instance that stops come to the others one by one.
	retryAtLeast, retrySpread = time.Second, 4 * time.Second
)

// Serve answers with the stream until its session or the context of r ends, or nobody reads it any more. It returns an
// error if the session has as many streams as it may have, and nothing was written.
func (e EventStream) Serve(w http.ResponseWriter, r *http.Request) error {
	ctx, listener, err := e.Engine.Listen(r.Context(), e.Session)
	if err != nil {
		return err
	}
	defer listener.Close()
	e.count(ctx, true)
	defer e.count(context.WithoutCancel(ctx), false)
	err = e.open(ctx, w)
	e.Session = nil // it holds tokens, and a stream may be open for hours
	if err == nil {
		e.follow(ctx, w, listener)
	}
	return nil // who is gone reads no error either
}

// count has the metrics know of the stream.
func (e EventStream) count(ctx context.Context, open bool) {
	if e.Trace.EventStream != nil {
		e.Trace.EventStream(ctx, bff.StreamEvent{App: e.App.ID, Surface: e.Surface, Open: open})
	}
}

// open writes the head, how long to wait before the stream is opened again, and the session as it is: whoever comes back
// learns what it missed.
func (e EventStream) open(ctx context.Context, w http.ResponseWriter) error {
	Private(w.Header())
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx, and what follows its example, would hold events back
	w.WriteHeader(http.StatusOK)
	retry := retryAtLeast + rand.N(retrySpread)
	if _, err := w.Write([]byte("retry: " + strconv.FormatInt(retry.Milliseconds(), 10) + "\n\n")); err != nil {
		return err
	}
	return e.send(ctx, w, eventSession, helloData{true, helloSession{
		e.Session.ID(), e.left(bff.Ends{Idle: e.Session.IdleEnd(), Last: e.Session.LastEnd()}),
	}})
}

// follow writes what happens. A frontend that takes nothing is cut by the server, after its stall limit.
func (e EventStream) follow(ctx context.Context, w http.ResponseWriter, listener *bff.Listener) {
	beat := time.NewTimer(beatAtLeast + rand.N(beatSpread))
	defer beat.Stop()
	for err := error(nil); err == nil; {
		select {
		case <-ctx.Done():
			e.sayEnd(ctx, w)
			return
		case ends := <-listener.Moved():
			err = e.send(ctx, w, eventExtended, e.left(ends))
		case <-beat.C:
			err = flush(w, []byte(":\n\n")) // a comment: it finds out whether anybody is there
			beat.Reset(beatAtLeast + rand.N(beatSpread))
		}
	}
}

// sayEnd tells why the session is over; of an instance that stops, or a frontend that went away, there is nothing to tell.
func (e EventStream) sayEnd(ctx context.Context, w http.ResponseWriter) {
	reason, ended := bff.EndOf(ctx)
	if !ended {
		return
	}
	name := eventEnded
	if reason == bff.ReasonReplaced {
		name = eventReplaced
	}
	_ = e.send(ctx, w, name, endData{reason}) // who is gone does not hear it
}

// left is what is left of the session now.
func (e EventStream) left(ends bff.Ends) leftData {
	now := e.Engine.Now()
	return leftData{ExpiresIn: secondsLeft(now, ends.Last), IdleExpiresIn: idleLeft(now, ends)}
}

// send writes one event.
func (e EventStream) send(ctx context.Context, w http.ResponseWriter, name string, data any) error {
	body, err := json.Marshal(data) // one line, whatever is in it
	if err != nil {
		return err
	}
	err = flush(w, append(append([]byte("event: "+name+"\ndata: "), body...), "\n\n"...))
	if err == nil && e.Trace.EventSent != nil {
		e.Trace.EventSent(ctx, bff.SentEvent{App: e.App.ID, Event: name})
	}
	return err
}

// flush writes p at once.
func flush(w http.ResponseWriter, p []byte) error {
	if _, err := w.Write(p); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
