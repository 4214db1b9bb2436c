//go:build integration

package e2e_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/test/gateway"
)

// Calls in the shape of gRPC over HTTP/2: messages of a length and bytes, both ways at once, and how it went in trailers.

// message is one on the wire: not compressed, its length, itself.
func message(text string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
}

// next reads one message.
func next(r io.Reader) (string, error) {
	var frame [5]byte
	if _, err := io.ReadFull(r, frame[:]); err != nil {
		return "", err
	}
	text := make([]byte, binary.BigEndian.Uint32(frame[1:]))
	_, err := io.ReadFull(r, text)
	return string(text), err
}

// calls are the methods of a service: one message for one, each message answered as it comes, and a refusal that is all
// trailers.
func calls(mux *http.ServeMux) {
	reply := func(w http.ResponseWriter, text string) {
		_, _ = w.Write(message(text))
		_ = http.NewResponseController(w).Flush()
	}
	begin := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		_ = http.NewResponseController(w).Flush()
	}
	mux.HandleFunc("POST /shop.Orders/Get", func(w http.ResponseWriter, r *http.Request) {
		asked, err := next(r.Body)
		begin(w)
		if err != nil || r.Header.Get("Te") != "trailers" {
			w.Header().Set("Grpc-Status", "13")
			return
		}
		reply(w, "order of "+asked)
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Grpc-Message", "done")
	})
	mux.HandleFunc("POST /shop.Orders/Talk", func(w http.ResponseWriter, r *http.Request) {
		begin(w)
		for {
			said, err := next(r.Body)
			if err != nil {
				w.Header().Set("Grpc-Status", map[bool]string{true: "0", false: "1"}[errors.Is(err, io.EOF)])
				return
			}
			reply(w, "heard "+said)
		}
	})
	mux.HandleFunc("POST /shop.Orders/Deny", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "7")
		w.Header().Set("Grpc-Message", "not yours")
	})
}

// call begins one, and returns what writes its messages.
func (w *junction) call(c *http.Client, path string) (*io.PipeWriter, *http.Request) {
	w.T.Helper()
	in, out := io.Pipe()
	w.T.Cleanup(func() { _ = out.Close() })
	return out, w.request("POST", path, in, "Content-Type", "application/grpc", "Te", "trailers")
}

// status is how a call went, as its trailers tell.
func status(res *http.Response) string {
	return fmt.Sprintf("%d %s %s", res.StatusCode, res.Trailer.Get("Grpc-Status"), res.Trailer.Get("Grpc-Message"))
}

func TestCallsInTheShapeOfGRPC(t *testing.T) {
	// shows PRX-SMUG, PRX-LIVE
	t.Parallel()
	w := newJunction(t, 1, transported(), "body_bytes: 1MiB")
	c := w.client(w.secure[0], true)
	for _, leg := range legs[1:] {
		path := "/" + leg + "/shop.Orders/"
		out, r := w.call(c, path+"Get")
		go func() { _, _ = out.Write(message("7")); _ = out.Close() }()
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := next(res.Body)
		rest, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || answer != "order of 7" || len(rest) != 0 || status(res) != "200 0 done" {
			t.Errorf("%s, one for one: %q %v, %s", leg, answer, err, status(res))
		}
		if got := res.Header.Get("Content-Type"); got != "application/grpc" {
			t.Errorf("%s: Content-Type %q", leg, got)
		}

		res = w.send(c, w.request("POST", path+"Deny", strings.NewReader(string(message("7"))), "Content-Type", "application/grpc", "Te", "trailers")).Response
		if res.StatusCode != 200 || res.Header.Get("Grpc-Status") != "7" || res.Header.Get("Grpc-Message") != "not yours" {
			t.Errorf("%s, trailers only: %d %v %v", leg, res.StatusCode, res.Header, res.Trailer)
		}

		w.talk(c, path+"Talk", 500)
	}
}

// talk speaks both ways: each message is answered before the next is said, and the trailers come at the end.
func (w *junction) talk(c *http.Client, path string, messages int) {
	w.T.Helper()
	out, r := w.call(c, path)
	res, err := c.Do(r) // its head is there before anything was said
	if err != nil {
		w.T.Fatal(err)
	}
	defer res.Body.Close()
	for i := range messages {
		said := fmt.Sprint(i)
		if _, err := out.Write(message(said)); err != nil {
			w.T.Fatalf("%s, message %d: %v", path, i, err)
		}
		if got, err := next(res.Body); err != nil || got != "heard "+said {
			w.T.Fatalf("%s, message %d: %q, %v", path, i, got, err)
		}
	}
	_ = out.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 || status(res) != "200 0 " {
		w.T.Errorf("%s: at the end %q, %v, %s", path, rest, err, status(res))
	}
}

// A call that streams both ways ends with its session, whichever instance it goes through, and the API is told.
func TestACallEndsWithASignOut(t *testing.T) {
	// shows PRX-LIVE, SESS-KILL
	t.Parallel()
	ended := make(chan error, 2)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /talk", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(rw).Flush()
		_, err := io.Copy(rw, r.Body)
		ended <- err
	})
	w := newJunction(t, 2, mux, "body_bytes: 1MiB")
	type talk struct {
		in   *gateway.Instance
		res  *http.Response
		over chan error
	}
	var talks []*talk
	for _, in := range w.secure {
		c := w.client(in, true)
		out, r := w.call(c, "/h2c/talk")
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = out.Write(message("hello"))
		one := &talk{in, res, make(chan error, 1)}
		go func() { _, err := io.Copy(io.Discard, res.Body); one.over <- err }()
		talks = append(talks, one)
	}
	at := time.Now()
	w.Want(w.Fetch(w.user, "POST", "/bff/logout", ""), 200)
	for i, one := range talks {
		select {
		case err := <-one.over:
			if err == nil {
				t.Errorf("instance %d: the call ended as if all had been said", i)
			}
			t.Logf("instance %d: the call was broken off after %v: %v", i, time.Since(at).Round(time.Millisecond), err)
		case <-time.After(10 * time.Second):
			t.Fatalf("instance %d: the call goes on", i)
		}
		_ = one.res.Body.Close()
	}
	for range talks {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("the API saw a body that was whole")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the API still listens")
		}
	}
	if diff := cmp.Diff(401, w.send(w.client(w.secure[0], true), w.request("GET", "/h2c/talk", nil)).StatusCode); diff != "" {
		t.Errorf("afterwards (-want +got): %s", diff)
	}
}
