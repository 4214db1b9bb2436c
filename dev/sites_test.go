package dev_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The handbook is served under the strictest policy, so it brings nothing inline and loads nothing but its own style sheet.
func TestTheHandbookNeedsNothingThatAStrictPolicyForbids(t *testing.T) {
	pages, err := filepath.Glob("handbook/*.html")
	if err != nil || len(pages) != 3 {
		t.Fatalf("%v: %v", pages, err)
	}
	link := regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	for _, name := range pages {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		page := string(data)
		for _, bad := range []string{"<script", "<style", " style=", "javascript:", " onclick", "<img", "@import", "url("} {
			if strings.Contains(page, bad) {
				t.Errorf("%s has %q", name, bad)
			}
		}
		for _, want := range []string{`<html lang="en">`, `<form method="post" action="/bff/logout">`, `aria-current="page"`, "http://localhost:8080/"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		for _, found := range link.FindAllStringSubmatch(page, -1) {
			to := found[1]
			switch {
			case to == "http://localhost:8080/", to == "/bff/logout", to == "/", to == "#content":
			default:
				if _, err := os.Stat(filepath.Join("handbook", to)); err != nil || !strings.HasPrefix(to, "/") {
					t.Errorf("%s leads to %s: %v", name, to, err)
				}
			}
		}
	}
}
