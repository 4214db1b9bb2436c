// Package leak finds secrets where they must not be, over everything that a test run could see.
//
// It knows secrets by kind and value, what was observed by place and field, and the rules that name the few fields whose
// purpose it is to carry a kind. It knows nothing of HTTP, Redis or logs: whoever feeds it gives the places their names.
//
// The journey: while the run lasts, Secret collects what was issued and Observe what was answered, logged or stored, in
// any order. At the end Report writes every secret in all forms that software gives to text (form.go), cuts the forms
// into an index (index.go), reads every observation once, and tells what matched, in whole or in a piece of 16
// characters, and was neither allowed nor public.
package leak

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

const (
	minSecret = 12 // bytes; what is shorter turns up by chance
	minPiece  = 16 // bytes of a form that count as a leak: 96 bits of base64, far beyond chance
)

// Rule allows secrets of Kinds in one Field of one Place. In each pattern * stands for any text; nothing else is special.
type Rule struct {
	Kinds []string // such as "session-cookie"; "*" is every kind
	Place string   // such as "GET /bff/callback*"
	Field string   // such as "header Set-Cookie" or "body"
}

// Finding is one kind of secret in one field of one place, however often.
type Finding struct {
	Kind, Place, Field string
	Form               string // how it was written: raw, base64, hex…
	Piece              string // the first match, at most 40 bytes of it
	Count              int    // matches
}

// String names the leak for a failure message.
func (f Finding) String() string {
	return fmt.Sprintf("%s in %s of %s, %s, %d times: %q", f.Kind, f.Field, f.Place, f.Form, f.Count, f.Piece)
}

// Scanner collects and reports. It is safe for concurrent use.
type Scanner struct {
	mu       sync.Mutex
	kinds    map[string][]string // secret → kinds
	secrets  []string            // in order of arrival
	rules    []rule
	public   map[string]bool
	observed []observation
	seen     map[[sha256.Size]byte]bool
}

type rule struct {
	kinds        []string
	place, field *regexp.Regexp
}

type observation struct {
	place, field string
	data         []byte
}

// New makes an empty scanner.
func New() *Scanner {
	return &Scanner{kinds: map[string][]string{}, public: map[string]bool{}, seen: map[[sha256.Size]byte]bool{}}
}

// Secret declares a value that must not be seen; values under 12 bytes are ignored. A value may have several kinds: a
// rule for one of them allows it. The header of a JWT is common text and not part of the secret.
func (s *Scanner) Secret(kind, value string) {
	if len(value) < minSecret {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.kinds[value]; !known {
		s.secrets = append(s.secrets, value)
	}
	if !slices.Contains(s.kinds[value], kind) {
		s.kinds[value] = append(s.kinds[value], kind)
	}
	if header, rest, ok := strings.Cut(value, "."); ok && strings.HasPrefix(header, "ey") && strings.Count(rest, ".") == 1 {
		s.public[header+"."] = true
	}
}

// Public declares text that anybody may read, such as an issuer or a key id: pieces that lie wholly within it, in any
// form, are no leak although tokens contain them.
func (s *Scanner) Public(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.public[text] = true
}

// Allow permits what a rule names; nothing else is permitted.
func (s *Scanner) Allow(r Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, rule{kinds: slices.Clone(r.Kinds), place: glob(r.Place), field: glob(r.Field)})
}

func glob(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`)
}

// Observe records what an outsider could see: place is such as "GET /bff/session" or "log", field such as "header
// Location" or "body". The data is copied; the same data of the same field is kept once.
func (s *Scanner) Observe(place, field string, data []byte) {
	if len(data) < minSecret {
		return
	}
	id := sha256.Sum256(slices.Concat([]byte(place), []byte{0}, []byte(field), []byte{0}, data))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[id] {
		return
	}
	s.seen[id] = true
	s.observed = append(s.observed, observation{place, field, bytes.Clone(data)})
}

// Report scans everything observed so far for everything declared so far. No finding is a clean run. It may be called
// again later.
func (s *Scanner) Report() []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := newIndex(s.secrets, s.public)
	found := map[Finding]*Finding{}
	var order []*Finding
	for _, o := range s.observed {
		for _, data := range unfold(o.data) {
			for _, m := range s.leaks(x, o, data) {
				f := Finding{Kind: m.kind, Place: o.place, Field: o.field, Form: x.forms[m.form].name}
				if found[f] == nil {
					first := f
					first.Piece = string(data[m.start:min(m.end, m.start+40)]) // enough to search for, too little to use
					found[f] = &first
					order = append(order, &first)
				}
				found[f].Count++
			}
		}
	}
	findings := make([]Finding, 0, len(order))
	for _, f := range order {
		findings = append(findings, *f)
	}
	return findings
}

// leaked is a match that nobody allowed.
type leaked struct {
	match
	kind string
}

// leaks sorts an observation's matches. What lies within a whole secret is that secret's own text (two tokens of one
// issuer share pieces), and is judged with it; what is left, not allowed and not public is a leak.
func (s *Scanner) leaks(x *index, o observation, data []byte) []leaked {
	var whole []match
	var rest []leaked
	for _, m := range x.scan(data) {
		if m.end-m.start == len(x.forms[m.form].text) {
			whole = append(whole, m)
		}
		if kinds := s.kinds[x.forms[m.form].secret]; !s.allowed(kinds, o) {
			rest = append(rest, leaked{m, kinds[0]})
		}
	}
	return slices.DeleteFunc(rest, func(l leaked) bool { return x.excused(data, l.match, whole) })
}

func (s *Scanner) allowed(kinds []string, o observation) bool {
	return slices.ContainsFunc(s.rules, func(r rule) bool {
		kind := slices.ContainsFunc(r.kinds, func(k string) bool { return k == "*" || slices.Contains(kinds, k) })
		return kind && r.place.MatchString(o.place) && r.field.MatchString(o.field)
	})
}
