package config

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const (
	envPrefix = "CLOAKROOM_"
	// envConfig names the file itself, for the command that calls Load.
	envConfig = "CLOAKROOM_CONFIG"
)

// overlay lays the environment over the tree. A variable that names nothing is a
// problem: a misspelt one would silently leave the file's value in force.
func (r *report) overlay(root *value, env []string) {
	for _, name := range envNames(env) {
		text := lookup(env, name)
		way, ok := resolve(root, reflect.TypeFor[Config](), strings.Split(strings.TrimPrefix(name, envPrefix), "__"))
		here := source{layer: fromEnv, name: name}
		switch {
		case !ok:
			r.addAt(here, "", "no such setting; write the key's path in capitals with two underscores between its parts")
		case way.leaf == nil:
			r.addAt(here, "", "names a group of settings; name one of them")
		case text != "":
			put(root, way, text, here)
		}
	}
}

// envNames are the names that are ours to judge, short ones first: so item 9 of
// a list is there before item 10 is asked for.
func envNames(env []string) []string {
	var names []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && name != envConfig && !serviceLink(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	return slices.Compact(names)
}

// serviceLink recognises what Kubernetes sets in every pod for a Service whose
// name starts with cloakroom: CLOAKROOM_SERVICE_HOST, CLOAKROOM_PORT_8080_TCP_ADDR.
// None of our own names has these parts without a double underscore.
func serviceLink(name string) bool {
	return !strings.Contains(name, "__") &&
		(strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_PORT_") ||
			strings.HasSuffix(name, "_SERVICE_HOST"))
}

// lookup returns the last value of the name, as the C library and os/exec do.
func lookup(env []string, name string) string {
	for _, entry := range slices.Backward(env) {
		if text, ok := strings.CutPrefix(entry, name+"="); ok {
			return text
		}
	}
	return ""
}

// way is how a variable's name leads through the tree.
type way struct {
	steps []string
	leaf  reflect.Type // of the value at the end; nil for a group
	rival string       // the other way to give a secret: the key for its file's, and the reverse
}

// resolve follows the parts of a name through the types; where a name is the
// operator's own, through the entries of the tree.
func resolve(v *value, t reflect.Type, parts []string) (way, bool) {
	switch {
	case t.Kind() == reflect.Pointer:
		return resolve(v, t.Elem(), parts)
	case len(parts) == 0:
		return way{leaf: leafOf(t)}, true
	case t.Kind() == reflect.Map:
		key := entry(v, parts[0])
		return step(v.get(key), t.Elem(), key, parts)
	case t.Kind() == reflect.Slice && formOf(t.Elem()) == mapping:
		return resolveItem(v, t, parts)
	case t.Kind() == reflect.Struct && formOf(t) == mapping:
		return resolveField(v, t, parts)
	}
	return way{}, false
}

func step(v *value, t reflect.Type, key string, parts []string) (way, bool) {
	w, ok := resolve(v, t, parts[1:])
	w.steps = append([]string{key}, w.steps...)
	return w, ok
}

func resolveField(v *value, t reflect.Type, parts []string) (way, bool) {
	for _, f := range fieldsOf(t) {
		switch {
		case strings.ToUpper(f.key) == parts[0]:
			w, ok := step(v.get(f.key), t.Field(f.index).Type, f.key, parts)
			w.rival = rivalOf(w, f.file)
			return w, ok
		case f.file != "" && strings.ToUpper(f.file) == parts[0]:
			return way{steps: []string{f.file}, leaf: reflect.TypeFor[string](), rival: f.key}, len(parts) == 1
		}
	}
	return way{}, false
}

// rivalOf keeps the rival found further down.
func rivalOf(w way, file string) string {
	if len(w.steps) == 1 {
		return file
	}
	return w.rival
}

// resolveItem takes the position in the list, at most one behind its end.
func resolveItem(v *value, t reflect.Type, parts []string) (way, bool) {
	i, err := strconv.Atoi(parts[0])
	length := 0
	if v != nil {
		length = len(v.items)
	}
	if err != nil || i < 0 || i > length || parts[0] != strconv.Itoa(i) {
		return way{}, false
	}
	var item *value
	if i < length {
		item = v.items[i]
	}
	return step(item, t.Elem(), parts[0], parts)
}

// leafOf is the type a single variable can give, nil for a group.
func leafOf(t reflect.Type) reflect.Type {
	if formOf(t) == mapping || t.Kind() == reflect.Slice && formOf(t.Elem()) == mapping {
		return nil
	}
	return t
}

// entry is the key of a map that a part means: one that is there already or, in
// lower case, a new one.
func entry(v *value, part string) string {
	if v != nil {
		for _, key := range v.keys {
			if strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(key)) == part {
				return key
			}
		}
	}
	return strings.ToLower(strings.ReplaceAll(part, "_", "-"))
}

// put writes the text at the end of the way. Where the file has a wrong shape on
// the way it is left alone; the decoder reports it.
func put(root *value, w way, text string, here source) {
	v, last := root, len(w.steps)-1
	for i, key := range w.steps[:last] {
		if v = descend(v, key, w.steps[i+1], here); v == nil {
			return
		}
	}
	if v.form != mapping {
		return
	}
	if old := v.get(w.rival); old != nil && old.at.layer != fromEnv {
		v.drop(w.rival)
	}
	if w.leaf.Kind() == reflect.Slice {
		v.set(w.steps[last], newList(splitList(text), here))
		return
	}
	v.set(w.steps[last], newScalar(text, here))
}

// descend goes one step down, making what is missing: a list if the step after
// it is a position.
func descend(v *value, key, next string, here source) *value {
	fresh := newMapping(here)
	if _, err := strconv.Atoi(next); err == nil && v.form == mapping && listKey(key) {
		fresh = newList(nil, here)
	}
	switch v.form {
	case mapping:
		if v.get(key) == nil {
			v.set(key, fresh)
		}
		return v.get(key)
	case list:
		i, err := strconv.Atoi(key)
		if err != nil || i > len(v.items) {
			return nil
		}
		if i == len(v.items) {
			v.items = append(v.items, fresh)
		}
		return v.items[i]
	}
	return nil
}

// listKey reports whether the top-level key holds a list of groups.
func listKey(key string) bool {
	return slices.Contains([]string{"sealing_keys", "index_keys", "routes"}, key)
}

func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
