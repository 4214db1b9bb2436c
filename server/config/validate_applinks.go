package config

import (
	"regexp"
	"slices"
	"strings"
)

// What a system knows an app by. Apple's bundle ids hold letters, digits, hyphens
// and dots; Android's package names are identifiers with dots, two at least.
const (
	appleID     = `^[A-Z0-9]{10}\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$`
	packageName = `^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`
	fingerprint = `^[0-9A-F]{2}(:[0-9A-F]{2}){31}$` // SHA-256: 32 bytes
)

// validateAppLinks checks what is served to systems as it stands: they drop what
// they cannot read without a word, and the person then sees a page in the browser.
func (r *report) validateAppLinks(path string, a *App, c *Config) {
	if !r.written(path) {
		return
	}
	if len(a.AppLinks.Apple)+len(a.AppLinks.Android) == 0 {
		r.add(path, "names no app; write its ids under apple or android, or delete it")
	}
	if len(c.linkPaths(a)) == 0 {
		r.add(path, "none of redirect_uris is an https address on public.url with a path outside /mobile/, /bff/, /.well-known/, "+
			"/healthz and /openapi.json; write one, as https://gw.example.com/open/app")
	}
	r.all(join(path, "apple"), a.AppLinks.Apple, appleID,
		"no app id; write ten capitals or digits, a dot and the bundle id, as ABCDE12345.com.example.app")
	seen := map[string]bool{}
	for i, app := range a.AppLinks.Android {
		r.androidApp(at(join(path, "android"), i), app, seen)
	}
}

func (r *report) androidApp(path string, app *AndroidApp, seen map[string]bool) {
	r.all(join(path, "sha256"), app.SHA256, fingerprint,
		"no SHA-256 fingerprint; write 32 pairs of hexadecimal digits in capitals with colons between them, as keytool prints it")
	if len(app.SHA256) == 0 {
		r.add(join(path, "sha256"), "missing; without a fingerprint anybody's app of this name would do")
	}
	switch {
	case !regexp.MustCompile(packageName).MatchString(app.Package):
		r.add(join(path, "package"), "no package name; write the applicationId, as com.example.app")
	case seen[app.Package]:
		r.add(join(path, "package"), "listed twice; write all its fingerprints in one sha256")
	}
	seen[app.Package] = true
}

// all notes the items of a list that do not look as they have to, or stand in it
// twice.
func (r *report) all(path string, items []string, pattern, wrong string) {
	like := regexp.MustCompile(pattern)
	for i, item := range items {
		if !like.MatchString(item) {
			r.add(at(path, i), "%s", wrong)
		}
	}
	r.unique(path, items)
}

// LinkPaths are the paths, as they stand in an address, of the app's https
// redirect URIs on public.url: what its system is told to hand to it, and where
// a page says that the app is missing. Empty for apps of other kinds.
func (c *Config) LinkPaths(id string) []string { return c.linkPaths(c.Apps[id]) }

func (c *Config) linkPaths(a *App) (paths []string) {
	base := strings.TrimSuffix(c.Public.URL, "/")
	for _, uri := range a.RedirectURIs {
		rest, ok := strings.CutPrefix(uri, base+"/")
		if !ok || !strings.HasPrefix(base, "https://") {
			continue
		}
		at, _, _ := strings.Cut("/"+rest, "?")
		if linkable(at) && !slices.Contains(paths, at) {
			paths = append(paths, at)
		}
	}
	return paths
}

// linkable reports whether a path on public.url is free for an app: not the whole
// of it, not below what the gateway answers itself, and nothing that a router or
// a system would take for a pattern.
func linkable(path string) bool {
	for _, own := range []string{"/mobile/", "/bff/", "/.well-known/", "/healthz/", "/openapi.json/"} {
		if strings.HasPrefix(path+"/", own) {
			return false
		}
	}
	return path != "/" && !strings.ContainsAny(path, "{}:*$%")
}
