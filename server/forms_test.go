package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"cloakroom/server"
)

// A body that a file or a form waits for holds no connection: neither where nobody reads it, nor where somebody does.
//
// shows PRX-LIMIT
func TestABodyThatComesTooSlowly(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{FormTime: 300 * time.Millisecond})
	form := "Content-Type: application/x-www-form-urlencoded\nContent-Length: 100\n\ngrant_type=refr"
	chunked := "Content-Type: application/x-www-form-urlencoded\nTransfer-Encoding: chunked\n\n4\nabcd\n"
	for what, head := range map[string]string{
		"a file":             "GET /a/b.txt HTTP/1.1\nHost: open.example.com\nContent-Length: 100\n\n",
		"a long file":        "GET /long.txt HTTP/1.1\nHost: open.example.com\nContent-Length: 100\n\n",
		"a page":             "GET / HTTP/1.1\nHost: open.example.com\nSec-Fetch-Mode: navigate\nTransfer-Encoding: chunked\n\n",
		"a protected page":   "GET / HTTP/1.1\nHost: shut.example.com\nSec-Fetch-Mode: navigate\nContent-Length: 100\n\n",
		"a token request":    "POST /mobile/token HTTP/1.1\nHost: gw.example.com\n" + form,
		"a chunked one":      "POST /mobile/token HTTP/1.1\nHost: gw.example.com\n" + chunked,
		"a revocation":       "POST /mobile/revoke HTTP/1.1\nHost: gw.example.com\n" + form,
		"a sign-out":         "POST /mobile/logout HTTP/1.1\nHost: gw.example.com\n" + form,
		"a confirmation":     "POST /mobile/callback/phone HTTP/1.1\nHost: gw.example.com\nOrigin: https://gw.example.com\n" + form,
		"a read with a form": "GET /mobile/session HTTP/1.1\nHost: gw.example.com\n" + form,
		"a route":            "POST /files/x HTTP/1.1\nHost: gw.example.com\n" + form,
	} {
		t.Run("a connection with "+what, func(t *testing.T) {
			t.Parallel()
			c := f.open(head)
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second)) // far more than all limits together
			if all, err := io.ReadAll(c); isTimeout(err) {
				t.Errorf("still open after %q", all)
			}
		})
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// shows PRX-LIMIT
func TestAFormThatComesTooSlowlyOverHTTP2(t *testing.T) {
	s, _ := manned(t, echoing(t), nowhereURL, server.Options{FormTime: 200 * time.Millisecond})
	srv := httptest.NewUnstartedServer(s.Handler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	body, never := io.Pipe()
	t.Cleanup(func() { _ = never.Close() })
	req, err := http.NewRequest("POST", srv.URL+"/mobile/token", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "gw.example.com"
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	over := make(chan error, 1)
	go func() {
		res, err := srv.Client().Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		over <- err
	}()
	select {
	case <-over:
	case <-time.After(patience):
		t.Error("the stream is still open")
	}
}

// The limit is of the form alone: what is done with it may take longer, and a body that is no form as long as it likes.
func TestAnAnswerThatTakesLongerThanAForm(t *testing.T) {
	s, _ := wired(t, "/api/", nowhereURL, server.Options{})
	const within = 500 * time.Millisecond
	srv := httptest.NewServer(s.Observed(func(w http.ResponseWriter, r *http.Request) error {
		lift := server.FormInTime(w, r, within)
		if r.URL.Path == "/upload" {
			lift()
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			return err
		}
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-time.After(2 * within):
		}
		_, err := io.WriteString(w, "done")
		return err
	}))
	t.Cleanup(srv.Close)
	f := &front{t: t, addr: srv.Listener.Addr().String()}
	// Nothing follows the form: what the server reads next is the end of its patience, should it still be set.
	c := f.open("POST /form HTTP/1.1\nHost: app.example.com\nContent-Length: 2\n\nab")
	form, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("a form: %v", err)
	}
	text, err := io.ReadAll(form.Body)
	_ = form.Body.Close()
	if err != nil || form.StatusCode != 200 || string(text) != "done" {
		t.Errorf("a form: %d %q %v", form.StatusCode, text, err)
	}
	c = f.open("POST /upload HTTP/1.1\nHost: app.example.com\nContent-Length: 4\n\nab")
	<-time.After(2 * within)
	_, _ = io.WriteString(c, "cd")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("an upload: %v %v", res, err)
	}
	_ = res.Body.Close()
}
