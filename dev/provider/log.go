package provider

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Request is one request as it arrived, before any fault.
type Request struct {
	Endpoint Endpoint
	Method   string
	Path     string
	Form     url.Values // query and body together
	Header   http.Header
	Time     time.Time // by the provider's clock
}

// Kind says what sort of secret an entry of the issue log is.
type Kind string

// The kinds of secrets that a leak scanner should look for.
const (
	KindCode         Kind = "code"
	KindAccess       Kind = "access_token"
	KindRefresh      Kind = "refresh_token"
	KindID           Kind = "id_token"
	KindLogout       Kind = "logout_token"
	KindClientSecret Kind = "client_secret"
	KindAssertion    Kind = "client_assertion" // given to the provider, not by it
	KindVerifier     Kind = "code_verifier"    // given to the provider, not by it
	KindProof        Kind = "dpop_proof"       // given to the provider, not by it
	KindCookie       Kind = "sso_cookie"       // of the provider's own browser session
	KindInitiation   Kind = "idp_initiated_login"
)

// Secret is one value that must not show up where it does not belong.
type Secret struct {
	Kind   Kind
	Client string // whose it is; "" for the cookie
	Value  string
	Time   time.Time
}

// journal is what the provider has seen and given out.
type journal struct {
	forgetful bool // set before the first request

	mu       sync.Mutex
	counts   map[Endpoint]int
	inside   map[Endpoint]int // requests that are being answered
	most     map[Endpoint]int // of those, the most so far
	grants   map[string]int
	requests []Request
	secrets  []Secret
}

func (j *journal) arrive(e Endpoint, r *http.Request, at time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count(e, r)
	if j.forgetful {
		return
	}
	j.requests = append(j.requests, Request{
		Endpoint: e, Method: r.Method, Path: r.URL.Path,
		Form: maps.Clone(r.Form), Header: r.Header.Clone(), Time: at,
	})
}

func (j *journal) count(e Endpoint, r *http.Request) {
	if j.counts == nil {
		j.counts, j.grants = map[Endpoint]int{}, map[string]int{}
	}
	j.counts[e]++
	if e == Token {
		j.grants[r.PostForm.Get("grant_type")]++
	}
}

// begin and end count who is inside an endpoint.
func (j *journal) begin(e Endpoint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.inside == nil {
		j.inside = map[Endpoint]int{}
	}
	if j.most == nil {
		j.most = map[Endpoint]int{}
	}
	j.inside[e]++
	j.most[e] = max(j.most[e], j.inside[e])
}

func (j *journal) end(e Endpoint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.inside[e]--
}

func (j *journal) issue(kind Kind, client, value string, at time.Time) {
	if value == "" || j.forgetful {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.secrets = append(j.secrets, Secret{Kind: kind, Client: client, Value: value, Time: at})
}

func (j *journal) all() []Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.requests)
}

// Requests is every request so far, in order of arrival.
func (p *Provider) Requests() []Request { return p.log.all() }

// RequestsTo is every request to one endpoint, in order of arrival.
func (p *Provider) RequestsTo(e Endpoint) []Request {
	return slices.DeleteFunc(p.log.all(), func(r Request) bool { return r.Endpoint != e })
}

// Count is how many requests an endpoint has had.
func (p *Provider) Count(e Endpoint) int {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.counts[e]
}

// GrantCount is how many token requests of one grant type arrived, such as "refresh_token", answered or not.
func (p *Provider) GrantCount(grantType string) int {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.grants[grantType]
}

// Most is how many requests an endpoint has had at once, at most.
func (p *Provider) Most(e Endpoint) int {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.most[e]
}

// ForgetRequests empties the request log, so that counts start anew. The issue log is kept.
func (p *Provider) ForgetRequests() {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.requests, p.log.counts, p.log.grants, p.log.most = nil, nil, nil, nil
}

// Issued is every secret that the provider has issued or been given, also those it left out of an answer on purpose.
func (p *Provider) Issued() []Secret {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return slices.Clone(p.log.secrets)
}
