package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// silence is what a stream may be quiet for: the gateway sends something at least every 25 s, so that two of those may
	// get lost on the way.
	silence = time.Minute
	// pause is how long to wait before a broken stream is opened again, until the gateway says how long.
	pause = 3 * time.Second
)

// whyOver says why a session is over, for a person. A reason that is not here is told as it came.
func whyOver(reason string) string {
	words, known := map[string]string{
		"signed_out":       "you signed out in another app or on another device of the same sign-in",
		"provider_logout":  "your session at the sign-in service has ended",
		"admin":            "an administrator signed you out",
		"idle":             "it was not used for too long",
		"absolute":         "it reached its longest life",
		"refresh_rejected": "the sign-in service does not renew it any more",
	}[reason]
	if !known {
		return strconv.Quote(reason) // whatever it is, it does nothing to a terminal
	}
	return words
}

// watch follows the session in the foreground.
func (a *app) watch(ctx context.Context) error {
	err := a.follow(ctx)
	if ctx.Err() != nil {
		return nil // Ctrl-C
	}
	return err
}

// follow listens to what the gateway says of this session, and says at once when it is over and why. It returns then, or
// with ctx. A stream that breaks is opened again: what happened meanwhile, the new one tells.
func (a *app) follow(ctx context.Context) error {
	wait, told := pause, false
	for {
		token, err := a.handles.token(ctx)
		if err == nil {
			err = a.listen(ctx, token, func(name, data string) error {
				if name == "retry" {
					wait = retryOf(data, wait)
				}
				if name == "session" && !told {
					told = true
					a.say("Following the session: should it end elsewhere, this program knows at once.")
				}
				return a.heard(ctx, name, data)
			})
		}
		if refused, ok := errors.AsType[*apiError](err); ok && refused.Status == http.StatusUnauthorized {
			_, err = a.handles.renew(ctx, token) // the handle may only have been replaced
		}
		switch {
		case err == nil: // renewed, or the stream broke off: again
		case errors.Is(err, errOver):
			return nil
		case errors.Is(err, errSignedOut), ctx.Err() != nil:
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errOver says that the gateway has told that the session is over.
var errOver = errors.New("the session is over")

// heard acts on one event.
func (a *app) heard(ctx context.Context, name, data string) error {
	if name != "session-ended" && name != "session-replaced" {
		return nil
	}
	var end struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal([]byte(data), &end) // without a reason it is over all the same
	a.say("Signed out: %s.", whyOver(end.Reason))
	// Another run of this program may have signed in since. What is kept is dropped if the gateway refuses it, and not else.
	if token, err := a.handles.load(); err == nil {
		_, _ = a.handles.renew(ctx, token)
	}
	return errOver
}

// listen opens the stream and hands on its events, and what it says of the time to wait as "retry", until it ends. The
// error is that of do, an *apiError, or why there is no stream; a stream that breaks off is none.
func (a *app) listen(ctx context.Context, token *oauth2.Token, do func(name, data string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.gateway+"/mobile/events", nil)
	if err != nil {
		return err
	}
	token.SetAuthHeader(req)
	req.Header.Set("Accept", "text/event-stream")
	client := *a.client
	client.Timeout = 0 // a stream lasts as long as the session; a silent one is given up
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("opening the event stream: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return read(resp, new(any))
	}
	return events(resp.Body, func() { quiet.Reset(silence) }, do)
}

// events reads server-sent events (HTML standard, section 9.2), as far as the gateway's go: one line of data each. alive is
// called for every line, comments included.
func events(stream io.Reader, alive func(), do func(name, data string) error) error {
	var name, data string
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		alive()
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		var err error
		switch {
		case lines.Text() == "" && name != "":
			err = do(name, data)
			name, data = "", ""
		case field == "event":
			name = value
		case field == "data":
			data = value
		case field == "retry":
			err = do(field, value)
		}
		if err != nil {
			return err
		}
	}
	return nil // how it broke off makes no difference
}

// retryOf is how long the gateway asks to wait, within reason.
func retryOf(milliseconds string, otherwise time.Duration) time.Duration {
	n, err := strconv.Atoi(milliseconds)
	if err != nil || n < 0 || n > 60_000 { // a minute: longer nobody should be told late
		return otherwise
	}
	return time.Duration(n) * time.Millisecond
}
