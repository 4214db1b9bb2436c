package model_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"cloakroom/bff"

	"pgregory.net/rapid"
)

const (
	claimed  = "https://phone.example.com/signed-in" // nobody but the app receives it: no person is asked
	verifier = "verifier-of-a-phone-0123456789-0123456789-abcd"
)

// session is what the model knows of one that was handed out.
type session struct {
	name    string
	app     *bff.App
	browser *browser
	root    bff.Root
	lookup  bff.Lookup
	fam     *family
	began   time.Time
	seen    *ending // the sign-out its browser knew of
	code    string  // a native one's
	key     string  // what its handle is bound to; "" = nothing
	pairs   map[int64]pair
	turn    int64 // newest given
	may     map[bff.Reason]bool
	used    time.Time // when an activity was last acknowledged
	gone    bool
}

// pair is both handles of a turn.
type pair struct{ access, refresh string }

// ending is something that ends sessions: begun, and then perhaps acknowledged.
type ending struct {
	what   string
	at     time.Time
	reason bff.Reason
	may    func(*session) bool // it may end
	must   func(*session) bool // it has ended once acked
	acked  int                 // step; 0: not
	token  *logoutToken        // whose delivery it is; nil: of none
}

// slack is how much later than a sign-out a session may have begun and still be ended by it.
const slack = 2 * time.Second

// deed is something a person, an app or the provider does at an instance.
type deed struct {
	what   string
	in     *instance
	at     time.Time
	step   int
	hung   bool // the client went away: nobody is told
	cancel context.CancelFunc
}

// do runs a deed beside everything else. finish is told by it under the world's lock, unless its instance died before.
func (w *world) do(in *instance, what string, run func(ctx context.Context, d *deed) (finish func())) {
	if in == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &deed{what: what, in: in, at: time.Now(), cancel: cancel}
	w.say("%s: %s", in.name, what)
	w.mu.Lock()
	d.step = w.step
	w.deedsOn = append(w.deedsOn, d)
	w.mu.Unlock()
	go func() {
		finish := run(ctx, d)
		cancel()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.deedsOn = slices.DeleteFunc(w.deedsOn, func(o *deed) bool { return o == d })
		if d.hung || d.in.isDead() {
			return // nobody was told
		}
		finish()
	}()
}

// deed draws one and begins it.
func (w *world) deed(t *rapid.T) {
	in := w.anyone("at")
	if in == nil {
		return
	}
	kinds := []string{
		"request", "request", "request", "renewal", "rotation", "sign-out", "sign-in", "sign-in again", "extension", "revocation",
		"end by the provider", "logout token again", "old handle", "replay", "hang-up", "proof again", "stolen handle",
	}
	kind := rapid.SampledFrom(kinds).Draw(t, "deed")
	s := w.drawSession(kind)
	switch {
	case kind == "sign-in" || s == nil && !slices.Contains([]string{"end by the provider", "logout token again", "hang-up"}, kind):
		w.drawSignIn(in, false)
	case kind == "sign-in again":
		w.drawSignIn(in, true)
	case kind == "request":
		w.request(s, in, false)
	case kind == "renewal":
		w.request(s, in, true)
	case kind == "extension":
		w.extend(s, in)
	case kind == "rotation":
		w.rotate(s, in, s.turn)
	case kind == "old handle":
		w.rotate(s, in, rapid.Int64Range(1, s.turn).Draw(t, "turn"))
	case kind == "revocation":
		w.revokeHandle(s, in)
	case kind == "replay":
		w.replay(s, in)
	case kind == "proof again":
		w.proofAgain(t, s, in)
	case kind == "stolen handle":
		w.stolen(t, s, in)
	case kind == "sign-out":
		w.signOut(s, in, rapid.Bool().Draw(t, "at the provider too"))
	case kind == "hang-up":
		w.hangUp(t)
	case kind == "logout token again":
		w.logoutTokenAgain(in)
	default:
		w.endByProvider(in)
	}
	wait()
}

// deeds begins several at once.
func (w *world) deeds(t *rapid.T) {
	for range rapid.IntRange(2, 4).Draw(t, "how many") {
		w.deed(t)
	}
}

// drawSession draws a session that fits.
func (w *world) drawSession(kind string) *session {
	var fit []*session
	for _, s := range w.sessions {
		turning := kind == "rotation" || kind == "old handle"
		bound := kind == "proof again" || kind == "stolen handle"
		native := turning || bound || kind == "revocation" || kind == "replay"
		cookie := kind == "extension"
		if native && !s.app.Native() || cookie && s.app.Native() || bound && s.key == "" || turning && s.key != "" {
			continue
		}
		fit = append(fit, s)
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[len(fit)-1-rapid.IntRange(0, len(fit)-1).Draw(w.t, "session")]
}

func (w *world) drawSignIn(in *instance, again bool) {
	app := rapid.SampledFrom(w.apps).Draw(w.t, "app")
	b := rapid.SampledFrom(w.browsers).Draw(w.t, "browser")
	var replaces *session
	if again && !app.Native() {
		replaces = b.sessions[app.ID]
	}
	back := w.anyone("back at")
	key, twice := "", false
	if app.Native() {
		key, twice = w.drawKey(), rapid.Bool().Draw(w.t, "code twice")
	}
	w.signIn(app, b, in, back, replaces, key, twice)
}

// drawKey draws what a native sign-in binds its handle to.
func (w *world) drawKey() string {
	if rapid.Bool().Draw(w.t, "bound") {
		return phonesKey
	}
	return ""
}

// signIn takes a browser to the provider and back, perhaps to another instance. key is what a native app announces.
func (w *world) signIn(app *bff.App, b *browser, in, back *instance, replaces *session, key string, twice bool) {
	r := bff.LoginRequest{}
	var seen *ending
	if n, ok := b.notices[app.ID]; ok && time.Now().Before(n.until) {
		r.SignedOut = n.value
		if in.opens(n.by) {
			seen = n.of
		}
	}
	what := fmt.Sprintf("%s signs in at %s", b.name, app.ID)
	if replaces != nil {
		r.Replaces = replaces.root
		what += " in place of " + replaces.name
	}
	if app.Native() {
		sum := sha256.Sum256([]byte(verifier))
		r.Native = &bff.NativeRequest{RedirectURI: claimed, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), Key: key}
	}
	w.do(in, what, func(ctx context.Context, d *deed) func() {
		ghost := &session{app: app, browser: b, began: time.Now(), seen: seen}
		start, err := in.BeginLogin(ctx, app, r)
		if err != nil {
			return func() { w.refusedLogin(d, ghost, err) }
		}
		if w.gate.park(ctx, &call{what: fmt.Sprintf("%s signs in for %s at the provider", b.name, app.ID), kind: byBrowser}) != passes {
			return func() {}
		}
		at := w.ssoOf(b)
		ghost.fam = &family{sso: at}
		to, _ := url.Parse(start.RedirectTo)
		cb := bff.Callback{
			State: to.Query().Get("state"), Code: bff.NewSecret(w.provider.authorize(at)), Sealed: start.Sealed,
		}
		d.in = back
		if replaces != nil {
			w.mu.Lock()
			replaces.may[bff.ReasonReplaced] = true
			w.mu.Unlock()
		}
		s, err := w.complete(ctx, app, back, cb, key, twice)
		if err != nil {
			return func() {
				w.refusedLogin(d, ghost, err)
				if replaces == nil { // else it may be told of an end by the session that is gone, and of no marker
					w.keepNotice(d.in, ghost, err)
				}
			}
		}
		s.began, s.seen, s.browser = ghost.began, seen, b
		return func() { w.handOut(d, s) }
	})
}

// ssoOf is the session at the provider of a browser: a new one if there is none.
func (w *world) ssoOf(b *browser) *sso {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.at == nil {
		sid := fmt.Sprintf("sid-%d", len(w.provider.ssos)+1)
		b.at = &sso{sid: sid, subject: b.subject}
		w.provider.ssos[sid] = b.at
	}
	return b.at
}

// complete finishes a login, of whichever kind.
func (w *world) complete(ctx context.Context, app *bff.App, in *instance, cb bff.Callback, key string, twice bool) (*session, error) {
	s := &session{app: app, key: key, pairs: map[int64]pair{}, may: map[bff.Reason]bool{}}
	if !app.Native() {
		l, err := in.CompleteLogin(ctx, app, cb)
		if err != nil {
			return nil, err
		}
		return s.of(w, l.Session), nil
	}
	l, err := in.CompleteNativeLogin(ctx, app, cb)
	if err != nil {
		return nil, err
	}
	w.handedCode(l)
	if twice {
		w.redeemAgain(app, in, l.Code, key)
	}
	r := redemption(l.Code)
	r.Key = key
	redeemed, err := in.Redeem(ctx, app, r)
	if err != nil {
		return nil, err
	}
	s.code = l.Code.Reveal()
	s.take(in, redeemed)
	return s.of(w, redeemed), nil
}

func redemption(code bff.Root) bff.Redemption {
	return bff.Redemption{Code: code, Verifier: verifier, RedirectURI: claimed}
}

// handedCode notes nothing but that an app got a code: its tokens wait for it, and pass with it.
func (w *world) handedCode(*bff.NativeLogin) {
	w.provider.mu.Lock()
	defer w.provider.mu.Unlock()
	w.provider.families[len(w.provider.families)-1].handed = true
}

// of takes over what a login brought.
func (s *session) of(w *world, n *bff.Session) *session {
	s.root, s.lookup, s.used = n.Root, n.Root.Lookup(), n.CreatedAt
	w.provider.mu.Lock()
	defer w.provider.mu.Unlock()
	s.fam, _ = w.provider.of(n.Tokens.Refresh.Reveal())
	return s
}

// take keeps the handles that an app was given.
func (s *session) take(in *instance, n *bff.Session) {
	h, err := in.Handles(s.app, n)
	if err != nil {
		return
	}
	s.pairs[n.Turn.N] = pair{h.Access.Reveal(), h.Refresh.Reveal()}
	s.turn = max(s.turn, n.Turn.N)
}

// redeemAgain presents a code a second time, at once: whoever stole it, and has not the key that was announced.
func (w *world) redeemAgain(app *bff.App, in *instance, code bff.Root, key string) {
	text := code.Reveal()
	w.do(in, "a code is presented by somebody else too", func(ctx context.Context, d *deed) func() {
		of := func(s *session) bool { return s.code == text }
		e := w.ends("a second use of its code", bff.ReasonCodeReplayed, of, of)
		stolen, err := in.Redeem(ctx, app, redemption(code))
		return func() {
			_, replayed := errors.AsType[*bff.RedeemedError](err)
			if replayed && bff.CodeOf(err) == bff.CodeGrantRejected {
				w.acknowledged(e)
			}
			if err == nil { // the thief was first: the app's own redemption is the second
				w.sayLocked("it gave %s", w.nameLocked(stolen.Lookup))
				if key != "" {
					w.brokenLocked("a code was redeemed without the key that was announced for it")
				}
			}
		}
	})
}

// ends notes that something that ends sessions has begun.
func (w *world) ends(what string, reason bff.Reason, may, must func(*session) bool) *ending {
	e := &ending{what: what, at: time.Now(), reason: reason, may: may, must: must}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endings = append(w.endings, e)
	return e
}

// acknowledged notes that whoever asked for an end was told that it is done.
func (w *world) acknowledged(e *ending) {
	w.sayLocked("acknowledged: %s", e.what)
	e.acked = w.step
}

// request is an API call's way to a token; forced where an API refused the last one.
func (w *world) request(s *session, in *instance, forced bool) {
	what := "request of " + s.name
	if forced {
		what = "renewal of " + s.name
	}
	access := s.pairs[s.turn].access
	turn := s.turn
	w.do(in, what, func(ctx context.Context, d *deed) func() {
		n, err := w.present(ctx, s, in, access)
		if err != nil {
			return func() { w.turnedAway(d, s, turn, err) }
		}
		var t bff.TokenSet
		if forced {
			t, err = in.RenewTokens(ctx, s.app, n)
		} else {
			in.Touch(n)
			t, err = in.FreshTokens(ctx, s.app, n)
		}
		return func() {
			if err != nil {
				w.turnedAway(d, s, turn, err)
				return
			}
			w.served(d, s, t)
		}
	})
}

// present shows a credential, with the proof that it needs.
func (w *world) present(ctx context.Context, s *session, in *instance, access string) (*bff.Session, error) {
	return w.presentWith(ctx, s, in, access, w.possession(s))
}

// presentWith shows a credential with this proof, nil of none.
func (w *world) presentWith(ctx context.Context, s *session, in *instance, access string, p *shown) (*bff.Session, error) {
	if !s.app.Native() {
		return in.Session(ctx, s.app, s.root)
	}
	h, err := bff.ParseHandle(access)
	if err != nil {
		return nil, err
	}
	_, n, err := in.HandleSession(ctx, w.appOf, h, p.given())
	w.judgeProof(s, p, err)
	return n, err
}

func (w *world) appOf(id string) *bff.App {
	for _, a := range w.apps {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func (w *world) extend(s *session, in *instance) {
	w.do(in, "extension of "+s.name, func(ctx context.Context, d *deed) func() {
		n, err := in.Session(ctx, s.app, s.root)
		if err == nil {
			_, err = in.Extend(ctx, s.app, n)
		}
		return func() {
			if err != nil {
				w.turnedAway(d, s, 0, err)
				return
			}
			w.served(d, s, bff.TokenSet{})
			if d.at.After(s.used) {
				s.used = d.at
			}
		}
	})
}

// rotate presents a refresh handle.
func (w *world) rotate(s *session, in *instance, turn int64) {
	p, ok := s.pairs[turn]
	if !ok {
		return // given out, but never received
	}
	w.do(in, fmt.Sprintf("rotation of turn %d of %s", turn, s.name), func(ctx context.Context, d *deed) func() {
		h, err := bff.ParseHandle(p.refresh)
		if err != nil {
			return func() { w.brokenLocked("a handle that cannot be parsed: %v", err) }
		}
		n, err := in.RotateHandles(ctx, s.app, h)
		return func() {
			if err != nil {
				w.turnedAway(d, s, turn, err)
				return
			}
			w.rotated(d, s, in, turn, n)
		}
	})
}

func (w *world) revokeHandle(s *session, in *instance) {
	handle := s.pairs[s.turn].refresh
	if s.key != "" {
		handle = s.pairs[s.turn].access // all that it has; a proof is not asked for
	}
	w.do(in, "revocation of "+s.name, func(ctx context.Context, d *deed) func() {
		h, err := bff.ParseHandle(handle)
		if err != nil {
			return func() { w.brokenLocked("a handle that cannot be parsed: %v", err) }
		}
		this := func(o *session) bool { return o == s }
		e := w.ends("the revocation of "+s.name, bff.ReasonSignedOut, this, func(*session) bool { return false })
		err = in.RevokeHandle(ctx, s.app, h)
		return func() {
			if err == nil {
				w.acknowledged(e) // a handle that a rotation made worthless is success as well
			}
		}
	})
}

// replay presents the code of a session again.
func (w *world) replay(s *session, in *instance) {
	code, err := bff.ParseRoot(s.code)
	if err != nil {
		return // of no code
	}
	w.redeemAgain(s.app, in, code, s.key)
}

// signOut ends the SSO session of s.
func (w *world) signOut(s *session, in *instance, there bool) {
	access := s.pairs[s.turn].access
	turn := s.turn
	w.do(in, "sign-out by "+s.name, func(ctx context.Context, d *deed) func() {
		n, err := w.leaving(ctx, s, in, access)
		if err != nil {
			return func() { w.turnedAway(d, s, turn, err) }
		}
		at := time.Now()
		e := w.ends("the sign-out by "+s.name, bff.ReasonSignedOut, nil, nil)
		e.may = func(o *session) bool {
			return w.tied(o, s) && o.seen != e && o.began.Before(at.Add(slack))
		}
		e.must = func(o *session) bool { return o == s || w.tied(o, s) && o.began.Before(at) }
		out, err := in.SignOut(ctx, s.app, n)
		return func() {
			if err != nil {
				w.sayLocked("not signed out: %s", bff.CodeOf(err))
				return
			}
			w.acknowledged(e)
			s.browser.notices[s.app.ID] = notice{out.Notice, e, in, time.Now().Add(bff.NoticeLife)}
			if there && s.browser.at == s.fam.sso {
				s.browser.at = nil
				s.fam.sso.over = true
			}
		}
	})
}

func (w *world) leaving(ctx context.Context, s *session, in *instance, access string) (*bff.Session, error) {
	if !s.app.Native() {
		return in.Session(ctx, s.app, s.root)
	}
	h, err := bff.ParseHandle(access)
	if err != nil {
		return nil, err
	}
	p := w.possession(s)
	_, n, err := in.LeavingSession(ctx, w.appOf, h, p.given())
	w.judgeProof(s, p, err)
	return n, err
}

// tied reports whether two sessions are of one SSO session.
func (w *world) tied(a, b *session) bool {
	if w.policy.SSOBy == bff.SSOBySubject {
		return a.fam.sso.subject == b.fam.sso.subject
	}
	return a.fam.sso == b.fam.sso
}

// hangUp has a client go away in the middle.
func (w *world) hangUp(t *rapid.T) {
	w.mu.Lock()
	on := slices.Clone(w.deedsOn)
	w.mu.Unlock()
	if len(on) == 0 {
		return
	}
	d := on[rapid.IntRange(0, len(on)-1).Draw(t, "whose")]
	w.say("the client of %q hangs up", d.what)
	d.hung = true
	d.cancel()
}
