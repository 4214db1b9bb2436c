package bff

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
)

// Redeem trades an exchange code for a session. The code is used up before anything of the request is compared with it:
// whatever is wrong then, it is burned (RFC 6749 section 4.1.2). A second presentation of a code ends the session of the
// first. All refusals are CodeGrantRejected. It outlives the app's connection: what was redeemed is stored or undone.
func (e *Engine) Redeem(ctx context.Context, app *App, r Redemption) (*Session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackDeadline)
	defer cancel()
	root := NewRoot() // drawn first: its name says who redeemed, so that a second presentation finds what to end
	p, err := e.ports.Codes.Redeem(ctx, r.Code, root.Lookup())
	if err != nil {
		return nil, e.unredeemed(ctx, app, err)
	}
	if rule := r.breaks(app, p); rule != "" {
		e.trace.refusedCredential(ctx, app, rule)
		e.forsake(app, p, nil)
		return nil, grantRejected(nil)
	}
	s := e.sessionOf(app, root, p)
	s.Key, s.Device, s.Platform = r.Key, r.Device, r.Platform
	if err = e.succeed(ctx, app, s, p); err == nil {
		err = e.admit(ctx, s)
	}
	if err == nil {
		err = e.holdToMost(ctx, app, s, p.replaced())
	}
	if err != nil {
		code := CodeOf(err)
		over := code == CodeLoginSignedOut || code == CodeSessionEnded
		e.undo(s, over || app.Provider.RevocationSparesGrant)
		e.trace.loginFailed(ctx, app, string(code), err)
		if over {
			return nil, grantRejected(err)
		}
		return nil, err
	}
	if old := p.replaced(); old != nil {
		// The subject is the same: the callback has seen to that.
		e.endReplaced(ctx, app, s, old)
	}
	e.trace.sessionBegan(ctx, app, s)
	return s, nil
}

// breaks tells what is wrong with a redemption of p by app: "" if nothing. Everything that the code was bound to at the
// start is compared (RFC 6749 section 4.1.3), the verifier last (RFC 7636 section 4.6): it alone shows that who redeems is
// who asked, for any app can register a private-use scheme (RFC 8252 section 8.1).
func (r *Redemption) breaks(app *App, p *Pending) (rule string) {
	switch {
	case p.Confirm:
		return "ticket as exchange code" // nobody has let the app in
	case p.App != app.ID || p.Provider != app.Provider.Name:
		return "exchange code of another app"
	case p.Request.RedirectURI != r.RedirectURI:
		return "exchange code with another redirect URI"
	case p.Request.Key != "" && p.Request.Key != r.Key: // RFC 9449 section 10: what was announced is not left out later
		return "exchange code with another key"
	case app.Binding == BindingRequired && r.Key == "", !app.Binds() && r.Key != "":
		return "exchange code not bound as the app is to"
	case !verifies(r.Verifier, p.Request.Challenge):
		return "exchange code with another verifier"
	default:
		return ""
	}
}

// verifies reports whether a verifier is of the form RFC 7636 section 4.1 gives it, and makes the challenge by S256.
func verifies(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || strings.ContainsFunc(verifier, notUnreserved) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	made := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(made), []byte(challenge)) == 1
}

func notUnreserved(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~", r)
}

// unredeemed is the answer where a code gave nothing. What was redeemed before is ended (RFC 6749 sections 4.1.2 and
// 10.5), also where the first redemption is still on its way to its record: then it finds its end there.
func (e *Engine) unredeemed(ctx context.Context, app *App, err error) error {
	replayed, again := errors.AsType[*RedeemedError](err)
	switch {
	case again:
		e.trace.refusedCredential(ctx, app, "exchange code used twice")
		// Without its root its tokens can be revoked only where they are kept for that.
		if err := e.endUnopened(ctx, replayed.By, nil, ReasonCodeReplayed); err != nil {
			return storeError("ending the session of a replayed code", err)
		}
		return grantRejected(replayed)
	case errors.Is(err, ErrUsed):
		return grantRejected(err)
	default:
		return asGrant(e.refused(ctx, app, "", err))
	}
}
