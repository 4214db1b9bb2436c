package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one finding: where it is, what is wrong and what to do.
type Problem struct {
	// File is the configuration file as it was named, or "env NAME" for a value
	// from the environment.
	File string
	// Line counts from 1; 0 for a value from the environment, or where the whole
	// file is meant.
	Line int
	// Path is the key, as apps.web.client_id or routes[0].path; may be empty.
	Path string
	// Text is what is wrong and what to do.
	Text string
}

// String is "file:line: path: text" without the parts that are missing.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	return b.String() + ": " + p.Text
}

// Problems are all findings of one load: those of the file by line, then those
// of the environment by name. It is the error that [Load] returns.
type Problems struct {
	// List is never empty.
	List []Problem
}

// Error is one problem a line.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, one := range p.List {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// report gathers problems and knows where each value came from.
type report struct {
	file    string
	list    []Problem
	sources map[string]source
	broken  map[string]bool // groups and lists of the wrong shape, of which nothing was read
}

// add notes a problem at the path, once: what follows from a value that is
// already known to be wrong helps nobody.
func (r *report) add(path, format string, args ...any) {
	if r.has(path) || r.near(path).inherited {
		return
	}
	r.addAt(r.near(path), path, format, args...)
}

// addAt notes a problem at a place that no decoded value has.
func (r *report) addAt(at source, path, format string, args ...any) {
	p := Problem{File: r.file, Line: at.line, Path: path, Text: fmt.Sprintf(format, args...)}
	if at.layer == fromEnv {
		p.File, p.Line = "env "+at.name, 0
	}
	r.list = append(r.list, p)
}

// has reports whether the path, or the group around it as a whole, is known to
// be wrong.
func (r *report) has(path string) bool {
	for around := parent(path); around != ""; around = parent(around) {
		if r.broken[around] {
			return true
		}
	}
	return slices.ContainsFunc(r.list, func(p Problem) bool { return p.Path == path })
}

// near finds the place of the path itself or, for one that is missing or that a
// preset or default gave, of the closest group around it that somebody wrote.
func (r *report) near(path string) source {
	for path != "" {
		if at, ok := r.sources[path]; ok && at.written() {
			return at
		}
		path = parent(path)
	}
	return source{layer: fromFile, line: 1}
}

// written reports whether file or environment says anything at the path.
func (r *report) written(path string) bool { return r.sources[path].written() }

// asWritten is the path of a secret as somebody wrote it: that of the file's
// name, if the secret stands in a file.
func (r *report) asWritten(group, key, fileKey string) string {
	if r.sources[join(group, key)].held != "" {
		return join(group, fileKey)
	}
	return join(group, key)
}

// err is nil, or the problems in order.
func (r *report) err() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortStableFunc(r.list, func(a, b Problem) int {
		return cmp.Or(
			compareBool(a.Line == 0 && a.File != r.file, b.Line == 0 && b.File != r.file),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Path, b.Path),
		)
	})
	return &Problems{List: r.list}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// parent is the path of the group that holds the path; empty at the top.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// join is the path of a key within a group.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// at is the path of an item within a list.
func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
