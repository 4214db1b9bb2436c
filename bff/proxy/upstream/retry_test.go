package upstream_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff/proxy/upstream"
)

var quiet = log.New(io.Discard, "", 0)

func itoa(n int) string { return strconv.Itoa(n) }

// What is sent once more, and what never is: a target with a fault beside one that is well, asked so often that the first one
// is met many times. Each request is counted at both by its id.
func TestRetries(t *testing.T) {
	// shows PRX-LIMIT
	for _, c := range []struct {
		with    string
		fault   http.HandlerFunc // nil: a port that refuses
		method  string
		body    string
		size    int  // of the answer, where it matters
		all     bool // every request is answered by the target that is well
		doubled bool // one may be seen by both
	}{
		{"a GET at a target that refuses connections", nil, "GET", "", 0, true, false},
		{"a POST at a target that refuses connections", nil, "POST", "a body", 0, true, false},
		{"a long POST at a target that refuses connections", nil, "POST", strings.Repeat("b", 200<<10), 0, true, false},
		{"a GET at a target that drops it", lost, "GET", "", 0, true, true},
		{"a HEAD at a target that drops it", lost, "HEAD", "", 0, true, true},
		{"an OPTIONS at a target that drops it", lost, "OPTIONS", "", 0, true, true},
		{"a GET with a short body at a target that drops it", lost, "GET", "q", 0, true, true},
		{"a POST at a target that drops it", lost, "POST", "a body", 0, false, false},
		{"a POST without a body at a target that drops it", lost, "POST", "", 0, false, false},
		{"a PUT at a target that drops it", lost, "PUT", "a body", 0, false, false},
		{"a PATCH at a target that drops it", lost, "PATCH", "a body", 0, false, false},
		{"a DELETE at a target that drops it", lost, "DELETE", "", 0, false, false},
		{"a GET at a target that is busy", busy, "GET", "", 0, true, true},
		{"a POST at a target that is busy", busy, "POST", "a body", 0, false, false},
		{"a GET at a target that cuts a short answer", cutting(1000), "GET", "", 0, true, true},
		{"a GET at a target that cuts an answer of 64 KiB", cutting(64 << 10), "GET", "", 0, true, true},
		{"a GET at a target that cuts a longer answer", cutting(64<<10 + 2), "GET", "", 0, false, false},
		{"a POST at a target that cuts a short answer", cutting(1000), "POST", "a body", 0, false, false},
	} {
		t.Run(c.with, func(t *testing.T) {
			good := newMachine(t, well)
			bad, addr := (*machine)(nil), ""
			if c.fault == nil {
				addr = closed(t)
			} else {
				bad = newMachine(t, c.fault)
				addr = bad.addr()
			}
			way := newUpstream(t, upstream.Settings{Failures: never}, addr, good.addr()).Within(hangs)
			const asked = 24 // the faulty target is missed so often in a row once in sixteen million runs
			answered, doubled := 0, 0
			for i := range asked {
				id := fmt.Sprint(i)
				got := ask(t, way, c.method, id, c.body)
				if got.status == 200 && got.err == nil {
					answered++
					if want := "ok " + c.body; c.method != "HEAD" && got.body != want {
						t.Fatalf("got %d bytes, want %d", len(got.body), len(want))
					}
				}
				if bad != nil && bad.of(id)+good.of(id) > 1 {
					doubled++
				}
			}
			if (answered == asked) != c.all {
				t.Errorf("%d of %d answered by the good target, want all: %v", answered, asked, c.all)
			}
			if (doubled > 0) != c.doubled {
				t.Errorf("%d seen by both, want any: %v", doubled, c.doubled)
			}
			if bad != nil && bad.hits() == 0 {
				t.Error("the faulty target was never asked")
			}
		})
	}
}

// A target that never answers gets its share of the time and no more, and only a safe request goes on to another one.
func TestTimeIsShared(t *testing.T) {
	// shows PRX-LIMIT
	good, bad := newMachine(t, well), newMachine(t, hung)
	way := newUpstream(t, upstream.Settings{Failures: never}, bad.addr(), good.addr()).Within(300 * time.Millisecond)
	lost := 0
	for i := range 12 {
		if got := ask(t, way, "GET", "", ""); got.status != 200 {
			t.Fatalf("a GET: %v after %v", got.err, got.took)
		}
		id := "post " + fmt.Sprint(i)
		if got := ask(t, way, "POST", id, "b"); got.err != nil {
			if lost++; !late(got.err) || good.of(id) != 0 {
				t.Fatalf("a POST: %v, %d times at the other target", got.err, good.of(id))
			}
		}
	}
	if lost == 0 || bad.hits() == 0 {
		t.Error("the hung target was never asked by a POST")
	}
}

// Where all are busy it is the API's own word, and it reaches the frontend.
func TestAllBusy(t *testing.T) {
	a, b := newMachine(t, busy), newMachine(t, busy)
	u := newUpstream(t, upstream.Settings{Failures: 1}, a.addr(), b.addr())
	for range 3 {
		if got := ask(t, u.Within(hangs), "GET", "", ""); got.status != 503 || got.body != "busy" {
			t.Fatalf("got %+v", got)
		}
	}
	if u.Down() || a.hits() != 3 || b.hits() != 3 {
		t.Errorf("out: %v; asked %d and %d times, want 3 and 3", u.Down(), a.hits(), b.hits())
	}
}

// A target that is busy while others are not is left alone.
func TestBusyTargetGoesOut(t *testing.T) {
	bad, good := newMachine(t, busy), newMachine(t, well)
	way := newUpstream(t, upstream.Settings{Failures: 2, Open: time.Hour}, bad.addr(), good.addr()).Within(hangs)
	for range 60 {
		if got := ask(t, way, "GET", "", ""); got.status != 200 {
			t.Fatalf("got %+v", got)
		}
	}
	if n := bad.hits(); n != 2 {
		t.Errorf("the busy target was asked %d times, want 2", n)
	}
}

// http.Transport sends a request with one of these fields again when an old connection breaks, whatever its method.
func TestIdempotencyKeyIsNoLicence(t *testing.T) {
	var first atomic.Bool
	key := make(chan string, 4)
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			well(w, r)
			return
		}
		key <- r.Header.Get("Idempotency-Key") + r.Header.Get("X-Idempotency-Key")
		conn, _, _ := http.NewResponseController(w).Hijack()
		_ = conn.Close() // an end without an answer, on a connection that was used before
	})
	for _, targets := range [][]string{{m.addr()}, {m.addr(), closed(t)}} {
		for _, field := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
			first.Store(false)
			way := newUpstream(t, upstream.Settings{Failures: never}, targets...).Within(hangs)
			if got := ask(t, way, "POST", "", ""); got.status != 200 {
				t.Fatal(got.err)
			}
			before := m.hits()
			got := ask(t, way, "POST", "", "", func(r *http.Request) { r.Header.Set(field, "k1") })
			if n := m.hits() - before; got.err == nil || n != 1 {
				t.Errorf("%s, %d targets: sent %d times, want once (%v)", field, len(targets), n, got.err)
			}
			if k := <-key; k != "k1" {
				t.Errorf("the target got the key %q", k)
			}
		}
	}
}

// A WebSocket's handshake begins more than it asks for: it is not sent again once it may have arrived.
func TestAHandshakeIsSentOnce(t *testing.T) {
	bad, good := newMachine(t, lost), newMachine(t, well)
	way := newUpstream(t, upstream.Settings{Failures: never}, bad.addr(), good.addr()).Within(hangs)
	for i := range 24 {
		id := fmt.Sprint(i)
		ask(t, way, "GET", id, "", func(r *http.Request) {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
		})
		if n := bad.of(id) + good.of(id); n != 1 {
			t.Fatalf("sent %d times", n)
		}
	}
	if bad.hits() == 0 {
		t.Error("the faulty target was never asked")
	}
}

// deaf is a connection that takes nothing once it was used.
type deaf struct {
	net.Conn
	used *atomic.Bool
}

func (d deaf) Write(p []byte) (int, error) {
	if d.used.Load() {
		return 0, net.ErrClosed
	}
	return d.Conn.Write(p)
}

// A connection that is found dead before a byte was written costs nobody a request, whatever its method.
func TestDeadConnection(t *testing.T) {
	var dead [2]atomic.Bool
	m := [2]*machine{newMachine(t, well), newMachine(t, well)}
	dials := 0
	s := upstream.Settings{Failures: never, Dial: dialing(func(_, address string) (net.Conn, error) {
		dials++
		conn, err := net.Dial("tcp", address)
		for i := range m {
			if address == m[i].addr() && !dead[i].Load() {
				conn = deaf{conn, &dead[i]}
			}
		}
		return conn, err
	})}
	way := newUpstream(t, s, m[0].addr(), m[1].addr()).Within(hangs)
	for m[0].hits() == 0 || m[1].hits() == 0 {
		ask(t, way, "GET", "", "")
	}
	for i := range dead {
		dead[i].Store(true)
	}
	for _, method := range []string{"POST", "PUT"} {
		if got := ask(t, way, method, method, "a body"); got.body != "ok a body" || m[0].of(method)+m[1].of(method) != 1 {
			t.Errorf("%s: got %+v", method, got)
		}
	}
}

// A dead API gets no storm.
func TestBudget(t *testing.T) {
	a, b, c := newMachine(t, lost), newMachine(t, lost), newMachine(t, lost)
	retried := 0
	s := upstream.Settings{Failures: never, Told: upstream.Told{Retried: func(_, why string) {
		if retried++; why != upstream.WhyLost {
			t.Errorf("retried for %s", why)
		}
	}}}
	way := newUpstream(t, s, a.addr(), b.addr(), c.addr()).Within(hangs)
	const asked = 300
	for range asked {
		if got := ask(t, way, "GET", "", ""); got.err == nil {
			t.Fatal("an answer came")
		}
	}
	// The window may have moved on once: a slow machine takes more than ten seconds.
	if sent := a.hits() + b.hits() + c.hits(); sent != asked+retried || retried < 100 || retried > 200 {
		t.Errorf("%d requests made %d attempts, %d of them again", asked, sent, retried)
	}
}

// A body that was not kept whole is not sent again from its middle: the answer there is, or the error, stands.
func TestALongBodyIsSentOnce(t *testing.T) {
	for _, c := range []struct {
		with  string
		fault http.HandlerFunc
		want  int // status at the faulty target; 0: none, or half an answer
	}{
		{"a target that is busy", busy, 503},
		{"a target that cuts a short answer", cutting(1000), 0},
		{"a target that drops it", lost, 0},
	} {
		t.Run(c.with, func(t *testing.T) {
			body := strings.Repeat("b", keptMost+1)
			bad, good := newMachine(t, c.fault), newMachine(t, well)
			way := newUpstream(t, upstream.Settings{Failures: never}, bad.addr(), good.addr()).Within(hangs)
			for i := range 24 { // missed so often in a row once in sixteen million runs
				id := fmt.Sprint(i)
				got := ask(t, way, "GET", id, body)
				switch atBad := bad.of(id); {
				case atBad+good.of(id) != 1:
					t.Fatalf("the request was sent %d times", atBad+good.of(id))
				case atBad == 0 && got.body != "ok "+body:
					t.Fatalf("the good target got %d bytes of %d", len(got.body)-len("ok "), len(body))
				case atBad == 1 && got.status != c.want:
					t.Fatalf("at the faulty target: %d, %v", got.status, got.err)
				}
			}
			if bad.hits() == 0 {
				t.Error("the faulty target was never asked")
			}
		})
	}
}

// keptMost is the longest body that is kept for another attempt: docs/proxy.md, "What is sent once more".
const keptMost = 64 << 10

// What is not sent again has all of the route's time, whoever else could be asked.
func TestAPOSTHasAllOfTheTime(t *testing.T) {
	const head = 1200 * time.Millisecond
	slow := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(head * 5 / 8): // more than an even part of it, with a second target in
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "done")
	}
	a, b := newMachine(t, slow), newMachine(t, slow)
	way := newUpstream(t, upstream.Settings{Failures: never}, a.addr(), b.addr()).Within(head)
	if got := ask(t, way, "POST", "", "b"); got.body != "done" {
		t.Errorf("got %+v", got)
	}
}

// An answer that another target's takes the place of is ended: its target has nothing under way any more, and gets its part of
// the requests to come.
func TestAnAnswerThatIsPassedOverIsEnded(t *testing.T) {
	var mended atomic.Bool
	bad := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if mended.Load() {
			well(w, r)
			return
		}
		w.Header().Set("Content-Length", itoa(keptMost+1)) // too long to be read whole
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, strings.Repeat("x", keptMost+1))
	})
	good := newMachine(t, well)
	way := newUpstream(t, upstream.Settings{Failures: never}, bad.addr(), good.addr()).Within(hangs)
	for range 24 {
		if got := ask(t, way, "GET", "", ""); got.status != 200 {
			t.Fatalf("got %+v", got)
		}
	}
	if bad.hits() == 0 {
		t.Fatal("the busy target was never asked")
	}
	mended.Store(true)
	before := bad.hits()
	for range 40 { // one after the other: none is under way at either, and the choice is even
		ask(t, way, "GET", "", "")
	}
	if bad.hits() == before {
		t.Error("a target that was passed over is never asked again")
	}
}

// One target alone is asked once: another attempt would only find it as it is.
func TestALoneTargetIsAskedOnce(t *testing.T) {
	for _, c := range []struct {
		with  string
		fault http.HandlerFunc
	}{{"one that drops it", lost}, {"one that cuts a short answer", cutting(1000)}, {"one that is busy", busy}} {
		t.Run(c.with, func(t *testing.T) {
			m := newMachine(t, c.fault)
			for id, change := range map[string]func(*http.Request){
				"bare": func(*http.Request) {},
				"body": func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("q")), 1 },
			} {
				way := newUpstream(t, upstream.Settings{Failures: never}, m.addr()).Within(hangs)
				if got := ask(t, way, "GET", id, "", change); got.status == 200 && got.err == nil {
					t.Fatalf("got %+v", got)
				}
				if n := m.of(id); n != 1 {
					t.Errorf("%s: asked %d times", id, n)
				}
			}
		})
	}
}

// A target that is out is tried by a safe request where another one is in: what is sent once is not what to try it with.
func TestATargetIsNotTriedByAPOST(t *testing.T) {
	bad, good := newMachine(t, lost), newMachine(t, well)
	way := newUpstream(t, upstream.Settings{Failures: 1, Open: time.Nanosecond}, bad.addr(), good.addr()).Within(hangs)
	until(t, "the faulty target was asked, and is out", func() bool { ask(t, way, "GET", "", ""); return bad.hits() > 0 })
	before := bad.hits()
	for range 24 {
		if got := ask(t, way, "POST", "", "b"); got.body != "ok b" {
			t.Fatalf("got %+v", got)
		}
	}
	if n := bad.hits() - before; n != 0 {
		t.Errorf("tried by %d POSTs", n)
	}
}
