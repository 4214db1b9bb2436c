//go:build integration

package compose_test

import (
	"debug/buildinfo"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The build itself, without the containers: the commands of the Dockerfile, on a copy of what the build's context would hold.
func TestBuild(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	copyContext(t, dir)
	stages := dockerfile(read(t, "deploy/Dockerfile"))
	env := append(os.Environ(), "TARGETOS=", "TARGETARCH=")
	for _, pair := range regexp.MustCompile(`(\w+)=("[^"]*"|\S+)`).FindAllStringSubmatch(strings.Join(stages["source"].all("ENV"), " "), -1) {
		env = append(env, pair[1]+"="+os.Expand(strings.Trim(pair[2], `"`), func(string) string { return "" })) // for this machine
	}
	for _, name := range []string{"build", "build-dev"} {
		for _, run := range stages[name].all("RUN") {
			run = regexp.MustCompile(`--mount=\S+`).ReplaceAllString(run, "")
			cmd := exec.Command("sh", "-euc", strings.ReplaceAll(run, "/out/", out+"/"))
			cmd.Dir, cmd.Env = dir, env
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", run, err, text)
			}
		}
	}
	for _, name := range []string{"cloakroom", "cloakroom-dev"} {
		info, err := buildinfo.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
			t.Errorf("%s is built with %v", name, settings)
		}
	}
	if info, err := os.Stat(filepath.Join(out, "keys")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder that becomes the volume: %v %v", info, err)
	}
	if text, err := exec.Command(filepath.Join(out, "cloakroom"), "version").CombinedOutput(); err != nil || !strings.HasPrefix(string(text), "cloakroom ") {
		t.Errorf("version: %v %s", err, text)
	}
}

// copyContext copies the files that .dockerignore lets through.
func copyContext(t *testing.T, to string) {
	t.Helper()
	rules := patterns(t)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil || name == "." {
			return err
		}
		switch {
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir // large, and kept out of the build as TestBuildContext shows
		case !d.Type().IsRegular() || ignored(rules, filepath.ToSlash(name)):
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
