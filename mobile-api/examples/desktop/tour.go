package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// tour does everything once, and says what it does.
func (a *app) tour(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	followed <- nil
	defer func() { stop(); <-followed }() // nothing goes on in the background
	follow := func(context.Context) error {
		<-followed
		go func() { followed <- a.follow(ctx) }()
		return nil
	}
	steps := []struct {
		about string
		do    func(context.Context) error
	}{
		{"Sign in. The browser asks who you are and whether this program may come in; the program sees no password.", a.login},
		{"In the background, follow what the gateway says of this session.", follow},
		{"What this program holds: two handles of the gateway. The provider's tokens stay there.", a.holdings},
		{"The session, as the gateway tells it.", a.whoami},
		{"Call the API. The gateway takes the handle off and puts an access token on.", a.orders},
		{"Place an order.", func(ctx context.Context) error { return a.order(ctx, "Darjeeling, 100 g", 2) }},
		{"List them again.", a.orders},
		{"Trade both handles for their successors, as happens every quarter of an hour by itself.", a.rotate},
		{"The new ones are good.", a.orders},
		{"Where you are signed in.", a.devices},
		{"Sign out: here, in every app of the same sign-in, and in the browser at the provider.", a.logout},
		{"Whoever follows the session has been told.", func(ctx context.Context) error { return toldIn(ctx, followed) }},
	}
	for i, step := range steps {
		a.say("\n%d. %s", i+1, step.about)
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	a.say("\nThat was all.")
	return nil
}

// toldIn waits for who follows the session, who has nothing to follow any more.
func toldIn(ctx context.Context, followed chan error) error {
	select {
	case err := <-followed:
		followed <- err
		if errors.Is(err, errSignedOut) {
			return nil // the stream was on its way, and there is no handle left to open it with
		}
		return err
	case <-time.After(10 * time.Second): // it takes milliseconds
		return errors.New("the stream of a session that is over goes on")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holdings shows what is kept, but for the part that is worth something.
func (a *app) holdings(ctx context.Context) error {
	token, err := a.handles.token(ctx)
	if err != nil {
		return err
	}
	a.say("  access handle   %s  for calls, until %s", masked(token.AccessToken), token.Expiry.Format("15:04:05"))
	a.say("  refresh handle  %s  for the gateway's token endpoint alone", masked(token.RefreshToken))
	a.say("  kept in %s", a.handles.file)
	return nil
}

// masked shows which kind of handle it is and its last four characters: enough to see that it changed. Those belong to the
// checksum, so that they tell nothing of the secret.
func masked(handle string) string {
	kind, _, _ := strings.Cut(handle, "_")
	return kind + "_…" + handle[max(0, len(handle)-4):]
}

// rotate forces what Token does by itself when the access handle has ended.
func (a *app) rotate(ctx context.Context) error {
	before, err := a.handles.token(ctx)
	if err != nil {
		return err
	}
	after, err := a.handles.renew(ctx, before)
	if err != nil {
		return err
	}
	if after.AccessToken == before.AccessToken || after.RefreshToken == before.RefreshToken {
		return errors.New("the gateway answered with the same handles")
	}
	a.say("  access handle   %s → %s", masked(before.AccessToken), masked(after.AccessToken))
	a.say("  refresh handle  %s → %s", masked(before.RefreshToken), masked(after.RefreshToken))
	return nil
}

// logout ends the session at the gateway and then, with the browser, at the provider: its cookie lives there, and without
// this step the next sign-in would ask for nothing.
func (a *app) logout(ctx context.Context) error {
	token, err := a.handles.token(ctx)
	if err == nil {
		// A handle that was replaced a while ago ends nothing, and the gateway answers it with 200, as it does where all is
		// over already: so take one that is certainly good.
		token, err = a.handles.renew(ctx, token)
	}
	if err != nil {
		return err
	}
	var out struct {
		Ended     bool   `json:"ended"`
		LogoutURL string `json:"logout_url"` // good for one visit; no token in it
	}
	if err := a.send(ctx, token, http.MethodPost, "/mobile/logout", nil, &out); err != nil {
		return fmt.Errorf("signing out (the handles are kept; try again): %w", err)
	}
	if !out.Ended {
		return errors.New("signing out: the gateway has ended nothing (the handles are kept; try again)")
	}
	if err := a.handles.forget(); err != nil {
		return err
	}
	a.say("Signed out.")
	// Only the gateway's own address is opened, whatever an answer says.
	if strings.HasPrefix(out.LogoutURL, a.gateway+"/") {
		if err := a.browse(ctx, out.LogoutURL); err != nil {
			return err
		}
	}
	return a.proveEnded(ctx, token)
}

// proveEnded shows that the handle opens nothing any more.
func (a *app) proveEnded(ctx context.Context, token *oauth2.Token) error {
	err := a.send(ctx, token, http.MethodGet, "/api/orders", nil, new(any))
	refused, ok := errors.AsType[*apiError](err)
	if !ok || refused.Status != http.StatusUnauthorized {
		return fmt.Errorf("the old handle should be refused with 401, and was answered: %v", err)
	}
	a.say("The old handle is refused: %v", refused)
	return nil
}
