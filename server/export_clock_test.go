package server

import (
	"context"
	"time"
)

// Drift is how far Redis is ahead of this server's own clock, as it was measured last.
func (s *Server) Drift() time.Duration { return s.store.Drift() }

// Measure has the server look at Redis's clock, as it does every 30 s, until ctx ends.
func (s *Server) Measure(ctx context.Context) { s.store.Run(ctx) }
