package provider

import "strings"

// User is somebody who can sign in: by a click on the page of users, or at once by a login_hint that is the Sub or the Email.
type User struct {
	Sub         string // usr_…
	Email       string
	Name        string
	OrgID       string // org_…, the oid claim
	Roles       []string
	Permissions []string
	AMR         []string       // default conn_dev, the id of a connection as Scalekit tells it
	Claims      map[string]any // custom claims of access tokens
}

// Initial is the first letter of the name, for the page of users.
func (u User) Initial() string {
	for _, letter := range u.Name {
		return string(letter)
	}
	return ""
}

// DefaultUsers are Ada and Grace, in two organizations.
func DefaultUsers() []User {
	return []User{
		{
			Sub: "usr_1001", Email: "ada@example.com", Name: "Ada Lovelace", OrgID: "org_2001",
			Roles: []string{"admin"}, Permissions: []string{"orders:read", "orders:write"},
		},
		{
			Sub: "usr_1002", Email: "grace@example.com", Name: "Grace Hopper", OrgID: "org_2002",
			Roles: []string{"member"}, Permissions: []string{"orders:read"},
		},
	}
}

// AddUser lets a user sign in; one with the same Sub is replaced, and tokens issued from then on carry the new data.
func (p *Provider) AddUser(u User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.putUser(u)
}

// Users lists who can sign in, in the order of the page.
func (p *Provider) Users() []User {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]User(nil), p.users...)
}

func (p *Provider) putUser(u User) {
	for i := range p.users {
		if p.users[i].Sub == u.Sub {
			p.users[i] = u
			return
		}
	}
	p.users = append(p.users[:len(p.users):len(p.users)], u)
}

// findUser looks a user up by Sub or, whatever its case, by Email.
func (p *Provider) findUser(hint string) (User, bool) {
	for _, u := range p.users {
		if hint != "" && (u.Sub == hint || strings.EqualFold(u.Email, hint)) {
			return u, true
		}
	}
	return User{}, false
}
