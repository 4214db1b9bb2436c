package static

import (
	"net/http"
	"net/url"
	"strings"
)

// public are the paths of a protected folder that everybody may see. They are compared with the name that the file is
// looked up by, decoded once: no spelling of a path is public under one reading and another file under the next.
type public struct {
	exact map[string]bool // names, without the first slash
	below []string        // folders, each with a slash at its end
}

func newPublic(o Options) public {
	p := public{exact: make(map[string]bool)}
	for _, at := range o.Public {
		name := strings.TrimPrefix(at, "/")
		if name == "" {
			continue // the whole folder is public where it is not protected
		}
		if stem, isFolder := strings.CutSuffix(name, "/"); isFolder {
			p.below = append(p.below, name)
			name = stem // which moves on to the folder
		}
		p.exact[name] = true
	}
	return p
}

// has reports whether everybody may see what an address names. What names no file is nobody's.
func (p public) has(u *url.URL) bool {
	name, ok := nameOf(u)
	return ok && p.hasName(name)
}

func (p public) hasName(name string) bool {
	if p.exact[name] {
		return true
	}
	for _, folder := range p.below {
		if strings.HasPrefix(name, folder) {
			return true
		}
	}
	return false
}

// Public reports whether everybody may see what a request asks for; all else of a protected site takes a session.
func (s *Site) Public(r *http.Request) bool { return s.public.has(r.URL) }

// rulesAt are the rules for what a request asks for.
func (f *folder) rulesAt(r *http.Request) rules {
	rules := f.rules
	if f.public.has(r.URL) {
		rules.protected = false
	}
	return rules
}
