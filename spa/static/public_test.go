package static_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"cloakroom/spa/static"
)

// What is public is that and no more: no page of the protected rest stands for one that is missing.
func TestPublicPathsOfAProtectedFolder(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{"guide.html": "<p>index of guides", "plan.html": "<p>plan"})
	h := serve(t, static.Options{Dir: dir, Protected: true, Public: []string{"/guide/", "/robots.txt", "/plan"}})
	for path, want := range map[string]struct {
		status  int
		caching string
	}{
		"/guide/":                 {200, "no-cache"},
		"/guide":                  {308, "no-cache"}, // not guide.html, which is not public
		"/guide/step":             {200, "no-cache"},
		"/plan":                   {404, "no-store"}, // nor is plan.html
		"/robots.txt":             {200, "public, max-age=0, must-revalidate"},
		"/guide/nothing":          {404, "no-store"},
		"/guide/nothing/":         {404, "no-store"},
		"/guide/.hidden":          {404, "no-store"},
		"/nothing":                {200, "no-store"}, // the app's own page, behind the sign-in
		"/assets/plain.css":       {200, "private, no-cache"},
		"/guides":                 {200, "no-store"},
		"/robots.txt/":            {200, "no-store"},
		"/" + hashed:              {200, "private, no-cache"},
		"/guide/step.html?x=/../": {200, "no-cache"},
	} {
		a := h.ask("GET", path, navigation...)
		if a.status == 308 {
			want.caching = a.header.Get("Cache-Control")
		}
		if a.status != want.status || a.header.Get("Cache-Control") != want.caching {
			t.Errorf("%s: %d %q, want %v", path, a.status, a.header.Get("Cache-Control"), want)
		}
		if strings.HasPrefix(path, "/guide/") && strings.Contains(a.body, "<p>index") {
			t.Errorf("%s shows a protected page", path)
		}
	}
	// Nor does one where a page that is public stands for missing ones, and is missing itself.
	h = serve(t, static.Options{Dir: app(t), Protected: true, Public: []string{"/guide/", "/404.html"}})
	if a := h.ask("GET", "/guide/nothing", navigation...); a.status != 404 || strings.Contains(a.body, "<p>index") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Who is let in without a session is asked of Public alone: no spelling of a public path, nor the page that stands for
// missing ones, opens what is not.
func TestWhatPublicIsAskedFor(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{"404.html": "<p>SECRET"})
	site, err := static.New(static.Options{Dir: dir, Protected: true, Public: []string{"/", "/guide/", "/robots.txt"}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/guide": true, "/guide/": true, "/guide/step.html": true, "/guide/a/b": true, "/robots.txt": true, "/robots%2etxt": true,
		"/": false, "/index.html": false, "/guides": false, "/Guide/": false, "/robots.txt/": false, "/robots.txt.br": false, "/robots.txt.": false,
		"/guide/.hidden": false, "/guide/../index.html": false, "/guide/%2e%2e/index.html": false, "/guide%2fstep.html": false, "/guide//x": false,
		"//guide/": false, "/guide/a:b": false, "/guide/x.": false, "/guide/%00": false, "/guide\\x": false, "": false,
	} {
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := site.Public(&http.Request{URL: u}); got != want {
			t.Errorf("%q is public: %t", path, got)
		}
	}
	h := serve(t, static.Options{Dir: dir, Protected: true, Public: []string{"/", "/guide/"}})
	if a := h.ask("GET", "/guide/nothing", navigation...); a.status != 404 || strings.Contains(a.body, "SECRET") {
		t.Errorf("a page that is not public, at a public address: %d %s", a.status, a.body)
	}
	if a := h.ask("GET", "/", navigation...); a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the app's page: %v", a.header)
	}
	h = serve(t, static.Options{Dir: dir, Protected: true, Public: []string{"/guide/", "/404.html"}})
	if a := h.ask("GET", "/guide/nothing", navigation...); a.status != 404 || a.body != "<p>SECRET" {
		t.Errorf("one that is: %d %s", a.status, a.body)
	}
}
