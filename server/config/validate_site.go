package config

import (
	"net/url"
	"slices"
	"strings"
)

// site is what a route to a server-rendered app cannot have. Its pages name their own paths and set their own cookies,
// and nobody rewrites pages: so both sides have the same paths, and no list of cookies says more than the kind does.
func (r *report) site(path string, route *Route, c *Config) {
	if route.Kind != "site" {
		return
	}
	wrong := func(is bool, name, text string) {
		if is {
			r.add(join(path, name), "%s", text)
		}
	}
	u, err := url.Parse(route.Upstream)
	wrong(err == nil && strings.Trim(u.Path, "/") != "", "upstream",
		"has a path, while the links in a site's pages name the paths that it has itself; write scheme and host alone, and the same path "+
			"on both sides")
	wrong(route.StripPrefix, "strip_prefix",
		"the links in a site's pages name the paths that it has itself; serve it there below the same path, and delete this")
	wrong(len(route.Cookies) > 0, "cookies", "all of a site's own cookies pass already; delete it")
	wrong(len(route.SetCookies) > 0, "set_cookies", "all of a site's own cookies pass already; delete it")
	wrong(route.Guard == "origin", "guard", "a site has a guard of its own: pages are visited from anywhere, all else comes from them; "+
		"delete it")
	r.siteApps(join(path, "apps"), route.Apps, c)
}

// siteApps keeps a site to apps with an origin of their own: a native app holds a handle, which no page can send.
func (r *report) siteApps(path string, apps []string, c *Config) {
	native := func(id string) bool { return c.Apps[id] != nil && c.Apps[id].Native() }
	for i, id := range apps {
		if native(id) {
			r.add(at(path, i), "a mobile or desktop app shows no pages of a site; delete it")
		}
	}
	for id := range c.Apps {
		if len(apps) == 0 && native(id) {
			r.add(path, "missing, so that mobile and desktop apps may take it too, which show no pages of a site; list the spa and web apps")
			return
		}
	}
}

// public is what everybody may see of a protected folder.
func (r *report) public(path string, s Static) {
	if len(s.Public) > 0 && (!s.Protected || s.Dir == "") {
		r.add(path, "says what of a protected folder everybody may see; write dir and protected: true beside it, or delete it")
		return
	}
	for i, text := range s.Public {
		here, below := at(path, i), text
		if rest, known := strings.CutPrefix(text, "/.well-known/"); known { // RFC 8615: the one folder with a dot that is served
			below = "/" + rest
		}
		hidden := func(segment string) bool { return strings.HasPrefix(segment, ".") }
		switch {
		case text == "/":
			r.add(here, "is all there is; delete protected to show it to everybody, or name what is public")
		case strings.ContainsAny(text, "%;:") || slices.ContainsFunc(strings.Split(below, "/"), hidden):
			r.add(here, "no name of a file or folder that is served; write it as it is called, without escapes and leading dots")
		case below != text:
			r.routePath(here, "/x"+below)
		default:
			r.routePath(here, text)
		}
	}
	r.unique(path, s.Public)
}

// inline takes what the setting of a folder's pages can be.
func (r *report) inline(path string, s Static) {
	switch {
	case s.Inline == "":
	case s.Dir == "":
		r.add(path, "for the pages of a folder; name one with dir, or delete it")
	default:
		r.oneOf(path, s.Inline, "refused", "hashed")
	}
}
