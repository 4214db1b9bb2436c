package demo_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/spa/demo"
)

// made is what dist is made of, and dist; fingerprint.mjs has the same list.
var made = []string{
	"../client/src", "../package-lock.json", "dist", "index.html", "package.json", "public", "src", "tsconfig.json", "vite.config.ts",
}

// digests returns the lines of source.sha256 as they ought to be.
func digests(t *testing.T) (lines []string) {
	t.Helper()
	for _, root := range made {
		err := filepath.WalkDir(filepath.FromSlash(root), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			lines = append(lines, fmt.Sprintf("%x  %s", sha256.Sum256(text), filepath.ToSlash(name)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[sha256.Size*2:], b[sha256.Size*2:]) })
	return lines
}

// What is served is what stands in the source: no Node is needed to see that it is not.
func TestDistIsBuiltFromThisSource(t *testing.T) {
	written, err := os.ReadFile("source.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(written)), "\n"), digests(t)); diff != "" {
		t.Errorf("run npm run build in spa/demo: dist is not made of this source (-when it was built, +now):\n%s", diff)
	}
}

// address finds what a page or a style sheet asks for.
var address = regexp.MustCompile(`(?:src|href)="([^"]+)"|url\(([^)]+)\)`)

// A page without one of its files is a blank page.
func TestEveryFileThatThePageAsksForIsThere(t *testing.T) {
	asked := 0
	for _, name := range glob(t, "*.html", "assets/*.css") {
		for _, match := range address.FindAllStringSubmatch(read(t, name), -1) {
			asked++
			if ref := match[1] + match[2]; !isFile(strings.TrimPrefix(ref, "/")) {
				t.Errorf("%s asks for %s, which is not there", name, ref)
			}
		}
	}
	if asked < 3 { // icon, script and style
		t.Errorf("the page asks for %d files: it has lost some, or this test reads it wrong", asked)
	}
}

// What is cached for a year is named by its content.
func TestEveryAssetIsNamedByItsContent(t *testing.T) {
	hashed := regexp.MustCompile(`-[A-Za-z0-9_-]{8}\.(js|css)$`)
	for _, name := range glob(t, "assets/*") {
		if !hashed.MatchString(name) {
			t.Errorf("%s has no digest in its name", name)
		}
	}
}

// The demo runs under default-src 'none' with 'self' for what it loads: what such a policy drops must not be in the page.
func TestPageNeedsNothingThatAStrictPolicyDrops(t *testing.T) {
	page := read(t, "index.html")
	for what, form := range map[string]string{
		"an inline script":            `<script(?:\s[^>]*)?>\s*[^<\s]`,
		"an inline style":             `<style|\sstyle=`,
		"an inline handler":           `\son[a-z]+=`,
		"something of another origin": `(?:src|href)="(?:https?:)?//`,
	} {
		if found := regexp.MustCompile(form).FindString(page); found != "" {
			t.Errorf("index.html has %s: %q", what, found)
		}
	}
}

// The files are the same on every machine: nothing in them tells where they were built.
func TestNoFileTellsWhereItWasBuilt(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range glob(t, "*.*", "assets/*") {
		if text := read(t, name); strings.Contains(text, here) || strings.Contains(text, "node_modules/") {
			t.Errorf("%s names a folder of the machine that built it", name)
		}
	}
}

func glob(t *testing.T, patterns ...string) (names []string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := fs.Glob(demo.Files(), pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no file %s: %v", pattern, err)
		}
		names = append(names, found...)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(demo.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func isFile(name string) bool {
	info, err := fs.Stat(demo.Files(), path.Clean(name))
	return err == nil && info.Mode().IsRegular()
}
