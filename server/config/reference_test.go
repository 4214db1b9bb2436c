package config_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

const (
	referenceFile = "../../docs/configuration.md"
	// referenceMark stands between what people write and what this test writes.
	referenceMark = "<!-- From here on written by `make docs` from the comments in server/config. -->\n"
)

// The reference in docs/configuration.md is made of the types and their comments: it names every key there is.
func TestReference(t *testing.T) {
	text, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	head, have, found := strings.Cut(string(text), referenceMark)
	if !found {
		t.Fatalf("%s has no line %q", referenceFile, referenceMark)
	}
	want := reference(t)
	if *update {
		if err := os.WriteFile(referenceFile, []byte(head+referenceMark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s is stale, run make docs (-want +have):\n%s", referenceFile, diff)
	}
}

// structs are the types of the package that are groups of the file.
type structs map[string]*ast.TypeSpec

// reference writes the section of every group, from the top of the file on.
func reference(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := make(structs)
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		found.add(file)
	}
	var b strings.Builder
	found.section(&b, "Config", "")
	return b.String()
}

func (s structs) add(file *ast.File) {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range decl.Specs {
			if ts, ok := spec.(*ast.TypeSpec); ok {
				if _, ok := ts.Type.(*ast.StructType); ok && ts.Name.IsExported() {
					ts.Doc = decl.Doc
					s[ts.Name.Name] = ts
				}
			}
		}
	}
}

// section writes one group: what it is, its keys, then the groups in it.
func (s structs) section(b *strings.Builder, name, path string) {
	title := "`" + path + "`"
	if path == "" {
		title = "The file"
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| key | is | what |\n|---|---|---|\n", title, prose(s[name].Doc))
	var below []func()
	for _, f := range s[name].Type.(*ast.StructType).Fields.List {
		if f.Tag == nil {
			continue
		}
		raw, _ := strconv.Unquote(f.Tag.Value)
		key := reflect.StructTag(raw).Get("yaml")
		kind, group, way := s.kind(f.Type, key, reflect.StructTag(raw))
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", key, kind, strings.ReplaceAll(prose(f.Doc), "|", "\\|"))
		if group != "" {
			inner := strings.TrimPrefix(path+"."+key+way, ".")
			below = append(below, func() { s.section(b, group, inner) })
		}
	}
	for _, write := range below {
		write()
	}
}

// kind says what a key holds; of a group also which type it is, and how its place in the path is written.
func (s structs) kind(t ast.Expr, key string, tag reflect.StructTag) (kind, group, way string) {
	switch x := t.(type) {
	case *ast.StarExpr:
		return s.kind(x.X, key, tag)
	case *ast.ArrayType:
		kind, group, _ = s.kind(x.Elt, key, tag)
		return "list of " + plural(kind), group, "[]"
	case *ast.MapType:
		kind, group, _ = s.kind(x.Value, key, tag)
		return kind + " by name", group, ".<name>"
	case *ast.SelectorExpr:
		return map[string]string{"Duration": "duration", "Prefix": "network"}[x.Sel.Name], "", ""
	case *ast.Ident:
		if x.Name == "Secret" {
			file := tag.Get("file")
			if file == "" {
				file = key + "_file"
			}
			return "secret, or the name of its file in `" + file + "`", "", ""
		}
		if s[x.Name] != nil {
			return "group", x.Name, ""
		}
		return map[string]string{"string": "text", "bool": "true or false", "int": "number", "Bytes": "size"}[x.Name], "", ""
	}
	return "", "", ""
}

func plural(kind string) string { return strings.TrimSuffix(kind, "s") + "s" }

// prose joins the lines of a comment.
func prose(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }
