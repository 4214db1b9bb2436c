package compose_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// metrics are the labels of each metric in docs/operations.md, by name.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(bff_[a-z_]+)` \\| (\\w+) \\|([^|]*)\\|").FindAllStringSubmatch(read(t, "docs/operations.md"), -1) {
		labels := []string{"instance"} // Prometheus's own
		for _, l := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(m[3], -1) {
			labels = append(labels, l[1])
		}
		found[m[1]] = labels
		if m[2] == "histogram" {
			found[m[1]+"_count"], found[m[1]+"_sum"], found[m[1]+"_bucket"] = labels, labels, append(labels, "le")
		}
	}
	return found
}

// ruleFile is what we use of Prometheus's rules: whatever has no field here is refused.
type ruleFile struct {
	Groups []struct {
		Name  string  `yaml:"name"`
		Rules []alert `yaml:"rules"`
	} `yaml:"groups"`
}

type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// Every sign that somebody is to be woken by has a rule, and every rule asks for metrics and labels that there are.
func TestAlerts(t *testing.T) {
	decoder := yaml.NewDecoder(strings.NewReader(read(t, "deploy/alerts.yaml")))
	decoder.KnownFields(true)
	var file ruleFile
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	known, asked := metrics(t), ""
	var names []string
	for _, rule := range file.Groups[0].Rules {
		for _, problem := range rule.problems(known) {
			t.Errorf("%s: %s", rule.Alert, problem)
		}
		names, asked = append(names, rule.Alert), asked+" "+rule.Expr
	}
	if slices.Sort(names); len(file.Groups) != 1 || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("%d groups, rules %q", len(file.Groups), names)
	}
	_, signs, _ := strings.Cut(read(t, "docs/operations.md"), "\n## What to be woken by\n")
	signs, _, _ = strings.Cut(signs, "\n## ")
	rows := 0
	for row := range strings.Lines(signs) {
		sign, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, name := range regexp.MustCompile("bff_[a-z_]+(?:\\{[^}]*\\})?|code=\"\\d+\"|handle_reused|code_replayed").FindAllString(sign, -1) {
			if rows++; !strings.Contains(asked, strings.TrimSuffix(name, "}")) {
				t.Errorf("no rule asks for %s", name)
			}
		}
	}
	if rows < 14 {
		t.Errorf("%d signs were found in docs/operations.md", rows)
	}
}

// problems are what is wrong with a rule.
func (a alert) problems(known map[string][]string) (found []string) {
	selectors := regexp.MustCompile(`(bff_[a-z_]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(a.Expr, -1)
	if len(selectors) == 0 {
		found = append(found, "asks for no metric")
	}
	for _, s := range selectors {
		labels := known[s[1]]
		if labels == nil {
			found = append(found, s[1]+" is no metric")
		}
		// Labels in the selector, and those that the rule groups by or tells.
		for _, l := range regexp.MustCompile(`(\w+)(?:=~|!=|=)"`).FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(labels, l[1]) {
				found = append(found, s[1]+" has no label "+l[1])
			}
		}
		for _, l := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(a.Expr, -1) {
			for label := range strings.SplitSeq(l[1], ", ") {
				if !slices.Contains(labels, label) {
					found = append(found, s[1]+" has no label "+label)
				}
			}
		}
	}
	if strings.Count(a.Expr, "(") != strings.Count(a.Expr, ")") {
		found = append(found, "a parenthesis is missing")
	}
	if a.For != "" && !duration(a.For) {
		found = append(found, "for: "+a.For)
	}
	if !slices.Contains([]string{"critical", "warning"}, a.Labels["severity"]) || a.Annotations["summary"] == "" {
		found = append(found, "no severity or summary")
	}
	return append(found, a.leads()...)
}

// leads: the runbook is a heading of a page, and the summary tells labels that the rule leaves.
func (a alert) leads() (found []string) {
	page, anchor, _ := strings.Cut(a.Annotations["runbook"], "#")
	text, err := os.ReadFile(filepath.Join(root, page))
	heads := regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(text), -1)
	if err != nil || !slices.ContainsFunc(heads, func(h []string) bool {
		return strings.ReplaceAll(regexp.MustCompile(`[^a-z -]`).ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor
	}) {
		found = append(found, "runbook leads nowhere: "+a.Annotations["runbook"])
	}
	for _, l := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(a.Annotations["summary"], -1) {
		grouped := regexp.MustCompile(`by \([^)]*\b` + l[1] + `\b`).MatchString(a.Expr)
		if plain := !strings.Contains(a.Expr, " by (") && !strings.Contains(a.Expr, "sum("); !grouped && !plain {
			found = append(found, "the summary tells "+l[1]+", which the rule drops")
		}
	}
	return found
}
