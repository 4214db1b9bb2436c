package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	docLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docHeading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notAnchor  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// Every link of the README and the docs to a file of this repository, or to a heading in one, leads somewhere.
func TestLinksOfTheDocsLeadSomewhere(t *testing.T) {
	docs, err := filepath.Glob("../docs/*.md")
	if err != nil || len(docs) < 8 { // architecture, configuration, endpoints, operations, security, sessions, sign-out, …
		t.Fatalf("%d docs, %v", len(docs), err)
	}
	for _, name := range append(docs, "../README.md") {
		for _, m := range docLink.FindAllStringSubmatch(textOf(t, name), -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			at := name
			if path != "" {
				at = filepath.Join(filepath.Dir(name), path)
			}
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(at); err != nil {
				t.Errorf("%s: %s: %v", name, m[1], err)
			} else if anchor != "" && !anchors(textOf(t, at))[anchor] {
				t.Errorf("%s: %s: no such heading", name, m[1])
			}
		}
	}
}

// anchors are what the headings of a page are linked by, as GitHub names them.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range docHeading.FindAllStringSubmatch(text, -1) {
		name := notAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

func textOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
