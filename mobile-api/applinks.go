package mobileapi

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"cloakroom/surface"
)

// The files by which a system learns which of this origin's addresses belong to which app. Both are asked for at exactly
// these paths, over https, and no redirect is followed.
const (
	pathApple   = "/.well-known/apple-app-site-association"
	pathAndroid = "/.well-known/assetlinks.json"
)

// AppLinks are the addresses on this origin that an app claims, and what the systems of phones know the app by, so that they
// hand them to it and to no other (RFC 8252 section 7.2). That alone is why nobody is asked before such an address is
// answered.
type AppLinks struct {
	// Paths are those of the app's own redirect URIs on this origin, as they stand in an address: none that is answered here
	// already, nor one that a router would take for a pattern. Whether any system knows the app or not, each has a page for
	// browsers that come there.
	Paths   []string
	Apple   []string // app ids: ten characters, a dot, the bundle's id
	Android []AndroidApp
}

// AndroidApp is a package and the SHA-256 fingerprints of the certificates that may sign it, as pairs of hexadecimal
// digits with colons.
type AndroidApp struct {
	Package      string
	Fingerprints []string
}

// appleFile is an apple-app-site-association. Universal links want the one part, an ASWebAuthenticationSession with an
// https callback (iOS 17.4, macOS 14.4) asks for the other.
type appleFile struct {
	Links       appleLinks       `json:"applinks"`
	Credentials appleCredentials `json:"webcredentials"`
}

type appleLinks struct {
	Details []appleDetail `json:"details"`
}

type appleDetail struct {
	IDs        []string         `json:"appIDs"`
	Components []appleComponent `json:"components"`
}

// appleComponent matches an address by its path, whatever its query.
type appleComponent struct {
	Path string `json:"/"`
}

type appleCredentials struct {
	Apps []string `json:"apps"`
}

// statement is one of a Digital Asset Links file: that a package may handle this origin's addresses. Which of them is said
// by the app's own intent filters alone.
type statement struct {
	Relation []string      `json:"relation"`
	Target   androidTarget `json:"target"`
}

type androidTarget struct {
	Namespace    string   `json:"namespace"`
	Package      string   `json:"package_name"`
	Fingerprints []string `json:"sha256_cert_fingerprints"`
}

// appLinks are the endpoints of what is configured; a file about nobody is not there.
func (s *Surface) appLinks() (endpoints []surface.Endpoint) {
	if file := s.appleFile(); len(file.Credentials.Apps) > 0 {
		endpoints = append(endpoints, public(pathApple, file))
	}
	if file := s.androidFile(); len(file) > 0 {
		endpoints = append(endpoints, public(pathAndroid, file))
	}
	return endpoints
}

// public is an endpoint that tells everybody the same.
func public(at string, v any) surface.Endpoint {
	return get(at, func(w http.ResponseWriter, r *http.Request) error {
		return surface.WritePublicJSON(w, r, metadataLife, v)
	})
}

// appleFile names each id once, with the paths of all apps that it stands for.
func (s *Surface) appleFile() (file appleFile) {
	paths := map[string][]string{}
	for _, links := range s.links {
		for _, id := range links.Apple {
			paths[id] = append(paths[id], links.Paths...)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(paths)) {
		detail := appleDetail{IDs: []string{id}}
		for _, at := range sorted(paths[id]) {
			detail.Components = append(detail.Components, appleComponent{at})
		}
		file.Links.Details = append(file.Links.Details, detail)
		file.Credentials.Apps = append(file.Credentials.Apps, id)
	}
	return file
}

// androidFile names each package once, with the fingerprints that all apps know it by.
func (s *Surface) androidFile() (file []statement) {
	prints := map[string][]string{}
	for _, links := range s.links {
		for _, app := range links.Android {
			prints[app.Package] = append(prints[app.Package], app.Fingerprints...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(prints)) {
		file = append(file, statement{
			Relation: []string{"delegate_permission/common.handle_all_urls"},
			Target:   androidTarget{Namespace: "android_app", Package: name, Fingerprints: sorted(prints[name])},
		})
	}
	return file
}

// sorted is the list in order, each item once: the files are the same from every instance.
func sorted(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// missedLinks are the addresses on this origin that apps have claimed for themselves: whoever sees one in a browser does
// not have the app. The page says so, and neither shows nor loads anything (RFC 8252 section 7.2, RFC 9700 section 4.2.4).
func (s *Surface) missedLinks() (endpoints []surface.Endpoint) {
	claimants := map[string][]string{} // the apps' names, by path
	for id, app := range s.apps {
		for _, at := range s.links[id].Paths {
			claimants[at] = sorted(append(claimants[at], cmp.Or(app.Name, app.ID)))
		}
	}
	for at, names := range claimants {
		name := ""
		if len(names) == 1 {
			name = names[0]
		}
		show := func(w http.ResponseWriter, r *http.Request) error {
			return surface.WritePage(w, r, surface.MissedLinkPage(name))
		}
		endpoints = append(endpoints, s.page(at, show, "changes nothing, and reads nothing of its address"))
	}
	return endpoints
}
