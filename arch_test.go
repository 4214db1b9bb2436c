// Package cloakroom_test holds the rules of the house: which room may look into which, and how files are made. The rooms
// and their reasons are told in docs/architecture.md.
package cloakroom_test

import (
	"debug/buildinfo"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// module is the path that all packages of ours begin with.
const module = "cloakroom/"

// anything is what a room may import that is not held to the arrows.
const anything = "*"

// arrow says which of our packages a room may import. Folders below a room that have no line of their own belong to it.
type arrow struct {
	room string
	may  []string
	why  string
}

// arrows is the one table of the rooms. A folder that is in none of them is refused: a new room gets a line here first.
var arrows = []arrow{
	{"bff", nil, "the domain would not notice if Redis, JOSE and web libraries were swapped"},
	{"bff/proxy", []string{"bff", "bff/proxy/upstream"}, "forwarding knows sessions and tokens, not where they are kept or how they arrive"},
	{"bff/proxy/upstream", nil, "the way to an API knows connections, and neither routes nor tokens"},
	{"idp", []string{"bff", "dpop"}, "asking the provider is one thing, keeping what it says another"},
	{"store", []string{"bff"}, "what is kept does not depend on who presents it"},
	{"surface", []string{"bff"}, "what both surfaces share knows neither credential, session cookie or handle, and nobody behind the domain"},
	{"spa", []string{"bff", "surface"}, "the browser surface must work over any store and any provider"},
	{"spa/static", []string{"bff", "surface"}, "files are served by what they are, whoever looks at them"},
	{"spa/client", nil, "the client is TypeScript, and its tests ask only for what it is built to"},
	{"spa/demo", nil, "the demo is files"},
	{"dpop", nil, "a proof is judged by what it is, whoever presents it"},
	{"mobile-api", []string{"bff", "surface", "dpop"}, "the native surface must work over any store and any provider"},
	{"mobile-api/examples", nil, "an example that needs a package of ours shows nothing to its reader"},
	{"server", []string{
		"bff", "bff/proxy", "bff/proxy/upstream", "docs", "idp", "mobile-api", "server/config", "server/ops", "server/ratelimit", "server/telemetry", "spa",
		"spa/static", "store", "surface",
	}, "the server wires the rooms, and nothing of the development world is among them"},
	{"docs", nil, "the documentation describes what programs see, and needs none of it"},
	{"server/config", nil, "the file as written can be read without the gateway"},
	{"server/ratelimit", nil, "counting in bounded memory is the same whatever is counted"},
	{"server/ops", []string{"bff"}, "the operator's listener asks the domain, not what is behind it"},
	{"server/telemetry", []string{"bff"}, "telemetry is told values and asks nobody"},
	{"cmd/cloakroom", []string{"server"}, "main parses nothing and wires nothing"},
	{"cmd/cloakroom-dev", []string{"server", "dev"}, "the development world is a program of its own"},
	{"dev", []string{"dev/provider", "server", "server/config", "spa/demo"}, "the development world uses the gateway as its users do"},
	{"dev/provider", nil, "a provider that shares our code would share our bugs"},
	{"test", []string{anything}, "tests of the whole see everything"},
}

// library says which rooms may import a library. Tests, dev and test may import any.
type library struct {
	prefix string
	rooms  []string
	why    string
}

var libraries = []library{
	{"github.com/redis/go-redis", []string{"store"}, "only the store knows Redis"},
	{"github.com/fxamacker/cbor", []string{"store"}, "only the store knows how a record is written"},
	{"github.com/alicebob/miniredis", nil, "the embedded Redis is for development and tests"},
	{"github.com/lestrrat-go/", []string{"idp", "dpop"}, "only two rooms know JOSE, so that moving to another library is cheap"},
	{"golang.org/x/net/html", []string{"spa/static"}, "what of a page is a script is the tree's to say; who serves pages allows those"},
	{"golang.org/x/oauth2", []string{"idp", "mobile-api/examples"}, "only idp speaks OAuth as a client"},
	{"github.com/coreos/go-oidc", nil, "it is somebody else's judgement, for tests"},
	{"github.com/sony/gobreaker", []string{"idp"}, "the breaker guards the provider, and whoever asks it has it"},
	{"github.com/labstack/", []string{"server"}, "only the server knows Echo: surfaces are net/http handlers that return errors"},
	{"github.com/alecthomas/kong", []string{"server"}, "the command line is the server's"},
	{"github.com/prometheus/", []string{"server/telemetry"}, "metrics are made where they are named"},
	{"github.com/go-logr/", []string{"server/telemetry"}, "it is there to silence the diagnostics of OpenTelemetry, and no log of ours"},
	{"go.opentelemetry.io/", []string{"server/telemetry", "store"}, "traces are made where they are named; the store hands its client's commands over to them"},
	{"pgregory.net/rapid", nil, "properties are for tests"},
	{"github.com/getkin/", nil, "whether the description of the endpoints is true is asked by tests alone"},
	{"go.yaml.in/yaml", []string{"server/config", "docs"}, "YAML is read where people write it: the configuration, and the description of the endpoints"},
}

const (
	maxFile = 400 // lines: what can be read in one sitting
	maxFunc = 60  // lines: a function longer than a page does more than one thing
	maxMain = 40  // lines: main parses, builds, runs, reports
	maxLine = 140 // characters, a tab as one: what stands side by side with another file on a screen
)

// source is one Go file.
type source struct {
	path  string // from the module's root, with slashes
	test  bool
	lines int
	long  []int // the numbers of lines beyond maxLine
	set   *token.FileSet
	ast   *ast.File
}

func parse(name string, text []byte) (*source, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &source{
		path: name, test: strings.HasSuffix(name, "_test.go"), lines: strings.Count(string(text), "\n"), long: longLines(text, set, f),
		set: set, ast: f,
	}, nil
}

// longLines finds the lines beyond maxLine, but for those of a raw string: a flag's help in a tag, a page.
func longLines(text []byte, set *token.FileSet, f *ast.File) (long []int) {
	raw := make(map[int]bool)
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, is := n.(*ast.BasicLit); is && strings.HasPrefix(lit.Value, "`") {
			for line := set.Position(lit.Pos()).Line; line <= set.Position(lit.End()).Line; line++ {
				raw[line] = true
			}
		}
		return true
	})
	n := 0
	for line := range strings.Lines(string(text)) {
		if n++; utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > maxLine && !raw[n] {
			long = append(long, n)
		}
	}
	return long
}

// wide are the files of texts for people, one to a line: there a table is read down, and a break would hide a row.
var wide = []string{"surface/answers.go", "surface/reasons.go"}

// dir is the file's folder; "." at the root.
func (s *source) dir() string { return path.Dir(s.path) }

// arrow finds the room that a folder belongs to.
func arrowOf(dir string) (arrow, bool) {
	for ; dir != "."; dir = path.Dir(dir) {
		if i := slices.IndexFunc(arrows, func(a arrow) bool { return a.room == dir }); i >= 0 {
			return arrows[i], true
		}
	}
	return arrow{}, false
}

// checkFile returns what breaks a rule in one file.
func checkFile(s *source) (found []string) {
	tell := func(format string, args ...any) { found = append(found, s.path+": "+fmt.Sprintf(format, args...)) }
	switch strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test") {
	case "utils", "util", "helpers", "helper", "common", "types", "manager", "tools", "tool", "misc":
		tell("a file name that names nothing: file names are the glossary")
	}
	for _, fn := range s.functions() {
		lines := s.set.Position(fn.End()).Line - s.set.Position(fn.Pos()).Line + 1
		switch {
		case fn.Recv == nil && fn.Name.Name == "init":
			tell("init: what a package does it does when it is called")
		case !s.test && lines > maxFunc:
			tell("%s has %d lines, more than %d", fn.Name.Name, lines, maxFunc)
		}
	}
	if s.test {
		return append(found, s.skips()...)
	}
	if len(s.long) > 0 && !slices.Contains(wide, s.path) {
		tell("lines %d have more than %d characters", s.long, maxLine)
	}
	if s.lines > maxFile {
		tell("%d lines, more than %d", s.lines, maxFile)
	}
	if s.ast.Name.Name == "main" && strings.HasPrefix(s.path, "cmd/") && s.lines > maxMain {
		tell("%d lines, more than %d: main parses, builds, runs, reports", s.lines, maxMain)
	}
	return append(found, s.strayImports()...)
}

func (s *source) functions() (all []*ast.FuncDecl) {
	for _, d := range s.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			all = append(all, fn)
		}
	}
	return all
}

// skips finds tests that may not run: what a test needs is installed, or it fails and says what is missing.
func (s *source) skips() (found []string) {
	ast.Inspect(s.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			found = append(found, fmt.Sprintf("%s: a skipped test looks green", s.set.Position(call.Pos())))
		}
		return true
	})
	return found
}

// strayImports finds imports that the file's room may not have.
func (s *source) strayImports() (found []string) {
	room, known := arrowOf(s.dir())
	if !known {
		return []string{s.path + ": a folder that is no room; give it a line in the table of arrows"}
	}
	if slices.Contains(room.may, anything) {
		return nil
	}
	for _, spec := range s.ast.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		if why := refusal(room, name); why != "" {
			found = append(found, fmt.Sprintf("%s: %s imports %s: %s", s.path, room.room, name, why))
		}
	}
	return found
}

// refusal says why a room may not import a package; "" if it may.
func refusal(room arrow, name string) string {
	if ours, ok := strings.CutPrefix(name, module); ok {
		to, known := arrowOf(ours)
		if !known || to.room != room.room && !slices.Contains(room.may, to.room) {
			return room.why
		}
		return ""
	}
	first, _, _ := strings.Cut(name, "/")
	if room.room == "bff" && strings.Contains(first, ".") {
		return room.why
	}
	for _, l := range libraries {
		if strings.HasPrefix(name, l.prefix) && room.room != "dev" && room.room != "dev/provider" && !slices.Contains(l.rooms, room.room) {
			return l.why
		}
	}
	return ""
}

// checkComments finds packages without a package comment, or with more than one. Test packages beside a package need none.
func checkComments(files []*source) (found []string) {
	comments := make(map[string]int)
	for _, s := range files {
		pkg := s.dir() + " " + s.ast.Name.Name
		if beside := strings.TrimSuffix(s.ast.Name.Name, "_test"); s.test && hasCode(files, s.dir(), beside) {
			continue
		}
		if comments[pkg] += 0; s.ast.Doc != nil && s.ast.Doc.Text() != "" {
			comments[pkg]++
		}
	}
	for pkg, n := range comments {
		if n != 1 {
			found = append(found, fmt.Sprintf("%s: %d package comments, want one", pkg, n))
		}
	}
	slices.Sort(found)
	return found
}

func hasCode(files []*source, dir, pkg string) bool {
	return slices.ContainsFunc(files, func(s *source) bool { return !s.test && s.dir() == dir && s.ast.Name.Name == pkg })
}

// forbidden is what must not be linked into the production binary.
var forbidden = []struct{ prefix, why string }{
	{module + "dev", "the development world is not for production"},
	{module + "test", "tests are not for production"},
	{module + "spa/demo", "the demo is not for production"},
	{"github.com/alicebob/miniredis", "sessions in memory would be gone with the process"},
	{"github.com/coreos/go-oidc", "it is for tests"},
	{"github.com/getkin/kin-openapi", "it is for tests"},
	{"testing", "nothing of the testing packages belongs into the binary"},
	{"net/http/pprof", "it would register itself on the default mux"},
}

// linked says which modules the production binary is made of, and what for: one that is not listed came along with
// somebody's update, and is looked at before it ships. A path stands for itself and what is below it.
var linked = []struct{ prefix, why string }{
	{"github.com/alecthomas/kong", "the command line"},
	{"github.com/cenkalti/backoff/v5", "of OpenTelemetry: how long its exporter waits before it tries again"},
	{"github.com/fxamacker/cbor/v2", "how records are written"},
	{"github.com/x448/float16", "of cbor"},
	{"github.com/go-logr", "of OpenTelemetry: its own diagnostics, which are turned off"},
	{"github.com/google/uuid", "of OpenTelemetry: names of resources"},
	{"github.com/grpc-ecosystem/grpc-gateway/v2", "of OpenTelemetry: its protocol's Go form comes with stubs for gRPC, which nothing here calls"},
	{"google.golang.org/genproto", "as grpc-gateway"},
	{"google.golang.org/grpc", "as grpc-gateway"},
	{"github.com/labstack", "Echo, the router"},
	{"github.com/mattn", "of Echo: colours of its banner, which is hidden"},
	{"github.com/valyala", "of Echo: templates of its logger, which is not used"},
	{"github.com/lestrrat-go", "JOSE"},
	{"github.com/prometheus", "metrics"},
	{"github.com/beorn7/perks", "of the metrics: quantiles"},
	{"github.com/munnerz/goautoneg", "of the metrics: which format a scraper wants"},
	{"github.com/redis/go-redis", "Redis, and the spans of its commands"},
	{"github.com/cespare/xxhash/v2", "of the metrics and of Redis: a hash"},
	{"go.uber.org/atomic", "of Redis"},
	{"github.com/sony/gobreaker/v2", "the breaker before a provider"},
	{"go.opentelemetry.io", "traces: every platform asks for them, and their protocol is nothing to write again"},
	{"go.yaml.in/yaml/v4", "the configuration"},
	{"golang.org/x", "Go's own beside the standard library"},
	{"google.golang.org/protobuf", "of metrics and traces: how they are written"},
}

// checkLinked finds modules of the binary that nobody has looked at.
func checkLinked(modules []string) (found []string) {
	for _, m := range modules {
		known := slices.ContainsFunc(linked, func(l struct{ prefix, why string }) bool {
			return m == l.prefix || strings.HasPrefix(m, l.prefix+"/")
		})
		if !known {
			found = append(found, m+": in the binary, and not in the table of what it is made of")
		}
	}
	return found
}

// checkDeps finds what must not be among the dependencies of the production binary.
func checkDeps(deps []string) (found []string) {
	for _, dep := range deps {
		for _, f := range forbidden {
			if dep == f.prefix || strings.HasPrefix(dep, f.prefix+"/") {
				found = append(found, dep+": "+f.why)
			}
		}
	}
	return found
}

// sources reads every Go file of the module.
func sources(t *testing.T) (files []*source) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (slices.Contains([]string{"node_modules", "testdata", "bin"}, d.Name()) || d.Name()[0] == '.'):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(name), text)
		files = append(files, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestHouse(t *testing.T) {
	files := sources(t)
	if len(files) < 50 { // there are far more: the walk would have missed the house
		t.Fatalf("%d files found", len(files))
	}
	for _, s := range files {
		for _, f := range checkFile(s) {
			t.Error(f)
		}
	}
	for _, f := range checkComments(files) {
		t.Error(f)
	}
}

func TestProductionBinaryHoldsNothingOfDevelopment(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./cmd/cloakroom").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"server") {
		t.Fatal("the list does not even hold the server")
	}
	for _, f := range checkDeps(deps) {
		t.Error(f)
	}
	// What was linked is told by the binary itself.
	bin := filepath.Join(t.TempDir(), "cloakroom")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/cloakroom").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, m := range info.Deps {
		modules = append(modules, m.Path)
	}
	if !slices.Contains(modules, "github.com/redis/go-redis/v9") {
		t.Fatalf("the binary's module list does not even hold go-redis: %q", modules)
	}
	for _, f := range append(checkDeps(modules), checkLinked(modules)...) {
		t.Error(f)
	}
	for _, l := range linked {
		if !slices.ContainsFunc(modules, func(m string) bool { return m == l.prefix || strings.HasPrefix(m, l.prefix+"/") }) {
			t.Errorf("%s: in the table, and no longer in the binary", l.prefix)
		}
	}
}

// A rule that cannot be broken checks nothing: here each one is.
func TestRulesCanBeBroken(t *testing.T) {
	long := func(n int) string { return strings.Repeat("\n", n) }
	tests := []struct{ name, path, text, want string }{
		{"a domain with a web library", "bff/a.go", `package bff; import _ "github.com/labstack/echo/v4"`, "bff imports"},
		{"a domain with any library", "bff/a.go", `package bff; import _ "example.com/x"`, "bff imports"},
		{"a domain that knows its proxy", "bff/a.go", `package bff; import _ "cloakroom/bff/proxy"`, "bff imports"},
		{"a proxy that knows the store", "bff/proxy/a.go", `package proxy; import _ "cloakroom/store"`, "bff/proxy imports"},
		{"a surface that knows the provider", "spa/a.go", `package spa; import _ "cloakroom/idp"`, "spa imports"},
		{"a provider that knows the store", "idp/a.go", `package idp; import _ "cloakroom/store"`, "idp imports"},
		{"a configuration that knows the domain", "server/config/a.go", `package config; import _ "cloakroom/bff"`, "server/config imports"},
		{"a server that knows the development world", "server/a.go", `package server; import _ "cloakroom/dev/provider"`, "server imports"},
		{"a server that knows Redis", "server/a.go", `package server; import _ "github.com/redis/go-redis/v9"`, "only the store"},
		{"a store that knows JOSE", "store/a.go", `package store; import _ "github.com/lestrrat-go/jwx/v2/jwt"`, "JOSE"},
		{"a store that knows OAuth", "store/a.go", `package store; import _ "golang.org/x/oauth2"`, "only idp"},
		{"a surface that knows Echo", "surface/a.go", `package surface; import _ "github.com/labstack/echo/v4"`, "Echo"},
		{"a store that brings its own Redis", "store/a.go", `package store; import _ "github.com/alicebob/miniredis/v2"`, "embedded"},
		{"a main that wires", "cmd/cloakroom/main.go", `package main; import _ "cloakroom/store"`, "cmd/cloakroom imports"},
		{"a provider that shares our code", "dev/provider/a.go", `package provider; import _ "cloakroom/bff"`, "dev/provider imports"},
		{"an unknown room", "attic/a.go", `package attic`, "no room"},
		{"an import of an unknown room", "server/a.go", `package server; import _ "cloakroom/attic"`, "server imports"},
		{"a file named for nothing", "bff/utils.go", `package bff`, "names nothing"},
		{"a test file named for nothing", "bff/helpers_test.go", `package bff_test`, "names nothing"},
		{"a test file that is a box of tools", "test/faults/tools_test.go", `package faults_test`, "names nothing"},
		{"a surface that silences somebody's log", "surface/a.go", `package surface; import _ "github.com/go-logr/logr"`, "diagnostics"},
		{"an init", "bff/a.go", `package bff; func init() {}`, "init"},
		{"a long file", "bff/a.go", "package bff" + long(maxFile+1), "lines, more than"},
		{"a long line", "bff/a.go", "package bff\n// " + strings.Repeat("x", maxLine), "lines [2] have more than"},
		{"a long function", "bff/a.go", "package bff\nfunc f() {" + long(maxFunc) + "}", "f has 61 lines"},
		{"a long main", "cmd/cloakroom/main.go", "package main" + long(maxMain+1), "main parses"},
		{"a skipped test", "bff/a_test.go", `package bff_test; func f(t interface{ Skip(...any) }) { t.Skip() }`, "looks green"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parse(tt.path, []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if found := checkFile(s); len(found) != 1 || !strings.Contains(found[0], tt.want) {
				t.Errorf("found %q, want one that says %q", found, tt.want)
			}
		})
	}
}

func TestRulesOfTheWholeCanBeBroken(t *testing.T) {
	bare, err := parse("bff/a.go", []byte("package bff"))
	if err != nil {
		t.Fatal(err)
	}
	told, err := parse("bff/b.go", []byte("// Package bff is told.\npackage bff"))
	if err != nil {
		t.Fatal(err)
	}
	if found := checkComments([]*source{bare, told}); found != nil {
		t.Errorf("one comment: %q", found)
	}
	if found := checkComments([]*source{bare}); len(found) != 1 {
		t.Errorf("no comment: %q", found)
	}
	if found := checkComments([]*source{told, told}); len(found) != 1 {
		t.Errorf("two comments: %q", found)
	}
	if found := checkDeps([]string{"cloakroom/server", "cloakroom/dev/provider", "developer.example/x"}); len(found) != 1 {
		t.Errorf("dependencies: %q", found)
	}
	if found := checkLinked([]string{"github.com/redis/go-redis/v9", "github.com/redis/go-redish", "example.com/came-along"}); len(found) != 2 {
		t.Errorf("modules: %q", found)
	}
}
