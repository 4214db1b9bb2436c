package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// echo is an API that sends each piece of the request's body back as it comes.
func echo(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	w.WriteHeader(200)
	_ = rc.Flush()
	buf := make([]byte, 64)
	for {
		n, err := r.Body.Read(buf)
		_, _ = w.Write(buf[:n])
		_ = rc.Flush()
		if err != nil {
			return
		}
	}
}

// upstream starts a server that does not read bodies on its own account.
func upstream(t *testing.T, h http.HandlerFunc) *api {
	a := newAPI(t, nil)
	a.Config.Handler = h
	return a
}

func TestBothDirectionsStreamAtOnce(t *testing.T) {
	// shows PRX-LIVE
	for _, http2 := range []bool{false, true} {
		for _, length := range []int64{-1, 12} {
			a := upstream(t, echo)
			g := newGateway(t, setting{http2: http2}, route(a, "/api/"))
			in, out := io.Pipe()
			req, err := http.NewRequest("POST", g.URL+"/api/x", in)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			res, err := g.Client().Do(req) // returns with the head, before a byte of the body was written
			if err != nil {
				t.Fatal(err)
			}
			for _, piece := range []string{"one.", "two.", "six."} {
				_, _ = io.WriteString(out, piece)
				if piece == "six." {
					_ = out.Close() // a client may look for the end before it sends the last piece of a known length
				}
				got := make([]byte, 4)
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != piece {
					t.Fatalf("HTTP/2 %v, length %d: sent %q, got %q, %v", http2, length, piece, got, err)
				}
			}
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
				t.Errorf("at the end: %q, %v", rest, err)
			}
			_ = res.Body.Close()
		}
	}
}

func TestAnswersStream(t *testing.T) {
	// shows PRX-LIVE
	for _, c := range []struct {
		with, kind, length, first, rest string
	}{
		{"events", "text/event-stream", "", "data: 1\n\n", "data: 2\n\n"},
		{"no length", "text/plain", "", "first", "second"},
		{"a short length", "text/plain", "11", "first", "second"},
		{"a long length", "text/plain", "8192", strings.Repeat("a", 100), strings.Repeat("b", 8092)},
	} {
		t.Run("an answer with "+c.with, func(t *testing.T) {
			gate := make(chan struct{})
			a := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				if c.length != "" {
					w.Header().Set("Content-Length", c.length)
				}
				_, _ = io.WriteString(w, c.first)
				_ = http.NewResponseController(w).Flush()
				<-gate
				_, _ = io.WriteString(w, c.rest)
			})
			g := newGateway(t, setting{}, route(a, "/api/"))
			res, err := g.Client().Get(g.URL + "/api/x")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got := make([]byte, len(c.first))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != c.first {
				t.Fatalf("got %q, %v", got, err)
			}
			close(gate)
			if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != c.rest {
				t.Errorf("then got %d bytes, %v", len(rest), err)
			}
		})
	}
}

func TestSessionEndClosesStreams(t *testing.T) {
	// shows PRX-LIVE
	end := make(chan context.CancelCauseFunc, 1)
	over := make(chan struct{})
	a := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(over)
	})
	g := newGateway(t, setting{watch: func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancelCause(ctx)
		end <- cancel
		return ctx
	}}, route(a, "/api/"))
	res, err := g.Client().Get(g.URL + "/api/x")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 9)); err != nil {
		t.Fatal(err)
	}
	(<-end)(&bff.SessionEndedCause{Reason: bff.ReasonSignedOut})
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the frontend saw a whole answer, want a broken one")
	}
	<-over
}

func TestSessionEndBeforeTheAnswer(t *testing.T) {
	// shows PRX-LIVE
	asked := make(chan struct{})
	a := upstream(t, func(_ http.ResponseWriter, r *http.Request) { close(asked); <-r.Context().Done() })
	g := newGateway(t, setting{watch: func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancelCause(ctx)
		go func() { <-asked; cancel(&bff.SessionEndedCause{Reason: bff.ReasonReplaced}) }()
		return ctx
	}}, route(a, "/api/"))
	if got := g.do(t, "GET", "/api/x", nil, nil); got.Status != 401 {
		t.Errorf("got %d", got.Status)
	}
	ended, ok := errors.AsType[*bff.Error](g.errors()[0])
	if !ok || ended.Code != bff.CodeSessionEnded || ended.Reason != string(bff.ReasonReplaced) {
		t.Errorf("got %v", g.errors()[0])
	}
}

func TestClientGone(t *testing.T) {
	// shows PRX-LIVE
	asked, over := make(chan struct{}), make(chan struct{})
	a := upstream(t, func(_ http.ResponseWriter, r *http.Request) { close(asked); <-r.Context().Done(); close(over) })
	g := newGateway(t, setting{tell: true}, route(a, "/api/"))
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-asked; leave() }()
	req, _ := http.NewRequestWithContext(ctx, "GET", g.URL+"/api/x", nil)
	if res, err := g.Client().Do(req); err == nil {
		_ = res.Body.Close()
		t.Error("an answer came")
	}
	<-over
	<-g.done
	if code := bff.CodeOf(g.errors()[0]); code != bff.CodeClientGone {
		t.Errorf("got %s", code)
	}
}

func TestUploadThatBreaksOff(t *testing.T) {
	// shows PRX-LIVE, PRX-SMUG
	a := upstream(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	for _, c := range []struct {
		with, bytes string
		want        bff.Code
	}{
		{"half its length", "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", bff.CodeClientGone},
		{"a chunk that is none", "POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", bff.CodeBadRequest},
	} {
		g := newGateway(t, setting{tell: true}, route(a, "/api/"))
		conn := g.dial(t)
		_, _ = io.WriteString(conn, c.bytes)
		if c.want == bff.CodeClientGone {
			_ = conn.Close()
		}
		<-g.done
		if code := bff.CodeOf(g.errors()[0]); code != c.want {
			t.Errorf("an upload with %s: got %v, want %s", c.with, g.errors()[0], c.want)
		}
	}
}

func TestEarlyAnswerEndsAStalledUpload(t *testing.T) {
	// shows PRX-SMUG, PRX-LIMIT
	for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		a := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(403)
		})
		g := newGateway(t, setting{tell: true}, route(a, "/api/"))
		conn := g.dial(t)
		// The upload stalls after its head. Its rest is never sent, and must not be waited for.
		_, _ = io.WriteString(conn, "POST /api/x HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n\r\n")
		r := bufio.NewReader(conn)
		if got := status(t, r); got != 403 {
			t.Fatalf("got %d", got)
		}
		<-g.done
		// What follows is the rest of the body for one, and a request for another: nobody reads it.
		_, _ = io.WriteString(conn, hidden)
		if rest, _ := io.ReadAll(r); bytes.Contains(rest, []byte("HTTP/1.1")) {
			t.Errorf("%s: a second answer came: %s", framing, rest)
		}
	}
}

func TestInterimAnswersAndTrailersStayHere(t *testing.T) {
	// shows PRX-RESP, PRX-SMUG
	a := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "<https://evil.example/x.js>; rel=preload; as=script")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, "ok")
		w.Header().Set("X-Announced", "1")
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "1")
	})
	g := newGateway(t, setting{}, route(a, "/api/"))
	out := g.raw(t, "GET /api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	for _, never := range []string{"103", "Link", "Trailer", "X-Announced", "X-Unannounced"} {
		if strings.Contains(out, never) {
			t.Errorf("the frontend got %q:\n%s", never, out)
		}
	}
	if !strings.HasPrefix(out, "HTTP/1.1 200") {
		t.Errorf("got:\n%s", out)
	}
}

func TestExpectContinue(t *testing.T) {
	// shows PRX-LIMIT
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/api/", func(r *proxy.Route) { r.BodyBytes = 10 }))
	for length, want := range map[string]int{"5": 100, "11": 413} {
		conn := g.dial(t)
		_, _ = io.WriteString(conn, "POST /api/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "+length+"\r\n\r\n")
		r := bufio.NewReader(conn)
		if got := status(t, r); got != want {
			t.Fatalf("a body of %s: got %d, want %d", length, got, want)
		}
		if want == 100 {
			_, _ = io.WriteString(conn, "hello")
			if got := status(t, r); got != 200 {
				t.Errorf("then got %d", got)
			}
		}
	}
	if got := a.only(t).Body; got != "hello" {
		t.Errorf("the API got %q", got)
	}
}

// closedAtEnd is a request's body that net/http has closed as soon as its last byte was read: it does so with the head of an
// answer, which may come that early.
type closedAtEnd struct {
	io.ReadCloser
	over, asked bool
}

func (b *closedAtEnd) Read(p []byte) (int, error) {
	if b.over {
		b.asked = true
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	b.over = err != nil
	return n, err
}

// An answer that overtakes the end of the request's body is not broken off for that.
func TestAnswerThatOvertakesTheEndOfTheBody(t *testing.T) {
	for _, length := range []struct {
		name string
		body io.Reader
	}{{"a body of known length", strings.NewReader("a note")}, {"a body of no length", io.MultiReader(strings.NewReader("a note"))}} {
		t.Run(length.name, func(t *testing.T) {
			up := newAPI(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "taken") })
			var came *closedAtEnd
			gw := newGateway(t, setting{call: func(r *http.Request) proxy.Call {
				came = &closedAtEnd{ReadCloser: r.Body}
				r.Body = came
				return signedIn()
			}}, proxy.Route{Path: "/api/", Methods: []string{"POST"}, Upstream: up.URL})
			resp, err := http.Post(gw.URL+"/api/notes", "text/plain", length.body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 || string(got) != "taken" || up.only(t).Body != "a note" {
				t.Errorf("%d %q, %v", resp.StatusCode, got, err)
			}
			if came.asked {
				t.Error("the body was read behind its end")
			}
		})
	}
}
