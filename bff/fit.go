package bff

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const (
	misfitAgain  = time.Hour // one finding is told at most so often: it is about a setting, and every sign-in has it
	misfitMemory = 1024      // sign-ins that are remembered to be compared: a minute of a busy gateway, in a tenth of a megabyte
)

// Misfit is a way in which sso_by does not fit what the provider sends.
type Misfit string

// The misfits. With each, signing out of one app leaves others of the same sign-in open.
const (
	MisfitNoSID    Misfit = "no sid"        // sso_by is sid, and an ID token came without one
	MisfitNoAuthAt Misfit = "no auth_time"  // sso_by is sub+auth_time, and an ID token came without one
	MisfitOwnSIDs  Misfit = "a sid per app" // sso_by is sid, and two apps were given different ones for one sign-in
)

// MisfitError says that sso_by does not fit, and what to do.
type MisfitError struct {
	Provider, App, Other string // configured names; Other is the second app of MisfitOwnSIDs
	Misfit               Misfit
}

// Error tells an operator what was seen, what it costs, and what to change.
func (e *MisfitError) Error() string {
	switch e.Misfit {
	case MisfitNoSID:
		return fmt.Sprintf("provider %s: sso_by is sid, and the ID token for app %s came without sid: its session stands alone, and signing "+
			"out of one app leaves the others; set sso_by to sub+auth_time (or sub), or have the provider send sid", e.Provider, e.App)
	case MisfitNoAuthAt:
		return fmt.Sprintf("provider %s: sso_by is sub+auth_time, and the ID token for app %s came without auth_time: its session stands alone, "+
			"and signing out of one app leaves the others; set sso_by to sid where the provider sends one for all apps, otherwise to sub",
			e.Provider, e.App)
	default:
		return fmt.Sprintf("provider %s: sso_by is sid, and for one sign-in of a user apps %s and %s were given different sids: "+
			"signing out of one leaves the other; set sso_by to sub+auth_time", e.Provider, e.Other, e.App)
	}
}

// fit compares what providers send with what ties SSO sessions. It remembers the newest sign-ins of this process alone, by
// hash: what is wrong with a setting shows at many, so none has to be found over all instances. The zero value is ready.
type fit struct {
	mu    sync.Mutex
	told  map[string]time.Time // by provider and misfit
	seen  map[signIn]sighted
	order [misfitMemory]signIn // of seen, the oldest at next
	next  int
}

// signIn names a user's sign-in at a provider: a hash, so that nothing of the user is kept.
type signIn [sha256.Size]byte

// sighted is what one app was told of a sign-in.
type sighted struct{ app, sid string }

// tellMisfit raises an alarm where what came of a login does not fit the provider's sso_by, at most once an hour for each
// provider and kind; once and for all where one app is alone there, for then there is nothing to tie yet. It refuses
// nobody: the session is good, only its tie is missing.
func (e *Engine) tellMisfit(ctx context.Context, app *App, id *Identity) {
	found := e.fit.misfit(app, id)
	if found != nil && e.fit.due(found.Provider+"\x00"+string(found.Misfit), e.now(), app.Provider.Apps == 1) {
		e.trace.alarm(ctx, "sso_by does not fit", found)
	}
}

// misfit finds what does not fit; nil if nothing does.
func (f *fit) misfit(app *App, id *Identity) *MisfitError {
	found := &MisfitError{Provider: app.Provider.Name, App: app.ID}
	switch p := app.Provider; {
	case p.SSOBy == SSOByAuthAt && id.AuthTime.IsZero():
		found.Misfit = MisfitNoAuthAt
	case p.SSOBy != SSOByAuthAt && p.SSOBy != SSOBySubject && id.SID == "":
		found.Misfit = MisfitNoSID
	case p.SSOBy != SSOByAuthAt && p.SSOBy != SSOBySubject && !id.AuthTime.IsZero():
		// One subject at one second is one sign-in: whoever signs in twice, on two devices, has two moments.
		found.Misfit, found.Other = MisfitOwnSIDs, f.compare(nameOf(app, id), sighted{app.ID, id.SID})
		if found.Other == "" {
			return nil
		}
	default:
		return nil
	}
	return found
}

// nameOf names the sign-in at the provider that an identity comes from.
func nameOf(app *App, id *Identity) signIn {
	text := app.Provider.Name + "\x00" + id.Subject + "\x00" + strconv.FormatInt(id.AuthTime.Unix(), 10)
	return sha256.Sum256([]byte(text))
}

// compare remembers what an app was told of a sign-in, and returns the other app that was told otherwise; "" if none.
func (f *fit) compare(name signIn, s sighted) (other string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, known := f.seen[name]
	if known && before.app != s.app && before.sid != s.sid {
		return before.app
	}
	if known {
		return ""
	}
	if f.seen == nil {
		f.seen = make(map[signIn]sighted)
	}
	delete(f.seen, f.order[f.next])
	f.seen[name], f.order[f.next] = s, name
	f.next = (f.next + 1) % misfitMemory
	return ""
}

// due reports whether something may be told, or told again, and notes that it was.
func (f *fit) due(what string, now time.Time, once bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.told[what]; ok && (once || now.Sub(at) < misfitAgain) {
		return false
	}
	if f.told == nil {
		f.told = make(map[string]time.Time)
	}
	f.told[what] = now
	return true
}
