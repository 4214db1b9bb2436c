package server

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	mobileapi "cloakroom/mobile-api"
	"cloakroom/server/config"
)

// appLinks are what the systems of phones know the native apps by.
func (s *Server) appLinks() map[string]mobileapi.AppLinks {
	all := make(map[string]mobileapi.AppLinks)
	for id, a := range s.cfg.Apps {
		links := mobileapi.AppLinks{Paths: s.cfg.LinkPaths(id), Apple: a.AppLinks.Apple}
		for _, app := range a.AppLinks.Android {
			links.Android = append(links.Android, mobileapi.AndroidApp{Package: app.Package, Fingerprints: app.SHA256})
		}
		all[id] = links
	}
	return all
}

// tellAppLinks prints what has to stand in an app itself, so that its system asks for the gateway's files: the
// entitlements on Apple's systems, the intent filters on Android.
func tellAppLinks(out io.Writer, cfg *config.Config, id string) {
	links := cfg.Apps[id].AppLinks
	host := cfg.Public.URL
	if u, err := url.Parse(cfg.Public.URL); err == nil {
		host = u.Host
	}
	for _, app := range links.Apple {
		fmt.Fprintf(out, "  associated domains       applinks:%s webcredentials:%[1]s, in %s\n", host, app)
	}
	for _, app := range links.Android {
		for _, at := range cfg.LinkPaths(id) {
			fmt.Fprintf(out, "  intent filter            autoVerify, scheme https, host %s, path %s, in %s\n", host, at, app.Package)
		}
	}
}

// linkNotes tell of addresses on the gateway's own origin that no system is told to hand to an app.
func linkNotes(cfg *config.Config) (notes []string) {
	for _, id := range sortedKeys(cfg.Apps) {
		links, paths := cfg.Apps[id].AppLinks, cfg.LinkPaths(id)
		if len(paths) == 0 || len(links.Apple)+len(links.Android) > 0 {
			continue
		}
		notes = append(notes, fmt.Sprintf("apps.%s.redirect_uris: %s on public.url: without app_links no phone hands it to the app, "+
			"and people see a page that says so, unless something before the gateway serves apple-app-site-association and "+
			"assetlinks.json", id, strings.Join(paths, ", ")))
	}
	return notes
}
