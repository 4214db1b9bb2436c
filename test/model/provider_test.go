package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"cloakroom/bff"
)

// tokenLife is that of an access token.
const tokenLife = time.Minute

// provider is a strict one: refresh tokens rotate, and one that comes twice ends all that came from the same sign-in. It
// remembers each token it gave, who sent it, when, and what became of that.
type provider struct {
	w     *world
	mu    sync.Mutex
	grace time.Duration // for so long a used token gets its successor once more; 0: never

	ssos     map[string]*sso // by sid
	families []*family
	codes    map[string]*sso
	tokens   map[string]*logoutToken // by jti, which is their whole text
	trouble  time.Time               // when a call last fared badly
}

// sso is one session of a person at the provider.
type sso struct {
	sid, subject string
	over         bool // refresh tokens are refused
}

// family is what came of one sign-in at one app: refresh tokens that follow each other.
type family struct {
	name    string
	sso     *sso
	issued  int // the newest token is number issued
	usedAt  time.Time
	dead    bool
	revoked bool
	reuse   bool // killed because a token came twice
	sent    map[int][]*presentation
	lookup  bff.Lookup // of the session that presents it
	stored  int        // the greatest number known to stand in a record
	by      *instance  // that exchanged the code
	handed  bool       // the sign-in reached its app
	overrun bool       // two calls of live senders were open at once, for a cause
}

// presentation is one call with a refresh token.
type presentation struct {
	by     *instance
	at     time.Time
	state  string // open, good, spent, refused (definite), doubtful, lost, died
	worked bool
	stored bool // its answer is in the record
}

// client speaks with the provider for one instance.
type client struct {
	*provider
	of *instance
}

func (p *provider) AuthorizationURL(_ context.Context, r bff.AuthorizationRequest) (string, error) {
	return "https://op.example.com/authorize?" + url.Values{"state": {r.State}}.Encode(), nil
}

func (p *provider) CheckIssuer(context.Context, string) error { return nil }

// authorize has a person sign in, and returns the code.
func (p *provider) authorize(at *sso) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := fmt.Sprintf("code-%d", len(p.codes)+1)
	p.codes[code] = at
	return code
}

// Exchange gives the first tokens of a family.
func (c client) Exchange(ctx context.Context, x bff.CodeExchange) (*bff.Grant, error) {
	p := c.provider
	if f := p.w.gate.park(ctx, &call{of: c.of, what: "exchange a code", kind: toProvider}); f != passes && f != slow && f != doubled {
		p.noteTrouble()
		return nil, &bff.Error{Code: bff.CodeIDPUnavailable, Message: "away", Err: errors.New(string(f))}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.codes[x.Code.Reveal()]
	if at == nil || at.over {
		return nil, &bff.Error{Code: bff.CodeLoginCodeRejected, Message: "no such code"}
	}
	delete(p.codes, x.Code.Reveal())
	p.codes["used "+x.Code.Reveal()] = nil
	fam := &family{name: fmt.Sprintf("f%d", len(p.families)+1), sso: at, sent: map[int][]*presentation{}, by: c.of, stored: 1}
	p.families = append(p.families, fam)
	g := fam.grant()
	g.Identity = &bff.Identity{
		Subject: at.subject, SID: at.sid, AuthTime: time.Now(), Claims: json.RawMessage(`{"sub":"` + at.subject + `"}`),
	}
	return g, nil
}

// grant issues the next tokens.
func (f *family) grant() *bff.Grant {
	f.issued++
	f.usedAt = time.Now()
	return f.tokens(f.issued)
}

func (f *family) tokens(n int) *bff.Grant {
	now := time.Now()
	return &bff.Grant{Tokens: bff.TokenSet{
		Access: bff.NewSecret(fmt.Sprintf("access %s %d", f.name, n)), Refresh: bff.NewSecret(fmt.Sprintf("refresh %s %d", f.name, n)),
		ID: bff.NewSecret("id " + f.name), TokenType: "Bearer", Scope: "openid",
		ReceivedAt: now, ExpiresAt: now.Add(tokenLife), RefreshAt: now.Add(tokenLife - 10*time.Second),
	}}
}

// of finds the family and the number of a token.
func (p *provider) of(token string) (*family, int) {
	parts := strings.Split(token, " ")
	if len(parts) != 3 {
		return nil, 0
	}
	for _, f := range p.families {
		if f.name == parts[1] {
			n := 0
			_, _ = fmt.Sscan(parts[2], &n)
			return f, n
		}
	}
	return nil, 0
}

// Refresh takes a refresh token: it waits at the gate before the work, and after it.
func (c client) Refresh(ctx context.Context, s *bff.Session, resource string) (*bff.Grant, error) {
	p := c.provider
	p.mu.Lock()
	fam, n := p.of(s.Tokens.Refresh.Reveal())
	pres := &presentation{by: c.of, at: time.Now(), state: "open"}
	p.mu.Unlock()
	p.w.presented(c.of, fam, n, pres, s.Lookup)
	what := fmt.Sprintf("send refresh token %d of %s", n, p.w.nameOf(s.Lookup))
	switch f := p.w.gate.park(ctx, &call{of: c.of, what: what, kind: toProvider}); f {
	case refused: // before the work; nobody can tell
		return nil, p.settle(pres, "doubtful", bff.OutcomeTransient, true)
	case dropped:
		return nil, p.settle(pres, "refused", bff.OutcomeTransient, false) // no connection: nothing was sent
	case belated:
		// It travels on, whoever still waits for it.
		go p.later(&call{of: c.of, what: what, kind: toProvider, late: true}, fam, n, pres)
		return nil, p.settle(pres, "lost", bff.OutcomeUnknown, false)
	case unanswered:
		_, _ = p.work(fam, n, pres)
		return nil, p.settle(pres, "lost", bff.OutcomeUnknown, false)
	}
	g, err := p.work(fam, n, pres)
	return c.answer(ctx, pres, s, n, g, err)
}

// answer brings what came of the work, if it is let through.
func (c client) answer(ctx context.Context, pres *presentation, s *bff.Session, n int, g *bff.Grant, err error) (*bff.Grant, error) {
	p := c.provider
	what := fmt.Sprintf("answer to refresh token %d of %s", n, p.w.nameOf(s.Lookup))
	switch p.w.gate.park(ctx, &call{of: c.of, what: what, kind: fromProvider}) {
	case refused:
		return nil, p.settle(pres, "doubtful", bff.OutcomeTransient, true)
	case dropped, unanswered, belated:
		return nil, p.settle(pres, "lost", bff.OutcomeUnknown, false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		pres.close("spent")
		return nil, err
	}
	pres.close("good")
	return g, nil
}

// later is the work of a call whose sender has given it up.
func (p *provider) later(c *call, fam *family, n int, pres *presentation) {
	if p.w.gate.park(context.Background(), c) == passes {
		p.mu.Lock()
		if len(fam.sent[n]) > 1 || fam.issued > n {
			fam.overrun = true // it comes after its successor: to the provider that is theft
		}
		p.mu.Unlock()
		_, _ = p.work(fam, n, pres)
	}
}

// close ends a presentation, unless its sender died before.
func (pres *presentation) close(state string) {
	if pres.state == "open" {
		pres.state = state
	}
}

// settle ends a presentation that brought nothing.
func (p *provider) settle(pres *presentation, state string, o bff.Outcome, doubt bool) error {
	p.noteTrouble()
	p.mu.Lock()
	defer p.mu.Unlock()
	pres.close(state)
	return &bff.RefreshError{Outcome: o, Doubt: doubt, Err: errors.New(state)}
}

// work is what the provider does with a refresh token: RFC 9700 section 4.14.2.
func (p *provider) work(fam *family, n int, pres *presentation) (*bff.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pres.worked = true
	spent := &bff.RefreshError{Outcome: bff.OutcomeSpent, Err: errors.New("invalid_grant")}
	switch {
	case fam.dead || fam.sso.over || fam.revoked:
		return nil, spent
	case n == fam.issued:
		return fam.grant(), nil
	case n == fam.issued-1 && p.grace > 0 && time.Since(fam.usedAt) <= p.grace:
		return fam.tokens(fam.issued), nil
	default:
		fam.dead, fam.reuse = true, true
		return nil, spent
	}
}

// Revoke revokes the family of a refresh token.
func (p *provider) Revoke(_ context.Context, t bff.TokenSet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fam, _ := p.of(t.Refresh.Reveal()); fam != nil {
		fam.revoked = true
	}
	return nil
}

// died closes what a dead instance had sent.
func (p *provider) died(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fam := range p.families {
		for _, all := range fam.sent {
			for _, pres := range all {
				if pres.by == in && (pres.state == "open" || pres.state == "good" && !pres.stored) {
					pres.state = "died"
				}
			}
		}
	}
}

func (p *provider) noteTrouble() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = time.Now()
}
