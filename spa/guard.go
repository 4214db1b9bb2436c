package spa

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"cloakroom/bff"
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
//	GuardWebSocket  WebSocket handshakes        exact Origin
//	guardForm       POST /bff/logout by a form  same-origin, else exact Origin
//
// Metadata that is there is believed before anything else, and a value that stands twice is no value. The zero Guard
// lets nothing through.
type Guard int

// The guards. A listed split origin is none of them yet: what is not listed here is refused.
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
	if len(r.Header.Values("Service-Worker")) > 0 {
		// A service worker made of an answer of an API would rule the whole origin (ASVS 3.2.1).
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
		if field(r, "Origin") != s.app.Origin {
			return "websocket from another origin" // RFC 6455 section 10.2: there can be no header, so Origin decides
		}
		return ""
	case guardForm:
		return s.checkForm(r)
	default:
		return "no guard"
	}
}

func (s *Surface) checkHeader(r *http.Request) string {
	// No preflight-free request passes (ASVS 3.5.2): the header is what a form, a link and sendBeacon cannot set.
	site, origin := field(r, "Sec-Fetch-Site"), field(r, "Origin")
	dest := field(r, "Sec-Fetch-Dest")
	switch {
	case field(r, csrfHeader) != csrfValue: // from the header alone: a query parameter needs no preflight
		return "no X-CSRF header"
	case dest != "" && dest != "empty": // scripts, images, frames: never an API's answer (ASVS 3.5.8)
		return "not a fetch"
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
	if site := field(r, "Sec-Fetch-Site"); site != "" {
		return unless(site == "same-origin", "sec-fetch-site")
	}
	if origin := field(r, "Origin"); origin != "" {
		return unless(origin == s.app.Origin, "origin")
	}
	// Last, as a page can leave it out: then this refuses, for an empty origin equals none.
	return unless(originOf(field(r, "Referer")) == s.app.Origin, "referer")
}

func (s *Surface) checkSite(r *http.Request) string {
	site := field(r, "Sec-Fetch-Site")
	switch {
	case r.Method == http.MethodGet && field(r, "Sec-Fetch-Mode") == "navigate" && field(r, "Sec-Fetch-Dest") == "document":
		return "" // a link from anywhere: what a GET shows goes to the user's own window
	// Subresources of the app's own pages; to another site an image or a script would tell who is signed in (ASVS 3.5.8).
	case safe(r.Method):
		return unless(site == "" || site == "same-origin" || site == "none", "sec-fetch-site")
	default:
		return s.checkForm(r)
	}
}

func (s *Surface) checkForm(r *http.Request) string {
	// The one exception to the header (ASVS 3.5.1 wants a fixed list of them): a browser always sends Origin with a POST of
	// a form, "null" where it hides it, so one that is absent is no excuse.
	if site := field(r, "Sec-Fetch-Site"); site != "" {
		return unless(site == "same-origin", "sec-fetch-site")
	}
	return unless(field(r, "Origin") == s.app.Origin, "origin")
}

// topLevel guards the endpoints that are opened, not fetched: login, callback, landed, the sign-out links. Each has its
// own defence beside; this one keeps frames, images and prefetches off all of them.
func (s *Surface) topLevel(h surface.Handler) surface.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch {
		case isPrefetch(r):
			// Nothing a browser does on its own may start, use up or end anything (RFC 9110 section 9.2.1).
			return &bff.Error{Code: bff.CodeForbidden, Message: "This address is not to be fetched in advance."}
		case !isTopLevel(r):
			return s.guardRefused(r.Context(), "not a top-level navigation")
		default:
			return h(w, r)
		}
	}
}

// isTopLevel reports whether a request is a navigation of a window, as far as its metadata says. A browser without
// metadata passes: it is up to the endpoint's own defence.
func isTopLevel(r *http.Request) bool {
	mode, dest := field(r, "Sec-Fetch-Mode"), field(r, "Sec-Fetch-Dest")
	return (mode == "" || mode == "navigate") && (dest == "" || dest == "document")
}

// isPrefetch reports whether the browser fetches ahead of the user: Sec-Purpose (Fetch standard), and what came before it.
func isPrefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz", "X-Purpose"} {
		for _, value := range r.Header.Values(name) {
			if strings.Contains(value, "prefetch") || value == "preview" {
				return true
			}
		}
	}
	return false
}

// guardRefused is the one refusal of all guards; which rule it was stands in the log only.
func (s *Surface) guardRefused(ctx context.Context, rule string) error {
	if s.trace.GuardRefused != nil {
		s.trace.GuardRefused(ctx, bff.RefusalEvent{App: s.app.ID, Rule: rule})
	}
	return &bff.Error{Code: bff.CodeCSRFFailed, Message: "This request does not show that it comes from the app itself."}
}

// isOneOf reports whether the page that a navigation comes from is of one of these origins. A GET navigation has no
// Origin; its Referer tells the origin under every policy but no-referrer.
func isOneOf(r *http.Request, origins []string) bool {
	from := field(r, "Origin")
	if from == "" {
		from = originOf(field(r, "Referer"))
	}
	return from != "" && slices.Contains(origins, from)
}

// field returns a header field that stands once; of several the list of all, which equals no value that is asked for.
func field(r *http.Request, name string) string { return strings.Join(r.Header.Values(name), ", ") }

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
