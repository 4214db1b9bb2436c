package ops

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"cloakroom/bff"
)

// selection says which sessions an act is about. One that is not certain is refused: what is left out or misspelled must
// never make it more.
type selection struct {
	target *bff.Target // by provider with sub or sid
	app    *bff.App
	all    bool
	dry    bool
	cursor string
}

func refused(format string, args ...any) error {
	return &bff.Error{Code: bff.CodeBadRequest, Message: fmt.Sprintf(format, args...)}
}

// parameters reads a query of which every name is known, and given once with a value.
func parameters(r *http.Request, known ...string) (map[string]string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refused("The query cannot be read.")
	}
	given := make(map[string]string, len(query))
	for name, values := range query {
		if !slices.Contains(known, name) {
			return nil, refused("The query may hold: %s.", strings.Join(known, ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return nil, refused("%s takes one value.", name)
		}
		given[name] = values[0]
	}
	return given, nil
}

// flag reads "true" or nothing.
func flag(given map[string]string, name string) (bool, error) {
	if value, there := given[name]; there && value != "true" {
		return false, refused("%s is true, or is left out.", name)
	}
	return given[name] == "true", nil
}

// targetOf reads provider with sub or sid; nil if none of them is there.
func (a *admin) targetOf(given map[string]string) (*bff.Target, error) {
	provider, sub, sid := given["provider"], given["sub"], given["sid"]
	switch {
	case provider+sub+sid == "":
		return nil, nil
	case provider == "" || (sub == "") == (sid == ""):
		return nil, refused("A user is named by provider and sub, a session at the provider by provider and sid.")
	case !slices.Contains(a.Providers, provider):
		return nil, refused("There is no such provider. These are configured: %s.", strings.Join(slices.Sorted(slices.Values(a.Providers)), ", "))
	case sub != "":
		return &bff.Target{Scope: bff.ScopeSubject, Provider: provider, Value: sub}, nil
	default:
		return &bff.Target{Scope: bff.ScopeSID, Provider: provider, Value: sid}, nil
	}
}

// ending reads what is to be ended: by exactly one selector.
func (a *admin) ending(r *http.Request) (s selection, err error) {
	given, err := parameters(r, "provider", "sub", "sid", "app", "all", "dry_run", "cursor")
	if err != nil {
		return s, err
	}
	if s.target, err = a.targetOf(given); err != nil {
		return s, err
	}
	if s.all, err = flag(given, "all"); err != nil {
		return s, err
	}
	if s.dry, err = flag(given, "dry_run"); err != nil {
		return s, err
	}
	if id, named := given["app"]; named {
		if s.app = a.Apps[id]; s.app == nil {
			return s, refused("There is no such app. These are configured: %s.", strings.Join(slices.Sorted(maps.Keys(a.Apps)), ", "))
		}
	}
	s.cursor = given["cursor"]
	return s, s.check()
}

// check refuses what is not exactly one selector.
func (s *selection) check() error {
	n := 0
	for _, is := range []bool{s.target != nil, s.app != nil, s.all} {
		if is {
			n++
		}
	}
	switch {
	case n != 1:
		return refused("Say which sessions: provider with sub or sid, app, or all=true.")
	case s.cursor != "" && s.target != nil:
		return refused("A cursor belongs to app or all.")
	}
	return nil
}

// note copies into the event what an act is about.
func (s *selection) note(e *bff.AdminEvent) {
	e.DryRun = s.dry
	if t := s.target; t != nil {
		e.Provider = t.Provider
		if t.Scope == bff.ScopeSID {
			e.SID = t.Value
		} else {
			e.Subject = t.Value
		}
	}
	switch {
	case s.app != nil:
		e.App = s.app.ID
	case s.all:
		e.App = "*" // no app's id
	}
}
