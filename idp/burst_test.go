package idp_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"
)

const spentAnswer = `{"error":"invalid_grant"}`

// renews refreshes sessions of the numbers from … to, one after the other, and counts those that end.
func renews(t *testing.T, p *provider, c *idp.Client, from, to int) (ended int) {
	t.Helper()
	for i := from; i < to; i++ {
		s := p.session()
		s.Lookup = bff.Lookup(fmt.Sprint(i))
		_, err := c.Refresh(t.Context(), s, "")
		if err == nil || errors.Is(err, idp.ErrBurst) {
			continue
		}
		if e := outcomeOf(t, err); e.Outcome != bff.OutcomeSpent {
			t.Fatalf("refresh %d: %v", i, err)
		}
		ended++
	}
	return ended
}

// A provider that loses its tokens in the middle of a busy minute ends no more sessions than one that does so at night: what
// it answered well a moment ago does not count for what it refuses now.
//
// shows REF-SOFT
func TestABurstAfterManyGoodAnswers(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	p.givesTokens(map[string]any{"id_token": nil})
	renews(t, p, c, 0, 100)
	p.replies("/token", 400, "application/json", spentAnswer)
	if n := renews(t, p, c, 100, 200); n > 20 || !p.alarmed("burst of spent refresh tokens") {
		t.Errorf("%d sessions ended before it was held back", n)
	}
}

// The good answers to one app say nothing of another one, whose registration is what was lost.
//
// shows REF-SOFT
func TestABurstOfOneAppBesideAnother(t *testing.T) {
	p := newProvider(t)
	is := p.issuer(nil)
	well := register(is)
	lost := is.Client(idp.ClientSettings{ClientID: "lost", Secret: bff.NewSecret(secret), RedirectURI: redirect})
	p.handle("/token", func(w http.ResponseWriter, r *http.Request) {
		if id, _, _ := r.BasicAuth(); id == "lost" || r.PostFormValue("client_id") == "lost" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, spentAnswer)
			return
		}
		p.answer(w, 200, p.tokens(map[string]any{"id_token": nil}))
	})
	ended := 0
	for i := range 60 {
		renews(t, p, well, 1000+2*i, 1002+2*i)
		ended += renews(t, p, lost, i, i+1)
	}
	if ended != 19 {
		t.Errorf("%d sessions of the app ended before it was held back, want 19", ended)
	}
}

// Where most answers are good, a session whose token is spent ends at once, also while another call is on its way: it cannot
// make a burst of them any more.
//
// shows REF-SOFT
func TestNobodyWaitsForABurstThatCannotCome(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	gate, held := make(chan struct{}), make(chan struct{})
	p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
		close(held)
		<-gate
		p.answer(w, 200, p.tokens(nil))
	})
	var slow sync.WaitGroup
	slow.Go(func() { renews(t, p, c, 0, 1) })
	<-held
	defer slow.Wait()
	defer close(gate)
	p.givesTokens(map[string]any{"id_token": nil})
	renews(t, p, c, 1, 23)
	p.replies("/token", 400, "application/json", spentAnswer)
	for i := range 19 { // with the one on its way twenty, and more than half of the answers are good
		began := time.Now()
		if renews(t, p, c, 100+i, 101+i) != 1 {
			t.Fatalf("spent token %d is held back", i)
		}
		if took := time.Since(began); took > 900*time.Millisecond { // the wait is a second
			t.Fatalf("spent token %d waited %v for others", i, took)
		}
	}
}

// Many that are refused at the same moment are no more spent than one another: the first ones wait for the others, and none
// of them ends.
//
// shows REF-SOFT
func TestABurstOfTokensRefusedAtTheSameMoment(t *testing.T) {
	p := newProvider(t)
	var arrived sync.WaitGroup
	arrived.Add(40)
	p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		arrived.Wait()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, spentAnswer)
	})
	c := p.client(nil)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			s := p.session()
			s.Lookup = bff.Lookup(fmt.Sprint(i))
			if _, err := c.Refresh(t.Context(), s, ""); !errors.Is(err, idp.ErrBurst) {
				t.Errorf("refresh %d: %v", i, err)
			}
		})
	}
	all.Wait()
}
