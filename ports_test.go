package cloakroom_test

import (
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"
)

// The ports in docs/architecture.md are the interfaces that bff exports, no more and no fewer.
func TestDocsListEveryPort(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Ports\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for line := range strings.Lines(section) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ := strings.Cut(cell, "`")
			told = append(told, name)
		}
	}
	var have []string
	for _, s := range sources(t) {
		if s.dir() == "bff" && !s.test {
			have = append(have, s.interfaces()...)
		}
	}
	for _, name := range have {
		if !slices.Contains(told, name) {
			t.Errorf("docs/architecture.md does not list the port %s", name)
		}
	}
	for _, name := range told {
		if !slices.Contains(have, name) {
			t.Errorf("docs/architecture.md lists %s, which is no port", name)
		}
	}
	if len(have) < 10 { // there are more: what was read is not the domain
		t.Fatalf("%d ports found", len(have))
	}
}

// interfaces are the names of those that the file exports.
func (s *source) interfaces() (names []string) {
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if _, is := spec.Type.(*ast.InterfaceType); is && spec.Name.IsExported() {
				names = append(names, spec.Name.Name)
			}
		}
		return true
	})
	return names
}
