package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ErrNoBackchannel is returned for a client that is unknown or has no back-channel URL.
var ErrNoBackchannel = errors.New("client has no back-channel logout URL")

// LogoutToken describes a logout token (OpenID Connect Back-Channel Logout section 2.4). The zero value of each field is right or left
// out; Edit can make anything of it.
type LogoutToken struct {
	Client  string        // aud
	Sub     string        // left out if empty
	SID     string        // left out if empty
	Life    time.Duration // default 5 min
	Signing Signing
	Edit    Edit // after Behaviour.EditLogoutToken
}

// Delivery is what became of a logout token.
type Delivery struct {
	Client string
	URL    string
	Token  string
	Status int // 0 if there was no answer
	Header http.Header
	Body   string
	Err    error
}

// notice is a logout token that is still to be sent.
type notice struct {
	client, url, token string
}

// MakeLogoutToken makes a logout token and sends it nowhere.
func (p *Provider) MakeLogoutToken(t LogoutToken) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.makeLogoutToken(t)
}

func (p *Provider) makeLogoutToken(t LogoutToken) (string, error) {
	claims := map[string]any{
		"iss": p.issuer, "aud": []string{t.Client}, "iat": p.now().Unix(),
		"exp": p.now().Add(orElse(t.Life, 5*time.Minute)).Unix(), "jti": "tkn_" + digits(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if t.Sub != "" {
		claims["sub"] = t.Sub
	}
	if t.SID != "" {
		claims["sid"] = t.SID
	}
	edits := func(header, claims map[string]any) {
		for _, edit := range []Edit{p.behaviour.EditLogoutToken, t.Edit} {
			if edit != nil {
				edit(header, claims)
			}
		}
	}
	return p.sign(KindLogout, t.Client, map[string]any{"typ": "logout+jwt"}, claims, t.Signing, edits)
}

// SendLogoutToken makes a logout token and posts it to its client's back-channel URL.
func (p *Provider) SendLogoutToken(ctx context.Context, t LogoutToken) (Delivery, error) {
	token, err := p.MakeLogoutToken(t)
	if err != nil {
		return Delivery{}, err
	}
	target := p.backchannelURL(t.Client)
	if target == "" {
		return Delivery{}, fmt.Errorf("%w: %s", ErrNoBackchannel, t.Client)
	}
	d := p.post(ctx, notice{t.Client, target, token})
	return d, d.Err
}

// PostLogoutToken posts any text as a logout token to any address, as section 2.5 says; a replay, say.
func (p *Provider) PostLogoutToken(ctx context.Context, address, token string) (Delivery, error) {
	d := p.post(ctx, notice{url: address, token: token})
	return d, d.Err
}

func (p *Provider) backchannelURL(client string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clients[client].BackchannelLogoutURI
}

// notices makes one logout token per client of a session that wants to know.
func (p *Provider) notices(s *session) []notice {
	var out []notice
	for _, id := range s.clients {
		target := p.clients[id].BackchannelLogoutURI
		if target == "" {
			continue
		}
		token, err := p.makeLogoutToken(LogoutToken{Client: id, Sub: s.sub, SID: s.told[id]})
		if err == nil { // a hook that made it unsignable wants it unsent
			out = append(out, notice{id, target, token})
		}
	}
	return out
}

// deliver posts all notices at once and waits for the answers.
func (p *Provider) deliver(ctx context.Context, told []notice) []Delivery {
	out := make([]Delivery, len(told))
	var all sync.WaitGroup
	for i, n := range told {
		all.Go(func() { out[i] = p.post(ctx, n) })
	}
	all.Wait()
	return out
}

// deliverBeside posts without waiting; Close waits for it.
func (p *Provider) deliverBeside(told []notice) {
	p.enter()
	go func() {
		defer p.leave()
		p.deliver(p.life, told)
	}()
}

// post sends one logout token. It ends with the provider, whatever the caller's context says.
func (p *Provider) post(ctx context.Context, n notice) Delivery {
	d := Delivery{Client: n.client, URL: n.url, Token: n.token}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	body := strings.NewReader(url.Values{"logout_token": {n.token}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, body)
	if err != nil {
		d.Err = fmt.Errorf("addressing logout token: %w", err)
		return d
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := p.http.Do(req)
	if err != nil {
		d.Err = fmt.Errorf("posting logout token: %w", err)
		return d
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // an answer is empty or a short JSON error
	d.Status, d.Header, d.Body, d.Err = res.StatusCode, res.Header, string(text), err
	return d
}
