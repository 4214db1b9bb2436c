package surface

import (
	"errors"
	"net/http"
	"strings"
)

// WantsPage reports whether a person waits for this answer in a browser window: then an error is a page, otherwise
// problem+json. Browsers say so by Sec-Fetch-Mode; those too old for it by what they accept.
func WantsPage(r *http.Request) bool {
	if mode := r.Header.Values("Sec-Fetch-Mode"); len(mode) > 0 {
		return len(mode) == 1 && mode[0] == "navigate"
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost: // the methods of links and forms
		return strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Accept"), ",")), "text/html")
	default:
		return false
	}
}

// WriteError answers with err: as a page to a navigation, as a problem to everything else. An *OAuthError is for the
// client of an OAuth endpoint, whatever else it says of itself; a *ChallengeError has its challenge in the header.
func WriteError(w http.ResponseWriter, r *http.Request, err error, info Info) {
	if o, ok := errors.AsType[*OAuthError](err); ok {
		writeOAuth(w, r, o, info)
		return
	}
	if c, ok := errors.AsType[*ChallengeError](err); ok {
		w.Header()["Www-Authenticate"] = c.challenges()
	}
	if WantsPage(r) {
		writeErrorPage(w, r, err, info)
		return
	}
	writeProblem(w, r, err, info)
}
