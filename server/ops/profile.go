package ops

import (
	"net/http"
	"net/http/pprof"
	runtimepprof "runtime/pprof"
	"slices"
)

// profiles names what of the process can be looked at.
func profiles(j *job) error {
	names := []string{"profile", "trace"}
	for _, p := range runtimepprof.Profiles() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	answer(j.w, http.StatusOK, map[string]any{"profiles": names})
	return nil
}

// profile serves one of them, as net/http/pprof does: "profile" is processor time, "trace" what the scheduler did, for the
// seconds that the query says. The command line is not among them, nor any page.
func profile(j *job) error {
	switch name := j.r.PathValue("name"); {
	case name == "profile":
		pprof.Profile(j.w, j.r)
	case name == "trace":
		pprof.Trace(j.w, j.r)
	case runtimepprof.Lookup(name) != nil:
		pprof.Handler(name).ServeHTTP(j.w, j.r)
	default:
		return nowhere(j)
	}
	return nil
}
