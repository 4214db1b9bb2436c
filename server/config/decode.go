package config

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder turns the tree into typed values and notes where each came from.
type decoder struct {
	*report
	dir string // where relative file names start
}

// field is a struct field as the file knows it.
type field struct {
	index int
	key   string
	file  string // the key that names a file instead, for a secret
	path  string // what kind of file the text names: file, ca, dir
}

// fieldsOf lists the fields that have a key.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for f := range t.Fields() {
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		file := f.Tag.Get("file")
		if file == "" && f.Type == reflect.TypeFor[Secret]() {
			file = key + "_file"
		}
		fields = append(fields, field{index: f.Index[0], key: key, file: file, path: f.Tag.Get("path")})
	}
	return fields
}

// decode writes v to the target, or notes why it cannot.
func (d decoder) decode(v *value, to reflect.Value, path string) {
	if path != "" {
		d.sources[path] = v.at
	}
	want := formOf(to.Type())
	if to.Kind() == reflect.Pointer { // also for a wrong shape: nothing that follows meets a nil
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	if v.form != want {
		d.add(path, "%s", wanted(want))
		d.broken[path] = true
		return
	}
	switch {
	case v.form == scalar:
		d.decodeScalar(v, to, path)
	case v.form == list:
		d.decodeList(v, to, path)
	case to.Kind() == reflect.Map:
		d.decodeMap(v, to, path)
	default:
		d.decodeStruct(v, to, path)
	}
}

// formOf is the shape in which a type is written.
func formOf(t reflect.Type) form {
	switch t {
	case reflect.TypeFor[Secret](), reflect.TypeFor[netip.Prefix]():
		return scalar
	}
	switch t.Kind() {
	case reflect.Slice:
		return list
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return mapping
	}
	return scalar
}

func wanted(f form) string {
	switch f {
	case list:
		return "not a list; write [one, two], also for a single value"
	case mapping:
		return "not a group; write its keys under it"
	}
	return "not a single value; write one value and no list or group"
}

func (d decoder) decodeList(v *value, to reflect.Value, path string) {
	to.Set(reflect.MakeSlice(to.Type(), len(v.items), len(v.items)))
	for i, item := range v.items {
		d.decode(item, to.Index(i), at(path, i))
	}
}

func (d decoder) decodeMap(v *value, to reflect.Value, path string) {
	to.Set(reflect.MakeMap(to.Type()))
	for _, key := range v.keys {
		entry := reflect.New(to.Type().Elem()).Elem()
		d.decode(v.fields[key], entry, join(path, key))
		to.SetMapIndex(reflect.ValueOf(key), entry)
	}
}

func (d decoder) decodeStruct(v *value, to reflect.Value, path string) {
	fields := fieldsOf(to.Type())
	for _, key := range v.keys {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key || f.file == key })
		if i < 0 {
			d.unknown(v.fields[key], path, key, fields)
			continue
		}
		f := fields[i]
		switch target := to.Field(f.index); {
		case key == f.file:
			d.decodeSecretFile(v, target, path, f)
		case f.path != "":
			d.decodePath(v.fields[key], target, join(path, key), f.path)
		default:
			d.decode(v.fields[key], target, join(path, key))
		}
	}
}

// decodePath reads a file's name and makes it relative to nothing.
func (d decoder) decodePath(v *value, to reflect.Value, path, kind string) {
	d.decode(v, to, path)
	if to.String() == "" {
		return
	}
	to.SetString(d.resolve(to.String()))
	d.checkFile(to.String(), path, kind)
}

func (d decoder) resolve(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.dir, name)
}

// decodeSecretFile reads the secret from the file whose name is given.
func (d decoder) decodeSecretFile(group *value, to reflect.Value, path string, f field) {
	v, here := group.fields[f.file], join(path, f.file)
	d.sources[here] = v.at
	switch {
	case group.fields[f.key] != nil:
		d.add(here, "given twice, also as %s; delete one of them", f.key)
		return
	case v.form != scalar:
		d.add(here, "%s", wanted(scalar))
		return
	}
	name := d.resolve(v.text)
	data, err := readFile(name, maxSecretBytes)
	text := strings.TrimRight(string(data), "\r\n") // editors and `echo` end files with a newline
	switch {
	case err != nil:
		d.add(here, "reading %s: %s; name a file that this process may read", name, err)
		return
	case text == "":
		d.add(here, "the file %s is empty; write the secret into it", name)
		return
	}
	held := v.at
	held.held = name
	d.sources[join(path, f.key)] = held
	to.Set(reflect.ValueOf(NewSecret(text)))
}

func (d decoder) decodeScalar(v *value, to reflect.Value, path string) {
	switch to.Interface().(type) {
	case Secret:
		to.Set(reflect.ValueOf(NewSecret(v.text)))
		return
	case netip.Prefix:
		d.decodePrefix(v.text, to, path)
		return
	case time.Duration:
		d.decodeDuration(v.text, to, path)
		return
	case Bytes:
		d.decodeBytes(v.text, to, path)
		return
	}
	switch to.Kind() {
	case reflect.Bool:
		to.SetBool(v.text == "true")
		if v.text != "true" && v.text != "false" {
			d.add(path, "neither true nor false; write one of the two")
		}
	case reflect.Int:
		n, err := strconv.Atoi(v.text)
		if err != nil {
			d.add(path, "no whole number")
		}
		to.SetInt(int64(n))
	default:
		to.SetString(v.text)
	}
}

func (d decoder) decodeDuration(text string, to reflect.Value, path string) {
	span, err := time.ParseDuration(text)
	switch {
	case err != nil:
		d.add(path, "no duration; write a number with its unit, as 30s, 15m or 12h")
	case span < 0:
		d.add(path, "a negative duration; write 0s or more")
	}
	to.SetInt(int64(span))
}

func (d decoder) decodePrefix(text string, to reflect.Value, path string) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		d.add(path, "no network; write it as 10.0.0.0/8, a single address as 10.0.0.5/32")
	case prefix != prefix.Masked():
		d.add(path, "an address within a network; the network itself is %s", prefix.Masked())
	case prefix.Bits() == 0:
		d.add(path, "trusts everybody, so that anybody could forge an address; name the networks of your proxies")
	}
	to.Set(reflect.ValueOf(prefix))
}

// byteUnits from the longest name to the shortest: "B" ends all of them.
func byteUnits() []struct {
	name string
	size int64
} {
	return []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}
}

func (d decoder) decodeBytes(text string, to reflect.Value, path string) {
	for _, unit := range byteUnits() {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32) // 32 bits times a GiB still fit into 64
		if err != nil || n <= 0 {
			break
		}
		to.SetInt(n * unit.size)
		return
	}
	d.add(path, "no size; write a number of bytes, or with a unit as 64KiB or 10MiB")
}
