package spa

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"cloakroom/surface"
)

// Guard is what a request that comes with a session cookie must show of where it comes from. SameSite alone is no
// guard: a sibling host is the same site (draft-ietf-oauth-browser-based-apps section 6.1.3.3.1).
//
//	GuardHeader     api routes, own JSON        X-CSRF: 1, and Sec-Fetch-Site: same-origin; without metadata the exact
//	                                            Origin; without both the header alone, on a safe method only
//	GuardOrigin     assets, downloads, events   GET and HEAD; Sec-Fetch-Site: same-origin, else exact Origin or Referer
//	GuardSite       server-rendered upstreams,  top-level GET from anywhere; all else same-origin; without metadata
//	                static pages                safe methods pass, unsafe ones need the exact Origin
//	GuardWebSocket  WebSocket handshakes        exact Origin, and Sec-Fetch-Site: same-origin if that is there
//	guardForm       POST /bff/logout by a form  same-origin, else exact Origin
//
// The first two and the fourth also take a page of a listed origin (bff.App's AllowedOrigins): Sec-Fetch-Site: same-site,
// or none, and that exact Origin; GuardOrigin not without Sec-Fetch-Mode: cors where there is metadata. See cors.go.
//
// Metadata that is there is believed before anything else, and a value that stands twice is no value. The zero Guard
// lets nothing through.
type Guard int

// The guards. What is not listed here is refused.
const (
	GuardHeader Guard = iota + 1
	GuardOrigin
	GuardSite
	GuardWebSocket
	guardForm
)

// The header field that a script of the app's own sets, and no form, link or image can: from any other origin it takes a
// preflight, which none passes (draft-ietf-oauth-browser-based-apps section 6.1.3.3.2). Its value is fixed.
const (
	csrfHeader = "X-Csrf" // in Go's canonical form; it is X-CSRF on any wire
	csrfValue  = "1"
)

// check returns the rule that refuses a request, a fixed text for the log; "" lets it pass.
func (s *Surface) check(r *http.Request, g Guard) (rule string) {
	if g != GuardSite && surface.IsServiceWorker(r) { // the app's own files may hold one
		return "service worker script"
	}
	switch g {
	case GuardHeader:
		return s.checkHeader(r)
	case GuardOrigin:
		return s.checkOrigin(r)
	case GuardSite:
		return s.checkSite(r)
	case GuardWebSocket:
		return s.checkWebSocket(r)
	case guardForm:
		return s.checkForm(r)
	default:
		return "no guard"
	}
}

func (s *Surface) checkHeader(r *http.Request) string {
	// No preflight-free request passes (ASVS 3.5.2): the header is what a form, a link and sendBeacon cannot set.
	site, origin := surface.Field(r, "Sec-Fetch-Site"), surface.Field(r, "Origin")
	dest := surface.Field(r, "Sec-Fetch-Dest")
	switch {
	case surface.Field(r, csrfHeader) != csrfValue: // from the header alone: a query parameter needs no preflight
		return "no X-CSRF header"
	case dest != "" && dest != "empty": // scripts, images, frames: never an API's answer (ASVS 3.5.8)
		return "not a fetch"
	case s.fromListed(r):
		return ""
	case site != "":
		return unless(site == "same-origin", "sec-fetch-site")
	// Exact, as a text: "null", a suffix or the http twin is another origin (RFC 6454 section 5).
	case origin != "":
		return unless(origin == s.app.Origin, "origin")
	default:
		// A browser that sends neither is old, or none: what changes something is refused where no origin can be told (CSRF
		// cheat sheet, verifying origin).
		return unless(safe(r.Method), "neither metadata nor origin")
	}
}

func (s *Surface) checkOrigin(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "unsafe method without the header guard"
	}
	if s.fromListed(r) {
		// By CORS alone, which says an Origin: what a page embeds without asking (no-cors) it gets from nobody else.
		mode := surface.Field(r, "Sec-Fetch-Mode")
		return unless(mode == "" || mode == "cors", "sec-fetch-mode of a listed origin")
	}
	if site := surface.Field(r, "Sec-Fetch-Site"); site != "" {
		return unless(site == "same-origin", "sec-fetch-site")
	}
	if origin := surface.Field(r, "Origin"); origin != "" {
		return unless(origin == s.app.Origin, "origin")
	}
	// Last, as a page can leave it out: then this refuses, for an empty origin equals none.
	return unless(originOf(surface.Field(r, "Referer")) == s.app.Origin, "referer")
}

func (s *Surface) checkSite(r *http.Request) string {
	switch {
	case r.Method == http.MethodGet && surface.Field(r, "Sec-Fetch-Mode") == "navigate" && surface.Field(r, "Sec-Fetch-Dest") == "document":
		return "" // a link from anywhere: what a GET shows goes to the user's own window
	// Subresources of the app's own pages; to another site an image or a script would tell who is signed in (ASVS 3.5.8).
	case safe(r.Method):
		return unless(fromHere(r), "sec-fetch-site")
	default:
		return s.checkForm(r)
	}
}

func (s *Surface) checkWebSocket(r *http.Request) string {
	// RFC 6455 section 10.2: no page can add a header to a handshake, so Origin decides, as a text. A browser always sends
	// it: one without comes from no page of the app's (ASVS 4.4.2).
	if s.fromListed(r) {
		return ""
	}
	if surface.Field(r, "Origin") != s.app.Origin {
		return "websocket from another origin"
	}
	// Not every browser tells it of a handshake.
	site := surface.Field(r, "Sec-Fetch-Site")
	return unless(site == "" || site == "same-origin", "sec-fetch-site")
}

// CheckWebSocket refuses a WebSocket handshake that does not come from the app itself, whether it carries a cookie or
// not: bff.CodeCSRFFailed. No browser keeps a page from reading what a WebSocket of another origin says.
func (s *Surface) CheckWebSocket(r *http.Request) error {
	if rule := s.check(r, GuardWebSocket); rule != "" {
		return s.guardRefused(r.Context(), rule)
	}
	return nil
}

func (s *Surface) checkForm(r *http.Request) string {
	// The one exception to the header (ASVS 3.5.1 wants a fixed list of them).
	return unless(surface.FromOrigin(r, s.app.Origin), "origin of a form")
}

// guardRefused is the one refusal of all guards.
func (s *Surface) guardRefused(ctx context.Context, rule string) error {
	return surface.GuardRefused(ctx, s.trace, s.app.ID, rule)
}

// fromHere reports whether a page of this origin, the user or nobody who can be told began a request. Another host of the
// same site is elsewhere: the same site is not the same owner.
func fromHere(r *http.Request) bool {
	switch surface.Field(r, "Sec-Fetch-Site") {
	// none: typed, reloaded, a bookmark, or a link from outside the browser (Fetch Metadata section 2.3). Absent: a browser
	// too old for metadata, which cannot be told apart; whoever asks has a second defence.
	case "", "same-origin", "none":
		return true
	default:
		return false
	}
}

// isOneOf reports whether the page that a navigation comes from is of one of these origins. A GET navigation has no
// Origin; its Referer tells the origin under every policy but no-referrer.
func isOneOf(r *http.Request, origins []string) bool {
	from := surface.Field(r, "Origin")
	if from == "" {
		from = originOf(surface.Field(r, "Referer"))
	}
	return from != "" && slices.Contains(origins, from)
}

// originOf returns scheme and host of an absolute URL; "" for anything else.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// safe methods ask for nothing to be changed (RFC 9110 section 9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// unless returns the rule that refuses when its condition does not hold.
func unless(holds bool, rule string) string {
	if holds {
		return ""
	}
	return rule
}
