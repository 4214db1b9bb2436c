package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// A body that stops coming holds two connections and two goroutines: it is let go of, on every protocol, and the API is
// told no lie about where it ended.
//
// shows PRX-LIMIT
func TestABodyThatStopsComing(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("a stalled upload with http2 %v", http2), func(t *testing.T) {
			cut := make(chan error, 1)
			a := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				cut <- err
			})
			g := newGateway(t, setting{http2: http2, tell: true, options: proxy.Options{BodyStall: 100 * time.Millisecond}}, route(a, "/api/"))
			body, more := io.Pipe()
			defer more.Close()
			req, err := http.NewRequest("POST", g.URL+"/api/x", body)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				res, err := g.Client().Do(req)
				if err == nil {
					_ = res.Body.Close()
				}
			}()
			if _, err := io.WriteString(more, "half"); err != nil {
				t.Fatal(err)
			}
			select {
			case <-g.done:
			case <-time.After(10 * time.Second):
				t.Fatal("still waiting for the other half")
			}
			if err := <-cut; err == nil {
				t.Error("the API took half of the body for the whole")
			}
			if got := g.errors(); len(got) != 1 || bff.CodeOf(got[0]) != bff.CodeClientGone {
				t.Errorf("got %v", got)
			}
		})
	}
}

// The time for a body ends with the body: an API may think about it for longer, and the connection serves on.
//
// shows PRX-LIMIT
func TestASlowAnswerToABodyThatCame(t *testing.T) {
	const stall = 50 * time.Millisecond
	a := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select { // twice the time a body may pause
		case <-time.After(2 * stall):
			_, _ = io.WriteString(w, "thought of")
		case <-r.Context().Done():
		}
	})
	g := newGateway(t, setting{options: proxy.Options{BodyStall: stall}}, route(a, "/api/"))
	c := g.dial(t)
	answers := bufio.NewReader(c)
	for range 2 {
		if _, err := io.WriteString(c, "POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != "thought of" {
			t.Fatalf("%d %q %v", res.StatusCode, b, err)
		}
	}
}

// The time is one of a pause, not of a whole body: a film may come slowly.
//
// shows PRX-LIMIT
func TestABodyThatComesInPieces(t *testing.T) {
	const stall = 500 * time.Millisecond
	got := make(chan string, 8)
	a := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 16)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				got <- string(buf[:n])
			}
			if err != nil {
				return
			}
		}
	})
	g := newGateway(t, setting{options: proxy.Options{BodyStall: stall}}, route(a, "/api/"))
	c := g.dial(t)
	_, _ = io.WriteString(c, "POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n")
	for range 3 {
		select { // three of these pauses are longer than one may be
		case s := <-got:
			t.Fatalf("early: %q", s)
		case <-time.After(stall / 2):
		}
		if _, err := io.WriteString(c, "part"); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != "part" {
			t.Fatalf("got %q", s)
		}
	}
	if s := status(t, bufio.NewReader(c)); s != 200 {
		t.Errorf("status %d", s)
	}
}

// A stalled upload leaves the connection for nothing else: what comes late is no request.
//
// shows PRX-SMUG
func TestWhatComesAfterAStall(t *testing.T) {
	a := newAPI(t, nil)
	g := newGateway(t, setting{tell: true, options: proxy.Options{BodyStall: 50 * time.Millisecond}}, route(a, "/api/"))
	c := g.dial(t)
	_, _ = io.WriteString(c, "POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
	<-g.done
	_, _ = io.WriteString(c, "GET /api/smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	all, err := io.ReadAll(c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("the connection stays open")
	}
	if strings.Count(string(all), "HTTP/1.1") > 1 {
		t.Errorf("two answers: %q", all)
	}
	for _, s := range a.requests() {
		if strings.Contains(s.Target, "smuggled") {
			t.Errorf("the API got %s", s.Target)
		}
	}
}
