package provider

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// The Management API, as far as a gateway's routes use it: a user and their sessions, an organization, the roles of a member.
// It is for a client's own token (mayManage); a user's opens nothing, and it knows of no user who asks. Paths, members and
// errors are named as Scalekit names them.

// managed is what one address of the API does for a client that may.
func (p *Provider) managed(do work) work {
	return func(r *http.Request) reply {
		if problem := p.mayManage(r); problem != nil {
			return *problem
		}
		return do(r)
	}
}

func nothingThere(what string) reply {
	return apiError(http.StatusNotFound, 5, what+" not found", "RESOURCE_NOT_FOUND")
}

// userAPI answers GET /api/v1/users/{id}.
func (p *Provider) userAPI(r *http.Request) reply {
	u, ok := p.userBySub(r.PathValue("id"))
	if !ok {
		return nothingThere("user")
	}
	return jsonReply(http.StatusOK, map[string]any{"user": describeUser(u)})
}

// userSessionsAPI answers GET /api/v1/users/{id}/sessions, newest first, in pages.
func (p *Provider) userSessionsAPI(r *http.Request) reply {
	u, ok := p.userBySub(r.PathValue("id"))
	if !ok {
		return nothingThere("user")
	}
	var all []*session
	for _, s := range p.sessions {
		if s.sub == u.Sub {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *session) int { return b.authTime.Compare(a.authTime) })
	from, to, ok := page(r, len(all))
	if !ok {
		return apiError(http.StatusBadRequest, 3, "page_size or page_token invalid", "VALIDATION_ERROR")
	}
	described := []map[string]any{}
	for _, s := range all[from:to] {
		described = append(described, p.describeSession(s))
	}
	return jsonReply(http.StatusOK, paged("sessions", described, from, to, len(all)))
}

// organizationAPI answers GET /api/v1/organizations/{org}: those that some user is in.
func (p *Provider) organizationAPI(r *http.Request) reply {
	id := r.PathValue("org")
	if !slices.ContainsFunc(p.users, func(u User) bool { return u.OrgID == id && id != "" }) {
		return nothingThere("organization")
	}
	return jsonReply(http.StatusOK, map[string]any{"organization": map[string]any{"id": id, "display_name": "Organization " + id}})
}

// rolesAPI answers GET /api/v1/organizations/{org}/users/{user}/roles.
func (p *Provider) rolesAPI(r *http.Request) reply {
	u, ok := p.member(r)
	if !ok {
		return nothingThere("membership")
	}
	return rolesReply(u)
}

// addRoleAPI answers POST …/roles with {"role_name": …}. A role that is there already stays.
func (p *Provider) addRoleAPI(r *http.Request) reply {
	u, ok := p.member(r)
	if !ok {
		return nothingThere("membership")
	}
	var body struct {
		Role string `json:"role_name"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.Role == "" {
		return apiError(http.StatusBadRequest, 3, "role_name missing", "VALIDATION_ERROR")
	}
	if !slices.Contains(u.Roles, body.Role) {
		u.Roles = append(slices.Clone(u.Roles), body.Role)
		p.putUser(u)
	}
	return rolesReply(u)
}

// dropRoleAPI answers DELETE …/roles/{role}.
func (p *Provider) dropRoleAPI(r *http.Request) reply {
	u, ok := p.member(r)
	if !ok || !slices.Contains(u.Roles, r.PathValue("role")) {
		return nothingThere("role")
	}
	u.Roles = slices.DeleteFunc(slices.Clone(u.Roles), func(role string) bool { return role == r.PathValue("role") })
	p.putUser(u)
	return rolesReply(u)
}

// member finds the user that a path names within an organization.
func (p *Provider) member(r *http.Request) (User, bool) {
	u, ok := p.userBySub(r.PathValue("user"))
	return u, ok && u.OrgID == r.PathValue("org")
}

// userBySub finds a user by id alone: an address is no identifier of the API.
func (p *Provider) userBySub(sub string) (User, bool) {
	u, ok := p.findUser(sub)
	return u, ok && u.Sub == sub
}

func rolesReply(u User) reply {
	return jsonReply(http.StatusOK, map[string]any{"roles": describeRoles(u)})
}

func describeRoles(u User) []map[string]string {
	roles := []map[string]string{}
	for _, name := range u.Roles {
		roles = append(roles, map[string]string{"id": "role_" + name, "name": name, "display_name": name})
	}
	return roles
}

func describeUser(u User) map[string]any {
	memberships := []map[string]any{}
	if u.OrgID != "" {
		memberships = append(memberships, map[string]any{
			"organization_id": u.OrgID, "membership_status": "ACTIVE", "roles": describeRoles(u),
			"permissions": u.Permissions, "display_name": "Organization " + u.OrgID,
		})
	}
	return map[string]any{
		"id": u.Sub, "environment_id": "env_1", "email": u.Email, "memberships": memberships,
		"user_profile": map[string]any{"name": u.Name},
	}
}

// page reads page_size and page_token, here the number of the first item; by default thirty at once.
func page(r *http.Request, total int) (from, to int, ok bool) {
	number := func(name string, otherwise int) (int, bool) {
		text := r.URL.Query().Get(name)
		if text == "" {
			return otherwise, true
		}
		n, err := strconv.Atoi(text)
		return n, err == nil && n >= 0
	}
	size, okSize := number("page_size", 30)
	from, okFrom := number("page_token", 0)
	from = min(from, total)
	return from, min(from+size, total), okSize && okFrom && size > 0
}

// paged is one page of a list, with the tokens of its neighbours.
func paged(name string, items any, from, to, total int) map[string]any {
	answer := map[string]any{name: items, "total_size": total, "next_page_token": "", "prev_page_token": ""}
	if to < total {
		answer["next_page_token"] = strconv.Itoa(to)
	}
	if from > 0 {
		answer["prev_page_token"] = strconv.Itoa(max(0, from-(to-from)))
	}
	return answer
}
