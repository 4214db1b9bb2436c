package static

import (
	"cmp"
	"net/http"
	"path"
	"regexp"
	"strings"
)

// DefaultPolicy lets a document load from its own origin alone, run no inline script or style, and be framed by nobody
// (ASVS 3.4.3, 3.4.6). Pictures and fonts may also be data URLs, as builds inline small ones, and pictures blob URLs, as pages
// show a file that is about to be uploaded: neither can run anything, nor tell anybody. There is no form-action on purpose:
// the form that signs out is redirected on to the provider, and Chromium holds form-action against every redirect after a
// submission, so that naming 'self' would break the sign-out without a word.
const DefaultPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; " +
	"media-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// rules say how the files of a site are kept and run.
type rules struct {
	protected bool
	policy    string
}

func newRules(o Options) rules { return rules{o.Protected, cmp.Or(o.Policy, DefaultPolicy)} }

// describe sets the header fields of a file's answer.
func (u rules) describe(h http.Header, file found) {
	media := mediaType(file.name)
	h.Set("Content-Type", media)
	h.Set("Cache-Control", u.caching(file.name, media))
	u.protect(h)
	if file.negotiated {
		h.Add("Vary", "Accept, Sec-Fetch-Mode")
	}
	if isDocument(media) || isScript(media) {
		// A worker is held by the policy that its own script came with, not by its page's (HTML standard, "run a worker"), and
		// any script may be started as one.
		h.Set("Content-Security-Policy", u.policy)
	}
	if !isDocument(media) {
		return
	}
	h.Set("X-Frame-Options", "DENY")                   // for what is too old for frame-ancestors
	h.Set("Cross-Origin-Opener-Policy", "same-origin") // no window that opened it, or that it opened, holds it (ASVS 3.4.8)
	// The origin is told to others, the path never: by the origin a login knows the apps whose links may start one.
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
}

// describeMove sets those of a redirect inside the folder. It is permanent, but asked for again: the next build may have
// a file there.
func (u rules) describeMove(h http.Header) {
	h.Set("Cache-Control", u.caching("", ""))
	u.protect(h)
}

// protect sets what every answer has: it is what it says it is, and is embedded by no other site (ASVS 3.5.8, 4.1.1).
func (u rules) protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if u.protected {
		h.Add("Vary", "Cookie")
	}
}

// caching decides for how long an answer may be taken without asking:
//
//	                        open to all                            protected
//	documents               no-cache                               no-store
//	named by their content  public, max-age=31536000, immutable    private, no-cache
//	all others              public, max-age=0, must-revalidate     private, no-cache
//
// A document is asked for each time, since it names the others of its build. A page that only its user may see is kept
// nowhere, so that it is not shown by the back button after a sign-out (ASVS 14.3.2).
func (u rules) caching(name, media string) string {
	switch document := isDocument(media); {
	case u.protected && document:
		return "no-store"
	case u.protected:
		return "private, no-cache" // shared caches never (RFC 9111 section 5.2.2.7), and the browser's only after asking
	case isHashed(name) && essence(media) != "text/html": // a page is opened by its address, a picture by its build's
		return "public, max-age=31536000, immutable" // a year; RFC 8246
	case document:
		return "no-cache"
	default:
		return "public, max-age=0, must-revalidate"
	}
}

// isDocument reports types that a browser opens as a document that can run scripts in the app's origin.
func isDocument(media string) bool {
	switch essence(media) {
	case "text/html", "application/xhtml+xml", "image/svg+xml", "application/xml":
		return true
	default:
		return false
	}
}

// isScript reports the type that a browser runs.
func isScript(media string) bool { return essence(media) == "text/javascript" }

// essence is a type without its parameters.
func essence(media string) string {
	kind, _, _ := strings.Cut(media, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// How builds write a content's hash into a name: behind a dash or a dot, before the extension; a long one also alone.
var (
	digestHex    = regexp.MustCompile(`[-.]([0-9a-f]{8,64})\.[A-Za-z0-9.]+$`) // webpack, Parcel, Next.js
	digestAlone  = regexp.MustCompile(`^([0-9a-f]{16,64})\.[A-Za-z0-9.]+$`)   // webpack's pictures and fonts
	digestBase32 = regexp.MustCompile(`-([A-Z0-9]{8})\.[A-Za-z0-9.]+$`)       // esbuild, Angular
	digestBase64 = regexp.MustCompile(`-([A-Za-z0-9_-]{8})\.[A-Za-z0-9.]+$`)  // Vite, Rolldown, Rollup
	words        = regexp.MustCompile(`^[A-Z]?[a-z]+([A-Z][a-z]+)*[0-9]*$`)   // DarkMode, photo2024
	mixed        = regexp.MustCompile(`[A-Z].*[a-z]|[a-z].*[A-Z]`)            // of both cases
	figure       = regexp.MustCompile(`[0-9].*[A-Za-z]|[A-Za-z].*[0-9]`)      // of letters and digits
)

// lasting are the folders of frameworks that hold nothing but what is named by its content, in names of many forms: of
// Next.js (the build's own id counts as one), SvelteKit, Astro and Nuxt.
var lasting = [...]string{"/_next/static/", "/_app/immutable/", "/_astro/", "/_nuxt/"}

// latestBuild is what Nuxt asks for to see whether there is a new build: alone below its folder it has a name that stays.
const latestBuild = "/_nuxt/builds/latest.json"

// isHashed reports whether a name changes with the content, so that a copy of it never grows old. A hash of Vite's
// alphabet could be a word, so it counts only where Vite puts its files, in a folder called assets, and only if it does
// not read like one; and one without a figure could be a word in capitals. The real hashes that look so, one in sixteen
// of Vite's and one in five of Angular's, are asked for again each time, which costs a round trip, while a word taken for a
// hash would keep an old picture for a year.
func isHashed(name string) bool {
	folder, base := path.Split(name)
	for _, begin := range lasting {
		if strings.Contains("/"+folder, begin) {
			return !strings.HasSuffix("/"+name, latestBuild)
		}
	}
	for _, digest := range []*regexp.Regexp{digestHex, digestAlone, digestBase32} {
		if m := digest.FindStringSubmatch(base); m != nil && figure.MatchString(m[1]) {
			return true
		}
	}
	m := digestBase64.FindStringSubmatch(base)
	return m != nil && strings.Contains("/"+folder, "/assets/") && mixed.MatchString(m[1]) && !words.MatchString(m[1])
}
