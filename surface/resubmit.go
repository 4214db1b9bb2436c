package surface

import (
	"bytes"
	_ "embed" // the template and its script
	"html/template"
	"net/http"
)

var (
	//go:embed resubmit.html
	resubmitSource string
	//go:embed resubmit.js
	resubmitScript string

	resubmitTemplate = template.Must(template.New("resubmit").Parse(resubmitSource))
)

// Resubmission is the page that keeps a form which was sent after its session had ended, or needs a newer sign-in: one signs in
// in another tab, comes back, and sends the same form again. It never sends it by itself, for somebody else may have signed
// in there: whose session it would go with is said, and a person clicks.
type Resubmission struct {
	SignInURL string // where the new tab begins; a path of this origin
	Newer     bool   // there is a session, and its sign-in is too old or too weak
	Fields    []KeptField
	Multipart bool   // the form came as multipart/form-data, and goes so again
	Lost      string // why nothing could be kept, as the end of "…, because"; "" = Fields are the whole form
}

// KeptField is one field of a form that came, as it is sent again.
type KeptField struct {
	Name, Value string
	NoFile      bool // a choice of a file where none was chosen
}

// WriteResubmission answers 401 with the page: whoever reads no pages is told the truth by the status. What is in the
// fields is somebody's own words: it stands in attributes alone, escaped. The form goes to the page's own address, which
// is where it was sent to, and by the policy nowhere else.
func WriteResubmission(w http.ResponseWriter, r *http.Request, p Resubmission) error {
	var body bytes.Buffer
	err := resubmitTemplate.Execute(&body, struct {
		Resubmission
		Style  template.CSS
		Script template.JS
	}{p, template.CSS(pageStyle), template.JS(resubmitScript)})
	if err != nil {
		return err
	}
	policy := "default-src 'none'; style-src " + hashSource(pageStyle) + "; script-src " + hashSource(resubmitScript) +
		"; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
	Page{Status: http.StatusUnauthorized, Form: &Form{Here: true}}.send(w, r, policy, body.Bytes())
	return nil
}

// SignedInPage is where the other tab ends. home is where the app goes on in this one.
func SignedInPage(home string) Page {
	return Page{
		Title: "Signed in",
		Text:  []string{"You are signed in. Go back to the tab with your form and send it again there. You can close this one."},
		Actions: []Action{
			{"Go to the app instead", home},
		},
	}
}
