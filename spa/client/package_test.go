//go:build integration

package client_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folders is where the package was made and used: beside this checkout, so that nothing in it is written.
type folders struct {
	app     string // a project whose only package from npm is the tarball; what else is in its node_modules leads to ours
	bare    string // a project that has the tarball and nothing else: no React either
	tarball string
}

// What npm would publish, and what its users make of it.
func TestPackage(t *testing.T) {
	t.Parallel()
	f := pack(t)
	t.Run("holds what it says and nothing else", f.content)
	t.Run("knows no token", f.tokens)
	t.Run("is clean to npm", f.publish)
	t.Run("is found by every way of resolving modules", f.resolution)
	t.Run("costs little", f.sizes)
	t.Run("is imported and rendered on a server", f.server)
	t.Run("is the base of a fresh app", f.browsers)
}

// Its own tests pass, the types of whatever is in this folder hold, and so do those of the documentation.
func TestUnits(t *testing.T) {
	t.Parallel()
	install(t)
	t.Run("check", func(t *testing.T) { t.Parallel(); run(t, ".", "npm", "run", "check") })
	t.Run("test", func(t *testing.T) { t.Parallel(); run(t, ".", "npm", "test") })
}

// install brings in what the lock file says, without running a script of it, if it is not there already.
func install(t *testing.T) {
	t.Helper()
	lock, err := os.Stat("../package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := os.Stat("../node_modules/.package-lock.json"); err != nil || done.ModTime().Before(lock.ModTime()) {
		run(t, "..", "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	}
}

// run runs a command of Node's in a folder and returns what it wrote.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_ENV=") // set, it would leave packages out or build for development
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("this test needs npm, with Node 20.19 or later: make tools")
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// pack makes the package from a copy of its source, and installs it.
func pack(t *testing.T) *folders {
	t.Helper()
	install(t)
	root := t.TempDir()
	made := filepath.Join(root, "client")
	for _, name := range []string{"src", "package.json", "README.md", "tsconfig.json", "tsconfig.build.json", "vite.config.ts"} {
		copyTo(t, name, filepath.Join(made, name))
	}
	link(t, filepath.Join(made, "node_modules"))
	run(t, made, "npm", "pack", "--silent", "--pack-destination", "..")
	tarballs, err := filepath.Glob(filepath.Join(root, "cloakroom-client-*.tgz"))
	if err != nil || len(tarballs) != 1 {
		t.Fatalf("packed %q, %v", tarballs, err)
	}
	f := &folders{app: filepath.Join(root, "app"), bare: filepath.Join(root, "bare"), tarball: tarballs[0]}
	copyTo(t, filepath.Join("testdata", "bare"), f.bare)
	run(t, f.bare, "npm", "install", "--offline", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", f.tarball)
	copyTo(t, filepath.Join("testdata", "app"), f.app)
	copyTo(t, filepath.Join("testdata", "bare", "use.ts"), filepath.Join(f.app, "use.ts"))
	copyTo(t, filepath.Join(f.bare, "node_modules", "@cloakroom"), filepath.Join(f.app, "node_modules", "@cloakroom"))
	link(t, filepath.Join(f.app, "node_modules"))
	return f
}

// link makes a folder of packages whose every entry leads to ours, but for those that are there already.
func link(t *testing.T, modules string) {
	t.Helper()
	ours, err := filepath.Abs(filepath.Join("..", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(modules, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name == "@cloakroom" || strings.HasPrefix(name, ".") && name != ".bin" {
			continue // the package itself comes from the tarball, and what tools note for themselves stays theirs
		}
		if err := os.Symlink(filepath.Join(ours, entry.Name()), filepath.Join(modules, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// copyTo copies a file, or a folder with all below it.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err == nil && info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else if err == nil {
		var text []byte
		text, err = os.ReadFile(from)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// packed is the list of what is published. A file more is something that nobody meant to publish; a file less, an import that
// finds nothing.
var packed = []string{
	"README.md",
	"dist/client.d.ts", "dist/devices.d.ts", "dist/error.d.ts", "dist/index.d.ts", "dist/index.js", "dist/index.js.map",
	"dist/live.d.ts", "dist/login.d.ts", "dist/options.d.ts", "dist/react.d.ts", "dist/react.js", "dist/react.js.map",
	"dist/request.d.ts", "dist/state.d.ts", "dist/testing.d.ts", "dist/testing.js", "dist/testing.js.map",
	"dist/testing/answers.d.ts", "dist/testing/endpoints.d.ts", "dist/testing/ledger.d.ts", "dist/testing/locks.d.ts",
	"dist/testing/routes.d.ts", "dist/testing/streams.d.ts",
	"package.json",
}

func (f *folders) content(t *testing.T) {
	files := f.files(t)
	var names []string
	for name, text := range files {
		names = append(names, name)
		if len(text) == 0 {
			t.Errorf("%s is empty", name)
		}
		if strings.Contains(text, filepath.Dir(f.tarball)) {
			t.Errorf("%s names a folder of the machine that built it", name)
		}
		if strings.HasSuffix(name, ".map") && !strings.Contains(text, `"sourcesContent":["`) {
			t.Errorf("%s holds no sources, which are not published: it leads nowhere", name)
		}
	}
	if !strings.HasPrefix(files["dist/react.js"], `"use client";`) || strings.HasPrefix(files["dist/index.js"], `"use`) {
		t.Error("dist/react.js, and it alone, is to say that it runs in browsers too: a framework that renders on a server asks")
	}
	slices.Sort(names)
	if diff := cmp.Diff(packed, names); diff != "" {
		t.Errorf("the list of what is published (-want +have):\n%s", diff)
	}
}

// files reads the tarball.
func (f *folders) files(t *testing.T) map[string]string {
	t.Helper()
	in, err := os.Open(f.tarball)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		text, err2 := io.ReadAll(r)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(h.Name, "package/")] = string(text)
	}
}

// comment is a comment of TypeScript, near enough for what the compiler writes: in it the word may stand.
var comment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

// No type, member, parameter or text of the package is about a token: an app cannot ask for what has no name.
func (f *folders) tokens(t *testing.T) {
	word := regexp.MustCompile(`(?i)\w*(?:token|bearer|jwt)\w*`)
	looked := 0
	for name, text := range f.files(t) {
		if !strings.HasSuffix(name, ".d.ts") && !strings.HasSuffix(name, ".js") {
			continue
		}
		looked++
		if strings.HasSuffix(name, ".d.ts") {
			text = comment.ReplaceAllString(text, "")
		}
		for _, found := range word.FindAllString(text, -1) {
			// A route of the fake gateway says what it wants by the name that it has in the configuration.
			if found != "token" || !strings.HasPrefix(name, "dist/testing") {
				t.Errorf("%s: %s", name, found)
			}
		}
	}
	if looked < 8 {
		t.Errorf("looked into %d files: the package has lost some", looked)
	}
}

// npm tells in warnings what it has put right in package.json before it publishes.
func (f *folders) publish(t *testing.T) {
	t.Parallel()
	said := run(t, filepath.Dir(f.tarball), "npm", "publish", "--dry-run", "--offline", "--ignore-scripts",
		"--access", "public", "--tag", "latest", f.tarball)
	for line := range strings.Lines(said) {
		// The user's own settings of npm are none of the package's business, and neither is that nobody is logged in here.
		if strings.HasPrefix(line, "npm warn") && !strings.Contains(line, "user config") && !strings.Contains(line, "logged in") {
			t.Error(line)
		}
	}
	if !strings.Contains(said, "@cloakroom/client@") {
		t.Errorf("npm has not looked at the package:\n%s", said)
	}
}
