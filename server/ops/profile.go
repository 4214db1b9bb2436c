package ops

import (
	"io"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"time"

	"cloakroom/bff"
)

// longestProfile bounds what one request may have the process write down: a profile slows it by some percent.
const longestProfile = 60 // seconds

// profiles names what of the process can be looked at.
func profiles(j *job) error {
	if _, err := parameters(j.r); err != nil {
		return err
	}
	names := []string{"profile", "trace"}
	for _, p := range pprof.Profiles() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	answer(j.w, http.StatusOK, map[string]any{"profiles": names})
	return nil
}

// profile serves one of them: "profile" is processor time, "trace" what the scheduler did, for the seconds that the query
// says; of the others debug=1 is a text. (net/http/pprof would put itself, and the command line, on the default mux.)
func profile(j *job) error {
	given, err := parameters(j.r, "seconds", "debug")
	if err != nil {
		return err
	}
	seconds, err := number(given, "seconds", 10, longestProfile)
	if err != nil {
		return err
	}
	debug, err := number(given, "debug", 0, 2)
	if err != nil {
		return err
	}
	switch name := j.r.PathValue("name"); {
	case name == "profile":
		return record(j, seconds, pprof.StartCPUProfile, pprof.StopCPUProfile)
	case name == "trace":
		return record(j, seconds, trace.Start, trace.Stop)
	case pprof.Lookup(name) != nil:
		j.w.Header().Set("Content-Type", "application/octet-stream")
		if debug > 0 {
			j.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		j.opened = true
		return pprof.Lookup(name).WriteTo(j.w, debug)
	default:
		return nowhere(j)
	}
}

// number reads a parameter from 0 to most.
func number(given map[string]string, name string, otherwise, most int) (int, error) {
	text, there := given[name]
	if !there {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, refused("%s is a number, %d at most.", name, most)
	}
	return n, nil
}

// record writes down what happens for a while, or until the client leaves.
func record(j *job, seconds int, start func(io.Writer) error, stop func()) error {
	j.w.Header().Set("Content-Type", "application/octet-stream")
	if err := start(j.w); err != nil { // one at a time
		return &bff.Error{Code: bff.CodeRateLimited, Message: "One is being made.", RetryAfter: longestProfile * time.Second, Err: err}
	}
	defer stop()
	j.opened = true
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
		return nil
	case <-j.r.Context().Done():
		return j.r.Context().Err()
	}
}
