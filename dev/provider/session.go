package provider

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// session is one browser's sign-in at the provider, shared by all clients.
type session struct {
	cookie   string
	sid      string
	sub      string
	acr      string
	authTime time.Time
	ends     time.Time
	ended    bool
	how      string            // it ended: revoked, or "" for a sign-out
	clients  []string          // in order of their first code
	told     map[string]string // client → the sid it was told
}

// SessionInfo is what a test may know of a browser session at the provider.
type SessionInfo struct {
	SID      string            // the shared one, also where clients are told others
	Told     map[string]string // client → sid in its tokens
	Sub      string
	Clients  []string
	AuthTime time.Time
	Ended    bool
}

// Sessions lists the browser sessions, ended ones too, oldest sign-in first.
func (p *Provider) Sessions() []SessionInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []SessionInfo
	for _, s := range p.sessions {
		told := map[string]string{}
		for client, sid := range s.told {
			told[client] = sid
		}
		out = append(out, SessionInfo{
			SID: s.sid, Told: told, Sub: s.sub, Clients: slices.Clone(s.clients),
			AuthTime: s.authTime, Ended: !p.live(s),
		})
	}
	slices.SortStableFunc(out, func(a, b SessionInfo) int { return a.AuthTime.Compare(b.AuthTime) })
	return out
}

// RevokeSession ends a browser session as an administrator would: its refresh tokens die, and every client in it that has a
// back-channel URL is told before RevokeSession returns. sid is the shared one or that of any client. An unknown or ended session
// gives no deliveries.
func (p *Provider) RevokeSession(ctx context.Context, sid string) []Delivery {
	return p.deliver(ctx, p.endBySID(sid))
}

func (p *Provider) endBySID(sid string) []notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endAs(p.sessionBySID(sid), "revoked")
}

// endAs ends a session and remembers how, if it is not over already.
func (p *Provider) endAs(s *session, how string) []notice {
	if p.live(s) {
		s.how = how
	}
	return p.end(s)
}

// RevokeTokens revokes all refresh and access tokens of a user, or with a client ID only those of that client, and tells nobody:
// the client notices when it next refreshes.
func (p *Provider) RevokeTokens(sub, clientID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revokeGrants(func(g *grant) bool { return g.sub == sub && (clientID == "" || g.client == clientID) })
}

// AgeSignIns has all users have signed in so much earlier: what is asked for from now on tells of that time, and a max_age that
// it is beyond has them sign in anew.
func (p *Provider) AgeSignIns(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		s.authTime = s.authTime.Add(-by)
	}
}

func (p *Provider) live(s *session) bool {
	return s != nil && !s.ended && p.now().Before(s.ends)
}

// current is the live session of the browser that sent the request, or nil.
func (p *Provider) current(r *http.Request) *session {
	c, err := r.Cookie(p.cookie)
	if err != nil {
		return nil
	}
	if s := p.sessions[c.Value]; p.live(s) {
		return s
	}
	return nil
}

func (p *Provider) sessionBySID(sid string) *session {
	for _, s := range p.sessions {
		if s.knows(sid) {
			return s
		}
	}
	return nil
}

func (s *session) knows(sid string) bool {
	if s.sid == sid {
		return true
	}
	for _, told := range s.told {
		if told == sid && sid != "" {
			return true
		}
	}
	return false
}

// open signs a user in. The same user signing in again keeps the session and its sid, with a new time; another user gets a new one.
func (p *Provider) open(was *session, u User, acr string) *session {
	s := was
	if s == nil || s.sub != u.Sub {
		s = &session{cookie: secret(), sid: "ses_" + digits(), sub: u.Sub, told: map[string]string{}}
		p.log.issue(KindCookie, "", s.cookie, p.now())
		p.sessions[s.cookie] = s
	}
	s.authTime = p.now()
	s.ends = s.authTime.Add(orElse(p.behaviour.SessionLife, 12*time.Hour)) // a working day
	s.acr = acr
	return s
}

// tell notes that a client takes part in the session and gives the sid that it is told, "" for none.
func (s *session) tell(client string, mode SIDs) string {
	if !slices.Contains(s.clients, client) {
		s.clients = append(s.clients, client)
	}
	switch {
	case mode == NoSID:
		s.told[client] = ""
	case mode == SharedSID:
		s.told[client] = s.sid
	case s.told[client] == "":
		s.told[client] = "ses_" + digits()
	}
	return s.told[client]
}

// end ends a session and returns whom to tell. Ending nothing, or what is ended, tells nobody.
func (p *Provider) end(s *session) []notice {
	if !p.live(s) {
		return nil
	}
	s.ended = true
	if !p.behaviour.OfflineSurvives {
		p.revokeGrants(func(g *grant) bool { return g.session == s })
	}
	if p.behaviour.SkipBackchannel {
		return nil
	}
	return p.notices(s)
}

// ssoCookie is Lax: it comes along on the navigation to the authorization page from any site, and on no form posted from one.
func (p *Provider) ssoCookie(value string) *http.Cookie {
	return &http.Cookie{Name: p.cookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

func (p *Provider) goneCookie() *http.Cookie {
	c := p.ssoCookie("")
	c.MaxAge = -1
	return c
}
