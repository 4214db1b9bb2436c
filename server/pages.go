package server

import (
	"fmt"

	"cloakroom/server/config"
	"cloakroom/spa/static"
)

// pageNotes tell of what stands in the index of a served folder and does not run: the page looks whole in the build's own
// preview, which sends no policy.
func pageNotes(cfg *config.Config) (notes []string) {
	for _, id := range sortedKeys(cfg.Apps) {
		files := cfg.Apps[id].Static
		if files.Dir == "" {
			continue
		}
		refused, err := static.Refusals(static.Options{Dir: files.Dir, Policy: files.CSP, HashInline: files.HashInline()})
		if err != nil {
			notes = append(notes, fmt.Sprintf("apps.%s.static.dir: index.html: %v", id, err))
			continue
		}
		for _, text := range refusals(refused) {
			notes = append(notes, fmt.Sprintf("apps.%s.static: index.html %s", id, text))
		}
	}
	return notes
}

// refusals says of each kind what to write that it works.
func refusals(r static.Refused) (notes []string) {
	tell := func(n int, format string) {
		if n > 0 {
			notes = append(notes, fmt.Sprintf(format, n))
		}
	}
	tell(r.Scripts, "has %d inline script(s), which its policy refuses: write inline: hashed, unless pages are built from what "+
		"strangers wrote")
	tell(r.Styles, "has %d inline style element(s), which its policy refuses: "+allowStyles(r))
	tell(r.Handlers, "has %d event handler(s) in tags, as onload, which its policy refuses and no hash allows: have the build leave them out")
	tell(r.Properties, "has %d style attribute(s), which its policy refuses until a script sets them: add style-src-attr "+
		"'unsafe-inline' to csp")
	if r.Base {
		notes = append(notes, "has a <base>, which its policy refuses: a visit of /orders/7 looks for relative files below /orders/; "+
			"write base-uri 'self' in csp")
	}
	return notes
}

// allowStyles names the setting that takes the scripts along, where there are some.
func allowStyles(r static.Refused) string {
	if r.Scripts > 0 {
		return "the same allows them"
	}
	return "write inline: hashed, or style-src 'self' 'unsafe-inline' in csp"
}
