package compose_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"cloakroom/server/config"
	"cloakroom/server/ops"
)

// tree is a YAML mapping of any form.
type tree = map[string]any

// within returns what stands at a path of names and places; nil if the path leads nowhere.
func within(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := value.(tree)
			value = m[step]
		case int:
			l, _ := value.([]any)
			if step >= len(l) {
				return nil
			}
			value = l[step]
		}
	}
	return value
}

// manifests are the YAML blocks of docs/kubernetes.md: by kind those of Kubernetes, and under "" those that are none.
func manifests(t *testing.T) map[string]tree {
	t.Helper()
	found := map[string]tree{}
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(read(t, "docs/kubernetes.md"), -1) {
		decoder := yaml.NewDecoder(strings.NewReader(m[1]))
		for {
			var doc tree
			if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("docs/kubernetes.md: %v in\n%s", err, m[1])
			}
			kind, _ := doc["kind"].(string)
			if found[kind] != nil {
				t.Fatalf("docs/kubernetes.md: two blocks of the kind %q", kind)
			}
			found[kind] = doc
		}
	}
	return found
}

// mounted is the configuration of docs/kubernetes.md as a container sees it: read from the ConfigMap, with every file that it
// names made under a folder of the test's. Of the Secret come exactly the keys that the page's command creates it with.
func mounted(t *testing.T, all map[string]tree) *config.Config {
	t.Helper()
	text, _ := within(all["ConfigMap"], "data", "cloakroom.yaml").(string)
	dir := t.TempDir()
	for _, m := range regexp.MustCompile(`--from-file=(\S+)`).FindAllStringSubmatch(read(t, "docs/kubernetes.md"), -1) {
		file := filepath.Join(dir, "run/secrets/cloakroom", m[1])
		if !strings.Contains(text, " /run/secrets/cloakroom/"+m[1]) {
			t.Errorf("the Secret holds %s, which the configuration does not name", m[1])
		}
		content := rand.Text() + rand.Text() // long enough for an admin token
		if regexp.MustCompile(`^[ki]\d$`).MatchString(m[1]) {
			key := make([]byte, 32)
			_, _ = rand.Read(key)
			content = base64.RawURLEncoding.EncodeToString(key)
		}
		if strings.HasSuffix(m[1], ".crt") {
			content = certificate()
		}
		write(t, file, content)
	}
	if err := os.MkdirAll(filepath.Join(dir, "srv/web"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "etc/cloakroom/cloakroom.yaml")
	write(t, file, regexp.MustCompile(` /(run|srv)/`).ReplaceAllString(text, " "+dir+"/$1/"))
	cfg, err := config.Load(file, nil)
	if err != nil {
		t.Fatalf("the ConfigMap: %v", err)
	}
	return cfg
}

// certificate is one of somebody's, in PEM.
func certificate() string {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What kubelet is told of the container is what the image is, and what the gateway does by this configuration.
func TestThePodFitsTheGateway(t *testing.T) {
	all := manifests(t)
	cfg := mounted(t, all)
	pod := within(all["Deployment"], "spec", "template", "spec")
	box := within(pod, "containers", 0)
	image := dockerfile(read(t, "deploy/Dockerfile"))["cloakroom"]
	user := fmt.Sprint(within(pod, "securityContext", "runAsUser"))
	probes := httptest.NewServer(ops.Handler(ops.Options{Ready: func() bool { return true }, Metrics: http.NotFoundHandler()}))
	defer probes.Close()
	for _, probe := range []string{"readinessProbe", "livenessProbe"} {
		resp, err := http.Get(probes.URL + fmt.Sprint(within(box, probe, "httpGet", "path")))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		// The checks of one answer may take two seconds, and kubelet's own patience is one.
		if patience, _ := within(box, probe, "timeoutSeconds").(int); resp.StatusCode != 200 || patience < 3 || within(box, probe, "httpGet", "port") != "ops" {
			t.Errorf("%s: %v, answered %d", probe, within(box, probe), resp.StatusCode)
		}
	}
	pause, _ := within(box, "lifecycle", "preStop", "sleep", "seconds").(int)
	grace, _ := within(pod, "terminationGracePeriodSeconds").(int)
	// After the drain come three seconds for refreshes and one for spans, and one is for the machine.
	if least := time.Duration(pause)*time.Second + cfg.Public.Timeouts.Drain + 5*time.Second; pause < 1 || time.Duration(grace)*time.Second < least {
		t.Errorf("a stop may take %v, and is given %d s", least, grace)
	}
	for what, pair := range map[string][2]any{
		"user":                {user + ":" + fmt.Sprint(within(pod, "securityContext", "runAsGroup")), image.all("USER")[0]},
		"group of secrets":    {within(pod, "securityContext", "fsGroup"), within(pod, "securityContext", "runAsGroup")},
		"mode of secrets":     {within(pod, "volumes", 1, "secret", "defaultMode"), 0o440},
		"place of the file":   {fmt.Sprint(within(box, "volumeMounts", 0, "mountPath")) + "/cloakroom.yaml", image.list(t, "CMD")[2]},
		"place of secrets":    {within(box, "volumeMounts", 1, "mountPath"), "/run/secrets/cloakroom"},
		"volume of the file":  {within(pod, "volumes", 0, "configMap", "name"), within(all["ConfigMap"], "metadata", "name")},
		"root, read only":     {within(box, "securityContext", "readOnlyRootFilesystem"), true},
		"rights":              {within(box, "securityContext", "capabilities", "drop", 0), "ALL"},
		"more rights":         {within(box, "securityContext", "allowPrivilegeEscalation"), false},
		"the public port":     {within(box, "ports", 0), tree{"name": "http", "containerPort": port(t, cfg.Public.Listen)}},
		"the operator's port": {within(box, "ports", 1), tree{"name": "ops", "containerPort": port(t, cfg.Ops.Listen)}},
		"command":             {within(box, "command"), nil},
		"arguments":           {within(box, "args"), nil},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s (-gateway +page):\n%s", what, diff)
		}
	}
}

// port is that of a listener which is not on loopback.
func port(t *testing.T, listen string) (number int) {
	t.Helper()
	host, text, err := net.SplitHostPort(listen)
	if _, scanErr := fmt.Sscan(text, &number); err != nil || scanErr != nil || host != "" {
		t.Errorf("%s is not reached from outside the pod", listen)
	}
	return number
}

// What leads to the pods leads to them by their labels and to their ports; nothing leads to the admin listener.
func TestTheWayToThePods(t *testing.T) {
	all := manifests(t)
	cfg := mounted(t, all)
	if host, _, _ := net.SplitHostPort(cfg.Admin.Listen); host != "127.0.0.1" {
		t.Errorf("the admin listener is at %s", cfg.Admin.Listen)
	}
	labels, name := tree{"app": "cloakroom"}, "cloakroom"
	web, _ := strings.CutPrefix(cfg.Apps["web"].Origin, "https://")
	gw, _ := strings.CutPrefix(cfg.Public.URL, "https://")
	hosts := []any{web, gw}
	for _, row := range []struct {
		kind string
		path []any
		want any
	}{
		{"Deployment", []any{"spec", "selector", "matchLabels"}, labels},
		{"Deployment", []any{"spec", "template", "metadata", "labels"}, labels},
		{"Service", []any{"spec", "selector"}, labels},
		{"Service", []any{"spec", "ports"}, []any{tree{"name": "http", "port": 80, "targetPort": "http"}}},
		{"HTTPRoute", []any{"spec", "hostnames"}, hosts},
		{"HTTPRoute", []any{"spec", "rules", 0, "backendRefs"}, []any{tree{"name": name, "port": 80}}},
		{"Ingress", []any{"spec", "tls", 0, "hosts"}, hosts},
		{"Ingress", []any{"spec", "rules", 0, "host"}, web},
		{"Ingress", []any{"spec", "rules", 1, "host"}, gw},
		{"Ingress", []any{"spec", "rules", 0, "http", "paths", 0, "backend", "service"}, tree{"name": name, "port": tree{"name": "http"}}},
		{"PodDisruptionBudget", []any{"spec", "selector", "matchLabels"}, labels},
		{"HorizontalPodAutoscaler", []any{"spec", "scaleTargetRef"}, tree{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}},
		{"NetworkPolicy", []any{"spec", "podSelector", "matchLabels"}, labels},
		{"NetworkPolicy", []any{"spec", "policyTypes"}, []any{"Ingress", "Egress"}},
		{"NetworkPolicy", []any{"spec", "ingress", 0, "ports"}, []any{tree{"port": port(t, cfg.Public.Listen)}}},
		{"NetworkPolicy", []any{"spec", "ingress", 1, "ports"}, []any{tree{"port": port(t, cfg.Ops.Listen)}}},
		{"NetworkPolicy", []any{"spec", "ingress", 2}, nil},
		{"", []any{"rule_files"}, []any{"alerts.yaml"}},
	} {
		if diff := cmp.Diff(row.want, within(all[row.kind], row.path...)); diff != "" {
			t.Errorf("%s %v (-want +page):\n%s", row.kind, row.path, diff)
		}
	}
	for kind, doc := range all {
		if kind != "" && (within(doc, "metadata", "namespace") != name || doc["apiVersion"] == nil) {
			t.Errorf("%s: %v of %v", kind, doc["metadata"], doc["apiVersion"])
		}
	}
}

// Settings and metrics that the page names are those of the references, which are compared with the code elsewhere.
func TestThePageAboutKubernetesNamesWhatThereIs(t *testing.T) {
	page := read(t, "docs/kubernetes.md")
	checked := 0
	for _, m := range regexp.MustCompile("`([a-z]+(?:\\.[a-z_]+)+)`").FindAllStringSubmatch(page, -1) {
		if strings.HasSuffix(m[1], ".example.com") {
			continue
		}
		if checked++; !setting(reflect.TypeFor[config.Config](), strings.Split(m[1], ".")) {
			t.Errorf("%s is no setting", m[1])
		}
	}
	known := metrics(t)
	for _, name := range regexp.MustCompile(`bff_[a-z_]+`).FindAllString(page, -1) {
		if known[name] == nil {
			t.Errorf("%s is no metric", name)
		}
		checked++
	}
	if checked < 10 {
		t.Errorf("%d names were found on the page", checked)
	}
}

// setting reports whether a path of keys leads to a setting.
func setting(of reflect.Type, path []string) bool {
	if len(path) == 0 {
		return true
	}
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return false
	}
	for i := range of.NumField() {
		if name, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ","); name == path[0] {
			return setting(of.Field(i).Type, path[1:])
		}
	}
	return false
}
