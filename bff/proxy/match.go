package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"cloakroom/bff"
)

// Match is a route found for a request.
type Match struct {
	route *compiled
	path  string            // clean, as it came
	words map[string]string // what stands in the places of a template's names
	allow []string          // what the path takes, for OPTIONS
}

// Route returns the route as given to NewTable, with its defaults filled in.
func (m *Match) Route() Route { return m.route.Route }

// Path returns the clean path that was matched, escaped as it came.
func (m *Match) Path() string { return m.path }

// MethodError is the refusal of a method; it unwraps to a *bff.Error with CodeMethodNotAllowed.
type MethodError struct {
	Allow []string // for the Allow field, which a 405 must have (RFC 9110 section 15.5.6); sorted
	Err   *bff.Error
}

// Error is the text of the error it wraps.
func (e *MethodError) Error() string { return e.Err.Error() }

// Unwrap returns the *bff.Error.
func (e *MethodError) Unwrap() error { return e.Err }

// Match finds the route that one of the apps may take, for a path that CleanPath returned. The longest path decides, then
// the app, then the method: a shorter route is never a way around a longer one. The site of another app is not there: it
// lives at that app's origin, and this one may have files at the same path. Errors are *bff.Error with CodeNotFound,
// CodeAppNotAllowed or CodeBadRequest, or a *MethodError.
func (t *Table) Match(method, cleanPath string, apps ...string) (*Match, error) {
	plain, err := decode(cleanPath)
	if err != nil {
		return nil, err
	}
	found, err := t.find(plain)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notFound("no route")
	}
	m := &Match{path: cleanPath}
	open := slices.DeleteFunc(slices.Clone(found), func(c *compiled) bool { return len(c.Apps) > 0 && !intersect(c.Apps, apps) })
	m.route, m.allow = take(open, method)
	if len(open) == 0 && !slices.ContainsFunc(found, func(c *compiled) bool { return c.Kind != KindSite }) {
		return nil, notFound("a site of another app's origin") // which has files of its own, perhaps, at the same path
	}
	if len(open) == 0 {
		return nil, &bff.Error{Code: bff.CodeAppNotAllowed, Message: "This app may not use this address."}
	}
	if m.route == nil {
		return nil, &MethodError{Allow: m.allow, Err: &bff.Error{
			Code: bff.CodeMethodNotAllowed, Message: "This address does not take this method.",
		}}
	}
	if err := m.route.refuseStatic(method, plain); err != nil {
		return nil, err
	}
	if m.words, err = m.route.words(plain); err != nil {
		return nil, err
	}
	return m, nil
}

// take finds the route of a method among those that one path has, and all methods that they take, sorted. HEAD goes where GET
// goes, as RFC 9110 section 9.3.2 has it, unless one lists it itself.
func take(routes []*compiled, method string) (taken *compiled, allow []string) {
	for _, c := range routes {
		if taken == nil && slices.Contains(c.Methods, method) {
			taken = c
		}
		allow = append(allow, c.Methods...)
	}
	if slices.Contains(allow, http.MethodGet) {
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	if taken == nil && method == http.MethodHead {
		taken, _ = take(routes, http.MethodGet)
	}
	return taken, slices.Compact(allow)
}

// decode undoes the escapes of a clean path, once.
func decode(cleanPath string) (string, error) {
	if strings.IndexByte(cleanPath, '%') < 0 {
		return cleanPath, nil
	}
	plain, err := url.PathUnescape(cleanPath)
	if err != nil {
		return "", badRequest("path does not decode")
	}
	return plain, nil
}

// find returns the routes of the longest path that matches, best first: several only if they share it.
func (t *Table) find(plain string) ([]*compiled, error) {
	found := t.longest(plain)
	if strings.IndexByte(plain, ';') >= 0 && !slices.Equal(found, t.longest(withoutParameters(plain))) {
		// RFC 3986 section 3.3: some APIs drop ";…" of a segment before they route. If that would change whose path it
		// is, the two sides would disagree about what was asked for.
		return nil, badRequest("path parameters change the route")
	}
	return found, nil
}

func (t *Table) longest(plain string) []*compiled {
	for i, c := range t.routes {
		if c.matches(plain) {
			n := 1
			for i+n < len(t.routes) && t.routes[i+n].shape == c.shape {
				n++
			}
			return t.routes[i : i+n : i+n]
		}
	}
	return nil
}

// matches compares whole segments: /apix is not below /api.
func (c *compiled) matches(plain string) bool {
	if c.template != nil {
		return c.matchesTemplate(plain)
	}
	rest, ok := strings.CutPrefix(plain, c.stem)
	switch {
	case !ok:
		return false
	case rest == "":
		return true
	default:
		return c.tree && rest[0] == '/'
	}
}

// withoutParameters cuts every segment at its first semicolon.
func withoutParameters(plain string) string {
	segments := strings.Split(plain, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

// order sorts so that of all that match a path the first is the one to take: see shapeOf. Equal ones stand side by side.
func (t *Table) order() {
	slices.SortStableFunc(t.routes, func(a, b *compiled) int { return cmp.Compare(a.shape, b.shape) })
}

// overlaps reports routes that could both take one request.
func (t *Table) overlaps() error {
	var problems []error
	for i, a := range t.routes {
		for _, b := range t.routes[i+1:] {
			sameApp := len(a.Apps) == 0 || len(b.Apps) == 0 || intersect(a.Apps, b.Apps)
			if a.crosses(b) {
				problems = append(problems, fmt.Errorf("routes %s and %s cross: neither is the more literal for what both take", a.Name, b.Name))
			}
			if a.shape == b.shape && sameApp && intersect(a.Methods, b.Methods) {
				problems = append(problems, fmt.Errorf("routes %s and %s take the same requests", a.Name, b.Name))
			}
		}
	}
	return errors.Join(problems...)
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// staticSuffixes are what shared caches keep for their look alone, whatever the answer says.
const staticSuffixes = " .css .js .mjs .map .wasm .png .jpg .jpeg .gif .svg .ico .webp .avif .bmp" +
	" .woff .woff2 .ttf .otf .eot .mp3 .mp4 .ogg .webm .swf "

// refuseStatic hides an API behind paths that look like a file: a cache in front that goes by suffix would keep one
// user's answer for the next (RFC 9111 section 7.3). The route's own path and what it lists are meant to look so.
func (c *compiled) refuseStatic(method, plain string) error {
	if method != http.MethodGet && method != http.MethodHead || c.Guard == GuardOrigin || c.Kind == KindSite {
		return nil // a site is made of files too, and its answers are private: see keepPrivate
	}
	suffix := path.Ext(plain)
	if suffix == "" || plain == c.stem {
		return nil
	}
	suffix = strings.ToLower(suffix)
	if !strings.Contains(staticSuffixes, " "+suffix+" ") || slices.Contains(c.StaticSuffixes, suffix) {
		return nil
	}
	return notFound("static-looking suffix")
}

func notFound(why string) *bff.Error {
	return &bff.Error{Code: bff.CodeNotFound, Message: "There is nothing here.", Err: errors.New(why)}
}
