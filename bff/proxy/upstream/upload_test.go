package upstream_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/bff/proxy/upstream"
)

var errGone = errors.New("the frontend broke off")

// broken is a body that breaks off behind what it has.
func broken(has string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(has), failing{})), 1000
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errGone }

// A body that its frontend breaks off says nothing of the target, and is not sent again: or whoever sends half bodies could put an
// API out for everybody.
func TestABodyThatBreaksOff(t *testing.T) {
	for _, method := range []string{"POST", "GET"} {
		for targets := 1; targets <= 2; targets++ {
			t.Run(fmt.Sprintf("%s at %d targets", method, targets), func(t *testing.T) {
				a, b := newMachine(t, well), newMachine(t, well)
				retried := 0
				s := upstream.Settings{Failures: 1, Open: time.Hour, Told: upstream.Told{Retried: func(string, string) { retried++ }}}
				u := newUpstream(t, s, []string{a.addr(), b.addr()}[:targets]...)
				way := u.Within(hangs)
				for range 4 {
					if got := ask(t, way, method, "", "", broken("half")); got.err == nil {
						t.Fatalf("got %+v", got)
					}
				}
				if u.Down() || retried != 0 {
					t.Errorf("down: %v, sent again %d times", u.Down(), retried)
				}
				if got := ask(t, way, method, "", "whole"); got.body != "ok whole" {
					t.Errorf("the next one: %+v", got)
				}
			})
		}
	}
}

// A body of unknown length is not kept, however short it turns out to be: nobody knows how long it gets.
func TestABodyOfUnknownLengthIsSentOnce(t *testing.T) {
	bad, good := newMachine(t, lost), newMachine(t, well)
	way := newUpstream(t, upstream.Settings{Failures: never}, bad.addr(), good.addr()).Within(hangs)
	for i := range 24 {
		id := fmt.Sprint(i)
		ask(t, way, "GET", id, "q", func(r *http.Request) { r.ContentLength = -1 })
		if n := bad.of(id) + good.of(id); n != 1 {
			t.Fatalf("sent %d times", n)
		}
	}
	if bad.hits() == 0 {
		t.Error("the faulty target was never asked")
	}
}
