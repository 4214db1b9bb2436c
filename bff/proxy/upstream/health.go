package upstream

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// unwellAfter is how many answers in a row must be bad before a target goes out: one that is lost is no illness.
const unwellAfter = 2

// Run asks all targets how they are until ctx ends. Without a path of health it returns at once.
func (u *Upstream) Run(ctx context.Context) {
	if u.set.Health.Path == "" {
		return
	}
	var all sync.WaitGroup
	for _, t := range u.targets {
		all.Go(func() { t.attend(ctx, u.set.Health) })
	}
	all.Wait()
}

// attend asks one target, again and again.
func (t *target) attend(ctx context.Context, h Health) {
	bad := 0
	for {
		if err := t.ask(ctx, h); err == nil {
			bad = 0
			t.feel(true)
		} else if bad++; bad >= unwellAfter && ctx.Err() == nil {
			t.met(err)
			t.feel(false)
		}
		// A tenth to and fro, so that many instances do not ask in step.
		pause := time.NewTimer(h.Every*9/10 + rand.N(h.Every/5+1))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// ask returns nil where a target says that it is well. No credential goes along, and no redirect is followed.
func (t *target) ask(ctx context.Context, h Health) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.set.Origin+h.Path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "cloakroom-health")
	res, err := t.shared.RoundTrip(r)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // a short one's connection is used again
	_ = res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode >= 400 {
		return fmt.Errorf("%s: status %d", h.Path, res.StatusCode)
	}
	return nil
}
