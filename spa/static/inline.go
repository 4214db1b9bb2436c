package static

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	// maxPage is the largest page that is read for what stands in it: some 100 ms once. Pages of frameworks have a hundredth.
	maxPage = 4 << 20
	// maxInline is how many hashes a policy takes: 54 bytes each make a field of 7 kB, half of what most proxies let an answer's
	// whole head have. Pages of Next.js with much data have some thirty scripts.
	maxInline = 128
	// end is put behind a page, to tell what is still open there: a code point that is no character in any text.
	end = "\ufdd0"
)

// inline is what stands in a page and takes a policy's permission.
type inline struct {
	scripts, styles      []string // hash sources of elements that run or apply as the page is read, each once
	handlers, properties int      // attributes: onload="…", style="…"
	base                 bool     // a <base> with an address
}

// readInline reads a page as a browser does that runs scripts: the tree decides what is a script, not the text, for the same
// letters are none in a comment, in a <textarea>, in <noscript>, or after <!--<script> in another script. What two readers
// could read in two ways is not read at all: then nothing is allowed.
func readInline(page []byte) (inline, error) {
	if !utf8.Valid(page) || bytes.IndexByte(page, 0) >= 0 { // UTF-16 by its mark, which outdoes what Content-Type says
		return inline{}, errors.New("it is no text in UTF-8")
	}
	tree, err := html.Parse(io.MultiReader(bytes.NewReader(page), strings.NewReader(end))) // which makes all line ends "\n", as browsers do
	if err != nil {
		return inline{}, fmt.Errorf("reading it: %w", err)
	}
	var found inline
	found.walk(tree)
	if n := len(found.scripts) + len(found.styles); n > maxInline {
		return inline{}, fmt.Errorf("it has %d inline scripts and styles, and a policy takes the hashes of %d", n, maxInline)
	}
	return found, nil
}

// walk goes through the elements below a node. html.Parse lets a page nest no deeper than 512.
func (in *inline) walk(n *html.Node) {
	if n.Type == html.ElementNode {
		in.see(n)
		if isInert(n) {
			return
		}
	}
	for child := range n.ChildNodes() {
		in.walk(child)
	}
}

// see notes what of an element takes permission.
func (in *inline) see(n *html.Node) {
	for _, a := range n.Attr {
		switch {
		case a.Key == "href" && n.DataAtom == atom.Base && n.Namespace == "":
			in.base = true
		case a.Key == "style":
			in.properties++
		case strings.HasPrefix(a.Key, "on") && !strings.Contains(a.Key, "-"):
			in.handlers++
		}
	}
	text, unended := strings.CutSuffix(textOf(n), end)
	switch {
	case n.Namespace != "" && n.Namespace != "svg": // of MathML: neither a script nor a style
	case text == "": // nothing to run or apply, and the hash of nothing would allow every style that scripts fill
	case n.Data == "script" && runs(n) && !unended: // the HTML standard does not run what the page's end cuts off ("text" mode)
		in.scripts = add(in.scripts, text)
	case n.Data == "style" && isStyle(n):
		in.styles = add(in.styles, text)
	}
}

// add adds the hash source of a text, if it is a new one.
func add(sources []string, text string) []string {
	digest := sha256.Sum256([]byte(text))
	source := "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
	if slices.Contains(sources, source) {
		return sources
	}
	return append(sources, source)
}

// isInert reports a template, whose content is no part of the page; but for a declared shadow tree, which is
// (HTML standard, "the template element").
func isInert(n *html.Node) bool {
	mode, _ := attribute(n, "shadowrootmode")
	return n.DataAtom == atom.Template && n.Namespace == "" && !strings.EqualFold(mode, "open") && !strings.EqualFold(mode, "closed")
}

// scriptTypes are the names of JavaScript (WHATWG MIME Sniffing, "JavaScript MIME type"), without what stands before the slash.
var scriptTypes = [...]string{
	"javascript", "ecmascript", "x-javascript", "x-ecmascript", "jscript", "livescript",
	"javascript1.0", "javascript1.1", "javascript1.2", "javascript1.3", "javascript1.4", "javascript1.5",
}

// runs reports whether a script's own text runs, or rules what runs as import maps and speculation rules do (HTML standard,
// "prepare the script element"). All else is a block of data, which takes no permission.
func runs(n *html.Node) bool {
	if _, external := attribute(n, "src"); external && n.Namespace == "" {
		return false
	}
	if _, external := attribute(n, "href"); external && n.Namespace == "svg" {
		return false
	}
	kind, typed := attribute(n, "type")
	if language, _ := attribute(n, "language"); !typed && language != "" {
		kind = "text/" + language
	}
	switch kind = strings.ToLower(cmp.Or(kind, "text/javascript")); strings.Trim(kind, "\t\n\f\r ") {
	case "module", "importmap", "speculationrules":
		return true
	}
	_, old := attribute(n, "nomodule")
	return !old && isScriptType(strings.Trim(kind, "\t\n\f\r "))
}

func isScriptType(kind string) bool {
	family, name, _ := strings.Cut(kind, "/")
	known := slices.Index(scriptTypes[:], name)
	return known >= 0 && (family == "text" || family == "application" && known < 4) // application/ has the first four
}

// isStyle reports whether a style element's text applies (HTML standard, "update a style block").
func isStyle(n *html.Node) bool {
	kind, _ := attribute(n, "type")
	return kind == "" || strings.EqualFold(kind, "text/css")
}

// attribute finds an attribute, xlink:href for href too.
func attribute(n *html.Node, name string) (value string, ok bool) {
	for _, a := range n.Attr {
		if a.Key == name && (a.Namespace == "" || a.Namespace == "xlink") {
			return a.Val, true
		}
	}
	return "", false
}

// textOf is an element's child text content: what a browser runs, and hashes.
func textOf(n *html.Node) string {
	var text strings.Builder
	for child := range n.ChildNodes() {
		if child.Type == html.TextNode {
			text.WriteString(child.Data)
		}
	}
	return text.String()
}
