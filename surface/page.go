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
	"regexp"
	"slices"
	"strings"
	"unicode"

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
// written here but for request id, code and the values of facts.
type Page struct {
	Status    int // 0 = 200
	Title     string
	Mark      string   // a letter beside the title, for the eye alone; "" = none
	Text      []string // paragraphs
	Facts     []Fact   // what the user decides by
	Actions   []Action // ways on, the most likely first
	Code      bff.Code // "" = none shown
	Provider  string   // the provider's error code, as ProviderCode returned it; "" = none shown
	RequestID string   // "" = none shown

	FramedBy string // a URL of the one origin that may embed it; "" = nobody may
	MoveOnTo string // the browser goes there by itself at once; a path of this origin
	Form     *Form
}

// Action is a link. An empty URL is the page's own address.
type Action struct{ Label, URL string }

// Fact is one line of what the user decides by. Value and Detail may be anybody's words: they are cut, and shown as text.
type Fact struct {
	Label, Value string
	Detail       string // the same to the letter, below the value; "" = the value says it all
}

// Shown is the value as a page may show it: nothing invisible that makes it look like another, and no more than fits.
func (f Fact) Shown() string { return plain(f.Value) }

// ShownDetail is the detail, as Shown.
func (f Fact) ShownDetail() string { return plain(f.Detail) }

// plain is somebody's words without what cannot be seen, and cut.
func plain(words string) string {
	const longest = 120 // characters: names, addresses and redirect URIs of apps are shorter
	shown := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // also what turns the direction of writing round
			return -1
		}
		return r
	}, words))
	if len(shown) > longest {
		return string(shown[:longest]) + "…"
	}
	return string(shown)
}

// Form is a form of hidden values that sends itself off by a script, and by its button where scripts are off.
type Form struct {
	Label   string // of its button
	Here    bool   // it comes back to this origin: Action is a path, or "" for the page's own address
	Action  string // otherwise an absolute URL, http or https
	Get     bool   // by GET instead of POST: an Action then has no query, for a browser would drop it
	Values  url.Values
	Waits   bool   // it does not send itself off
	Cancel  string // label of a second button, which sends cancel=1 along; "" = none
	LeadsTo string // absolute URI where the answer may redirect to; "" = nowhere but to Action
	After   *After // nil = once it is sent, the browser shows another page
}

// After is what a page says in its place where it stays though its form is sent: a browser that nobody opens an address
// for, as that of an app which is not there, goes nowhere and says nothing.
type After struct {
	Text []string // paragraphs
	Way  Action   // a link on; no Label = none
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
	p.send(w, r, policy, body.Bytes())
	return nil
}

// send sends what was made of the page, under its policy.
func (p Page) send(w http.ResponseWriter, r *http.Request, policy string, body []byte) {
	Private(w.Header())
	w.Header().Set("Content-Security-Policy", policy)
	if strings.Contains(policy, unframed) {
		w.Header().Set("X-Frame-Options", "DENY") // for what is too old for frame-ancestors
	} else {
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin") // an embedder that isolates itself asks for it
	}
	if p.Form != nil && p.Form.Here {
		// Under no-referrer the form's own POST would come with "Origin: null" (Fetch standard, section 3.2), which no guard
		// takes. What leaves this origin is its name, never an address.
		w.Header().Set("Referrer-Policy", "strict-origin")
	}
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	write(w, r, cmp.Or(p.Status, http.StatusOK), "text/html; charset=utf-8", body)
}

// shown is what the template sees: the page, the parts that the policy names by hash, and the small print.
func (p Page) shown() any {
	var small []string
	for _, part := range []struct{ label, value string }{
		{"Code", string(p.Code)}, {"Answer of the sign-in service", p.Provider}, {"Request", p.RequestID},
	} {
		if part.value != "" {
			small = append(small, part.label+": "+part.value)
		}
	}
	var script template.JS
	if p.Form != nil && p.Form.scripted() {
		script = template.JS(submitScript)
	}
	return struct {
		Page
		Style  template.CSS
		Script template.JS
		Small  string
	}{p, template.CSS(pageStyle), script, strings.Join(small, " · ")}
}

// unframed is the directive of a page that nobody may embed.
const unframed = "frame-ancestors 'none'"

// contentPolicy is a page's Content-Security-Policy: nothing may load, run, frame or be framed but what is named, and
// what stands in the page is named by its hash, never by 'unsafe-inline'. Where a form leads to, and where its answer
// redirects to, must be allowed, or the browser drops it without a word.
func contentPolicy(p Page) (string, error) {
	script, target, framers := "", "", unframed
	if p.FramedBy != "" {
		origin, err := originOf(p.FramedBy)
		if err != nil {
			return "", err
		}
		framers = "frame-ancestors " + origin
	}
	if p.Form != nil {
		var err error
		if target, err = p.Form.targets(); err != nil {
			return "", err
		}
		if p.Form.scripted() {
			script = "script-src " + hashSource(submitScript) + "; "
		}
	}
	return "default-src 'none'; style-src " + hashSource(pageStyle) + "; " + script +
		"base-uri 'none'; " + framers + "; form-action 'self'" + target, nil
}

// scripted reports whether there is anything for the script to do.
func (f *Form) scripted() bool { return !f.Waits || f.After != nil }

// targets lists what form-action must name beside 'self'.
func (f *Form) targets() (sources string, err error) {
	if !f.Here {
		origin, err := originOf(f.Action)
		if err != nil {
			return "", err
		}
		sources = " " + origin
	}
	if f.LeadsTo == "" {
		return sources, nil
	}
	source, err := sourceOf(f.LeadsTo)
	return sources + " " + source, err
}

// privateScheme is a scheme of RFC 3986 section 3.1, in lower case.
var privateScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// sourceOf names where an app is answered as a policy can: by its origin, or by its scheme where that has no host that
// the grammar of sources takes, as private schemes and [::1] (CSP Level 3 section 2.3.1).
func sourceOf(raw string) (string, error) {
	scheme, _, ok := strings.Cut(raw, ":")
	switch {
	case !ok || !privateScheme.MatchString(scheme):
		return "", errors.New("redirect target without a scheme")
	case scheme != "http" && scheme != "https", strings.HasPrefix(raw, "http://["):
		return scheme + ":", nil
	default:
		return originOf(raw)
	}
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
