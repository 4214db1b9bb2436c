//go:build integration

package demo_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/spa/demo"
)

// npm runs a command of Node's in this folder.
func npm(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("npm", args...)
	cmd.Env = append(os.Environ(), "NODE_ENV=") // set, it would leave packages out or build for development
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("this test needs npm, with Node 20.19 or later: make tools")
	}
	if err != nil {
		t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// install brings in what the lock file says, without running a script of it, if it is not there already.
func install(t *testing.T) {
	t.Helper()
	lock, err := os.Stat("../package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := os.Stat("../node_modules/.package-lock.json"); err == nil && !done.ModTime().Before(lock.ModTime()) {
		return
	}
	npm(t, "--prefix", "..", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
}

// The committed files are what this source builds to, byte for byte; its types and unit tests pass.
func TestSourceBuildsToTheCommittedDist(t *testing.T) {
	install(t)
	npm(t, "run", "check")
	npm(t, "test")
	out := t.TempDir()
	npm(t, "exec", "--", "vite", "build", "--outDir", out, "--logLevel", "warn")
	if diff := cmp.Diff(contents(t, demo.Files()), contents(t, os.DirFS(out))); diff != "" {
		t.Errorf("run npm run build in spa/demo: this source builds to something else (-committed, +built):\n%.4000s", diff)
	}
}

// contents reads every file of a folder.
func contents(t *testing.T, files fs.FS) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		all[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
