package surface

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"cloakroom/bff"
)

// BouncePage is the answer to a callback whose session cookie is SameSite=Strict: the browser withholds that cookie
// from whatever the cross-site callback redirects to, so a page of this origin moves on instead (RFC 6265bis section
// 8.8.2). to is a path of this origin.
func BouncePage(to string) Page {
	return Page{
		Title: "Signed in", Text: []string{"You are signed in. The app opens in a moment."},
		MoveOnTo: to, Actions: []Action{{"Continue", to}},
	}
}

// ConfirmLoginPage stands between a foreign site's link and a login: nobody but the user signs a user in. start is
// the login's own address; a click on it comes from this origin.
func ConfirmLoginPage(start, home string) Page {
	return Page{
		Title: "Sign in?", Text: []string{"Another site sent you here to sign in. Continue only if you meant to."},
		Actions: []Action{{"Sign in", start}, {"Not now", home}},
	}
}

// SignInAnewPage stands between a sign-in that the provider began and a session that lives: the new one takes its place,
// and may be somebody else's. start is as of ConfirmLoginPage.
func SignInAnewPage(start, home string) Page {
	return Page{
		Title: "Sign in anew?",
		Text: []string{
			"You are signed in already. Another site sent you here to sign in anew, perhaps to another account. Continue only if you meant to.",
		},
		Actions: []Action{{"Sign in anew", start}, {"Stay signed in as now", home}},
	}
}

// sentToSignOut is the question where another site may have sent the browser to a sign-out.
const sentToSignOut = "Another site sent you here to sign out of the sign-in service. Continue only if you meant to."

// ConfirmLogoutPage stands between a foreign site's link and the end of the provider's session. A click on the page's own
// address comes from this origin.
func ConfirmLogoutPage(home string) Page {
	return Page{
		Title: "Sign out?", Text: []string{sentToSignOut},
		Actions: []Action{{"Sign out", ""}, {"Not now", home}},
	}
}

// LogoutPage ends the provider's session by a form: by POST where that is supported, for then nothing of it stands in a URL
// (RP-Initiated Logout section 2). The way back may lead on to leadsTo, an app's own URI; "" = not beyond this origin.
func LogoutPage(to *bff.EndSessionRequest, leadsTo string) Page {
	form := &Form{Label: "Continue", Action: to.URL, Get: !to.Post, Values: to.Values, LeadsTo: leadsTo}
	if leadsTo != "" { // which a browser follows in silence, or not at all
		form.After = &After{Text: []string{"If nothing else opens, you can close this page and go back to the app."}}
	}
	if form.Get {
		form.Action, form.Values = withoutQuery(to)
	}
	return Page{
		Title: "Signing out", Text: []string{"You are signed out here. One more step signs you out of the sign-in service."},
		Form: form,
	}
}

// withoutQuery moves what the endpoint's own query says in among the values.
func withoutQuery(to *bff.EndSessionRequest) (action string, values url.Values) {
	action, query, _ := strings.Cut(to.URL, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		values = url.Values{} // a query that is none is nothing the provider could read either
	}
	maps.Copy(values, to.Values)
	return action, values
}

// AppQuestion is what a person decides by who lets a native app in, and what becomes of the answer.
type AppQuestion struct {
	Who         string // as whom
	RedirectURI string // where the answer goes
	At          string // the path of this origin that takes the decision
	Check       string // goes into the form; its cookie is the other half
	Again       string // the path of this origin that starts the same sign-in anew
}

// ConfirmAppPage stands between a sign-in that succeeded and a native app whose redirect does not prove who receives it
// (RFC 8252 section 8.6): a person looks and decides. Where no app takes the answer, browsers stay on the page without a
// word; then it is the page that tells.
func ConfirmAppPage(app *bff.App, q AppQuestion) Page {
	name := plain(cmp.Or(app.Name, app.ID))
	return Page{
		Title: "Sign in to " + isolated(name) + "?", Mark: markOf(name),
		Text: []string{"An app on this device asks to be signed in. Continue only if you have just started this there yourself."},
		Facts: []Fact{
			{Label: "You are signed in as", Value: q.Who},
			{Label: "The answer goes to", Value: receiver(q.RedirectURI), Detail: q.RedirectURI},
		},
		Form: &Form{
			Label: "Continue", Cancel: "Cancel", Here: true, Action: q.At, Values: url.Values{"confirm": {q.Check}}, Waits: true,
			LeadsTo: q.RedirectURI,
			After: &After{
				Text: []string{
					"You can go back to the app and close this page.",
					"If nothing opened, the app may be missing on this device. Open it yourself, or start again.",
				},
				Way: Action{"Start again", q.Again},
			},
		},
	}
}

// receiver says in plain words who takes what is sent to a redirect URI.
func receiver(uri string) string {
	switch {
	case strings.HasPrefix(uri, "https://"):
		return "The app that owns this address"
	case strings.HasPrefix(uri, "http://"):
		return "A program on this computer"
	default:
		return "An app on this device"
	}
}

// isolated keeps a name that is written from right to left from turning the words around it (Unicode, Bidirectional
// Algorithm, section 2.4): what <bdi> does, where no element can stand.
func isolated(name string) string { return "\u2068" + name + "\u2069" }

// markOf is the first letter or digit of a name; "" if there is none.
func markOf(name string) string {
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return ""
}

// LeavePage is the first page of a native app's sign-out. A link is only looked at by GET, by scanners too: its form takes
// the one-time address. waits asks for a click, where somebody else may have sent the browser here.
func LeavePage(waits bool) Page {
	p := Page{
		Title: "Signing out", Text: []string{"One more step signs you out of the sign-in service."},
		Form: &Form{Label: "Sign out", Here: true, Waits: waits},
	}
	if waits {
		p.Title, p.Text = "Sign out?", []string{sentToSignOut}
	}
	return p
}

// MoveOnPage leads on to a path of this origin after a form, where no redirect may (CSP Level 3, form-action).
func MoveOnPage(to string) Page {
	return Page{Title: "Signed out", Text: []string{"You are signed out."}, MoveOnTo: to, Actions: []Action{{"Continue", to}}}
}

// BackToAppPage says that the session is over, to the user of a native app.
func BackToAppPage() Page {
	return Page{Title: "Signed out", Text: []string{"You are signed out. You can close this window and go back to the app."}}
}

// MissedLinkPage is what a browser shows at an address that belongs to an app which is not there to take it (RFC 8252
// section 7.2). It shows nothing of the address. name is the app's; "" if several claim it.
func MissedLinkPage(name string) Page {
	p := Page{Title: "Open this in the app", Text: []string{
		"This address belongs to an app that is not installed on this device, or did not open.",
		"Install or open the app, then sign in from there. You can close this page.",
	}}
	if name = plain(name); name != "" {
		p.Title, p.Mark = "Open this in "+isolated(name), markOf(name)
	}
	return p
}

// SignedOutPage says that the session here is over. home is where the app goes on without one; "" if it does not.
func SignedOutPage(loginURL, home string) Page {
	p := Page{
		Title: "Signed out", Text: []string{"You are signed out."},
		Actions: []Action{{"Sign in again", loginURL}},
	}
	if home != "" {
		p.Actions = append(p.Actions, Action{"Back to the app", home})
	}
	return p
}

// ProviderUnreachablePage says that the session here is over, and that the provider's may not be.
func ProviderUnreachablePage(loginURL, home string) Page {
	return Page{
		Title: "Signed out here",
		Text: []string{
			"You are signed out of this app.",
			"The sign-in service could not be reached, so you may still be signed in there. On a shared computer, close the browser.",
		},
		Actions: []Action{{"Sign in again", loginURL}, {"Back to the app", home}},
	}
}

// writeErrorPage answers with err as a page: what happened, what to do, a way on.
func writeErrorPage(w http.ResponseWriter, r *http.Request, err error, info Info) {
	e, known := told(err, info)
	a := answerOf(e.Code)
	page := Page{
		Status: a.status, Title: a.title, Text: []string{cmp.Or(Because(bff.Reason(e.Reason)), a.text)}, Code: e.Code,
		Provider: ProviderCode(err), RequestID: info.RequestID,
	}
	page.addWays(r, a.ways, err, known)
	setRetryAfter(w.Header(), seconds(e.RetryAfter))
	if err := WritePage(w, r, page); err != nil { // only a form's target can be wrong, and there is no form
		writeProblem(w, r, err, info)
	}
}

// addWays lists the ways on: a sign-in where that helps, what the surface offers, the same address again where that
// may help, and home.
func (p *Page) addWays(r *http.Request, ways ways, err error, info Info) {
	o, ok := errors.AsType[*Offer](err)
	if ok && o.Spent {
		ways.signIn, ways.again = true, false
	}
	if ways.signIn && info.LoginURL != "" {
		p.Actions = append(p.Actions, Action{"Sign in", info.LoginURL})
	}
	if ok {
		if o.Text != "" {
			p.Text = append(p.Text, o.Text)
		}
		p.Actions = append(p.Actions, o.Actions...)
	}
	if ways.again && r.Method == http.MethodGet {
		p.Actions = append(p.Actions, Action{"Try again", ""}) // no URL: it may hold what no page may
	}
	if info.HomeURL != "" && !slices.ContainsFunc(p.Actions, func(a Action) bool { return a.URL == info.HomeURL }) {
		p.Actions = append(p.Actions, Action{"Back to the app", info.HomeURL})
	}
}
