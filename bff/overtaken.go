package bff

import (
	"context"
	"errors"
	"time"
)

// overtaken looks whether a sign-out overtook a login: whatever it would hand out goes no further then.
func (e *Engine) overtaken(ctx context.Context, s *Session) error {
	switch m, err := e.endedBy(ctx, s); {
	case err != nil:
		return storeError("checking for a sign-out", err)
	case m != nil:
		return errSignedOut(m.ID)
	}
	return nil
}

// overtakenError names the marker of a sign-out that overtook a login.
type overtakenError struct{ marker string }

func (*overtakenError) Error() string { return "a sign-out overtook it" }

// errSignedOut is the answer to a login that the sign-out of this marker overtook; unknownMarker where it cannot be named.
func errSignedOut(marker string) error {
	return &Error{
		Code: CodeLoginSignedOut, Message: "You were signed out while you were signing in.", Err: &overtakenError{marker},
	}
}

// unknownMarker stands for a sign-out that is known by the session it ended alone: a browser that has heard of it gives its
// clocks no slack.
const unknownMarker = "unknown"

// noticeOf is what a browser keeps whose login was overtaken: it is told of the sign-out now, so the next login begins
// after it, whatever the clocks say. "" for any other failure.
func (e *Engine) noticeOf(app *App, err error) string {
	by, ok := errors.AsType[*overtakenError](err)
	if !ok {
		return ""
	}
	return e.sealNotice(app, by.marker)
}

// signOutOf is the answer to a login whose old session was signed out. Where the provider kept its own session, the moment of
// authentication is the old one too, and so the sign-out's marker is found: named in the notice, it does not catch the next
// login as well.
func (e *Engine) signOutOf(ctx context.Context, app *App, s *Session) error {
	e.joinGroups(app, s, nil)
	if err := e.overtaken(ctx, s); err != nil {
		return err
	}
	return errSignedOut(unknownMarker)
}

// overtook reports whether the session that a login replaces was signed out since the login began. Where the moment of
// authentication ties SSO sessions, the marker of that sign-out stands under the old moment: the login, which has a new
// one and can no longer learn the old, would not find it. A browser that knows of a sign-out of its own needs no slack.
func overtook(ended *EndedError, began time.Time, seen string) bool {
	if seen != "" {
		return ended.Reason.isSignOut() && began.Before(ended.At)
	}
	return ended.Reason.isSignOut() && began.Before(ended.At.Add(markerSlack))
}
