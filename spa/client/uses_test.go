//go:build integration

package client_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// A project finds the package and its types under every module resolution that TypeScript still has for new code, with the
// declarations themselves checked; without React too, for whoever imports nothing of it.
func (f *folders) resolution(t *testing.T) {
	t.Parallel()
	tsc, err := filepath.Abs(filepath.Join("..", "node_modules", ".bin", "tsc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, module, resolution string }{
		{f.app, "node16", "node16"}, {f.app, "nodenext", "nodenext"}, {f.app, "esnext", "bundler"}, {f.bare, "nodenext", "nodenext"},
	} {
		files, err := filepath.Glob(filepath.Join(c.dir, "use*.ts*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", c.dir, files, err)
		}
		run(t, c.dir, tsc, append([]string{
			"--module", c.module, "--moduleResolution", c.resolution, "--noEmit", "--strict", "--skipLibCheck", "false",
			"--exactOptionalPropertyTypes", "--target", "es2022", "--lib", "es2022,dom,dom.iterable", "--jsx", "react-jsx", "--types", "",
			"--ignoreConfig",
		}, files...)...)
	}
}

// ceilings are gzipped bytes, minified by a bundler.
var ceilings = map[string]int{
	"client":  4096, // what a page loads before it knows who is there
	"react":   2048, // without React and without the client
	"testing": 8192, // no user ever loads it
	"error":   700,
	"types":   80, // the function of the caller that they are for: they themselves cost nothing
	"nothing": 40, // what nobody uses is not there; an empty text is 20 bytes
}

// Whoever imports something pays for that, and for nothing else.
func (f *folders) sizes(t *testing.T) {
	t.Parallel()
	var sizes map[string]int
	if err := json.Unmarshal([]byte(run(t, f.app, "node", "sizes.mjs")), &sizes); err != nil {
		t.Fatal(err)
	}
	if len(sizes) != len(ceilings) {
		t.Errorf("measured %v, and there are ceilings for %v", sizes, ceilings)
	}
	for name, size := range sizes {
		t.Logf("%s: %d bytes gzipped", name, size)
		if size >= ceilings[name] {
			t.Errorf("importing %s costs %d bytes, which is to stay below %d", name, size, ceilings[name])
		}
	}
	// What one app does not use another does: the file has all of it, and is minified for who loads it without a bundler.
	if shipped := f.gzipped(t, "dist/index.js"); shipped >= sizes["client"]+sizes["error"]+200 {
		t.Errorf("dist/index.js is %d bytes gzipped: a page that loads it as it is pays more than one with a bundler", shipped)
	}
	if sizes["client"] < 1000 || sizes["react"] < 200 || sizes["testing"] < 1000 || sizes["error"] < 100 {
		t.Errorf("%v: something was measured that is not there", sizes)
	}
}

// gzipped tells what a file of the package takes on its way.
func (f *folders) gzipped(t *testing.T, name string) int {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := f.files(t)[name]
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil || !ok {
		t.Fatalf("%s: there %v, %v", name, ok, err)
	}
	return out.Len()
}

// Server-side rendering imports all of it: nothing there is set going, and the page is not told who is signed in.
func (f *folders) server(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"server.mjs", "render.mjs"} {
		if out := run(t, f.app, "node", script); strings.TrimSpace(out) == "" {
			t.Errorf("%s did not come to its end", script)
		}
	}
}

// An app as npm create vite makes it, and a page without any build, both under the gateway's own policy.
func (f *folders) browsers(t *testing.T) {
	t.Parallel()
	t.Run("of Vite, React and TypeScript", func(t *testing.T) {
		t.Parallel()
		run(t, f.app, "npm", "run", "build")
		journey(t, filepath.Join(f.app, "dist"))
	})
	t.Run("of a page and the files as they are", func(t *testing.T) {
		t.Parallel()
		page := t.TempDir()
		copyTo(t, filepath.Join("testdata", "plain"), page)
		copyTo(t, filepath.Join(f.bare, "node_modules", "@cloakroom", "client", "dist"), filepath.Join(page, "cloakroom"))
		journey(t, page)
	})
}

// journey signs in, calls and signs out with an app that a real gateway serves.
func journey(t *testing.T, folder string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(folder, "index.html")); err != nil {
		t.Fatal(err)
	}
	w := world.New(t, world.DevProvider, world.Options{App: fmt.Sprintf("    static: {dir: %q}\n", folder)})
	at := w.Start(1)[0].Addr
	chromium.Run(t, chromium.Journey{
		Name: "package",
		Given: map[string]any{
			"origin": world.Origin,
			"args":   []string{"--host-resolver-rules=MAP web.localhost:80 " + at},
		},
		Holds: func(t *testing.T, s chromium.Stored) {
			t.Helper()
			if s.Cookie != "" || len(s.Globals) > 0 || s.Local != "{}" || len(s.Databases) > 0 {
				t.Errorf("a script can read %q, finds %q, and keeps %s %q", s.Cookie, s.Globals, s.Local, s.Databases)
			}
		},
		Asked: func(what string) (string, error) { return "", errors.New("nobody does " + what) },
	})
}
