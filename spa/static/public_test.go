package static_test

import (
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
