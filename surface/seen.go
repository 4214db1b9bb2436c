package surface

import (
	"context"

	"cloakroom/bff"
)

// seenKey is the context key of the request's Seen.
type seenKey struct{}

// Seen is whose request it was, for whoever writes the access log: names that may stand there, and nothing else. A surface
// learns them only while it answers.
type Seen struct {
	App     string // its id; "" = nobody knows
	Session string // its public name; "" = none
}

// WithSeen returns a context whose SeenOf is the returned Seen.
func WithSeen(ctx context.Context) (context.Context, *Seen) {
	s := new(Seen)
	return context.WithValue(ctx, seenKey{}, s), s
}

// SeenOf returns what is to be filled in for the request that ctx belongs to; where nobody asked for it, one that is
// thrown away.
func SeenOf(ctx context.Context) *Seen {
	if s, ok := ctx.Value(seenKey{}).(*Seen); ok {
		return s
	}
	return new(Seen)
}

// Note fills in an app and its session; nil says that there is none.
func (s *Seen) Note(app *bff.App, session *bff.Session) {
	if app != nil {
		s.App = app.ID
	}
	if session != nil {
		s.Session = session.ID()
	}
}
