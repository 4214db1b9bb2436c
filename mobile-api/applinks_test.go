package mobileapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	mobileapi "cloakroom/mobile-api"
)

const (
	appleFile   = "/.well-known/apple-app-site-association"
	androidFile = "/.well-known/assetlinks.json"
)

// Each app is named once, with all its paths and no others, in one order: whoever asks two instances gets one file.
//
// shows NAT-7.2 (who an address belongs to)
func TestTheFilesOfAppLinks(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.links = map[string]mobileapi.AppLinks{
			"phone": {
				Paths: []string{"/open/phone", "/open/both"}, Apple: []string{"ZZZZZ12345.com.example.phone", "ABCDE12345.com.example.both"},
				Android: []mobileapi.AndroidApp{{Package: "com.example.both", Fingerprints: []string{"BB", "AA"}}},
			},
			"cli": {
				Paths: []string{"/open/cli", "/open/both"}, Apple: []string{"ABCDE12345.com.example.both"},
				Android: []mobileapi.AndroidApp{{Package: "com.example.both", Fingerprints: []string{"CC", "AA"}}, {Package: "com.example.a", Fingerprints: []string{"DD"}}},
			},
			"none": {Paths: []string{"/open/none"}},
		}
	})
	for path, want := range map[string]string{
		appleFile: `{"applinks":{"details":[` +
			`{"appIDs":["ABCDE12345.com.example.both"],"components":[{"/":"/open/both"},{"/":"/open/cli"},{"/":"/open/phone"}]},` +
			`{"appIDs":["ZZZZZ12345.com.example.phone"],"components":[{"/":"/open/both"},{"/":"/open/phone"}]}]},` +
			`"webcredentials":{"apps":["ABCDE12345.com.example.both","ZZZZZ12345.com.example.phone"]}}`,
		androidFile: `[{"relation":["delegate_permission/common.handle_all_urls"],"target":{"namespace":"android_app","package_name":"com.example.a","sha256_cert_fingerprints":["DD"]}},` +
			`{"relation":["delegate_permission/common.handle_all_urls"],"target":{"namespace":"android_app","package_name":"com.example.both","sha256_cert_fingerprints":["AA","BB","CC"]}}]`,
	} {
		a := w.send("GET", path, "").is(t, path, 200)
		if diff := cmp.Diff(want, a.body); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") || a.header.Get("Cache-Control") != "public, max-age=300" || a.location() != "" {
			t.Errorf("%s: %v", path, a.header)
		}
		w.send("POST", path, "").is(t, "posting to "+path, http.StatusMethodNotAllowed)
	}
}

// A file about nobody is not there, and neither is the other system's.
func TestNoFilesOfAppLinks(t *testing.T) {
	for with, row := range map[string]struct {
		links          map[string]mobileapi.AppLinks
		apple, android int
	}{
		"nothing":     {nil, 404, 404},
		"paths alone": {map[string]mobileapi.AppLinks{"phone": {Paths: []string{"/open/phone"}}}, 404, 404},
		"Apple's ids": {map[string]mobileapi.AppLinks{"phone": {Paths: []string{"/open/phone"}, Apple: []string{"ABCDE12345.a"}}}, 200, 404},
		"one package": {map[string]mobileapi.AppLinks{"phone": {Android: []mobileapi.AndroidApp{{Package: "a.b", Fingerprints: []string{"AA"}}}}}, 404, 200},
	} {
		w := newWorld(t, func(w *world) { w.links = row.links })
		w.send("GET", appleFile, "").is(t, "Apple's file with "+with, row.apple)
		w.send("GET", androidFile, "").is(t, "Android's file with "+with, row.android)
	}
}

// The page names the app if one alone claims the address, and nobody where several do.
//
// shows NAT-7.2
func TestWhoseLinkWasMissed(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.links = map[string]mobileapi.AppLinks{"phone": {Paths: []string{"/open/phone", "/open/both"}}, "cli": {Paths: []string{"/open/both"}}}
	})
	for path, title := range map[string]string{"/open/phone": "Open this in \u2068The phone app\u2069", "/open/both": "Open this in the app"} {
		if a := w.browser().open(path+"?code=secret&name=evil", "cross-site").is(t, path, 200); !strings.Contains(a.body, "<h1>"+title+"</h1>") || strings.Contains(a.body, "secret") || strings.Contains(a.body, "evil") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}
