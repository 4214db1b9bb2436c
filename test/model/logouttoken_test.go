package model_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloakroom/bff"

	"pgregory.net/rapid"
)

// logoutTokenLife is how long a logout token passes: some deliveries come after it, and after all memory of it.
const logoutTokenLife = 5 * time.Minute

// logoutToken is the provider's word that something is over. It may be delivered any number of times, to any instance.
type logoutToken struct {
	said       bff.LogoutToken
	names      func(*session) bool // who is meant, whenever they signed in
	deliveries []*ending           // those that were not known to be replays, in their order
	carriedOut int                 // step at which a delivery was acknowledged; 0: none was
}

// VerifyLogout knows the tokens that the provider has made: bff.LogoutVerifier. That forged ones are refused is shown where
// they are judged.
func (c client) VerifyLogout(_ context.Context, raw bff.Secret) (*bff.LogoutToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	token := c.tokens[raw.Reveal()]
	if token == nil || !time.Now().Before(token.said.Until) {
		return nil, &bff.LogoutTokenError{Rule: "exp", Err: errors.New("over")}
	}
	said := token.said
	return &said, nil
}

// endByProvider ends a session at the provider, or all of a subject, which tells an instance, perhaps twice, perhaps two of
// them.
func (w *world) endByProvider(in *instance) {
	b := rapid.SampledFrom(w.browsers).Draw(w.t, "browser")
	if b.at == nil {
		return
	}
	at := b.at
	by := rapid.SampledFrom([]string{"sid", "sid and sub", "sub"}).Draw(w.t, "by")
	w.mu.Lock()
	b.at = nil
	at.over = rapid.Bool().Draw(w.t, "refresh tokens end too")
	if by == "sub" {
		for _, o := range w.browsers {
			if o.subject == b.subject && o.at != nil {
				o.at.over = at.over
				o.at = nil
			}
		}
	}
	w.mu.Unlock()
	token := w.newLogoutToken(at, by)
	other := in
	if rapid.Bool().Draw(w.t, "told twice") {
		other = w.anyone("then at")
		w.deliver(in, token)
	}
	w.deliver(other, token)
}

// newLogoutToken makes one.
func (w *world) newLogoutToken(at *sso, by string) *logoutToken {
	token := &logoutToken{names: func(o *session) bool { return o.fam.sso == at || by == "sub" && o.fam.sso.subject == at.subject }}
	if by != "sub" {
		token.said.SID = at.sid
	}
	if by != "sid" {
		token.said.Subject = at.subject
	}
	w.provider.mu.Lock()
	defer w.provider.mu.Unlock()
	token.said.ID = fmt.Sprintf("token-%d", len(w.tokens)+1)
	token.said.Until = time.Now().Add(logoutTokenLife)
	w.tokens = append(w.tokens, token)
	w.provider.tokens[token.said.ID] = token
	return token
}

// logoutTokenAgain delivers one of those that the provider has made once more: because it was not answered, or because
// somebody kept it.
func (w *world) logoutTokenAgain(in *instance) {
	if len(w.tokens) == 0 {
		return
	}
	w.deliver(in, w.tokens[len(w.tokens)-1-rapid.IntRange(0, len(w.tokens)-1).Draw(w.t, "token")])
}

// deliver posts a logout token.
func (w *world) deliver(in *instance, token *logoutToken) {
	said := token.said
	w.do(in, fmt.Sprintf("%s comes: sid %q, sub %q", said.ID, said.SID, said.Subject), func(ctx context.Context, d *deed) func() {
		w.mu.Lock()
		replay := token.carriedOut > 0 && token.carriedOut < d.step
		w.mu.Unlock()
		if !replay { // one that is known to have been carried out may end nobody any more
			w.delivered(token)
		}
		err := in.BackchannelLogout(ctx, w.apps, bff.NewSecret(said.ID))
		return func() { w.answeredToken(d, token, replay, err) }
	})
}

// delivered notes that a token may end sessions from now on. Whoever signed in knowing of it signed in after it.
func (w *world) delivered(token *logoutToken) {
	now := time.Now()
	e := w.ends(token.said.ID, bff.ReasonProvider, func(o *session) bool {
		far := w.policy.SSOBy == bff.SSOBySubject && token.said.SID != "" && w.tiedToNamed(o, token)
		return (token.names(o) || far) && o.began.Before(now.Add(slack)) && !o.knows(token)
	}, func(o *session) bool { return token.names(o) && o.began.Before(now) && !o.knows(token) })
	w.mu.Lock()
	defer w.mu.Unlock()
	e.token = token
	token.deliveries = append(token.deliveries, e)
}

// knows reports whether the browser had been told of that token when it began to sign in.
func (s *session) knows(token *logoutToken) bool { return s.seen != nil && s.seen.token == token }

// tiedToNamed reports whether a session is of the subject of one that the token names.
func (w *world) tiedToNamed(o *session, token *logoutToken) bool {
	at := w.provider.ssos[token.said.SID]
	return at != nil && o.fam.sso.subject == at.subject
}

// answeredToken judges the answer to a logout token. 200: nobody lives that it names and that began before. Refused as
// carried out before: then the first delivery's word holds. Whatever else: nothing is promised, and it may be sent again.
func (w *world) answeredToken(d *deed, token *logoutToken, replay bool, err error) {
	w.sayLocked("%s: %s is told %v", d.in.name, d.what, err)
	_, refused := errors.AsType[*bff.LogoutTokenError](err)
	switch {
	case err == nil && replay:
		w.brokenLocked("%s was carried out a second time", token.said.ID)
	case err == nil:
		w.acknowledgedToken(token)
	case errors.Is(err, bff.ErrReplayed):
		if len(token.deliveries) == 0 {
			w.brokenLocked("%s was refused as a replay, and had never come", token.said.ID)
			return
		}
		w.acknowledgedToken(token)
	case refused:
		if time.Now().Before(token.said.Until) {
			w.brokenLocked("%s was refused: %v", token.said.ID, err)
		}
	case bff.CodeOf(err) == bff.CodeStoreUnavailable:
		w.excused(d, err)
	default:
		w.brokenLocked("%s: %v", token.said.ID, err)
	}
}

// acknowledgedToken: what began before the first delivery is over. Of the later ones it cannot be told which was carried out.
func (w *world) acknowledgedToken(token *logoutToken) {
	w.acknowledged(token.deliveries[0])
	if token.carriedOut == 0 {
		token.carriedOut = w.step
	}
}

// keepNotice has a browser keep what a refused sign-in has told it of: the next one begins after that, whatever the clocks
// say. What may be one of several is thrown away.
func (w *world) keepNotice(by *instance, ghost *session, err error) {
	le, ok := errors.AsType[*bff.LoginError](err)
	if !ok || le.SignedOut == "" {
		return
	}
	var of *ending
	for _, e := range w.endings {
		switch {
		case !e.may(ghost):
		case of == nil:
			of = e
		case e.token == nil || e.token != of.token:
			return
		}
	}
	if of != nil {
		ghost.browser.notices[ghost.app.ID] = notice{le.SignedOut, of, by, time.Now().Add(bff.NoticeLife)}
	}
}
