package bff

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The codes of a stronger or newer sign-in that an API or a route asks for (RFC 9470).
const (
	CodeInsufficientAuth Code = "insufficient_user_authentication" // 401: the sign-in is too old or too weak; Error.StepUp says what would do
	CodeStepUpFinal      Code = "step_up_not_satisfiable"          // 403: the session has what the API asks for, and the API asks again
	CodeStepUpUnmet      Code = "step_up_unmet"                    // a login's answer is not what was asked for; the session before lives on
)

const (
	// StepUpLife is how long a ticket is good: a form is filled in, somebody looks for a phone, and a page that was left open
	// for longer asks its API once more.
	StepUpLife = time.Hour
	// JustNow is how recent a sign-in counts as made for what is asked: the way back from a provider takes some seconds, and an
	// API that asks for less than that asks for what no sign-in can give.
	JustNow = time.Minute
	// maxTicket is the longest ticket that is looked at, in characters: it travels in an address.
	maxTicket = 1024
	// digestBytes of a hash tell two subjects apart: 128 bits.
	digestBytes = 16
)

// What of an ask is looked at. An API may send what it likes; addresses and cookies must hold it.
const (
	maxACRValues = 8   // values of acr
	maxACRText   = 256 // bytes, all together
	maxAgeAsked  = 999_999_999
)

// StepUp is what a session's sign-in must be like (RFC 9470 section 3). Both nil asks for a new one, however it is made.
type StepUp struct {
	ACRValues []string // any one of them
	MaxAge    *int     // seconds since the user was authenticated, at most; nil: any time
}

// ReadStepUp makes an ask of what an API said in its challenge: the text of acr_values and of max_age, "" where there was
// none. What could not be asked of a provider is left out: values of other characters than RFC 6749 section 3.3 gives them,
// those beyond the first few, and a max_age that is no number of seconds.
func ReadStepUp(acrValues, maxAge string) StepUp {
	var ask StepUp
	size := 0
	for _, v := range strings.Fields(acrValues) {
		size += len(v) + 1
		if len(ask.ACRValues) == maxACRValues || size > maxACRText || strings.ContainsFunc(v, notACR) {
			break
		}
		ask.ACRValues = append(ask.ACRValues, v)
	}
	if seconds, ok := readSeconds(maxAge); ok {
		ask.MaxAge = &seconds
	}
	return ask
}

func notACR(r rune) bool { return r <= 0x20 || r >= 0x7f || r == '"' || r == '\\' }

// readSeconds reads digits alone. More of them than any age has are the longest age.
func readSeconds(text string) (seconds int, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		seconds = min(10*seconds+int(c-'0'), maxAgeAsked)
	}
	return seconds, text != ""
}

// Age is how old a sign-in may be that is made for this ask, in seconds: nil where that does not matter. Where nothing
// particular is asked for, it is a new one.
func (a StepUp) Age() *int {
	if a.MaxAge == nil && len(a.ACRValues) == 0 {
		return new(int)
	}
	return a.MaxAge
}

// Meets reports whether the session's own sign-in is what is asked for. Of one whose time or class the provider did not
// tell, nothing is known: it does not.
func (s *Session) Meets(ask StepUp, now time.Time) bool {
	if len(ask.ACRValues) > 0 && (s.ACR == "" || !slices.Contains(ask.ACRValues, s.ACR)) {
		return false
	}
	age := ask.Age()
	if age == nil {
		return true
	}
	// One to come is a clock that is off, and would be good for as long as that.
	return !s.AuthTime.IsZero() && !s.AuthTime.After(now.Add(JustNow)) && now.Sub(s.AuthTime) <= time.Duration(*age)*time.Second
}

// Exhausts reports whether no sign-in could bring more than the session has: its class is one of those asked for, and its
// sign-in as recent as asked for, or of this minute. Whoever asks again then would be asked for ever (RFC 9470 section 5).
func (s *Session) Exhausts(ask StepUp, now time.Time) bool {
	if age := ask.Age(); age != nil {
		settled := max(*age, int(JustNow/time.Second))
		ask.MaxAge = &settled
	}
	return s.Meets(ask, now)
}

// InsufficientAuth is the refusal of a request whose session does not meet what is asked for.
func InsufficientAuth(ask StepUp, cause error) *Error {
	return &Error{
		Code: CodeInsufficientAuth, Message: "This needs a sign-in that is newer or stronger. Sign in again, then repeat it.",
		StepUp: &ask, Err: cause,
	}
}

// StepUpAsked is what a ticket remembers.
type StepUpAsked struct {
	StepUp
	// Replaces and Of name the session that was asked, and its subject by a hash: who completes the login is held to that one
	// also where the session is over by then. Which session it replaces a browser's cookie tells; a native app has nothing else.
	Replaces Lookup
	Of       string
}

// StepUpTicket remembers what was asked of a session: for its app, at its provider, for StepUpLife. It is sealed, so that
// a sign-in asks the provider for what the gateway was told by an API or a route, never for anybody's free text (RFC 9470
// section 4). It is no credential: all that it opens is a sign-in.
func (e *Engine) StepUpTicket(app *App, s *Session, ask StepUp) string {
	age := uint32(0)
	if ask.MaxAge != nil {
		age = uint32(*ask.MaxAge) + 1
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(e.now().Add(StepUpLife).UnixMilli()))
	b = binary.BigEndian.AppendUint32(b, age)
	for _, text := range []string{strings.Join(ask.ACRValues, " "), string(s.Lookup), digestOf(app, s.Subject)} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return base64.RawURLEncoding.EncodeToString(e.ring.Seal(purposeStepUp, b, app.ID, app.Provider.Name))
}

// digestOf names a subject of an app's provider, in a few bytes.
func digestOf(app *App, subject string) string {
	sum := sha256.Sum256([]byte("cloakroom step-up subject " + bind(app.Provider.Name, subject)))
	return string(sum[:digestBytes])
}

// OpenStepUp returns what a ticket of app remembers. CodeBadRequest for one that is none, too old, or another app's;
// CodeKeyUnknown where another instance may open it.
func (e *Engine) OpenStepUp(ctx context.Context, app *App, ticket string) (*StepUpAsked, error) {
	refuse := func(err error) (*StepUpAsked, error) {
		return nil, &Error{
			Code: CodeBadRequest, Message: "This sign-in was asked for too long ago, or not by this app. Go back to the app and try from " +
				"there.", Err: err,
		}
	}
	if len(ticket) > maxTicket {
		return refuse(ErrTampered)
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(ticket)
	if err != nil {
		return refuse(ErrTampered)
	}
	plain, err := e.ring.Open(purposeStepUp, sealed, app.ID, app.Provider.Name)
	switch {
	case errors.Is(err, ErrKeyUnknown):
		return nil, e.refused(ctx, app, "", err)
	case err != nil:
		return refuse(err)
	}
	asked, ends := readStepUp(plain)
	if asked == nil || !e.now().Before(ends) {
		return refuse(errStale)
	}
	return asked, nil
}

// readStepUp reads what StepUpTicket wrote; nil if it is of another version.
func readStepUp(plain []byte) (asked *StepUpAsked, ends time.Time) {
	r := &reader{b: plain}
	at, age := r.take(8), r.take(4)
	acr, lookup, of := r.text(), r.text(), r.text()
	if r.bad || len(r.b) != 0 {
		return nil, ends
	}
	asked = &StepUpAsked{StepUp: StepUp{ACRValues: strings.Fields(acr)}, Replaces: Lookup(lookup), Of: of}
	if n := binary.BigEndian.Uint32(age); n > 0 {
		seconds := int(n - 1)
		asked.MaxAge = &seconds
	}
	return asked, time.UnixMilli(int64(binary.BigEndian.Uint64(at)))
}

// UnmetError is a login whose tokens are good, but for the sign-in behind them: it is older or weaker than what was asked
// for. Nothing of them is used; whether they may be revoked is the engine's to know.
type UnmetError struct {
	Tokens TokenSet
	Err    error // an *Error with CodeStepUpUnmet
}

// Error returns the cause.
func (u *UnmetError) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u *UnmetError) Unwrap() error { return u.Err }

// StepUpUnmet is the answer to a login that did not bring what it was for; the session before it lives on.
func StepUpUnmet(cause error) *Error {
	return &Error{Code: CodeStepUpUnmet, Message: "The sign-in was not as strong or as recent as what is needed.", Err: cause}
}

// errOtherSubject says that a step-up ended with somebody else.
var errOtherSubject = errors.New("another subject than the session's")

// sameSubject refuses a step-up that another user completed: who is signed in does not change by an API's wish (RFC 9470
// section 5 has the same user in mind, and a shared screen must not turn one's order into another's).
func (tx *transaction) sameSubject(app *App, old *Session, subject string) error {
	switch {
	case tx.native != nil && tx.native.Of != "" && !isDigestOf(tx.native.Of, app, subject),
		tx.of != "" && (!isDigestOf(tx.of, app, subject) || old != nil && old.Subject != subject):
		return StepUpUnmet(errOtherSubject)
	default:
		return nil
	}
}

func isDigestOf(digest string, app *App, subject string) bool {
	return subtle.ConstantTimeCompare([]byte(digest), []byte(digestOf(app, subject))) == 1
}

// forgo gives back the tokens of a login that did not bring what was asked for, where that cannot end a session that lives
// on: some providers revoke the user's whole grant with one token (RFC 7009 section 2.1).
func (e *Engine) forgo(app *App, tx *transaction, err error) {
	unmet, ok := errors.AsType[*UnmetError](err)
	alone := tx.native == nil && tx.replaces.IsZero()
	if !ok || !alone && !app.Provider.RevocationSparesGrant {
		return
	}
	s := &Session{App: app.ID, Provider: app.Provider.Name, Tokens: unmet.Tokens}
	e.beside(revokeDeadline, func(ctx context.Context) { e.revoke(ctx, s) })
}

// Raise makes a login the step-up that a ticket of app remembers: it asks the provider for what was asked of the session,
// and nobody but that session's user completes it. Errors as of OpenStepUp.
func (e *Engine) Raise(ctx context.Context, app *App, ticket string, r *LoginRequest) error {
	asked, err := e.OpenStepUp(ctx, app, ticket)
	if err != nil {
		return err
	}
	r.MaxAge = asked.Age()
	if r.Extra == nil {
		r.Extra = url.Values{}
	}
	if r.ACR = strings.Join(asked.ACRValues, " "); r.ACR != "" {
		r.Extra.Set("acr_values", r.ACR)
	}
	if r.Native != nil {
		r.Native.Replaces, r.Native.Of = asked.Replaces, asked.Of
	} else {
		r.Of = asked.Of
	}
	return nil
}

// succeed has the session of a redeemed step-up stay in the SSO sessions of the one whose place it takes, as joinGroups does
// where that one can be opened: its entry in the index of its user says which they are. What signs out one of those from now
// on writes a marker that admit finds.
func (e *Engine) succeed(ctx context.Context, app *App, s *Session, p *Pending) error {
	if p.Request.Replaces == "" || app.Provider.SSOBy != SSOByAuthAt {
		return nil
	}
	members, err := e.ports.Markers.Members(ctx, s.owner())
	if err != nil {
		return storeError("looking for the replaced session", err)
	}
	at := slices.IndexFunc(members, func(m Member) bool { return m.Lookup == p.Request.Replaces })
	switch {
	case at < 0:
		return e.succeedEnded(ctx, app, s, p)
	case members[at].App == "": // sealed by a key that is not known here: to stand alone would outlive a sign-out
		return e.refused(ctx, app, "", ErrKeyUnknown)
	default:
		s.Groups = union(s.Groups, members[at].Groups)
		return nil
	}
}

// succeedEnded is succeed where the session to be replaced is over. A sign-out since the login began is one of this login
// too, as in replaced: its marker stands under the old moment, which nobody can tell any more.
func (e *Engine) succeedEnded(ctx context.Context, app *App, s *Session, p *Pending) error {
	state := e.ports.States.States(ctx, []Lookup{p.Request.Replaces})[0]
	switch {
	case state.Err != nil:
		return storeError("looking for the end of the replaced session", state.Err)
	case state.Gone && overtook(&EndedError{Reason: state.Reason, At: state.Ended}, p.Began, p.Seen):
		return e.signOutOf(ctx, app, s)
	default:
		return nil
	}
}

// replaced is the session whose place a redeemed step-up takes, as far as it is known without its root; nil for any other.
func (p *Pending) replaced() *Session {
	if p.Request.Replaces == "" {
		return nil
	}
	return &Session{Lookup: p.Request.Replaces, App: p.App, Identity: Identity{Subject: p.Subject}, Provider: p.Provider}
}
