package config

import (
	"cmp"
	"slices"
	"strings"
)

// Base is a layer below the file: what a program that brings a world of its own
// says of everything that file and environment leave open. The order of
// precedence with one is environment, file, base, preset, default.
type Base struct {
	// Name is what [Config.Origin] tells of the values, as "default of
	// cloakroom-dev".
	Name string
	// Text is YAML as a file holds it, which may lack what presets and defaults
	// give. Names of files in it should be absolute.
	Text []byte
	// Own are paths where the base alone decides, also by saying nothing: what
	// file and environment say there is put away. "*" stands for any name, as in
	// apps.*.static.
	Own []string
	// App says, as YAML of the app's group, what else an app gets that neither
	// file nor environment give it; the issuer is that of the app's provider, empty
	// if it has none. May be nil.
	App func(id, issuer string) []byte
}

// LoadOver is [Load] over a base; without a path there is no file. A file with
// apps of its own replaces the base's apps, and the base's routes with them, as
// those name the apps; of the base's providers it gets those that its apps name
// and that it does not have itself, under another issuer.
//
// The second result names what was put away because the base alone decides, each
// path with its origin: whoever wrote it should be told.
func LoadOver(b Base, path string, env []string) (*Config, []string, error) {
	r := newReport(cmp.Or(path, b.Name))
	tree, err := r.treeOf(path)
	if err != nil {
		return nil, nil, err
	}
	base := newReport(b.Name)
	below := base.parse(b.Text)
	if err := base.err(); err != nil {
		return nil, nil, err
	}
	from := source{layer: fromBase, name: b.Name}
	whole := below.copyAs(from)
	if tree.get("apps") != nil {
		below.drop("apps")
		below.drop("routes")
	}
	providers := below.get("providers")
	below.drop("providers")
	tree.fill(below, from)
	r.overlay(tree, env)
	fillNamed(tree, providers, from)
	b.fillApps(tree, from)
	var away []string
	for _, own := range b.Own {
		away = append(away, decide(tree, whole, strings.Split(own, "."), "", from)...)
	}
	c, err := r.finish(tree, env)
	return c, away, err
}

// treeOf reads the file into a tree, an empty one where there is no file.
func (r *report) treeOf(path string) (*value, error) {
	if path == "" {
		return newMapping(source{layer: fromFile, name: r.file, line: 1}), nil
	}
	data, err := readFile(path, maxConfigBytes)
	if err != nil {
		return nil, &Problems{List: []Problem{{File: path, Text: err.Error()}}}
	}
	if tree := r.parse(data); tree != nil {
		return tree, nil
	}
	return nil, r.err()
}

// fillNamed adds those of the base's providers that an app names. One of the file
// with the same name and another issuer is another provider.
func fillNamed(tree, providers *value, from source) {
	var named []string
	eachGroup(tree.get("apps"), func(app *value) { named = append(named, app.word("provider")) })
	if providers == nil {
		return
	}
	wanted := newMapping(from)
	for _, name := range providers.keys {
		base := providers.fields[name]
		issuer := tree.get("providers").get(name).word("issuer")
		if slices.Contains(named, name) && (issuer == "" || issuer == base.word("issuer")) {
			wanted.set(name, base)
		}
	}
	if len(wanted.keys) == 0 {
		return
	}
	all := newMapping(from)
	all.set("providers", wanted)
	tree.fill(all, from)
}

// fillApps asks the base for the rest of each app. A secret that stands in a file
// needs no other.
func (b Base) fillApps(tree *value, from source) {
	apps := tree.get("apps")
	if b.App == nil || apps == nil {
		return
	}
	for _, id := range apps.keys {
		app := apps.fields[id]
		issuer := tree.get("providers").get(app.word("provider")).word("issuer")
		rest := layerOf(string(b.App(id, issuer)))
		if app.form != mapping || rest == nil {
			continue
		}
		for _, key := range slices.Clone(rest.keys) {
			if app.get(key+"_file") != nil {
				rest.drop(key)
			}
		}
		app.fill(rest, from)
	}
}

// decide puts what the base says at a path in the place of what others say, and
// returns what somebody had written there.
func decide(v, base *value, steps []string, path string, from source) (away []string) {
	if v == nil || v.form != mapping {
		return nil
	}
	key, rest := steps[0], steps[1:]
	switch here := join(path, key); {
	case key == "*":
		for _, name := range slices.Clone(v.keys) {
			away = append(away, decide(v, base, append([]string{name}, rest...), path, from)...)
		}
	case len(rest) > 0:
		away = decide(v.get(key), base.get(key), rest, here, from)
	default:
		if at, ok := writer(v.get(key)); ok {
			away = []string{here + " (" + at.String() + ")"}
		}
		v.drop(key)
		if said := base.get(key); said != nil {
			v.set(key, said.copyAs(from))
		}
	}
	return away
}

// writer is who wrote a value or the first part of it that somebody wrote.
func writer(v *value) (source, bool) {
	switch {
	case v == nil:
		return source{}, false
	case v.at.written():
		return v.at, true
	}
	for _, item := range v.items {
		if at, ok := writer(item); ok {
			return at, true
		}
	}
	for _, key := range v.keys {
		if at, ok := writer(v.fields[key]); ok {
			return at, true
		}
	}
	return source{}, false
}
