package surface

import (
	"net/http"

	"cloakroom/bff"
)

// Codes that only surfaces use: what a browser did or a provider's error means. They are contract like those of
// package bff.
const (
	CodeCookiesBlocked      bff.Code = "cookies_blocked"       // 400: the cookie set a moment ago did not come back
	CodeLoginMisconfigured  bff.Code = "login_misconfigured"   // 400: the provider says that our request is wrong
	CodeLoginProviderFailed bff.Code = "login_provider_failed" // 502: the provider says that it failed itself
	CodeClientRejected      bff.Code = "invalid_client"        // 401: no app of this name, or one that proves itself in a way we do not take
)

// statusClientGone is what nginx made the custom for "the client closed the connection": it stands in logs only.
const statusClientGone = 499

// answer is how a code is told.
type answer struct {
	status int
	title  string // of the problem and of the page
	text   string // of the page: what happened, what to do
	ways   ways
}

// ways are the links that help after an error.
type ways struct {
	signIn bool // start a login, where the caller knows how
	again  bool // open the same address once more
}

var (
	signIn = ways{signIn: true}
	again  = ways{again: true}
)

// answers is the one table of codes: status, title and words.
var answers = map[bff.Code]answer{
	bff.CodeSessionRequired: {401, "Sign-in required", "You are not signed in here. Sign in to continue.", signIn},
	bff.CodeSessionExpired:  {401, "Session expired", "You were signed out because your session reached its end. Sign in to continue.", signIn},
	bff.CodeSessionEnded:    {401, "Session ended", "You have been signed out. Sign in to continue.", signIn},
	bff.CodeAdminRequired:   {401, "Credential required", "This address is for administrators.", ways{}},
	bff.CodeUpstreamRefused: {401, "Refused by the service", "The service behind this page did not accept your sign-in. Signing in again may help.", signIn},

	bff.CodeCSRFFailed:       {403, "Request refused", "This address may only be opened from the app itself. Go back to the app and try from there.", ways{}},
	bff.CodeAppNotAllowed:    {403, "Not open to this app", "This app may not use that address.", ways{}},
	bff.CodeClaimRequired:    {403, "Permission missing", "Your account lacks a permission that is needed here. Ask whoever manages your account.", ways{}},
	bff.CodeForbidden:        {403, "Request refused", "This request is not allowed.", ways{}},
	bff.CodeInsufficientAuth: {401, "Newer sign-in required", "This needs a sign-in that is newer or stronger than the one you have. Sign in again: you come back to here.", signIn},
	bff.CodeStepUpFinal:      {403, "Sign-in does not help", "The service behind this page asks for a sign-in that you have just made. Signing in once more will not help: tell whoever runs this app.", ways{}},
	bff.CodeRecentSignIn:     {403, "Recent sign-in required", "This can be done only shortly after signing in. Sign in again, then repeat it.", signIn},

	bff.CodeBadRequest:       {400, "Bad request", "The address or the data sent was not right. Go back to the app and try again from there.", ways{}},
	bff.CodeNotFound:         {404, "Not found", "There is nothing at this address.", ways{}},
	bff.CodeMethodNotAllowed: {405, "Method not allowed", "This address cannot be used in that way.", ways{}},
	bff.CodeGone:             {410, "Link already used", "This link works once, and it was used or is too old.", ways{}},
	bff.CodeTooLarge:         {413, "Too large", "More was sent than is accepted here.", ways{}},
	bff.CodeHeaderTooLarge:   {431, "Header too large", "Your browser sent more beside the request than is accepted here. Clearing this site's cookies may help.", ways{}},
	bff.CodeMisdirected:      {421, "Unknown address", "No app is served under this name. Check the address.", ways{}},
	bff.CodeRateLimited:      {429, "Too many requests", "There were too many attempts. Wait a moment, then try again.", again},
	bff.CodeLoopDetected:     {508, "Loop detected", "This request came back to where it started. Tell whoever runs this app.", ways{}},

	bff.CodeStoreUnavailable:    {503, "Temporarily unavailable", "Sessions cannot be read right now. Nothing is lost: try again in a moment.", again},
	bff.CodeKeyUnknown:          {503, "Temporarily unavailable", "Your session cannot be opened right now. Nothing is lost: try again in a moment.", again},
	bff.CodeIDPUnavailable:      {503, "Sign-in service unavailable", "The sign-in service does not answer. Try again in a moment.", again},
	bff.CodeDraining:            {503, "Restarting", "This service is restarting. Try again in a moment.", again},
	bff.CodeUpstreamUnavailable: {502, "Service unavailable", "The service behind this page does not answer. Try again in a moment.", again},
	bff.CodeManagementDisabled:  {502, "Service not set up", "This service is not set up correctly here. Tell whoever runs this app.", ways{}},
	bff.CodeTokenRefused:        {502, "Service not set up", "This service is not set up correctly here. Tell whoever runs this app.", ways{}},
	bff.CodeUpstreamBusy:        {503, "Service busy", "The service behind this page has too much to do right now. Try again in a moment.", again},
	bff.CodeUpstreamTimeout:     {504, "Service too slow", "The service behind this page took too long. Try again in a moment.", again},

	bff.CodeClientGone: {statusClientGone, "Client gone", "The connection was closed.", ways{}},
	bff.CodeInternal:   {500, "Internal error", "Something went wrong here. Try again; if it stays, tell whoever runs this app.", again},

	bff.CodeLoginUnknown:   {400, "Sign-in not found", "This sign-in was not started in this browser, or it is over already. Start again.", signIn},
	bff.CodeLoginExpired:   {400, "Sign-in took too long", "There are ten minutes to sign in, and they have passed. Start again.", signIn},
	bff.CodeLoginReplayed:  {400, "Sign-in already completed", "This answer was used already. If you are signed in you can go on, otherwise start again.", signIn},
	bff.CodeLoginMixedUp:   {400, "Answer from elsewhere", "The answer did not come from the sign-in service that was asked. Nothing was done with it. Start again.", signIn},
	bff.CodeLoginNoCode:    {400, "Incomplete answer", "The answer of the sign-in service was not complete. Start again.", signIn},
	bff.CodeLoginRefused:   {403, "Sign-in refused", "The sign-in service did not sign you in. You can try again.", signIn},
	bff.CodeLoginSignedOut: {403, "Signed out meanwhile", "You were signed out while you were signing in. One click starts a new sign-in.", signIn},
	bff.CodeStepUpUnmet:    {403, "Sign-in not strong enough", "The sign-in service did not sign you in as strongly or as recently as is needed. You are signed in as before.", signIn},
	bff.CodeLoginNoSID:     {502, "Sign-in not possible", "The sign-in service left out what a later sign-out needs. Tell whoever runs this app.", signIn},

	bff.CodeLoginCodeRejected:  {400, "Sign-in not completed", "The sign-in service did not accept its own answer any more. Start again.", signIn},
	bff.CodeLoginTokenRejected: {400, "Answer not accepted", "What the sign-in service answered did not hold. Nothing was done with it. Start again.", signIn},
	bff.CodeIDPMisconfigured:   {502, "Sign-in not possible", "Sign-in is not set up correctly here. Tell whoever runs this app.", signIn},

	bff.CodeGrantRejected: {400, "Not accepted", "This code or handle is not good any more. Sign in again in the app.", ways{}},
	CodeClientRejected:    {401, "Unknown app", "No app of this name may sign in here.", ways{}},
	bff.CodeProofRejected: {401, "Proof not accepted", "The app did not show that this handle is its own. Go back to the app and try again from there.", ways{}},
	bff.CodeNonceRequired: {401, "Proof not accepted", "The app has to show once more that this handle is its own. Go back to the app and try again from there.", ways{}},

	CodeLoginMisconfigured:  {400, "Sign-in not possible", "The sign-in service does not accept how this app asks. Tell whoever runs this app.", signIn},
	CodeLoginProviderFailed: {502, "Sign-in service failed", "The sign-in service had a problem. Try again in a moment.", signIn},
	CodeCookiesBlocked: {
		400, "Cookies are blocked",
		"Your browser did not keep a cookie that a sign-in here needs. Allow cookies for this site (over https, or on localhost in a browser that accepts secure cookies there), then sign in again.", signIn,
	},
}

// Status returns the HTTP status of a code: 500 for one that is not known, so that a forgotten row fails closed.
func Status(code bff.Code) int { return answerOf(code).status }

// answerOf finds the row of a code; an unknown one is told as internal.
func answerOf(code bff.Code) answer {
	if a, ok := answers[code]; ok {
		return a
	}
	return answers[bff.CodeInternal]
}

// asksForSignIn reports whether a new sign-in is what the caller needs to go on: after a 401, or where the last is too long
// ago. A sign-in that failed is told by pages, whose links lead to the next.
func (a answer) asksForSignIn(code bff.Code) bool {
	return a.ways.signIn && (a.status == http.StatusUnauthorized || code == bff.CodeRecentSignIn)
}

// IsOver reports whether an error says that there is no session: it is not there, ended, or expired. An outage, a key
// that is not known yet and a failed guard say nothing of the kind.
func IsOver(err error) bool {
	switch bff.CodeOf(err) {
	case bff.CodeSessionRequired, bff.CodeSessionEnded, bff.CodeSessionExpired:
		return true
	default:
		return false
	}
}
