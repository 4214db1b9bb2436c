package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// logoutRequest is a sign-out that a client asks for (OpenID Connect RP-Initiated Logout section 2).
type logoutRequest struct {
	sub    string // of the hint; "" without one
	sid    string // of the hint
	target string // where to go afterwards; "" for our own page
}

// logout answers GET and POST of /oidc/logout and /end_session. What ends the session is our own cookie: a hint alone proves that
// somebody once had the ID token, not that this browser is the one (unless the behaviour says otherwise).
func (p *Provider) logout(r *http.Request) reply {
	if id := r.Form.Get("resume"); id != "" {
		req, known := p.logouts[id]
		delete(p.logouts, id)
		if !known {
			return errorPage("This sign-out has been used already.")
		}
		return p.signOut(r, req)
	}
	req, problem := p.readLogout(r.Form)
	if problem != "" {
		return errorPage(problem)
	}
	if _, err := r.Cookie(p.cookie); err != nil && r.Method == http.MethodPost && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return p.resume(r, req)
	}
	return p.signOut(r, req)
}

// resume turns a form posted from another site into a navigation of our own: browsers send a Lax cookie with the latter only. The
// request is kept here meanwhile, so that the hint stands in no URL.
func (p *Provider) resume(r *http.Request, req logoutRequest) reply {
	id := secret()
	p.logouts[id] = req
	return redirectReply(r, p.url("/oidc/logout")+"?resume="+id)
}

// readLogout checks hint and target. An expired hint is good: sessions outlive their ID tokens.
func (p *Provider) readLogout(form url.Values) (logoutRequest, string) {
	hint := map[string]any{}
	if text := form.Get("id_token_hint"); text != "" {
		var ok bool
		if hint, ok = p.readHint(text); !ok {
			return logoutRequest{}, "id_token_hint invalid"
		}
	}
	azp, _ := hint["azp"].(string)
	clientID := orElse(form.Get("client_id"), azp)
	if azp != "" && azp != clientID { // section 2: the provider must verify that the two match
		return logoutRequest{}, "client_id does not match the id_token_hint"
	}
	target, problem := p.afterLogout(form, clientID)
	sub, _ := hint["sub"].(string)
	sid, _ := hint["sid"].(string)
	return logoutRequest{sub: sub, sid: sid, target: target}, problem
}

// afterLogout is where to go: section 3, only to a URI registered by the client. Without a client the parameter is ignored.
func (p *Provider) afterLogout(form url.Values, clientID string) (target, problem string) {
	uri := form.Get("post_logout_redirect_uri")
	if uri == "" || clientID == "" {
		return "", ""
	}
	if !slices.Contains(p.clients[clientID].PostLogoutRedirectURIs, uri) {
		return "", "post_logout_redirect_uri invalid"
	}
	if state := form.Get("state"); state != "" {
		uri = withQuery(uri, url.Values{"state": {state}})
	}
	return uri, ""
}

// readHint opens an ID token that we have signed, whatever its age.
func (p *Provider) readHint(token string) (map[string]any, bool) {
	parts := strings.Split(token, ".")
	header, payload := map[string]any{}, map[string]any{}
	if len(parts) != 3 || !decodePart(parts[0], &header) || !decodePart(parts[1], &payload) {
		return nil, false
	}
	kid, _ := header["kid"].(string)
	k, known := p.keys.byKID(kid)
	if !known {
		return nil, false
	}
	_, err := jws.Verify([]byte(token), jws.WithKey(k.alg, k.verifier()))
	return payload, err == nil && payload["iss"] == p.issuer
}

func decodePart(part string, into *map[string]any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, into) == nil
}

// signOut ends the session, tells the clients, and only then answers: who follows the redirect finds them told.
func (p *Provider) signOut(r *http.Request, req logoutRequest) reply {
	s := p.current(r)
	if s == nil && p.behaviour.HintAloneSignsOut {
		s = p.sessionBySID(req.sid)
	}
	re := signedOutPage()
	if req.target != "" {
		re = redirectReply(r, req.target)
	}
	if s == nil || req.sub != "" && req.sub != s.sub { // another user's hint ends nothing here
		return re
	}
	told := p.end(s)
	re.header.Add("Set-Cookie", p.goneCookie().String())
	re.after = func() { p.deliver(context.WithoutCancel(r.Context()), told) }
	return re
}
