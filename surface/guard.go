package surface

import (
	"context"
	"net/http"
	"strings"

	"cloakroom/bff"
)

// TopLevel guards the endpoints that are opened, not fetched: the starts and ends of sign-ins and sign-outs. Each has its
// own defence beside; this one keeps frames, images and prefetches off all of them. refuse makes the error of a rule.
func TopLevel(refuse func(ctx context.Context, rule string) error, h Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch {
		case isPrefetch(r):
			// Nothing a browser does on its own may start, use up or end anything (RFC 9110 section 9.2.1).
			return &bff.Error{Code: bff.CodeForbidden, Message: "This address is not to be fetched in advance."}
		case !IsTopLevel(r):
			return refuse(r.Context(), "not a top-level navigation")
		default:
			return h(w, r)
		}
	}
}

// IsTopLevel reports whether a request is a navigation of a window, as far as its metadata says. A browser without
// metadata passes: it is up to the endpoint's own defence.
func IsTopLevel(r *http.Request) bool {
	mode, dest := Field(r, "Sec-Fetch-Mode"), Field(r, "Sec-Fetch-Dest")
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

// IsVisit reports whether a person is about to see the answer in a window of its own, and can be shown or sent elsewhere in its
// place.
func IsVisit(r *http.Request) bool {
	return r.Method == http.MethodGet && WantsPage(r) && IsTopLevel(r)
}

// IsBackground reports requests that are no activity of the user, and do not move the idle end (ASVS 7.3.1): an app says by
// X-Background: 1 that it makes one on its own, or the browser fetches ahead.
func IsBackground(r *http.Request) bool { return r.Header.Get("X-Background") == "1" || isPrefetch(r) }

// FromOrigin reports whether a form's POST comes from a page of exactly this origin (ASVS 3.5.1): by its metadata, else
// by its Origin. A browser always sends Origin with a POST of a form, "null" where it hides it, so one that is absent is
// no excuse.
func FromOrigin(r *http.Request, origin string) bool {
	if site := Field(r, "Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return Field(r, "Origin") == origin
}

// Field returns a header field that stands once; of several the list of all, which equals no value that is asked for.
func Field(r *http.Request, name string) string { return strings.Join(r.Header.Values(name), ", ") }

// IsServiceWorker reports whether a browser asks for the script of a service worker: one made of an answer of an API
// would rule the whole origin (ASVS 3.2.1).
func IsServiceWorker(r *http.Request) bool { return len(r.Header.Values("Service-Worker")) > 0 }
