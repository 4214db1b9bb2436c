package wire_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloakroom/test/wire"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func redisThrough(t *testing.T) (*miniredis.Miniredis, *wire.Proxy, *redis.Client) {
	server := miniredis.RunT(t)
	p := wire.Start(t, server.Addr())
	c := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1, DisableIdentity: true, PoolSize: 1, DialerRetries: 1, ReadTimeout: 5 * time.Second})
	t.Cleanup(func() { c.Close() })
	// go-redis keeps pipelines on connections of their own: both are opened before anything is counted.
	if _, err := c.Pipelined(t.Context(), func(pipe redis.Pipeliner) error { return pipe.Ping(t.Context()).Err() }); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.Reset()
	return server, p, c
}

func TestCountsRoundTrips(t *testing.T) {
	_, p, c := redisThrough(t)
	ctx := t.Context()
	value := strings.Repeat("*1\r\n$4\r\nPING\r\n", 20_000) // looks like commands, and is longer than a chunk
	if err := c.Set(ctx, "k", value, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(ctx, "k").Result(); err != nil || got != value {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Incr(ctx, "a")
		pipe.Incr(ctx, "b")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Counts{Flights: 3, Commands: map[string]int{"SET": 1, "GET": 1, "INCR": 2}}
	if diff := cmp.Diff(want, p.Counts()); diff != "" {
		t.Error(diff)
	}
}

func TestLoseReplyDoesTheWork(t *testing.T) {
	server, p, c := redisThrough(t)
	lost := p.LoseReply(wire.Contains("INCR"))
	if err := c.Get(t.Context(), "other").Err(); !errors.Is(err, redis.Nil) {
		t.Fatalf("a request the fault is not for gave %v", err)
	}
	if err := c.Incr(t.Context(), "n").Err(); err == nil {
		t.Error("the answer was not lost")
	}
	<-lost
	if got, _ := server.Get("n"); got != "1" {
		t.Errorf("the work was done %q times, want 1", got)
	}
	if got, err := c.Incr(t.Context(), "n").Result(); err != nil || got != 2 {
		t.Errorf("the next request gave %d, %v", got, err)
	}
}

func TestLoseRequestDoesNothing(t *testing.T) {
	server, p, c := redisThrough(t)
	lost := p.LoseRequest(wire.Contains("incr"))
	if err := c.Incr(t.Context(), "n").Err(); err == nil {
		t.Error("the request was answered")
	}
	<-lost
	if server.Exists("n") {
		t.Error("the server saw the request")
	}
}

func TestHoldReply(t *testing.T) {
	server, p, c := redisThrough(t)
	held, release := p.HoldReply(wire.Contains("incr"))
	answer := make(chan int64, 1)
	go func() { answer <- c.Incr(context.WithoutCancel(t.Context()), "n").Val() }()
	<-held
	select {
	case got := <-answer:
		t.Errorf("%d was answered while it was held", got)
	default:
	}
	if got, _ := server.Get("n"); got != "1" {
		t.Errorf("held before the work was done: %q", got)
	}
	release()
	if got := <-answer; got != 1 {
		t.Errorf("the released answer is %d", got)
	}
}

func TestHoldRequest(t *testing.T) {
	server, p, c := redisThrough(t)
	held, release := p.HoldRequest(wire.Contains("incr"))
	answer := make(chan int64, 1)
	go func() { answer <- c.Incr(context.WithoutCancel(t.Context()), "n").Val() }()
	<-held
	if got, err := server.Get("n"); err == nil {
		t.Errorf("the work was done while the request was held: %q", got)
	}
	release()
	if got := <-answer; got != 1 {
		t.Errorf("the released request was answered with %d", got)
	}
}

// ping asks for one PONG on a bare connection: a client library would redial in the background.
func ping(conn net.Conn) error {
	if _, err := io.WriteString(conn, "*1\r\n$4\r\nPING\r\n"); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, len("+PONG\r\n")))
	return err
}

func TestRefuseAndCut(t *testing.T) {
	p := wire.Start(t, miniredis.RunT(t).Addr())
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	conn := dial()
	if err := ping(conn); err != nil {
		t.Fatal(err)
	}
	p.Refuse()
	p.Refuse() // twice is once
	if err := ping(conn); err != nil {
		t.Errorf("an open connection broke: %v", err)
	}
	p.Cut()
	if err := ping(conn); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a cut connection gave %v, want a reset", err)
	}
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection gave %v, want refused", err)
	}
	p.Pass()
	if err := ping(dial()); err != nil {
		t.Errorf("after Pass: %v", err)
	}
}

func TestHangDeliversLater(t *testing.T) {
	var served atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served.Add(1) }))
	t.Cleanup(s.Close)
	p := wire.Start(t, s.Listener.Addr().String())
	p.Hang()
	p.Hang()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatalf("a hanging wire does not accept: %v", err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // long enough for a wire that leaks to show it
	var late net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &late) || !late.Timeout() || served.Load() != 0 {
		t.Errorf("a hanging wire gave %v after %d requests", err, served.Load())
	}
	_ = conn.SetReadDeadline(time.Time{})
	p.Pass()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 || served.Load() != 1 {
		t.Errorf("what hung came as %v, %v", resp, err)
	}
}

func TestDelayAndRetarget(t *testing.T) {
	_, p, c := redisThrough(t)
	const delay = 30 * time.Millisecond
	p.Delay(delay)
	before := time.Now()
	if err := c.Ping(t.Context()).Err(); err != nil || time.Since(before) < delay {
		t.Errorf("delayed ping: %v after %v", err, time.Since(before))
	}
	p.Pass()
	other := miniredis.RunT(t)
	other.Set("who", "other")
	p.Retarget(other.Addr())
	p.Cut()
	c.Ping(t.Context()) // finds the cut
	if got := c.Get(t.Context(), "who").Val(); got != "other" {
		t.Errorf("after Retarget the server is %q", got)
	}
}

func TestOrderlyEndPasses(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		conn, err := echo.Accept()
		if err != nil {
			return
		}
		body, _ := io.ReadAll(conn) // ends only when the half-close arrives
		_, _ = io.WriteString(conn, strconv.Itoa(len(body)))
		conn.Close()
	}()
	p := wire.Start(t, echo.Addr().String())
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // a lost half-close fails rather than hangs
	_, _ = io.WriteString(conn, strings.Repeat("x", 200_000))
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "200000" {
		t.Errorf("through the wire: %q, %v", got, err)
	}
	if got := p.Counts(); len(got.Commands) != 0 || got.Connections != 1 {
		t.Errorf("counts of a protocol that is not Redis: %+v", got)
	}
}
