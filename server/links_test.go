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
	var docs []string
	for _, pattern := range []string{"../README.md", "../docs/*.md", "../docs/*/*.md", "../deploy/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(found), err)
		}
		docs = append(docs, found...)
	}
	for _, name := range docs {
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

// The README leads to every page of the docs, but for measurements, to which it leads as a folder.
func TestREADMELinksEveryPage(t *testing.T) {
	readme := textOf(t, "../README.md")
	for _, pattern := range []string{"../docs/*.md", "../docs/clients/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(pages), err)
		}
		for _, page := range pages {
			if name := strings.TrimPrefix(page, "../"); !strings.Contains(readme, "]("+name) {
				t.Errorf("README.md has no link to %s", name)
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
