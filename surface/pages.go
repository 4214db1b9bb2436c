package surface

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
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

// ConfirmLogoutPage stands between a foreign site's link and the end of the provider's session. A click on the page's own
// address comes from this origin.
func ConfirmLogoutPage(home string) Page {
	return Page{
		Title: "Sign out?", Text: []string{"Another site sent you here to sign out of the sign-in service. Continue only if you meant to."},
		Actions: []Action{{"Sign out", ""}, {"Not now", home}},
	}
}

// LogoutPage ends the provider's session by a form POST: nothing of it stands in a URL (RP-Initiated Logout section 2).
func LogoutPage(action string, values url.Values) Page {
	return Page{
		Title: "Signing out", Text: []string{"You are signed out here. One more step signs you out of the sign-in service."},
		Form: &Form{Label: "Continue", Action: action, Values: values},
	}
}

// SignedOutPage says that the session here is over.
func SignedOutPage(loginURL, home string) Page {
	return Page{
		Title: "Signed out", Text: []string{"You are signed out."},
		Actions: []Action{{"Sign in again", loginURL}, {"Back to the app", home}},
	}
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
		Status: a.status, Title: a.title, Text: []string{a.text}, Code: e.Code,
		Provider: ProviderCode(err), RequestID: info.RequestID,
	}
	page.addWays(r, a.ways, err, known)
	setRetryAfter(w.Header(), seconds(e.RetryAfter))
	if err := WritePage(w, r, page); err != nil { // only a form's target can be wrong, and there is no form
		WriteProblem(w, r, err, info)
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
