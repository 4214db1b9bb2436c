package config

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// layer is who gave a value, from the strongest to the weakest.
type layer int

const (
	unknownLayer layer = iota
	fromEnv
	fromFile
	fromBase
	fromPreset
	fromDefault
)

// source is where a value came from.
type source struct {
	layer layer
	name  string // the file, the variable, the base or the preset
	line  int    // in the file, from 1
	held  string // the file that holds the secret itself, if one does

	inherited bool // the value is another key's, which problems are reported for
}

func (s source) written() bool { return s.layer == fromFile || s.layer == fromEnv }

// String is the origin as Print shows it.
func (s source) String() string {
	switch {
	case s.held != "":
		return "file " + s.held
	case s.layer == fromEnv:
		return "env " + s.name
	case s.layer == fromFile:
		return fmt.Sprintf("%s:%d", s.name, s.line)
	case s.layer == fromBase:
		return s.name
	case s.layer == fromPreset:
		return "preset " + s.name
	}
	return "default"
}

// form is the shape of a value.
type form int

const (
	scalar form = iota
	list
	mapping
)

// value is a piece of configuration before it has a type. Every layer is
// written in it, so that one decoder serves all of them.
type value struct {
	form   form
	text   string // of a scalar
	items  []*value
	keys   []string // of a mapping, in the order written
	fields map[string]*value
	at     source
}

func newScalar(text string, at source) *value { return &value{form: scalar, text: text, at: at} }

func newMapping(at source) *value {
	return &value{form: mapping, fields: map[string]*value{}, at: at}
}

func newList(texts []string, at source) *value {
	v := &value{form: list, at: at}
	for _, text := range texts {
		v.items = append(v.items, newScalar(text, at))
	}
	return v
}

// get returns the field, nil where there is none or v is no mapping.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	return v.fields[key]
}

// word returns the field's text, empty where there is none.
func (v *value) word(key string) string {
	if f := v.get(key); f != nil && f.form == scalar {
		return f.text
	}
	return ""
}

func (v *value) set(key string, to *value) {
	if _, ok := v.fields[key]; !ok {
		v.keys = append(v.keys, key)
	}
	v.fields[key] = to
}

func (v *value) drop(key string) {
	if _, ok := v.fields[key]; !ok {
		return
	}
	delete(v.fields, key)
	for i, k := range v.keys {
		if k == key {
			v.keys = append(v.keys[:i:i], v.keys[i+1:]...)
			return
		}
	}
}

// copyAs is a deep copy that came from elsewhere.
func (v *value) copyAs(from source) *value {
	c := &value{form: v.form, text: v.text, at: from}
	for _, item := range v.items {
		c.items = append(c.items, item.copyAs(from))
	}
	if v.form == mapping {
		c.fields = map[string]*value{}
	}
	for _, key := range v.keys {
		c.set(key, v.fields[key].copyAs(from))
	}
	return c
}

// fill adds what other says and v does not, throughout. A value that is there is
// never touched.
func (v *value) fill(other *value, from source) {
	for _, key := range other.keys {
		mine, theirs := v.fields[key], other.fields[key]
		switch {
		case mine == nil:
			v.set(key, theirs.copyAs(from))
		case mine.form == mapping && theirs.form == mapping:
			mine.fill(theirs, from)
		}
	}
}

// maxDepth is far more than any configuration nests (the deepest key has five
// names), and little enough for recursion.
const maxDepth = 16

// parse reads YAML into a tree, refusing what would let one thing be read in two
// ways: duplicate keys, references, merge keys, values that are not there. It
// returns nil if there is no tree to go on with.
func (r *report) parse(data []byte) *value {
	var doc yaml.Node
	err := yaml.Load(data, &doc)
	var syntax *yaml.LoadError
	switch {
	case errors.As(err, &syntax) && syntax.Mark.Line > 0:
		r.addAt(source{line: syntax.Mark.Line}, "", "%s; the file is no valid YAML from here on", syntax.Message)
	case err != nil:
		r.addAt(source{line: 1}, "", "not one YAML document in UTF-8; a configuration file holds exactly one, not none and not several")
	case doc.Kind == yaml.DocumentNode && len(doc.Content) == 1:
		if v := r.convert(doc.Content[0], "", doc.Content[0].Line, 0); v != nil && v.form == mapping {
			return v
		}
		r.addAt(source{line: 1}, "", "no configuration; write keys as public: and apps: with values under them")
	}
	return nil
}

// convert returns nil for what was refused.
func (r *report) convert(n *yaml.Node, path string, line, depth int) *value {
	v := &value{at: source{layer: fromFile, name: r.file, line: line}}
	switch {
	case depth > maxDepth:
		r.addAt(v.at, path, "nested too deeply; no key is")
		return nil
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.addAt(v.at, path, "anchors and aliases are not read; write the value out")
		return nil
	case n.Style&yaml.TaggedStyle != 0:
		r.addAt(v.at, path, "tags are not read; write the plain value")
		return nil
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		r.addAt(v.at, path, "no value; give one or delete the line")
		return nil
	case n.Kind == yaml.ScalarNode:
		v.form, v.text = scalar, n.Value
	case n.Kind == yaml.SequenceNode:
		r.convertList(v, n, path, depth)
	case n.Kind == yaml.MappingNode:
		r.convertMapping(v, n, path, depth)
	}
	return v
}

func (r *report) convertList(v *value, n *yaml.Node, path string, depth int) {
	v.form = list
	for i, item := range n.Content {
		child := r.convert(item, at(path, i), item.Line, depth+1)
		if child == nil { // refused already; it keeps its place, so that the others keep theirs
			child = newScalar("", v.at)
		}
		v.items = append(v.items, child)
	}
}

func (r *report) convertMapping(v *value, n *yaml.Node, path string, depth int) {
	v.form, v.fields = mapping, map[string]*value{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, content := n.Content[i], n.Content[i+1]
		here := source{layer: fromFile, name: r.file, line: key.Line}
		switch {
		case key.Kind != yaml.ScalarNode:
			r.addAt(here, path, "a key that is no plain word")
			continue
		case key.ShortTag() == "!!merge":
			r.addAt(here, join(path, "<<"), "merge keys are not read; write the values out")
			continue
		case v.fields[key.Value] != nil:
			first := v.fields[key.Value].at.line
			r.addAt(here, join(path, key.Value), "written twice, first in line %d; delete one of them", first)
			continue
		}
		if child := r.convert(content, join(path, strings.TrimSpace(key.Value)), key.Line, depth+1); child != nil {
			v.set(key.Value, child)
		}
	}
}
