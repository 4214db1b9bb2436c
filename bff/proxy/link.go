package proxy

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// loadingRelations are what a browser follows by itself, also from an answer to a script: Chromium loads what such a link
// names into the page that asked (HTML Standard section 4.6.7; RFC 9842 section 3).
var loadingRelations = []string{
	"preload", "modulepreload", "preconnect", "dns-prefetch", "prefetch", "prerender", "stylesheet", "icon", "manifest",
	"compression-dictionary",
}

// filterLinks keeps the links of an API's answer that a program follows, as those to the next page, and drops those that a
// browser follows without being asked: what is loaded into the app's pages is not an API's to say. For the same reason no
// early hints pass.
func filterLinks(h http.Header) {
	lines := h["Link"]
	if lines == nil {
		return
	}
	var kept []string
	for _, line := range lines {
		var good []string
		for _, link := range cutOutside(line, ',') {
			if keepsLink(link) {
				good = append(good, link)
			}
		}
		if len(good) > 0 {
			kept = append(kept, strings.Join(good, ", "))
		}
	}
	if h["Link"] = kept; kept == nil {
		delete(h, "Link")
	}
}

// keepsLink reads one link (RFC 8288 section 3) and reports whether a browser leaves it alone. What cannot be read, some
// browser may read in its own way.
func keepsLink(link string) bool {
	target, parameters, ok := strings.Cut(link, ">")
	parameters = textproto.TrimString(parameters)
	if !ok || !strings.HasPrefix(target, "<") || parameters != "" && parameters[0] != ';' || !isClosed(parameters) {
		return false
	}
	unquote := strings.NewReplacer(`"`, " ", `'`, " ", `\`, "") // some readers take either quote
	for _, p := range cutOutside(parameters, ';') {
		name, value, _ := strings.Cut(p, "=")
		name = strings.ToLower(textproto.TrimString(name))
		if name != "rel" && name != "rel*" { // of several rel the first counts, and some reader takes the last
			continue
		}
		words := strings.Fields(strings.ToLower(unquote.Replace(value)))
		if name == "rel*" || slices.ContainsFunc(words, func(w string) bool { return slices.Contains(loadingRelations, w) }) {
			return false
		}
	}
	return true
}

// cutOutside splits at a sign that stands neither between angle brackets nor in quotes, and leaves out what is empty.
func cutOutside(s string, sign byte) (parts []string) {
	from, in := 0, inLink{}
	for i := range len(s) {
		if in.step(s[i]); s[i] == sign && !in.quoted && !in.target {
			parts, from = append(parts, textproto.TrimString(s[from:i])), i+1
		}
	}
	parts = append(parts, textproto.TrimString(s[from:]))
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" })
}

// isClosed reports whether every quote has its end.
func isClosed(s string) bool {
	in := inLink{}
	for i := range len(s) {
		in.step(s[i])
	}
	return !in.quoted
}

// inLink is where in a Link field one is (RFC 8288 section 3, RFC 9110 section 5.6.4).
type inLink struct{ target, quoted, escaped bool }

func (in *inLink) step(c byte) {
	switch {
	case in.escaped:
		in.escaped = false
	case in.quoted && c == '\\':
		in.escaped = true
	case in.target:
		in.target = c != '>'
	case c == '"':
		in.quoted = !in.quoted
	case c == '<':
		in.target = !in.quoted
	}
}
