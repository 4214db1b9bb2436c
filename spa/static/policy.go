package static

import (
	"slices"
	"strings"
)

// policy is a Content-Security-Policy, taken apart (CSP Level 3 section 2.2.1).
type policy []directive

// directive is a name in lower case and what stands behind it.
type directive struct {
	name    string
	sources []string
}

// parsePolicy reads one serialized policy.
func parsePolicy(text string) (p policy) {
	for part := range strings.SplitSeq(text, ";") {
		if words := strings.Fields(part); len(words) > 0 {
			p = append(p, directive{strings.ToLower(words[0]), words[1:]})
		}
	}
	return p
}

// String serializes it.
func (p policy) String() string {
	var parts []string
	for _, d := range p {
		parts = append(parts, strings.Join(append([]string{d.name}, d.sources...), " "))
	}
	return strings.Join(parts, "; ")
}

// governing finds the directive that decides about elements of a kind ("script", "style") or, with part "-attr", about
// attributes of it: the most special one that is there (CSP Level 3 section 6.8.3). Of two with one name the first counts
// (section 2.2.1). It is -1 where none does, and then nothing is refused.
func (p policy) governing(kind, part string) int {
	for _, name := range []string{kind + "-src" + part, kind + "-src", "default-src"} {
		if i := slices.IndexFunc(p, func(d directive) bool { return d.name == name }); i >= 0 {
			return i
		}
	}
	return -1
}

const elements, attributes = "-elem", "-attr"

// allowsInline reports whether everything of a kind may stand in a page (CSP Level 3 section 6.7.3.2): 'unsafe-inline' says
// so, unless a nonce, a hash or, for scripts, 'strict-dynamic' beside it switches it off.
func (p policy) allowsInline(kind, part string) bool {
	at := p.governing(kind, part)
	if at < 0 {
		return true
	}
	unsafe := false
	for _, source := range p[at].sources {
		switch source = strings.ToLower(source); {
		case source == "'unsafe-inline'":
			unsafe = true
		case strings.HasPrefix(source, "'nonce-"), strings.HasPrefix(source, "'sha"), source == "'strict-dynamic'" && kind == "script":
			return false
		}
	}
	return unsafe
}

// allowsBase reports whether a page may say with <base> where its relative addresses begin (CSP Level 3 section 6.3.1). No
// other directive decides about it.
func (p policy) allowsBase() bool {
	at := slices.IndexFunc(p, func(d directive) bool { return d.name == "base-uri" })
	return at < 0 || slices.ContainsFunc(p[at].sources, func(s string) bool { return !strings.EqualFold(s, "'none'") })
}

// allow has a policy allow elements of a kind by the hashes of their text, and returns it. A policy that allows all of them is
// left as it is: a hash would switch its 'unsafe-inline' off, and with it the styles that scripts make. Nor does default-src
// get any, since it decides about both kinds: its sources become the kind's own.
func (p policy) allow(kind string, hashes []string) policy {
	at := p.governing(kind, elements)
	if len(hashes) == 0 || at < 0 || p.allowsInline(kind, elements) {
		return p
	}
	sources := slices.DeleteFunc(slices.Clone(p[at].sources), func(s string) bool { return strings.EqualFold(s, "'none'") })
	sources = append(sources, hashes...)
	changed := slices.Clone(p)
	if changed[at].name == "default-src" {
		return append(changed, directive{kind + "-src", sources})
	}
	changed[at].sources = sources
	return changed
}
