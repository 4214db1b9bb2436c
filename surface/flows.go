package surface

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"
)

// partFlow begins the part of a transaction cookie's name: ".tx.<t>-<f>", where t is its start and f names the flow.
const partFlow = ".tx."

const (
	flowLife = 10 * time.Minute // as long as the transaction inside is good
	maxFlows = 5                // logins in flight per browser: parallel tabs, forgotten ones
	// maxHeader is what the Cookie header may grow to by a new flow: many servers take 8 KiB and no more, and what a
	// sign-out leaves must fit in as well.
	maxHeader = 8<<10 - 512
)

// Flow is a transaction cookie that the browser carries: the other half of a login's state (RFC 9700 section 4.7.1).
type Flow struct {
	Cookie
	began int64  // seconds since 1970; 0 when its name does not say
	id    string // what bff.Flow gives for its state
}

// Flows are the transaction cookies of one owner, the oldest first.
type Flows []Flow

// Flows returns the transaction cookies of an owner. Those of the same second keep the order in which browsers send
// them, which is that of their making (RFC 6265bis section 5.8.3).
func (j Jar) Flows(owner string) Flows {
	var found Flows
	for _, c := range j {
		rest, ours := strings.CutPrefix(c.Name, CookieName(owner, partFlow))
		if !ours {
			continue
		}
		t, id, _ := strings.Cut(rest, "-") // base 36 has no "-"; a flow's id may
		began, err := strconv.ParseInt(t, 36, 64)
		if err != nil {
			began, id = 0, "" // not one of ours: the first to go
		}
		found = append(found, Flow{c, began, id})
	}
	slices.SortStableFunc(found, func(a, b Flow) int { return int(max(-1, min(1, a.began-b.began))) })
	return found
}

// Of returns the transaction cookie of a state; false if this browser has none, or (which no browser of ours can have)
// two.
func (flows Flows) Of(state string) (Flow, bool) {
	id := bff.Flow(state)
	var found Flows
	for _, f := range flows {
		if f.id == id {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		return Flow{}, false
	}
	return found[0], true
}

// NoFlowHint is what a page of an origin adds where a browser comes back from a provider without any transaction cookie. Over
// plain http, which is a developer's own machine, Safari keeps none: RFC 6265bis section 5.7 leaves it to a browser what is a
// secure connection for a Secure cookie, and to WebKit localhost is none.
func NoFlowHint(origin string) string {
	hint := "If you did start it here, your browser may be blocking cookies, or the link was opened in another browser."
	if strings.HasPrefix(origin, "http:") {
		hint += " Over plain http Safari keeps no sign-in: open the app in Chrome, Edge or Firefox, or over https."
	}
	return hint
}

// Clear deletes the transaction cookie.
func (f Flow) Clear(w http.ResponseWriter) { ClearCookie(w, f.Name, http.SameSiteLaxMode) }

// SetFlow sends the transaction cookie of a new login, Lax and for ten minutes, and makes room for it: the oldest go when
// there would be more than maxFlows, or when the browser's Cookie header would grow past maxHeader, which no server would
// read.
func (j Jar) SetFlow(w http.ResponseWriter, owner string, start *bff.LoginStart, now time.Time) {
	fresh := Cookie{CookieName(owner, partFlow) + strconv.FormatInt(now.Unix(), 36) + "-" + start.Flow, start.Sealed}
	pending := j.Flows(owner)
	size := j.size() + fresh.size()
	for len(pending) >= maxFlows || len(pending) > 0 && size >= maxHeader {
		pending[0].Clear(w)
		size -= pending[0].size()
		pending = pending[1:]
	}
	SetCookie(w, fresh.Name, fresh.Value, http.SameSiteLaxMode, flowLife)
}

// MayRepeat reports whether the answer that failed with err may be good in a moment: its transaction was not, or perhaps
// not, used. Then its cookie stays.
func MayRepeat(err error) bool {
	// An outage must not cost a sign-in its cookie. The code itself is still sent once only: the engine uses the
	// transaction up before it (RFC 6749 section 4.1.2).
	code := bff.CodeOf(err)
	return code == bff.CodeStoreUnavailable || code == bff.CodeKeyUnknown
}
