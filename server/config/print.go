package config

import (
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Print writes the whole configuration that is in force, as YAML in the order of
// its keys, each line with the origin of its value behind it. Secrets are
// masked. The error is the writer's.
func (c *Config) Print(w io.Writer) error {
	p := &printer{config: c}
	p.group(reflect.ValueOf(c).Elem(), "", "")
	_, err := io.WriteString(w, p.text.String())
	return err
}

type printer struct {
	config *Config
	text   strings.Builder
}

// commentColumn is where origins stand if the value is not longer than that.
const commentColumn = 48

// line writes one value with its origin.
func (p *printer) line(indent, key, text, path string) {
	left := indent + key + ": " + text
	fmt.Fprintf(&p.text, "%-*s  # %s\n", commentColumn, left, p.config.Origin(path))
}

// group writes the fields of a struct that have a value.
func (p *printer) group(v reflect.Value, path, indent string) {
	fields := fieldsOf(v.Type())
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.key, b.key) })
	for _, f := range fields {
		if here := join(path, f.key); p.config.Origin(here) != "" {
			p.value(v.Field(f.index), f.key, here, indent)
		}
	}
}

func (p *printer) value(v reflect.Value, key, path, indent string) {
	t := v.Type()
	switch {
	case formOf(t) == scalar:
		p.line(indent, key, scalarText(v), path)
	case t.Kind() == reflect.Slice && formOf(t.Elem()) == scalar:
		p.line(indent, key, listText(v), path)
	case t.Kind() == reflect.Slice:
		p.text.WriteString(indent + key + ":\n")
		p.items(v, path, indent+"  ")
	case t.Kind() == reflect.Map:
		p.text.WriteString(indent + key + ":\n")
		p.entries(v, path, indent+"  ")
	default:
		p.text.WriteString(indent + key + ":\n")
		p.group(reflect.Indirect(v), path, indent+"  ")
	}
}

// items writes a list of groups, a hyphen before the first line of each.
func (p *printer) items(v reflect.Value, path, indent string) {
	for i := range v.Len() {
		one := &printer{config: p.config}
		one.group(reflect.Indirect(v.Index(i)), at(path, i), indent+"  ")
		p.text.WriteString(indent + "- " + strings.TrimPrefix(one.text.String(), indent+"  "))
	}
}

func (p *printer) entries(v reflect.Value, path, indent string) {
	keys := make([]string, 0, v.Len())
	for key := range v.Seq() {
		keys = append(keys, key.String())
	}
	for _, key := range slices.Sorted(slices.Values(keys)) {
		p.value(v.MapIndex(reflect.ValueOf(key)), quoted(key), join(path, key), indent)
	}
}

func listText(v reflect.Value) string {
	items := make([]string, v.Len())
	for i := range items {
		items[i] = scalarText(v.Index(i))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func scalarText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Secret:
		return mask
	case time.Duration:
		return durationText(x)
	case Bytes:
		return x.String()
	case netip.Prefix:
		return x.String()
	case string:
		return quoted(x)
	}
	return fmt.Sprint(v.Interface())
}

// durationText leaves out the zero parts that Go's own form ends with.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// plainText is what YAML reads as the text it is, in lists too.
const plainText = `^[A-Za-z/][A-Za-z0-9/_.+:@-]*$`

func quoted(text string) string {
	ambiguous := slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text))
	if ambiguous || strings.HasSuffix(text, ":") || !regexp.MustCompile(plainText).MatchString(text) {
		return strconv.Quote(text)
	}
	return text
}

// String writes the size with the largest unit that divides it.
func (b Bytes) String() string {
	for _, unit := range byteUnits() {
		if unit.size > 1 && b != 0 && int64(b)%unit.size == 0 {
			return strconv.FormatInt(int64(b)/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
