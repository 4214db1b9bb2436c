//go:build integration

package e2e_test

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/test/gateway"
)

// Expectations (RFC 9110 section 10.1.1): what the API would refuse never leaves the frontend, what it wants is asked for.
func TestExpectationsGoThrough(t *testing.T) {
	// shows PRX-LIMIT
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("/take", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	w := newJunction(t, 1, mux, "body_bytes: 100")
	for _, leg := range legs {
		for _, c := range []struct {
			path   string
			length int
			want   []string
		}{
			{"/refuse", 5, []string{"403"}},
			{"/take", 101, []string{"413"}}, // the gateway's own word, by the length alone
			{"/take", 5, []string{"100", "200"}},
		} {
			conn := w.dial(w.secure[0])
			r := w.request("POST", "/"+leg+c.path, nil)
			_, _ = io.WriteString(conn, head(r, "Expect: 100-continue", "Content-Length: "+strconv.Itoa(c.length)))
			answers := bufio.NewReader(conn)
			for i, want := range c.want {
				res, err := http.ReadResponse(answers, r)
				if err != nil || !strings.HasPrefix(res.Status, want) {
					t.Fatalf("%s%s, %d bytes: %v %v, want %s", leg, c.path, c.length, res, err, want)
				}
				if i == 0 && len(c.want) > 1 {
					_, _ = io.WriteString(conn, "hello")
				}
			}
			_ = conn.Close()
		}
		// Over HTTP/2 net/http keeps the expectation to itself, and says 100 when the body is first read: what the gateway refuses
		// is refused before that.
		body := &watched{Reader: strings.NewReader(strings.Repeat("x", 101))}
		r := w.request("POST", "/"+leg+"/take", body, "Expect", "100-continue")
		r.ContentLength = 101
		if res := w.send(w.client(w.secure[0], true), r); res.StatusCode != 413 || body.read.Load() {
			t.Errorf("%s over HTTP/2: %d, body sent: %v", leg, res.StatusCode, body.read.Load())
		}
		r = w.request("POST", "/"+leg+"/take", strings.NewReader("hello"), "Expect", "100-continue")
		if res := w.send(w.client(w.secure[0], true), r); res.StatusCode != 200 || res.Text != "hello" {
			t.Errorf("%s over HTTP/2: %d %q", leg, res.StatusCode, res.Text)
		}
	}
}

// watched tells whether anybody has read.
type watched struct {
	io.Reader
	read atomic.Bool
}

// Read notes that it was asked.
func (b *watched) Read(p []byte) (int, error) { b.read.Store(true); return b.Reader.Read(p) }

// stream is bytes that depend on their place, so that a lost or doubled piece shows.
func stream(size int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{7}), size) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // in hardware: it must not be what is measured

func sumOf(r io.Reader) (int64, string, error) {
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, r)
	return n, fmt.Sprintf("%08x", sum.Sum32()), err
}

// bulk is an API that takes and gives bodies of any size.
func bulk() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /up", func(w http.ResponseWriter, r *http.Request) {
		n, sum, err := sumOf(r.Body)
		_, _ = fmt.Fprintf(w, "%d %s %v %d", n, sum, err, r.ContentLength)
	})
	mux.HandleFunc("GET /down", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
		if r.URL.Query().Get("length") == "true" {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.Copy(w, stream(size))
	})
	return mux
}

// flat is by how much the gateway's memory may grow over any body: buffers and a garbage collector's leisure.
const flat = 48 << 20

// Bodies of any size pass in flat memory, with a length and without, over every way. The binary is the one users run: the race
// detector's shadow would be most of what is measured.
func TestBodiesOfAnySizeInFlatMemory(t *testing.T) {
	// shows PRX-LIMIT
	size := int64(64 << 20)
	if soak() {
		size = 1 << 30
	}
	w := newJunctionOf(t, 1, bulk(), "body_bytes: 2GiB", gateway.Plain(t))
	in := w.secure[0]
	_, want, _ := sumOf(stream(size))
	w.send(w.client(in, true), w.request("GET", "/h2/down?size=1", nil)) // what is loaded once is loaded
	for _, way := range []struct {
		http2 bool
		leg   string
	}{{false, "http1"}, {true, "h2"}, {true, "h2c"}, {true, "http1"}} {
		for _, length := range []bool{true, false} {
			c := w.client(in, way.http2)
			before, _ := in.Memory()
			in.ForgetPeak()
			began := time.Now()
			r := w.request("POST", "/"+way.leg+"/up", stream(size))
			declared := int64(-1)
			if length {
				r.ContentLength, declared = size, size
			}
			if res := w.send(c, r); res.StatusCode != 200 || res.Text != fmt.Sprintf("%d %s <nil> %d", size, want, declared) {
				t.Errorf("up, %+v, length %v: %d %q", way, length, res.StatusCode, res.Text)
			}
			up := time.Since(began)
			res, err := c.Do(w.request("GET", fmt.Sprintf("/%s/down?size=%d&length=%v", way.leg, size, length), nil))
			if err != nil {
				t.Fatal(err)
			}
			n, sum, err := sumOf(res.Body)
			_ = res.Body.Close()
			if n != size || sum != want || err != nil || (res.ContentLength == size) != length {
				t.Errorf("down, %+v, length %v: %d bytes, %v", way, length, n, err)
			}
			_, peak := in.Memory()
			t.Logf("%d MiB each way, frontend with HTTP/2 %v, API with %s, length %v: up %v, down %v; memory %d MiB, at most %d MiB",
				size>>20, way.http2, way.leg, length, up.Round(time.Millisecond), (time.Since(began) - up).Round(time.Millisecond), before>>20, peak>>20)
			if peak-before > flat {
				t.Errorf("%+v, length %v: memory grew from %d to %d MiB", way, length, before>>20, peak>>20)
			}
		}
	}
}

// Whoever is slow slows down whoever is fast: nothing is gathered in between.
func TestSlowEndsHoldFastOnesBack(t *testing.T) {
	// shows PRX-LIMIT
	const size = 512 << 20 // far more than the sockets of both legs hold
	var given, taken atomic.Int64
	gate := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /down", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = io.Copy(&counted{rw, &given}, io.LimitReader(zeros{}, size))
	})
	mux.HandleFunc("POST /up", func(rw http.ResponseWriter, r *http.Request) {
		<-gate
		n, _ := io.CopyN(io.Discard, r.Body, 1<<20)
		taken.Add(n)
	})
	w := newJunctionOf(t, 1, mux, "body_bytes: 1GiB", gateway.Plain(t))
	in := w.secure[0]
	for _, way := range []struct {
		http2 bool
		leg   string
	}{{false, "http1"}, {true, "h2"}} {
		given.Store(0)
		c := w.client(in, way.http2)
		before, _ := in.Memory()
		in.ForgetPeak()
		res, err := c.Do(w.request("GET", "/"+way.leg+"/down", nil))
		if err != nil {
			t.Fatal(err)
		}
		held := settled(&given)
		if _, err := io.CopyN(io.Discard, res.Body, 64<<20); err != nil {
			t.Fatal(err)
		}
		after := settled(&given)
		_ = res.Body.Close()
		var sent atomic.Int64
		r := w.request("POST", "/"+way.leg+"/up", io.TeeReader(io.LimitReader(zeros{}, size), &counted{io.Discard, &sent}))
		r.ContentLength = size
		done := make(chan struct{})
		go func() {
			defer close(done)
			if res, err := c.Do(r); err == nil {
				_ = res.Body.Close()
			}
		}()
		waiting := settled(&sent)
		_, peak := in.Memory()
		gate <- struct{}{}
		<-done
		t.Logf("%+v: a frontend that reads nothing held %d MiB back, and let %d MiB more come for 64; an API that reads nothing let %d MiB come; memory %d MiB, at most %d MiB",
			way, held>>20, (after-held)>>20, waiting>>20, before>>20, peak>>20)
		if held > size/4 || after-held < 32<<20 || after > size/2 || waiting > size/4 || peak-before > flat {
			t.Errorf("%+v: something was gathered, or nothing more came", way)
		}
	}
}

// counted counts what is written.
type counted struct {
	io.Writer
	n *atomic.Int64
}

// Write counts once it is through.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// settled waits until a count stands still, for longer than anything pauses by itself, and returns it.
func settled(n *atomic.Int64) int64 {
	last, since := n.Load(), time.Now()
	for ; time.Since(since) < 700*time.Millisecond || last == 0; <-time.After(20 * time.Millisecond) {
		if now := n.Load(); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}
