package ops

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"cloakroom/bff"
)

// listed is one live session as an administrator sees it. Nothing in it is a credential, and nothing names the user.
type listed struct {
	ID            string    `json:"id"` // the public name, as in the log
	App           string    `json:"app"`
	Kind          bff.Kind  `json:"kind"`     // "" of an app that is not configured (any more)
	Device        string    `json:"device"`   // "" = not known
	Platform      string    `json:"platform"` // what a native app said of the system below it; "" = not known
	CreatedAt     time.Time `json:"created_at"`
	LastActiveAt  time.Time `json:"last_active_at"` // to within a twentieth of the idle time
	IdleExpiresAt time.Time `json:"idle_expires_at"`
	ExpiresAt     time.Time `json:"expires_at"` // the absolute end
}

func (a *admin) list(d bff.Device) listed {
	second := func(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
	l := listed{
		ID: d.ID(), App: d.App, Device: d.Text, Platform: d.Platform, CreatedAt: second(d.CreatedAt), LastActiveAt: second(d.LastActive),
		IdleExpiresAt: second(d.LastActive.Add(d.Idle)), ExpiresAt: second(d.End),
	}
	if app := a.Apps[d.App]; app != nil {
		l.Kind = app.Kind
	}
	return l
}

// findMany lists the live sessions of a user, or of one session at the provider, over all apps.
func (a *admin) findMany(j *job) error {
	given, err := parameters(j.r, "provider", "sub", "sid")
	if err != nil {
		return err
	}
	s := selection{}
	if s.target, err = a.targetOf(given); err != nil {
		return err
	}
	if s.target == nil {
		return refused("Say whose sessions: provider with sub or sid.")
	}
	s.note(&j.event)
	all, err := a.Engine.SessionsOf(j.r.Context(), *s.target)
	if err != nil {
		return err
	}
	rows := make([]listed, 0, len(all))
	for _, d := range all {
		rows = append(rows, a.list(d))
	}
	j.event.Found = len(rows)
	answer(j.w, http.StatusOK, map[string]any{"sessions": rows})
	return nil
}

// lookTime bounds the search for a session by its name: hundreds of thousands of records are gone over in that time.
const lookTime = 2 * time.Minute

// findOne shows the session of a public name.
func (a *admin) findOne(j *job) error {
	if _, err := parameters(j.r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(j.r.Context(), lookTime)
	defer cancel()
	d, err := a.Engine.SessionNamed(ctx, j.r.PathValue("id"))
	if err != nil {
		return err
	}
	j.event.SessionID, j.event.App, j.event.Found = d.ID(), d.App, 1
	answer(j.w, http.StatusOK, a.list(*d))
	return nil
}

// ended is the last word on an ending.
type ended struct {
	Done    bool `json:"done"`
	Scanned int  `json:"scanned,omitempty"`
	Ended   int  `json:"ended"`
}

// endOne ends the session of a public name, and with scope=sso all of its SSO session. None of that name is no error:
// whoever repeats what was carried out is told that nothing is left to end.
func (a *admin) endOne(j *job) error {
	given, err := parameters(j.r, "scope")
	if err != nil {
		return err
	}
	if scope, there := given["scope"]; there && scope != "sso" {
		return refused("scope is sso, or is left out.")
	}
	j.event.SessionID = j.r.PathValue("id")
	ctx, cancel := context.WithTimeout(j.r.Context(), lookTime)
	defer cancel()
	apps := func(id string) *bff.App { return a.Apps[id] }
	j.event.Ended, err = a.Engine.EndSessionNamed(ctx, apps, j.event.SessionID, given["scope"] == "sso")
	if err != nil {
		return err
	}
	answer(j.w, http.StatusOK, ended{Done: true, Ended: j.event.Ended})
	return nil
}

// endMany ends all sessions of a user, of a session at the provider, of an app, or all there are.
func (a *admin) endMany(j *job) error {
	s, err := a.ending(j.r)
	if err != nil {
		return err
	}
	s.note(&j.event)
	if s.target == nil {
		return a.purge(j, s)
	}
	ctx := j.r.Context()
	if s.dry {
		all, err := a.Engine.SessionsOf(ctx, *s.target)
		if err != nil {
			return err
		}
		j.event.Ended = len(all)
	} else {
		// What was begun is carried through: who asked may have gone, the user whose sessions these are must not stay half in.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if j.event.Ended, err = a.Engine.EndSessionsOf(ctx, *s.target); err != nil {
			return err
		}
	}
	answer(j.w, http.StatusOK, ended{Done: true, Ended: j.event.Ended})
	return nil
}

// endTime bounds the ending of one user's sessions: thousands, some of them at a time.
const endTime = time.Minute

// progress is one line of a purge's answer.
type progress struct {
	Pass    int    `json:"pass,omitempty"` // servers that changed on the way are gone over again
	Scanned int    `json:"scanned"`
	Ended   int    `json:"ended"`
	Cursor  string `json:"cursor"`          // with it the purge goes on from here, on any instance
	Error   string `json:"error,omitempty"` // a code: it did not go on, and may be resumed
}

// purge ends the sessions of an app, or all, and tells how far it is: a line of JSON for each step. It ends with its client.
func (a *admin) purge(j *job, s selection) error {
	p, err := a.startPurge(j, s)
	if err != nil {
		return err
	}
	j.event.Result = "began" // told at once too: an instance that is killed on the way has told that much
	a.tell(j)
	j.event.Result = "done"
	j.opened = true
	j.w.Header().Set("Content-Type", "application/x-ndjson")
	lines := &lines{w: j.w}
	lines.write(progress{Scanned: p.Scanned, Ended: p.Ended, Cursor: p.Cursor()})
	for done := false; !done && err == nil; {
		if done, err = p.Step(j.r.Context()); err == nil {
			err = lines.err // nobody reads it any more
		}
		j.event.Found, j.event.Ended = p.Scanned, p.Ended
		if done || err != nil {
			break
		}
		lines.write(progress{Pass: p.Pass, Scanned: p.Scanned, Ended: p.Ended, Cursor: p.Cursor()})
	}
	if err != nil {
		err = a.causeOf(j.r.Context(), err)
		lines.write(progress{
			Pass: p.Pass, Scanned: p.Scanned, Ended: p.Ended, Cursor: p.Cursor(), Error: string(bff.CodeOf(err)),
		})
		return err
	}
	lines.write(ended{Done: true, Scanned: p.Scanned, Ended: p.Ended})
	return nil
}

func (a *admin) startPurge(j *job, s selection) (*bff.Purge, error) {
	of := bff.PurgeOf{App: s.app, DryRun: s.dry}
	for _, app := range a.Apps {
		of.Apps = append(of.Apps, app)
	}
	if s.cursor != "" {
		return a.Engine.ResumePurge(j.r.Context(), of, s.cursor)
	}
	return a.Engine.BeginPurge(j.r.Context(), of)
}

// causeOf tells why a context ended that was given a cause: because the process stops, say.
func (a *admin) causeOf(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return err
	case bff.CodeOf(cause) != bff.CodeInternal:
		return cause
	case errors.Is(cause, context.Canceled):
		return &bff.Error{Code: bff.CodeClientGone, Err: err}
	}
	return err
}

// lines writes values as lines of JSON, each of which leaves at once.
type lines struct {
	w   http.ResponseWriter
	err error // of the first that could not be written
}

func (l *lines) write(v any) {
	if l.err != nil {
		return
	}
	if l.err = json.NewEncoder(l.w).Encode(v); l.err == nil {
		l.err = http.NewResponseController(l.w).Flush()
	}
}
