package bff_test

import (
	"context"
	"testing"
	"time"

	"cloakroom/bff"
)

// meetingRecords lets deletions by a marker go on only once all of them are there.
type meetingRecords struct {
	bff.Records
	there  chan struct{} // one value per deletion
	goOn   chan struct{}
	breaks bool // each panics instead
}

func (r *meetingRecords) Delete(ctx context.Context, l bff.Lookup, m *bff.Marker, why bff.Reason) (*bff.Ended, error) {
	if m != nil {
		r.there <- struct{}{}
		if r.breaks {
			panic("a bug in the store")
		}
		<-r.goOn
	}
	return r.Records.Delete(ctx, l, m, why)
}

// meeting starts an instance whose deletions meet.
func meeting(w *world) (*instance, *meetingRecords) {
	r := &meetingRecords{there: make(chan struct{}, 100), goOn: make(chan struct{})}
	return w.instance(func(p *bff.Ports) { r.Records, p.Records = p.Records, r }), r
}

// Where each deletion waits for a replica, the last app of an SSO session hears of its end with the first.
func TestSessionsOfASignOutEndTogether(t *testing.T) {
	w := newWorld(t)
	in, r := meeting(w)
	var roots []bff.Root
	for range 6 {
		roots = append(roots, w.login(in))
	}
	over := make(chan error, 1)
	go func() {
		_, err := in.SignOut(context.Background(), w.app, w.session(in, roots[0]))
		over <- err
	}()
	for n := range len(roots) - 1 { // all but the caller's own, which goes last
		select {
		case <-r.there:
		case <-time.After(10 * time.Second):
			t.Fatalf("only %d of 5 sessions were being ended at once", n)
		}
	}
	close(r.goOn)
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		w.dead(in, root)
	}
}

// What broke off is not told as done: whoever asked asks again.
func TestAnEndingThatBreaksOffIsNoSuccess(t *testing.T) {
	w := newWorld(t)
	in, r := meeting(w)
	w.login(in)
	mine := w.login(in)
	r.breaks = true
	if _, err := in.SignOut(context.Background(), w.app, w.session(in, mine)); bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Fatalf("signing out = %v, want %s", err, bff.CodeStoreUnavailable)
	}
	w.session(in, mine) // so that it can be repeated
}
