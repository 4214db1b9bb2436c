package compose_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stage is one FROM of a Dockerfile with what follows it.
type stage struct {
	from         string
	instructions []instruction
}

type instruction struct{ word, rest string }

// dockerfile reads the stages by name.
func dockerfile(text string) map[string]*stage {
	stages := map[string]*stage{}
	var here *stage
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(text, "")
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "FROM" {
			parts := strings.Fields(rest)
			here = &stage{from: parts[len(parts)-3]}
			stages[parts[len(parts)-1]] = here
		} else if word != "" && here != nil {
			here.instructions = append(here.instructions, instruction{word, strings.TrimSpace(rest)})
		}
	}
	return stages
}

// all returns the rest of each instruction of a kind.
func (s *stage) all(word string) (rests []string) {
	for _, i := range s.instructions {
		if i.word == word {
			rests = append(rests, i.rest)
		}
	}
	return rests
}

// list is an instruction in the exec form; nil without one.
func (s *stage) list(t *testing.T, word string) (words []string) {
	t.Helper()
	for _, rest := range s.all(word) {
		if err := json.Unmarshal([]byte(rest), &words); err != nil {
			t.Fatalf("%s %s: not in the exec form: %v", word, rest, err)
		}
	}
	return words
}

// programs are the binaries that a stage holds, by their path in it, with the package each is built from.
func programs(t *testing.T, stages map[string]*stage, s *stage) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, rest := range s.all("COPY") {
		m := regexp.MustCompile(`^--from=(\S+)(?: --chown=\S+)? (\S+) (\S+)$`).FindStringSubmatch(rest)
		if m == nil || stages[m[1]] == nil {
			t.Fatalf("COPY %s: of no stage", rest)
		}
		made := regexp.MustCompile(`-o ` + regexp.QuoteMeta(m[2]) + ` \./(cmd/\S+)`).FindStringSubmatch(strings.Join(stages[m[1]].all("RUN"), " "))
		if made != nil {
			found[m[3]] = made[1]
		}
	}
	return found
}

// The images are what they should be: a static binary, not root, nothing else.
func TestImages(t *testing.T) {
	stages := dockerfile(read(t, "deploy/Dockerfile"))
	for name, pkg := range map[string]string{"cloakroom": "cmd/cloakroom", "cloakroom-dev": "cmd/cloakroom-dev", "keys": "cmd/cloakroom"} {
		s := stages[name]
		if s == nil {
			t.Fatalf("no stage %s", name)
		}
		if got := programs(t, stages, s); !slices.Contains(values(got), pkg) || len(got) != 1 {
			t.Errorf("%s holds %v, want %s alone", name, got, pkg)
		}
		if user := s.all("USER"); !slices.Equal(user, []string{"65532:65532"}) {
			t.Errorf("%s runs as %v", name, user)
		}
		if !strings.HasPrefix(s.from, "gcr.io/distroless/static-") || !strings.HasSuffix(s.from, "nonroot") {
			t.Errorf("%s is made from %s", name, s.from)
		}
	}
	if env := strings.Join(stages["source"].all("ENV"), " "); !strings.Contains(env, "CGO_ENABLED=0") || !strings.Contains(env, "-trimpath") {
		t.Errorf("the compiler is told %s", env)
	}
	gateway := stages["cloakroom"]
	health, found := strings.CutPrefix(strings.Join(gateway.all("HEALTHCHECK"), ""), "--interval=10s --timeout=4s --start-period=5s --retries=3 CMD ")
	var words []string
	if err := json.Unmarshal([]byte(health), &words); err != nil || !found {
		t.Fatalf("HEALTHCHECK %s: %v", health, err)
	}
	valid(t, stages, gateway, words)
	valid(t, stages, gateway, slices.Concat(gateway.list(t, "ENTRYPOINT"), gateway.list(t, "CMD")))
	if goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]; stages["source"].from != "golang:"+goVersion {
		t.Errorf("built with %s, and go.mod asks for %s", stages["source"].from, goVersion)
	}
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// Every command of the compose file is a program of its image, with a subcommand and flags that it has.
func TestCommands(t *testing.T) {
	f, err := parse([]byte(read(t, "docker-compose.yml")))
	if err != nil {
		t.Fatal(err)
	}
	stages := dockerfile(read(t, "deploy/Dockerfile"))
	targets := map[string]string{}
	for _, s := range f.Services {
		if s.Build != nil {
			targets[s.Image] = s.Build.Target
		}
	}
	for name, s := range f.Services {
		at := stages[targets[s.Image]]
		if name == "redis" {
			continue // not ours; it is run by hand, with these arguments, in the tier with Redis
		}
		if at == nil {
			t.Errorf("%s: nobody builds %s", name, s.Image)
			continue
		}
		if name == "keys" {
			for _, m := range regexp.MustCompile(`(/cloakroom\S*) (\w+)`).FindAllStringSubmatch(s.Command[0], -1) {
				valid(t, stages, at, m[1:])
			}
			continue
		}
		valid(t, stages, at, slices.Concat(at.list(t, "ENTRYPOINT"), s.Command))
		if s.Healthcheck != nil {
			valid(t, stages, at, s.Healthcheck.Test[1:])
		}
	}
}

// valid asks the program itself whether it knows a command line.
func valid(t *testing.T, stages map[string]*stage, s *stage, words []string) {
	t.Helper()
	pkg := programs(t, stages, s)[words[0]]
	if pkg == "" || len(words) < 2 {
		t.Errorf("%v: the image holds %v", words, programs(t, stages, s))
		return
	}
	out, err := exec.Command(program(t, pkg), words[1], "--help").CombinedOutput()
	help := string(out)
	if err != nil || !regexp.MustCompile(`^Usage: \S+ `+regexp.QuoteMeta(words[1])+`\b`).MatchString(help) {
		t.Errorf("%v: no such command: %v\n%s", words, err, help)
	}
	for _, word := range words[2:] {
		if strings.HasPrefix(word, "--") && !regexp.MustCompile(`\s`+regexp.QuoteMeta(word)+`[\s=]`).MatchString(help) {
			t.Errorf("%v: no flag %s\n%s", words, word, help)
		}
	}
}

// folder holds what the tests of this package build; built compiles both programs into it, once.
var (
	folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "compose-test-") })
	built  = sync.OnceValues(func() (string, error) {
		dir, err := folder()
		if err != nil {
			return "", err
		}
		build := exec.Command("go", "build", "-o", dir+"/", "./cmd/cloakroom", "./cmd/cloakroom-dev")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
		return dir, nil
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := folder(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// program returns the name of the binary made of a package of ours.
func program(t *testing.T, pkg string) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatalf("building: %v", err)
	}
	return filepath.Join(dir, path.Base(pkg))
}

// patterns are the lines of .dockerignore that say something.
func patterns(t *testing.T) (all []string) {
	t.Helper()
	for line := range strings.SplitSeq(read(t, "deploy/Dockerfile.dockerignore"), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// ignored tells whether .dockerignore keeps a file out: the last pattern that matches it or a folder above it decides.
func ignored(patterns []string, name string) (out bool) {
	for _, p := range patterns {
		keep := strings.HasPrefix(p, "!")
		if p = strings.TrimPrefix(p, "!"); matches(p, name) {
			out = !keep
		}
	}
	return out
}

// matches: ** stands for any folders, * for anything but a slash; what matches a folder matches all in it.
func matches(pattern, name string) bool {
	expr := regexp.QuoteMeta(pattern)
	expr = strings.ReplaceAll(expr, `\*\*/`, `(.*/)?`)
	expr = strings.ReplaceAll(expr, `\*`, `[^/]*`)
	return regexp.MustCompile(`^` + expr + `(/.*)?$`).MatchString(name)
}

// What the programs are made of goes into the build, and nothing that a first try leaves beside it.
func TestBuildContext(t *testing.T) {
	patterns := patterns(t)
	list := exec.Command("go", "list", "-deps", "-f",
		`{{if .Module}}{{if .Module.Main}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`,
		"./cmd/cloakroom", "./cmd/cloakroom-dev")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	needed := append(strings.Fields(string(out)), filepath.Join(top, "go.mod"), filepath.Join(top, "go.sum"))
	if len(needed) < 100 { // there are far more
		t.Fatalf("only %d files are needed", len(needed))
	}
	for _, file := range needed {
		name, err := filepath.Rel(top, file)
		if err != nil {
			t.Fatal(err)
		}
		if ignored(patterns, filepath.ToSlash(name)) {
			t.Errorf("%s is needed and kept out of the build", name)
		}
	}
	for _, name := range []string{
		"k1", "i1", "web.secret", "cloakroom.yaml", ".git/config", ".env", "bin/cloakroom", "spa/node_modules/x/y.js",
		"bff/login_test.go", "test/e2e/a.go", "docs/security.md", "server/testdata/a.txtar",
	} {
		if !ignored(patterns, name) {
			t.Errorf("%s goes into the build", name)
		}
	}
}
