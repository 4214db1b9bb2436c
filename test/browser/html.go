package browser

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// Form is a form as it stands on a page, with the values it would send untouched.
type Form struct {
	ID     string
	Action string // absolute
	Method string // "get" or "post"
	Text   string // what a person reads in it, button captions included
	Fields url.Values
}

func (f Form) fill(values url.Values) url.Values {
	filled := url.Values{}
	for name, v := range f.Fields {
		filled[name] = v
	}
	for name, v := range values {
		filled[name] = v
	}
	return withCRLF(filled)
}

// withCRLF ends every line of every value as a browser sends it (HTML standard, constructing a list of name-value pairs),
// whatever the parser made of it on the page.
func withCRLF(values url.Values) url.Values {
	ends := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n")
	sent := url.Values{}
	for name, all := range values {
		for _, v := range all {
			sent.Add(name, ends.Replace(v))
		}
	}
	return sent
}

// Forms lists the forms of the page in order.
func (p *Page) Forms() []Form {
	var forms []Form
	for n := range p.document() {
		if n.Type == html.ElementNode && n.Data == "form" {
			forms = append(forms, p.form(n))
		}
	}
	return forms
}

// Form finds the first form whose id is word, or whose text or action contains it; "" is the first form of all.
// A page without it is ErrNotFound.
func (p *Page) Form(word string) (Form, error) {
	for _, f := range p.Forms() {
		if f.ID == word || strings.Contains(f.Text, word) || strings.Contains(f.Action, word) {
			return f, nil
		}
	}
	return Form{}, fmt.Errorf("form %q at %s: %w", word, p.URL, ErrNotFound)
}

// Link finds the first link whose text contains word and returns its absolute URL. A page without it is ErrNotFound.
func (p *Page) Link(word string) (string, error) {
	for n := range p.document() {
		if n.Type == html.ElementNode && n.Data == "a" && strings.Contains(text(n), word) {
			return p.absolute(attr(n, "href")), nil
		}
	}
	return "", fmt.Errorf("link %q at %s: %w", word, p.URL, ErrNotFound)
}

// Text is what a person without scripts reads on the page, white space folded.
func (p *Page) Text() string {
	root, err := html.ParseWithOptions(bytes.NewReader(p.Body), html.ParseOptionEnableScripting(false))
	if err != nil {
		return ""
	}
	return text(root)
}

// document walks the page in order. Scripts are off, so <noscript> is content.
func (p *Page) document() func(yield func(*html.Node) bool) {
	root, err := html.ParseWithOptions(bytes.NewReader(p.Body), html.ParseOptionEnableScripting(false))
	if err != nil {
		return func(func(*html.Node) bool) {}
	}
	return root.Descendants()
}

func (p *Page) form(n *html.Node) Form {
	f := Form{
		ID: attr(n, "id"), Action: p.absolute(attr(n, "action")), Method: strings.ToLower(or(attr(n, "method"), "get")),
		Text: text(n), Fields: url.Values{},
	}
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && attr(c, "name") != "" {
			f.field(c)
		}
		if c.Type == html.ElementNode && c.Data == "input" && attr(c, "type") == "submit" {
			f.Text += " " + attr(c, "value")
		}
	}
	return f
}

// field adds a control's value if it would be sent untouched: no buttons, no unchecked boxes.
func (f *Form) field(n *html.Node) {
	name := attr(n, "name")
	switch n.Data {
	case "input":
		kind := strings.ToLower(attr(n, "type"))
		box := kind == "checkbox" || kind == "radio"
		if kind == "submit" || kind == "button" || box && !has(n, "checked") {
			return
		}
		value := attr(n, "value")
		if box {
			value = or(value, "on")
		}
		f.Fields.Add(name, value)
	case "textarea":
		f.Fields.Add(name, text(n))
	case "select":
		f.choice(n)
	}
}

func (f *Form) choice(n *html.Node) {
	var first, chosen *html.Node
	for o := range n.Descendants() {
		if o.Type != html.ElementNode || o.Data != "option" {
			continue
		}
		if first == nil {
			first = o
		}
		if has(o, "selected") {
			chosen = o
		}
	}
	if chosen == nil {
		chosen = first
	}
	if chosen != nil {
		f.Fields.Add(attr(n, "name"), or(attr(chosen, "value"), text(chosen)))
	}
}

// refresh is where the page moves on to by itself at once: a Refresh field, or <meta http-equiv="refresh">.
func (p *Page) refresh() (*url.URL, bool) {
	if u, ok := p.refreshTo(p.Header.Get("Refresh")); ok {
		return u, true
	}
	if !strings.Contains(p.Header.Get("Content-Type"), "html") {
		return nil, false
	}
	for n := range p.document() {
		if n.Type == html.ElementNode && n.Data == "meta" && strings.EqualFold(attr(n, "http-equiv"), "refresh") {
			return p.refreshTo(attr(n, "content"))
		}
	}
	return nil, false
}

// refreshTo reads `0; url=/next`. One that waits longer than a person would notice is not followed.
func (p *Page) refreshTo(content string) (*url.URL, bool) {
	delay, rest, _ := strings.Cut(strings.Replace(content, ",", ";", 1), ";")
	seconds, err := strconv.ParseFloat(strings.TrimSpace(delay), 64)
	if err != nil || seconds > 1 {
		return nil, false
	}
	key, to, found := strings.Cut(strings.TrimSpace(rest), "=")
	if !found || !strings.EqualFold(strings.TrimSpace(key), "url") {
		return nil, false
	}
	u, err := p.at.Parse(strings.Trim(strings.TrimSpace(to), `'"`))
	return u, err == nil
}

func (p *Page) absolute(ref string) string {
	u, err := p.at.Parse(ref)
	if err != nil {
		return ref
	}
	return u.String()
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func text(n *html.Node) string {
	var parts []string
	for c := range n.Descendants() {
		hidden := c.Parent != nil && (c.Parent.Data == "script" || c.Parent.Data == "style")
		if c.Type == html.TextNode && !hidden {
			parts = append(parts, strings.Fields(c.Data)...)
		}
	}
	return strings.Join(parts, " ")
}
