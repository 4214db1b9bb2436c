package provider

import (
	"net/http"
	"strings"
	"time"
)

// sessionAPI answers GET /api/v1/sessions/{sid}: the session, to a client's own token.
func (p *Provider) sessionAPI(r *http.Request) reply {
	s, problem := p.managedSession(r)
	if problem != nil {
		return *problem
	}
	return jsonReply(http.StatusOK, p.describeSession(s))
}

// revokeSessionAPI answers POST /api/v1/sessions/{sid}/revoke: it ends the session as an administrator would. Every client in it is
// told before the answer, as with RevokeSession. One that is over already is answered as it is.
func (p *Provider) revokeSessionAPI(r *http.Request) reply {
	s, problem := p.managedSession(r)
	if problem != nil {
		return *problem
	}
	told := p.endAs(s, "revoked")
	re := jsonReply(http.StatusOK, p.describeSession(s))
	re.after = func() { p.deliver(p.life, told) }
	return re
}

// managedSession finds the session that a request to the Management API names, if its token may.
func (p *Provider) managedSession(r *http.Request) (*session, *reply) {
	if problem := p.mayManage(r); problem != nil {
		return nil, problem
	}
	s := p.sessionBySID(r.PathValue("sid"))
	if s == nil {
		re := apiError(http.StatusNotFound, 5, "session not found", "RESOURCE_NOT_FOUND")
		return nil, &re
	}
	return s, nil
}

// mayManage judges who asks the Management API: a client, by a token of its own, that is allowed to. nil: it may.
func (p *Provider) mayManage(r *http.Request) *reply {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	rec, ok := p.usable(value)
	var re reply
	switch {
	case value == "" || !strings.EqualFold(scheme, "Bearer"):
		re = apiError(http.StatusUnauthorized, 16, "Token empty", "UNAUTHENTICATED")
	case !ok || rec.grant.session != nil: // a user's token opens nothing here
		re = apiError(http.StatusUnauthorized, 16, "Token invalid", "UNAUTHENTICATED")
	case p.clients[rec.grant.client].DisallowManagement:
		re = apiError(http.StatusForbidden, 7, "API access is not allowed for this application", "PERMISSION_DENIED")
	default:
		return nil
	}
	return &re
}

// apiError is an error of the Management API: the code and details of gRPC beside the status of HTTP.
func apiError(status, code int, message, name string) reply {
	return jsonReply(status, map[string]any{
		"code": code, "message": message,
		"details": []map[string]any{{"@type": "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo", "error_code": name}},
	})
}

// describeSession is a session as the Management API tells it.
func (p *Provider) describeSession(s *session) map[string]any {
	u, _ := p.findUser(s.sub)
	clients := []map[string]any{}
	for _, id := range s.clients {
		clients = append(clients, map[string]any{"client_id": id, "organization_id": u.OrgID})
	}
	status := "active"
	switch {
	case s.ended:
		status = orElse(s.how, "logout")
	case !p.live(s):
		status = "expired"
	}
	moment := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return map[string]any{
		"session_id": s.sid, "user_id": s.sub, "organization_id": u.OrgID, "authenticated_organizations": []string{u.OrgID},
		"created_at": moment(s.authTime), "updated_at": moment(p.lastActive(s)), "last_active_at": moment(p.lastActive(s)),
		"absolute_expires_at": moment(s.ends), "status": status, "authenticated_clients": clients,
	}
}

// lastActive is when the session last gave a token or a code: a refresh keeps it in use as a visit does.
func (p *Provider) lastActive(s *session) time.Time {
	last := s.authTime
	for _, rec := range p.accesses {
		if rec.grant.session == s && rec.issued.After(last) {
			last = rec.issued
		}
	}
	return last
}
