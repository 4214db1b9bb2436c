package redisproc

import (
	"testing"
	"time"
)

// await polls a condition: what servers agree on among themselves they tell nobody.
func await(tb testing.TB, within time.Duration, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(within); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatalf("after %v there are no %s", within, what)
		}
	}
}
