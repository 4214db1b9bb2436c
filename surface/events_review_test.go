package surface_test

import (
	"context"
	"testing"
	"time"
)

// Streams that were opened together, as after an instance stopped, do not give their first sign of life together.
func TestFirstSignsOfLifeAreSpread(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.session.Idle = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		began, readers, over := time.Now(), make([]*reader, 10), make([]chan struct{}, 10)
		for i := range readers {
			readers[i] = new(reader)
			over[i] = s.open(t, ctx, readers[i])
		}
		time.Sleep(30 * time.Second) // each has given one by then
		cancel()
		first := map[time.Duration]bool{}
		for i, r := range readers {
			<-over[i]
			first[r.at[1].Sub(began)] = true
		}
		if len(first) < 8 {
			t.Errorf("ten streams gave their first sign at %d moments", len(first))
		}
	})
}
