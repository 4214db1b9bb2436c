// Package compose_test checks docker-compose.yml and the files that it needs, without a container engine.
//
// What is shown: the file has the Compose specification's form as far as we use it (a strict reading: an unknown key, a
// service or volume that is not there, a health check that cannot be waited for are refused); images, stages and binaries
// that it names exist in deploy/Dockerfile; every command is one of our programs with flags that it really has; the build's
// context holds what the programs are made of, and no secret that lies beside them. With the tag integration the
// Dockerfile's own commands build both programs from a copy of that context, every service is run by hand, in compose's order,
// with its health check asked as compose would, and somebody signs in.
//
// So are the manifests of docs/kubernetes.md, against image, configuration and probes, and the rules of deploy/alerts.yaml,
// against the metrics in docs/operations.md and what it says one should be woken by.
//
// What is NOT shown: that a cluster or Prometheus takes those; that an engine builds the images (the base images, COPY, owners of files), that Valkey's image takes the
// arguments that redis-server takes here, and what an engine does at run time: networks, the owners of volumes, read-only
// roots, dropped capabilities.
package compose_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// root is the module's folder, seen from this package's.
const root = "../.."

// composeFile is what we use of the Compose specification: whatever has no field here is refused.
type composeFile struct {
	Name     string              `yaml:"name"`
	Hardened any                 `yaml:"x-hardened"` // an extension: merged into services
	Services map[string]*service `yaml:"services"`
	Volumes  map[string]struct{} `yaml:"volumes"`
}

type service struct {
	Build       *build               `yaml:"build"`
	Image       string               `yaml:"image"`
	PullPolicy  string               `yaml:"pull_policy"`
	User        string               `yaml:"user"`
	ReadOnly    bool                 `yaml:"read_only"`
	CapDrop     []string             `yaml:"cap_drop"`
	SecurityOpt []string             `yaml:"security_opt"`
	NetworkMode string               `yaml:"network_mode"`
	Restart     string               `yaml:"restart"`
	Tmpfs       []string             `yaml:"tmpfs"`
	Volumes     []string             `yaml:"volumes"`
	Ports       []string             `yaml:"ports"`
	Command     []string             `yaml:"command"`
	DependsOn   map[string]condition `yaml:"depends_on"`
	Healthcheck *healthcheck         `yaml:"healthcheck"`
	StopGrace   string               `yaml:"stop_grace_period"`
}

type build struct {
	Context    string `yaml:"context"`
	Dockerfile string `yaml:"dockerfile"`
	Target     string `yaml:"target"`
}

type condition struct {
	Condition string `yaml:"condition"`
	Restart   bool   `yaml:"restart"`
}

type healthcheck struct {
	Test     []string `yaml:"test"`
	Interval string   `yaml:"interval"`
	Timeout  string   `yaml:"timeout"`
	Retries  int      `yaml:"retries"`
}

// parse reads a compose file strictly.
func parse(text []byte) (*composeFile, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	f := new(composeFile)
	if err := decoder.Decode(f); err != nil {
		return nil, err
	}
	return f, nil
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// check returns what is wrong with a file.
func check(text []byte) (found []string) {
	f, err := parse(text)
	if err != nil {
		return []string{err.Error()}
	}
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`).MatchString(f.Name) {
		found = append(found, "name: no project name")
	}
	used := map[string]bool{}
	published := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(f.Services)) {
		s := f.Services[name]
		for _, problem := range slices.Concat(s.source(), s.hardened(), s.waits(f), s.network(f), s.mounts(f, used), s.listens(published), s.health(), s.texts()) {
			found = append(found, "services."+name+problem)
		}
	}
	for name := range f.Volumes {
		if !used[name] {
			found = append(found, "volumes."+name+": used by nobody")
		}
	}
	if _, left := f.order(); len(left) > 0 {
		found = append(found, fmt.Sprintf("depends_on: a circle among %v", left))
	}
	return found
}

// source: where the image comes from.
func (s *service) source() (found []string) {
	if s.Image == "" {
		found = append(found, ".image: missing; without one the name depends on the folder's")
	}
	if b := s.Build; b != nil {
		stages, err := os.ReadFile(filepath.Join(root, b.Context, b.Dockerfile))
		if err != nil {
			return append(found, ".build.dockerfile: "+err.Error())
		}
		if dockerfile(string(stages))[b.Target] == nil {
			found = append(found, ".build.target: no stage "+b.Target)
		}
		return found
	}
	if s.PullPolicy != "never" && !regexp.MustCompile(`:[0-9]+\.[0-9]`).MatchString(s.Image) {
		found = append(found, ".image: without a version")
	}
	return found
}

// hardened: what a container may do.
func (s *service) hardened() (found []string) {
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		found = append(found, ": not hardened")
	}
	if !slices.Contains([]string{"no", "unless-stopped"}, s.Restart) {
		found = append(found, ".restart: "+s.Restart)
	}
	return found
}

// waits: whom it waits for, and whether that can come true.
func (s *service) waits(f *composeFile) (found []string) {
	for name, c := range s.DependsOn {
		other := f.Services[name]
		switch {
		case other == nil:
			found = append(found, ".depends_on: no service "+name)
		case c.Condition == "service_healthy" && other.Healthcheck == nil:
			found = append(found, ".depends_on: "+name+" has no health check to wait for")
		case c.Condition == "service_completed_successfully" && other.Restart != "no":
			found = append(found, ".depends_on: "+name+" never completes")
		case c.Condition != "service_healthy" && c.Condition != "service_completed_successfully":
			found = append(found, ".depends_on."+name+": unknown condition "+c.Condition)
		}
	}
	return found
}

// network: whose it has.
func (s *service) network(f *composeFile) (found []string) {
	owner, shared := strings.CutPrefix(s.NetworkMode, "service:")
	switch {
	case s.NetworkMode == "" || s.NetworkMode == "none" && len(s.Ports) == 0:
	case !shared:
		found = append(found, ".network_mode: "+s.NetworkMode)
	case f.Services[owner] == nil || f.Services[owner].NetworkMode != "":
		found = append(found, ".network_mode: no service "+owner+" with a network of its own")
	case len(s.Ports) > 0:
		found = append(found, ".ports: belong to the owner of the network, "+owner)
	}
	return found
}

// mounts: what it sees of volumes and folders.
func (s *service) mounts(f *composeFile, used map[string]bool) (found []string) {
	targets := map[string]bool{}
	for _, text := range s.Volumes {
		m := mountOf(text)
		_, declared := f.Volumes[m.source]
		_, missing := os.Stat(filepath.Join(root, m.source))
		bind := strings.HasPrefix(m.source, "./")
		switch {
		case !strings.HasPrefix(m.target, "/") || targets[m.target]:
			found = append(found, ".volumes: no place of its own: "+text)
		case bind && m.mode != "ro":
			found = append(found, ".volumes: may write into the repository: "+text)
		case bind && missing != nil:
			found = append(found, ".volumes: "+missing.Error())
		case !bind && !declared:
			found = append(found, ".volumes: no volume "+m.source)
		}
		used[m.source], targets[m.target] = true, true
	}
	return found
}

// mount is one line of volumes, in the short form.
type mount struct{ source, target, mode string }

func mountOf(text string) mount {
	parts := append(strings.Split(text, ":"), "", "")
	return mount{parts[0], parts[1], parts[2]}
}

// listens: what is published, on loopback and once.
func (s *service) listens(published map[string]bool) (found []string) {
	for _, port := range s.Ports {
		m := regexp.MustCompile(`^127\.0\.0\.1:(\d+):\d+$`).FindStringSubmatch(port)
		switch {
		case m == nil:
			found = append(found, ".ports: not on loopback alone: "+port)
		case published[m[1]]:
			found = append(found, ".ports: published twice: "+port)
		default:
			published[m[1]] = true
		}
	}
	return found
}

// health: the form of a health check.
func (s *service) health() (found []string) {
	if s.StopGrace != "" && !duration(s.StopGrace) {
		found = append(found, ".stop_grace_period: "+s.StopGrace)
	}
	h := s.Healthcheck
	if h == nil {
		return found
	}
	if len(h.Test) < 2 || h.Test[0] != "CMD" { // CMD-SHELL would need a shell, which our images have not
		found = append(found, ".healthcheck.test: no command")
	}
	if !duration(h.Interval) || !duration(h.Timeout) || h.Retries < 1 {
		found = append(found, ".healthcheck: interval, timeout or retries missing")
	}
	return found
}

func duration(text string) bool {
	d, err := time.ParseDuration(text)
	return err == nil && d > 0
}

// texts: nothing comes from the environment of whoever starts it, so nothing can be missing there.
func (s *service) texts() (found []string) {
	for _, text := range slices.Concat(s.Command, s.Volumes, s.Ports, []string{s.Image}) {
		if strings.Contains(strings.ReplaceAll(text, "$$", ""), "$") {
			found = append(found, ": a variable in "+text)
		}
	}
	return found
}

// order is how compose starts the services: each after those it depends on and whose network it has. Those of a circle are
// left over.
func (f *composeFile) order() (started, left []string) {
	left = slices.Sorted(maps.Keys(f.Services))
	for {
		i := slices.IndexFunc(left, func(name string) bool {
			s := f.Services[name]
			before := slices.Collect(maps.Keys(s.DependsOn))
			if owner, shared := strings.CutPrefix(s.NetworkMode, "service:"); shared {
				before = append(before, owner)
			}
			return !slices.ContainsFunc(before, func(b string) bool { return slices.Contains(left, b) })
		})
		if i < 0 {
			return started, left
		}
		started, left = append(started, left[i]), slices.Delete(left, i, i+1)
	}
}

func TestFile(t *testing.T) {
	for _, problem := range check([]byte(read(t, "docker-compose.yml"))) {
		t.Error(problem)
	}
}

// A rule that cannot be broken checks nothing: here each one is.
func TestRulesCanBeBroken(t *testing.T) {
	good := read(t, "docker-compose.yml")
	tests := []struct{ name, old, new, want string }{
		{"an unknown key", "    restart: unless-stopped\n", "    restarts: unless-stopped\n", "restarts"},
		{"privileges", "    image: cloakroom\n", "    image: cloakroom\n    privileged: true\n", "privileged"},
		{"an environment", "    image: cloakroom\n", "    image: cloakroom\n    environment: {A: b}\n", "environment"},
		{"no name", "name: cloakroom\n", "", "no project name"},
		{"a stage that is not there", "target: cloakroom}", "target: nothing}", "no stage nothing"},
		{"a Dockerfile that is not there", "dockerfile: deploy/Dockerfile, target: cloakroom}", "dockerfile: Dockerfile, target: cloakroom}", "no such file"},
		{"an image of any version", "valkey/valkey:8.1-alpine", "valkey/valkey", "without a version"},
		{"a service without an image", "    image: cloakroom-keys\n", "", "services.keys.image: missing"},
		{"a root that can be written", "read_only: true", "read_only: false", "not hardened"},
		{"capabilities", "cap_drop: [ALL]", "cap_drop: [NET_RAW]", "not hardened"},
		{"new privileges", `["no-new-privileges:true"]`, "[]", "not hardened"},
		{"a dependency that is not there", "redis: {condition", "radish: {condition", "no service radish"},
		{"a condition that does not exist", "redis: {condition: service_healthy}", "redis: {condition: healthy}", "unknown condition"},
		{"a wait for health that nobody checks", "healthcheck:\n      test: [CMD, valkey-cli, -e, ping]\n      interval: 2s\n      timeout: 2s\n      retries: 15\n", "", "no health check to wait for"},
		{"a wait for an end that never comes", `restart: "no"`, "restart: unless-stopped", "never completes"},
		{"a circle", "    network_mode: none\n", "    depends_on: {gateway: {condition: service_healthy}}\n", "a circle"},
		{"the network of nobody", "service:provider", "service:nobody", "no service nobody"},
		{"a network of the host", "network_mode: none", "network_mode: host", "network_mode: host"},
		{"a volume that is not declared", "\nvolumes:\n  keys:\n", "\n", "no volume keys"},
		{"a volume that nobody uses", "\nvolumes:\n", "\nvolumes:\n  more:\n", "used by nobody"},
		{"a folder that is not there", "./spa/demo/dist:", "./spa/nothing:", "no such file"},
		{"a folder that can be written", "/srv/demo:ro", "/srv/demo", "may write"},
		{"two mounts at one place", ":/srv/handbook:ro", ":/srv/demo:ro", "no place of its own"},
		{"a port for everybody", `"127.0.0.1:8080:8080"`, `"8080:8080"`, "not on loopback"},
		{"a port twice", `"127.0.0.1:8090:8090"`, `"127.0.0.1:8080:8090"`, "published twice"},
		{"a health check for a shell", "test: [CMD, /cloakroom,", "test: [CMD-SHELL, /cloakroom,", "no command"},
		{"a health check without an end", "      retries: 15\n", "", "retries missing"},
		{"a variable", "for name in", "for name in $NAMES", "a variable"},
		{"a grace that is no time", "stop_grace_period: 30s", "stop_grace_period: 30", "stop_grace_period"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			broken := strings.ReplaceAll(good, tt.old, tt.new)
			if broken == good {
				t.Fatalf("%q does not stand in the file", tt.old)
			}
			if found := strings.Join(check([]byte(broken)), "\n"); !strings.Contains(found, tt.want) {
				t.Errorf("found %q, want one that says %q", found, tt.want)
			}
		})
	}
}
