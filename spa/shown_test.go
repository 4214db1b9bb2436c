package spa_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/spa/static"
	"cloakroom/surface"
)

// What is shown to who is signed in ends with the session, in the middle of an answer too: a download, an event stream of
// a development server. A part is seen to be a part.
//
// shows SESS-KILL
func TestAnAnswerThatOutlivesItsSession(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	over := make(chan error, 1)
	page := w.surface.Protect(func(rw http.ResponseWriter, r *http.Request) error {
		_, _ = io.WriteString(rw, "first ")
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
		_, err := io.WriteString(rw, "second")
		over <- err
		return err
	})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := page(rw, r); err != nil {
			surface.WriteError(rw, r, err, surface.Info{})
		}
	}))
	t.Cleanup(server.Close)
	req, err := http.NewRequest("GET", server.URL+"/film", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.cookies {
		req.AddCookie(&http.Cookie{Name: c.name, Value: c.value})
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 6)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first " {
		t.Fatalf("%d %q %v", res.StatusCode, first, err)
	}
	for l := range w.store.sessions {
		if _, err := w.store.Delete(t.Context(), l, nil, bff.ReasonSignedOut); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-over:
		if err == nil {
			t.Error("it went on")
		}
	case <-time.After(20 * time.Second): // a watch looks within seconds
		t.Fatal("the session's end was not noticed")
	}
	if rest, err := io.ReadAll(res.Body); err == nil || len(rest) > 0 {
		t.Errorf("then came %q, %v", rest, err)
	}
}

// Whose request it was is told to whoever writes the log.
//
// shows LOG-2
func TestWhatTheSurfaceTellsTheLog(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	for _, row := range []struct {
		what, method, path string
		cookie, told       bool
	}{
		{"an asked session", "GET", "/bff/session", true, true},
		{"a session asked without a cookie", "GET", "/bff/session", false, false},
		{"a sign-out", "POST", "/bff/logout", true, true},
	} {
		r := httptest.NewRequest(row.method, origin+row.path, nil)
		r.Header.Set("X-Csrf", "1")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Sec-Fetch-Mode", "cors")
		if row.cookie {
			for _, c := range b.cookies {
				r.AddCookie(&http.Cookie{Name: c.name, Value: c.value})
			}
		}
		ctx, seen := surface.WithSeen(r.Context())
		for _, ep := range w.surface.Endpoints() {
			if ep.Method == row.method && ep.Path == row.path {
				if err := ep.Handle(httptest.NewRecorder(), r.WithContext(ctx)); err != nil {
					t.Errorf("%s: %v", row.what, err)
				}
			}
		}
		if told := seen.App == "web" && seen.Session != ""; told != row.told {
			t.Errorf("%s: %+v", row.what, seen)
		}
	}
}

// The socket of a development server behind a sign-in tells of every change of the app's source: it is opened by the app's
// own page of a live session, and closes with that.
//
// shows SESS-KILL, WS-1 (development server)
func TestASocketThatOutlivesItsSession(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	opened := make(chan net.Conn, 4)
	vite := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		opened <- conn
	}))
	t.Cleanup(vite.Close)
	site, err := static.New(static.Options{
		URL: vite.URL, Protected: true, Origin: origin,
		ReservedCookie: func(name string) bool { return surface.ReservedCookie("web", name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	page := w.surface.Protect(site.Serve)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := page(rw, r); err != nil {
			surface.WriteError(rw, r, err, surface.Info{})
		}
	}))
	t.Cleanup(server.Close)
	shake := func(from, cookie string) (*http.Response, *bufio.Reader) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // a watch looks within seconds
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: "+from+"\r\n"+cookie+"\r\n")
		reader := bufio.NewReader(conn)
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res, reader
	}
	cookie := "Cookie: " + sessionCookie + "=" + b.value(sessionCookie) + "\r\n"
	for what, res := range map[string]*http.Response{
		"another origin": first(shake("https://evil.example", cookie)), "no session": first(shake(origin, "")),
	} {
		if res.StatusCode != 401 && res.StatusCode != 403 {
			t.Errorf("a socket with %s: %d", what, res.StatusCode)
		}
	}
	res, socket := shake(origin, cookie)
	if res.StatusCode != 101 {
		t.Fatalf("the app's own socket: %d", res.StatusCode)
	}
	source := <-opened
	t.Cleanup(func() { _ = source.Close() })
	for l := range w.store.sessions {
		if _, err := w.store.Delete(t.Context(), l, nil, bff.ReasonSignedOut); err != nil {
			t.Fatal(err)
		}
	}
	if rest, err := io.ReadAll(socket); err != nil || len(rest) > 0 { // ends, and not by the deadline
		t.Errorf("the socket of an ended session: %q %v", rest, err)
	}
	if len(opened) > 0 {
		t.Error("a refused handshake reached the development server")
	}
}

func first(res *http.Response, _ *bufio.Reader) *http.Response { return res }
