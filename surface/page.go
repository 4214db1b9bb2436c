package surface

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the template, the style and the one script
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"cloakroom/bff"
)

var (
	//go:embed page.html
	pageSource string
	//go:embed page.css
	pageStyle string
	//go:embed submit.js
	submitScript string

	pageTemplate = template.Must(template.New("page").Parse(pageSource))
)

// Page is a small page of the gateway's own: no image, no font, nothing from anywhere else, and no text that was not
// written here but for request id and code.
type Page struct {
	Status    int    // 0 = 200
	Lang      string // of the texts; "" = en
	Title     string
	Text      []string // paragraphs
	Actions   []Action // ways on, the most likely first
	Code      bff.Code // "" = none shown
	Provider  string   // the provider's error code, as ProviderCode returned it; "" = none shown
	RequestID string   // "" = none shown

	MoveOnTo string // the browser goes there by itself at once; a path of this origin
	Form     *Form  // a form that sends itself off
}

// Action is a link. An empty URL is the page's own address.
type Action struct{ Label, URL string }

// Form is a form POST to another origin that sends itself off by a script, and by its button where scripts are off.
type Form struct {
	Label  string
	Action string // absolute URL, http or https
	Values url.Values
}

// field is one hidden input.
type field struct{ Name, Value string }

// Fields lists the form's inputs in the order of their names.
func (f *Form) Fields() []field {
	var fields []field
	for name, values := range f.Values {
		for _, v := range values {
			fields = append(fields, field{name, v})
		}
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(a.Name, b.Name) })
	return fields
}

// WritePage answers with a page, not to be stored, framed or opened from anywhere else with a handle on it. An error
// means that nothing was written.
func WritePage(w http.ResponseWriter, r *http.Request, p Page) error {
	policy, err := contentPolicy(p)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, p.shown()); err != nil {
		return err
	}
	Private(w.Header())
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("X-Frame-Options", "DENY") // for what is too old for frame-ancestors
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	write(w, r, cmp.Or(p.Status, http.StatusOK), "text/html; charset=utf-8", body.Bytes())
	return nil
}

// shown is what the template sees: the page, the parts that the policy names by hash, and the small print.
func (p Page) shown() any {
	p.Lang = cmp.Or(p.Lang, "en")
	var small []string
	for _, part := range []struct{ label, value string }{
		{"Code", string(p.Code)}, {"Answer of the sign-in service", p.Provider}, {"Request", p.RequestID},
	} {
		if part.value != "" {
			small = append(small, part.label+": "+part.value)
		}
	}
	return struct {
		Page
		Style  template.CSS
		Script template.JS
		Small  string
	}{p, template.CSS(pageStyle), template.JS(submitScript), strings.Join(small, " · ")}
}

// contentPolicy is a page's Content-Security-Policy: nothing may load, run, frame or be framed but what is named, and
// what stands in the page is named by its hash, never by 'unsafe-inline'. A form that posts to the provider must be
// allowed to, or the browser drops it without a word.
func contentPolicy(p Page) (string, error) {
	script, target := "", ""
	if p.Form != nil {
		origin, err := originOf(p.Form.Action)
		if err != nil {
			return "", err
		}
		script, target = "script-src "+hashSource(submitScript)+"; ", " "+origin
	}
	return "default-src 'none'; style-src " + hashSource(pageStyle) + "; " + script +
		"base-uri 'none'; frame-ancestors 'none'; form-action 'self'" + target, nil
}

// hashSource names inline text by its digest (CSP Level 3 section 2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// originOf returns scheme and host of an absolute URL, if they may stand in a policy: what would end the directive or
// add a source is refused.
func originOf(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(u.Host, " ;,'\"*\\\t\r\n") {
		return "", errors.New("form target is no absolute http URL")
	}
	return u.Scheme + "://" + u.Host, nil
}
