package spa

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"
)

// The cookies of an app, by the host-bound prefix that also keeps scripts from writing them (draft layered cookies
// section 4.1.3.4); browsers that do not know it still see "__Host-", and apply its rules: Secure, Path=/, no Domain.
//
//	__Host-Http-<app>              the session: its root, Strict (Lax by setting)
//	__Host-Http-<app>.tx.<t>-<f>   one login in flight: Lax, ten minutes; t is its start, f names the flow
//	__Host-Http-<app>.so           what a sign-out leaves for the next login: Lax, a minute
//	__Host-Http-<app>.out          the state of a sign-out at the provider: Lax, used once
//
// App ids hold no dot, so no app's cookies can be taken for another's.
const (
	cookiePrefix = "__Host-Http-"
	partFlow     = ".tx."
	partNotice   = ".so"
	partLeaving  = ".out"
)

const (
	flowLife    = 10 * time.Minute // as long as the transaction inside is good
	leavingLife = 10 * time.Minute // a provider may ask the user whether to sign out
	maxFlows    = 5                // logins in flight per browser: parallel tabs, forgotten ones
	// maxHeader is what the Cookie header may grow to by a new flow: many servers take 8 KiB and no more, and what a
	// sign-out leaves must fit in as well.
	maxHeader = 8<<10 - 512
)

// Reserved reports whether a cookie name is the gateway's at this app: the proxy drops such cookies both ways.
func (s *Surface) Reserved(name string) bool { return Reserved(s.app.ID, name) }

// Reserved reports whether a cookie name is the gateway's at the app of that id.
func Reserved(appID, name string) bool {
	rest, ours := strings.CutPrefix(name, cookiePrefix+appID)
	return ours && (rest == "" || rest[0] == '.')
}

func (s *Surface) cookieName(part string) string { return cookiePrefix + s.app.ID + part }

// pair is one cookie as the browser sent it.
type pair struct{ name, value string }

// jar is all cookies of a request, byte by byte. net/http's own reading takes the first of two of a name, strips quotes
// and trims names, and each of these helps who can toss a cookie from a sibling host (RFC 6265bis section 8.6).
type jar []pair

// readJar splits the Cookie header at its semicolons. One space after a semicolon belongs to the syntax (RFC 6265bis
// section 4.2.1); nothing else is trimmed, decoded or folded.
func readJar(r *http.Request) jar {
	var j jar
	for _, line := range r.Header.Values("Cookie") {
		for piece := range strings.SplitSeq(line, ";") {
			name, value, ok := strings.Cut(strings.TrimPrefix(piece, " "), "=")
			if ok {
				j = append(j, pair{name, value})
			}
		}
	}
	return j
}

// values returns the value of every cookie of exactly this name.
func (j jar) values(name string) []string {
	var found []string
	for _, p := range j {
		if p.name == name {
			found = append(found, p.value)
		}
	}
	return found
}

// only returns the value of a cookie that is there once; "" otherwise: of two, nobody knows which is ours.
func (j jar) only(name string) string {
	if found := j.values(name); len(found) == 1 {
		return found[0]
	}
	return ""
}

// size is the length of the Cookie header as a browser would send it.
func (j jar) size() int {
	n := 0
	for _, p := range j {
		n += cookieSize(p.name, p.value)
	}
	return n
}

// cookieSize is what one cookie adds to the header: the text, "=" and "; ".
func cookieSize(name, value string) int { return len(name) + len(value) + 3 }

// set sends a cookie. Every cookie of the gateway is Secure, HttpOnly, for the whole host and for it alone.
func set(w http.ResponseWriter, name, value string, site http.SameSite, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: site,
		MaxAge: max(1, int(life/time.Second)), // 0 would make it a cookie of the browser session
	})
}

// clearCookie deletes a cookie: with the attributes it was set with, or the browser ignores it (RFC 6265bis section 5.7).
func clearCookie(w http.ResponseWriter, name string, site http.SameSite) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Path: "/", Secure: true, HttpOnly: true, SameSite: site, MaxAge: -1, // written as Max-Age=0
	})
}

// sessionSite is Strict but by explicit setting (draft-ietf-oauth-browser-based-apps section 6.1.3.2).
func (s *Surface) sessionSite() http.SameSite {
	if s.app.LaxCookie {
		return http.SameSiteLaxMode
	}
	return http.SameSiteStrictMode
}

// setSession hands the session to the browser, to be kept until the session's absolute end, also over a restart of the
// browser: how long a session lives is decided by its record alone, and a browser that restores its tabs would restore
// a cookie without Max-Age as well.
func (s *Surface) setSession(w http.ResponseWriter, session *bff.Session) {
	set(w, s.cookieName(""), session.Root.Reveal(), s.sessionSite(), session.AbsoluteEnd.Sub(s.engine.Now()))
}

func (s *Surface) clearSession(w http.ResponseWriter) {
	clearCookie(w, s.cookieName(""), s.sessionSite())
}

// flow is a transaction cookie that the browser carries.
type flow struct {
	pair
	began int64  // seconds since 1970; 0 when its name does not say
	id    string // what bff.Flow gives for its state
}

// flows returns the transaction cookies of a request, the oldest first. Those of the same second keep the order in
// which browsers send them, which is that of their making (RFC 6265bis section 5.8.3).
func (s *Surface) flows(j jar) []flow {
	var found []flow
	for _, p := range j {
		rest, ours := strings.CutPrefix(p.name, s.cookieName(partFlow))
		if !ours {
			continue
		}
		t, id, _ := strings.Cut(rest, "-") // base 36 has no "-"; a flow's id may
		began, err := strconv.ParseInt(t, 36, 64)
		if err != nil {
			began, id = 0, "" // not one of ours: the first to go
		}
		found = append(found, flow{p, began, id})
	}
	slices.SortStableFunc(found, func(a, b flow) int { return int(max(-1, min(1, a.began-b.began))) })
	return found
}

// setFlow sends the transaction cookie of a new login, and makes room for it: the oldest go when there would be more
// than maxFlows, or when the browser's Cookie header would grow past maxHeader, which no server would read.
func (s *Surface) setFlow(w http.ResponseWriter, j jar, start *bff.LoginStart) {
	name := s.cookieName(partFlow) + strconv.FormatInt(s.engine.Now().Unix(), 36) + "-" + start.Flow
	pending := s.flows(j)
	size := j.size() + cookieSize(name, start.Sealed)
	for len(pending) >= maxFlows || len(pending) > 0 && size >= maxHeader {
		clearCookie(w, pending[0].name, http.SameSiteLaxMode)
		size -= cookieSize(pending[0].name, pending[0].value)
		pending = pending[1:]
	}
	set(w, name, start.Sealed, http.SameSiteLaxMode, flowLife)
}

// flowOf returns the transaction cookie of a state; false if this browser has none, or (which no browser of ours can
// have) two.
func flowOf(flows []flow, state string) (flow, bool) {
	id := bff.Flow(state)
	var found []flow
	for _, f := range flows {
		if f.id == id {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		return flow{}, false
	}
	return found[0], true
}
