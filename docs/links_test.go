package docs_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	named   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	scheme  = regexp.MustCompile(`^[a-z]+:`)
	unsaid  = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`) // what an anchor leaves out of its heading
)

// anchorsOf returns what of a page can be linked to: its headings, as the sites that show the pages make anchors of them.
func anchorsOf(page string) (anchors []string) {
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		text := strings.ToLower(named.ReplaceAllString(m[1], "$1"))
		anchors = append(anchors, strings.ReplaceAll(unsaid.ReplaceAllString(text, ""), " ", "-"))
	}
	return anchors
}

// deadLinks returns the links of a page that lead nowhere. Those to other hosts are not followed.
func deadLinks(t *testing.T, files fs.FS, name string) (dead []string) {
	t.Helper()
	read := func(name string) string {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(name), ""), -1) {
		to, anchor, _ := strings.Cut(m[1], "#")
		if scheme.MatchString(to) {
			continue
		}
		at := name
		if to != "" {
			at = path.Join(path.Dir(name), to)
		}
		if _, err := fs.Stat(files, at); err != nil || anchor != "" && !slices.Contains(anchorsOf(read(at)), anchor) {
			dead = append(dead, m[1])
		}
	}
	return dead
}

// Every link between pages leads to a file, and to a heading there.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	root := os.DirFS("..")
	pages := 0
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git" || name == "bin"):
			return fs.SkipDir
		case path.Ext(name) != ".md":
			return nil
		}
		pages++
		for _, to := range deadLinks(t, root, name) {
			t.Errorf("%s: %s leads nowhere", name, to)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 20 { // there are more: the walk would have missed the house
		t.Errorf("%d pages found", pages)
	}
}

func TestDeadLinksAreFound(t *testing.T) {
	files := fstest.MapFS{
		"a.md": {Data: []byte("# One `thing`, and [two](b/c.md)\n[1](#one-thing-and-two) [2](b/c.md#there) [3](b/c.md) [4](https://id.example.com)\n" +
			"[5](#one) [6](b/c.md#where) [7](c.md)\n```\n# no heading\n[8](nowhere.md)\n```\n[9](#no-heading)\n")},
		"b/c.md": {Data: []byte("## There\n[1](../a.md#one-thing-and-two) [2](a.md)\n")},
	}
	for name, want := range map[string][]string{"a.md": {"#one", "b/c.md#where", "c.md", "#no-heading"}, "b/c.md": {"a.md"}} {
		if dead := deadLinks(t, files, name); !slices.Equal(dead, want) {
			t.Errorf("%s: %q, want %q", name, dead, want)
		}
	}
}
