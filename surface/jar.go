package surface

import (
	"net/http"
	"strings"
	"time"
)

// Every cookie of the gateway carries the host-bound prefix that also keeps scripts from writing it (draft layered
// cookies section 4.1.3.4); browsers that do not know it still see "__Host-", and apply its rules: Secure, Path=/, no
// Domain. Then follows its owner, an app's id or nothing, and its part, which begins with a dot: app ids hold none, so
// no owner's cookies can be taken for another's.
const cookiePrefix = "__Host-Http-"

// The parts of cookie names that both surfaces use beside the transaction's.
const (
	PartNotice  = ".so"  // what a sign-out leaves for the next login: Lax, for bff.NoticeLife
	PartLeaving = ".out" // the state of a sign-out at the provider: Lax, for LeavingLife, used once
)

// LeavingLife is how long the way back from the provider's sign-out is known: it may ask the user whether to sign out.
const LeavingLife = 10 * time.Minute

// CookieName names a cookie of an owner: an app's id, or "" for the gateway's own. part is "" or begins with a dot.
func CookieName(owner, part string) string { return cookiePrefix + owner + part }

// ReservedCookie reports whether a cookie name is the gateway's at this owner.
func ReservedCookie(owner, name string) bool {
	rest, ours := strings.CutPrefix(name, cookiePrefix+owner)
	return ours && (rest == "" || rest[0] == '.')
}

// Cookie is one cookie as the browser sent it.
type Cookie struct{ Name, Value string }

// Jar is all cookies of a request, byte by byte. net/http's own reading takes the first of two of a name, strips quotes
// and trims names, and each of these helps who can toss a cookie from a sibling host (RFC 6265bis section 8.6).
type Jar []Cookie

// ReadJar splits the Cookie header at its semicolons. One space after a semicolon belongs to the syntax (RFC 6265bis
// section 4.2.1); nothing else is trimmed, decoded or folded.
func ReadJar(r *http.Request) Jar {
	var j Jar
	for _, line := range r.Header.Values("Cookie") {
		for piece := range strings.SplitSeq(line, ";") {
			name, value, ok := strings.Cut(strings.TrimPrefix(piece, " "), "=")
			if ok {
				j = append(j, Cookie{name, value})
			}
		}
	}
	return j
}

// Values returns the value of every cookie of exactly this name.
func (j Jar) Values(name string) []string {
	var found []string
	for _, c := range j {
		if c.Name == name {
			found = append(found, c.Value)
		}
	}
	return found
}

// Has reports whether there is a cookie of exactly this name.
func (j Jar) Has(name string) bool { return len(j.Values(name)) > 0 }

// Only returns the value of a cookie that is there once; "" otherwise: of two, nobody knows which is ours.
func (j Jar) Only(name string) string {
	if found := j.Values(name); len(found) == 1 {
		return found[0]
	}
	return ""
}

// size is the length of the Cookie header as a browser would send it.
func (j Jar) size() int {
	n := 0
	for _, c := range j {
		n += c.size()
	}
	return n
}

// size is what one cookie adds to the header: the text, "=" and "; ".
func (c Cookie) size() int { return len(c.Name) + len(c.Value) + 3 }

// SetCookie sends a cookie. Every cookie of the gateway is Secure, HttpOnly, for the whole host and for it alone.
func SetCookie(w http.ResponseWriter, name, value string, site http.SameSite, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: site,
		MaxAge: max(1, int(life/time.Second)), // 0 would make it a cookie of the browser session
	})
}

// ClearCookie deletes a cookie: with the attributes it was set with, or the browser ignores it (RFC 6265bis section 5.7).
func ClearCookie(w http.ResponseWriter, name string, site http.SameSite) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Path: "/", Secure: true, HttpOnly: true, SameSite: site, MaxAge: -1, // written as Max-Age=0
	})
}
