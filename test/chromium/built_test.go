//go:build integration

package chromium_test

import (
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// builtApp is an app that Vite builds, one edition after the other.
type builtApp struct {
	source string
	served string // a symbolic link to the edition that is out
}

func newBuiltApp(t *testing.T) *builtApp {
	t.Helper()
	b := &builtApp{source: filepath.Join(t.TempDir(), "app"), served: filepath.Join(t.TempDir(), "current")}
	modules, err := filepath.Abs("../../spa/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(b.source, os.DirFS("testdata/builtapp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(b.source, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := b.deploy("first"); err != nil {
		t.Fatal(err)
	}
	return b
}

// deploy builds an edition, compresses what can be, and puts it in the place of the one before, in one step.
func (b *builtApp) deploy(edition string) error {
	for _, name := range []string{"index.html", "src/more.js"} {
		at := filepath.Join(b.source, filepath.FromSlash(name))
		text, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		changed := strings.NewReplacer("Edition first", "Edition "+edition, "Edition second", "Edition "+edition,
			"of the first", "of the "+edition, "of the second", "of the "+edition).Replace(string(text))
		if err := os.WriteFile(at, []byte(changed), 0o644); err != nil {
			return err
		}
	}
	out := b.served + "-" + edition
	build := exec.Command("node", "node_modules/vite/bin/vite.js", "build", "--outDir", out)
	build.Dir = b.source
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, said)
	}
	if err := filepath.WalkDir(out, compress); err != nil {
		return err
	}
	next := b.served + ".next"
	if err := os.Symlink(out, next); err != nil {
		return err
	}
	return os.Rename(next, b.served)
}

// compress leaves a compressed file beside each script and style.
func compress(at string, e fs.DirEntry, err error) error {
	if extension := filepath.Ext(at); err != nil || extension != ".js" && extension != ".css" {
		return err
	}
	text, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	file, err := os.Create(at + ".gz")
	if err != nil {
		return err
	}
	defer file.Close()
	w := gzip.NewWriter(file)
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}

// What a page can do under the default policy, and what it takes a wider one for.
var (
	strict = map[string]bool{
		"a property of an element's style": true, "a style attribute set by setAttribute": false,
		"a style element with text": false, "a style element filled by insertRule": false, "a constructed style sheet": true,
		"a picture from a data: URL": true, "a picture from a blob: URL": true, "a picture from another origin": false,
		"eval": false, "WebAssembly": false, "a worker of the build": true, "a worker's call home": true,
		"a worker's call elsewhere": false, "a worker's WebAssembly": false, "a worker from a blob: URL": false,
	}
	wide = map[string]bool{
		"a property of an element's style": true, "a style attribute set by setAttribute": true,
		"a style element with text": true, "a style element filled by insertRule": true, "a constructed style sheet": true,
		"a picture from a data: URL": true, "a picture from a blob: URL": true, "a picture from another origin": false,
		"eval": false, "WebAssembly": true, "a worker of the build": true, "a worker's call home": true,
		"a worker's call elsewhere": false, "a worker's WebAssembly": true, "a worker from a blob: URL": true,
	}
)

const widePolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
	"font-src 'self' data:; connect-src 'self'; manifest-src 'self'; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'"

// What Vite builds, in a real browser behind the real gateway: under the strict policy, kept as long as its names allow, and
// followed by the next build while a tab of the one before is open.
//
// shows HDR-CSP (the app's documents and workers), HDR-CACHE (files)
func TestABuiltApp(t *testing.T) {
	t.Parallel()
	b := newBuiltApp(t)
	w := world.New(t, world.DevProvider, world.Options{
		App: fmt.Sprintf("    static: {dir: %q}\n", b.served),
		Apps: fmt.Sprintf("  lab:\n    kind: spa\n    origin: http://lab.localhost\n    provider: main\n    client_id: webc_2\n    client_secret: %s\n    static: {dir: %q, csp: %q}\n",
			"another-client-secret-of-some-length", b.served, widePolicy),
	})
	w.Start(1)
	chromium.Run(t, chromium.Journey{
		Name: "built",
		Given: map[string]any{
			"origin": world.Origin, "wide": "http://lab.localhost", "works": map[string]any{"strict": strict, "wide": wide},
			"args": []string{"--host-resolver-rules=MAP *.localhost:80 " + w.All[0].Addr},
		},
		Asked: func(what string) (string, error) { return "", b.deploy(strings.TrimPrefix(what, "deploy ")) },
	})
}
