package bff_test

import (
	"fmt"
	"testing"
	"time"

	"cloakroom/bff"
)

// BenchmarkWatchOfAShortRequest is what a request pays for being watched until it is over, alone and beside 10,000 streams
// of 1,000 sessions. It asks nothing of the store.
func BenchmarkWatchOfAShortRequest(b *testing.B) {
	for _, streams := range []int{0, 10_000} {
		b.Run(fmt.Sprint("beside ", streams), func(b *testing.B) {
			e := bff.NewEngine(bff.Ports{}, nil, time.Now, &bff.Trace{}, bff.Limits{})
			session := func(i int) *bff.Session {
				return &bff.Session{
					Lookup: bff.Lookup(fmt.Sprintf("the-43-characters-of-a-lookup-as-it-is-%04d", i)), LastActive: time.Now(),
					Idle: time.Hour, AbsoluteEnd: time.Now().Add(time.Hour),
				}
			}
			for i := range streams {
				_, stop := e.Watch(b.Context(), session(i%1000))
				defer stop()
			}
			s := session(5000)
			b.ReportAllocs()
			for b.Loop() {
				_, stop := e.Watch(b.Context(), s)
				stop()
			}
		})
	}
}
