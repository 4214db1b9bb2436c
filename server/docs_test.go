package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/server/config"
	"cloakroom/surface"
)

// tableOf returns the first two cells of every row of the tables under a heading of docs/endpoints.md, without their
// backquotes, as "first second".
func tableOf(t *testing.T, heading string) (rows []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/endpoints.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") { // no row, or a table's head
			continue
		}
		cell := func(i int) string { return strings.ReplaceAll(strings.TrimSpace(cells[i]), "`", "") }
		rows = append(rows, strings.TrimSpace(cell(1)+" "+cell(2)))
	}
	slices.Sort(rows)
	return rows
}

// names returns the first cells alone.
func names(rows []string) (first []string) {
	for _, row := range rows {
		name, _, _ := strings.Cut(row, " ")
		first = append(first, name)
	}
	return first
}

// The endpoints in the docs are those that Echo registered, for a browser app and for native apps, no more and no fewer.
func TestDocsListEveryEndpoint(t *testing.T) {
	for heading, host := range map[string]string{"Browser surface": "app.example.com", "Native surface": "gw.example.com"} {
		if diff := cmp.Diff(tableOf(t, heading), surfaceRoutes(t, host)); diff != "" {
			t.Errorf("docs/endpoints.md, %s (-docs +registered):\n%s", heading, diff)
		}
	}
}

// What a user is to be told of the end of a session stands on the page about it, reason by reason.
func TestEveryReasonIsExplained(t *testing.T) {
	var told []string
	for _, row := range tableIn(t, "../docs/clients/session-gone.md", "## By reason") {
		told = append(told, row[0])
	}
	slices.Sort(told)
	if diff := cmp.Diff(names(tableOf(t, "Reasons")), told); diff != "" {
		t.Errorf("docs/clients/session-gone.md (-endpoints.md +page):\n%s", diff)
	}
}

// Codes, reasons, events and settings on the pages for browser apps are those of the references.
func TestPagesForBrowserAppsNameWhatThereIs(t *testing.T) {
	known := make(map[string]bool)
	for _, reference := range []string{"../docs/endpoints.md", "../docs/configuration.md", "../docs/operations.md", "../spa/client/src/error.ts"} {
		for _, name := range contractName.FindAllString(textOf(t, reference), -1) {
			known[name] = true
		}
	}
	for _, page := range []string{"browser", "serving", "session-gone", "split-hosting"} {
		for _, m := range quotedName.FindAllStringSubmatch(textOf(t, "../docs/clients/"+page+".md"), -1) {
			if !known[m[1]] {
				t.Errorf("docs/clients/%s.md names %s, which no reference does", page, m[1])
			}
		}
	}
}

var (
	contractName = regexp.MustCompile(`[a-z]+(?:_[a-z0-9]+)+`) // of two words or more: one alone may be any word
	quotedName   = regexp.MustCompile("`([a-z]+(?:_[a-z0-9]+)+)`")
)

// Every code stands in the docs with the status it is answered with, and has an answer of its own.
func TestDocsListEveryCode(t *testing.T) {
	var have []string
	for _, code := range constants(t, "Code", "../bff", "../surface") {
		status := surface.Status(bff.Code(code))
		if status == 500 && code != string(bff.CodeInternal) {
			t.Errorf("%s has no row in the table of answers", code)
		}
		have = append(have, code+" "+strconv.Itoa(status))
	}
	slices.Sort(have)
	if diff := cmp.Diff(tableOf(t, "Error codes"), have); diff != "" {
		t.Errorf("docs/endpoints.md (-docs +code):\n%s", diff)
	}
}

func TestDocsListEveryReason(t *testing.T) {
	have := constants(t, "Reason", "../bff")
	if diff := cmp.Diff(names(tableOf(t, "Reasons")), have); diff != "" {
		t.Errorf("docs/endpoints.md (-docs +code):\n%s", diff)
	}
}

func TestDocsListEveryOutcome(t *testing.T) {
	have := constants(t, "Outcome", "../bff")
	if diff := cmp.Diff(names(tableOf(t, "Refresh outcomes")), have); diff != "" {
		t.Errorf("docs/endpoints.md (-docs +code):\n%s", diff)
	}
}

func TestDocsListEveryMetric(t *testing.T) {
	var have []string
	inspect(t, "telemetry", func(n ast.Node) {
		if text, ok := literal(n); ok && strings.HasPrefix(text, "bff_") {
			have = append(have, text)
		}
	})
	slices.Sort(have)
	if diff := cmp.Diff(firstCells(t, "## Metrics"), have); diff != "" {
		t.Errorf("docs/operations.md (-docs +code):\n%s", diff)
	}
}

// What an operator is to do about each outcome of a refresh is told.
func TestDocsAdviseOnEveryOutcome(t *testing.T) {
	if diff := cmp.Diff(firstCells(t, "### Outcomes of a refresh"), constants(t, "Outcome", "../bff")); diff != "" {
		t.Errorf("docs/operations.md (-docs +code):\n%s", diff)
	}
}

// Every alarm is a fixed text, so that it can be a metric's label, and stands in the docs.
func TestDocsListEveryAlarm(t *testing.T) {
	var have []string
	for _, dir := range []string{"../bff", "../idp", "../store", "../surface", "../spa", "../mobile-api", "."} {
		inspect(t, dir, func(n ast.Node) {
			call, ok := n.(*ast.CallExpr)
			if !ok || !slices.Contains([]string{"alarm", "Alarm", "beside", "tokenRefused"}, called(call)) || len(call.Args) < 3 {
				return
			}
			what, fixed := call.Args[len(call.Args)-2], false
			if text, ok := literal(what); ok {
				have, fixed = append(have, text), true
			}
			if name, ok := what.(*ast.Ident); !fixed && (!ok || name.Name != "what") { // "what" is one that is handed on
				t.Errorf("%s: an alarm whose text is not fixed: %T", dir, what)
			}
		})
	}
	slices.Sort(have)
	if diff := cmp.Diff(firstCells(t, "## Alarms"), slices.Compact(have)); diff != "" {
		t.Errorf("docs/operations.md (-docs +code):\n%s", diff)
	}
}

// called is the name of the method or function that a call calls.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

// firstCells are those of the table under a heading of docs/operations.md, sorted.
func firstCells(t *testing.T, heading string) (all []string) {
	t.Helper()
	for _, row := range tableIn(t, "../docs/operations.md", heading) {
		all = append(all, row[0])
	}
	slices.Sort(all)
	return all
}

func TestDocsListEverySecurityEvent(t *testing.T) {
	var have []string
	inspect(t, "telemetry", func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 3 {
			return
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "event" {
			text, ok := literal(call.Args[2])
			if !ok {
				t.Errorf("an event whose name is no literal cannot be listed")
			}
			have = append(have, text)
		}
	})
	slices.Sort(have)
	if diff := cmp.Diff(names(tableOf(t, "Security events")), have); diff != "" {
		t.Errorf("docs/endpoints.md (-docs +code):\n%s", diff)
	}
}

// The configuration in the README is one that the gateway takes.
func TestReadmesConfigurationIsGood(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for block := range strings.SplitSeq(string(readme), "```yaml\n") {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, "sealing_keys:") {
			text = block
		}
	}
	if text == "" {
		t.Fatal("README.md shows no whole configuration")
	}
	file := filepath.Join(filepath.Dir(serveable(t)), "readme.yaml") // beside keys k1, i1 and the secret
	text = strings.ReplaceAll(text, "web.secret", "web")
	if err := os.Mkdir(filepath.Join(filepath.Dir(file), "dist"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(file, nil); err != nil {
		t.Error(err)
	}
}

// constants returns the texts of all constants of a type, in the packages of these folders.
func constants(t *testing.T, name string, dirs ...string) (texts []string) {
	t.Helper()
	for _, dir := range dirs {
		inspect(t, dir, func(n ast.Node) {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || typeName(spec.Type) != name {
				return
			}
			if text, ok := literal(spec.Values[0]); ok {
				texts = append(texts, text)
			}
		})
	}
	slices.Sort(texts)
	return texts
}

// typeName is the name of a type without its package.
func typeName(t ast.Expr) string {
	switch x := t.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

func literal(n ast.Node) (string, bool) {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// inspect visits the syntax of a folder's Go files, without tests.
func inspect(t *testing.T, dir string, visit func(ast.Node)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		inspectFile(t, name, visit)
	}
}

// inspectFile visits the syntax of one file.
func inspectFile(t *testing.T, name string, visit func(ast.Node)) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool { visit(n); return true })
}
