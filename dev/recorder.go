package dev

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// hitsKept bounds the memory of a long-running demo.
const hitsKept = 1024

// Hit is one request that reached the API, answered or refused.
type Hit struct {
	Method string
	Path   string
	Query  string // raw
	Host   string
	Header http.Header // whole, with the token: for tests, never for an answer
	Time   time.Time
}

// recorder counts all requests and remembers the last ones.
type recorder struct {
	mu    sync.Mutex
	count int
	last  []Hit
}

func (rec *recorder) add(r *http.Request, at time.Time) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.count++
	rec.last = append(rec.last, Hit{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host,
		Header: r.Header.Clone(), Time: at,
	})
	if len(rec.last) > hitsKept {
		rec.last = slices.Delete(rec.last, 0, len(rec.last)-hitsKept)
	}
}

// Hits is how many requests have reached the API, refused ones too.
func (a *API) Hits() int {
	a.recorder.mu.Lock()
	defer a.recorder.mu.Unlock()
	return a.recorder.count
}

// Recorded is the last requests that reached the API, oldest first, at most 1,024.
func (a *API) Recorded() []Hit {
	a.recorder.mu.Lock()
	defer a.recorder.mu.Unlock()
	return slices.Clone(a.recorder.last)
}
