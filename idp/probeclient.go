package idp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"cloakroom/bff"
)

// ErrClient marks a finding about client id, secret or keys: whoever knows where they are configured can say so.
var ErrClient = errors.New("the provider does not accept the client")

// Probe asks the token endpoint whether it knows the client and its secret or key, by a code that cannot exist: nothing that
// anybody was given is used up. err is ErrClient where it is the client that was refused.
func (c *Client) Probe(ctx context.Context) (f Finding, err error) {
	m, err := c.is.discover(ctx)
	if err != nil {
		return Finding{Wrong, "client: " + c.is.whyNone(err)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.is.set.HTTPTimeout)
	defer cancel()
	// Straight away: gate, breaker and alarms are for what users wait for.
	got, refused := c.sendGrant(ctx, m, url.Values{
		"grant_type": {"authorization_code"}, "code": {"check-" + rand.Text()},
		"redirect_uri": {c.set.RedirectURI}, "code_verifier": {rand.Text() + rand.Text()}, // RFC 7636 section 4.1: 43 characters at least
	}, c.keyFor(bff.Secret{}))
	if got != nil {
		c.discard(ctx, got)
		return Finding{Wrong, "client: the token endpoint gives tokens for a code that does not exist: it is no provider to sign in at"}, nil
	}
	return c.judgeGrant(m, refused)
}

// judgeGrant reads the answer to a code that cannot exist. RFC 6749 section 5.2: a client that failed is invalid_client;
// invalid_grant says that the client was taken, and the code was not.
func (c *Client) judgeGrant(m *metadata, r *refusal) (Finding, error) {
	say := func(g Grade, format string, args ...any) Finding {
		return Finding{g, "client: " + fmt.Sprintf(format, args...)}
	}
	said, answered := errors.AsType[*AnswerError](r.err)
	id := c.set.ClientID
	switch {
	case !answered && r.doubt:
		return say(Note, "what the token endpoint answered says nothing of client %s (%v)", id, r.err), nil
	case !answered:
		return say(Wrong, "the token endpoint %s: %s", m.Token, c.is.whyNone(r.err)), nil
	case said.OAuth == "invalid_grant":
		return say(Good, "%s and its %s are accepted", id, c.proof()), nil
	case said.OAuth == "invalid_client" || said.Status == http.StatusUnauthorized:
		return Finding{Wrong, c.clientRefused(m, &AnswerError{Status: said.Status, OAuth: "invalid_client"}).Error()}, ErrClient
	case said.OAuth == "unauthorized_client" || said.OAuth == "unsupported_grant_type":
		return say(Wrong, "%s may not redeem codes (%s): register it as a web application with the authorization code flow",
			id, said.OAuth), ErrClient
	case said.Status == http.StatusTooManyRequests:
		return say(Note, "%s could not be tried: the token endpoint has been asked too often (status 429)", id), nil
	case said.OAuth != "":
		return say(Note, "that %s is known cannot be told: the token endpoint answers %s to a code that does not exist", id, said.OAuth), nil
	default:
		return say(Wrong, "the token endpoint %s answers with status %d: it is not there, or something before it refuses",
			m.Token, said.Status), nil
	}
}

// proof names what the client proves itself by.
func (c *Client) proof() string {
	switch {
	case len(c.set.Keys) > 0:
		return "key " + c.set.Keys[0].id
	case c.set.Secret.IsZero():
		return "lack of a secret"
	default:
		return "secret"
	}
}

// authorizeAnswer is what the authorization endpoint said to somebody who is not signed in there.
type authorizeAnswer struct {
	status int
	to     *url.URL // where it sends the browser; nil where it shows something itself
	home   bool     // that is the redirect URI, with our state
	astray bool     // that is the redirect URI, without it
	err    error
}

// ProbeRedirect asks the authorization endpoint to send a browser that nobody is signed in with back to the app: it does so
// only where the redirect URI is registered (RFC 6749 section 4.1.2.1, RFC 9700 section 4.1.3). known says that the client was
// accepted elsewhere. No session begins by it, and no code is given to anybody.
func (c *Client) ProbeRedirect(ctx context.Context, known bool) Finding {
	a, prompt := c.askAuthorize(ctx, c.set.RedirectURI, "none"), "none"
	if a.status >= 400 && a.status < 500 { // perhaps for the prompt alone, where a provider knows no silent sign-in
		a, prompt = c.askAuthorize(ctx, c.set.RedirectURI, ""), ""
	}
	say := func(g Grade, format string, args ...any) Finding {
		return Finding{g, "redirect URI: " + fmt.Sprintf(format, args...)}
	}
	switch {
	case a.err != nil:
		return say(Wrong, "the authorization endpoint: %s", c.is.whyNone(a.err))
	case a.home:
		return c.judgeHome(ctx, a)
	case a.astray: // RFC 6749 section 4.1.2: REQUIRED if it was sent
		return say(Wrong, "the provider comes back to %s without the state it was sent: no sign-in can be completed", c.set.RedirectURI)
	case a.status == http.StatusTooManyRequests:
		return say(Note, "could not be tried: the authorization endpoint has been asked too often (status 429)")
	case a.status >= 500:
		return say(Wrong, "the authorization endpoint answers with status %d", a.status)
	}
	switch c.treated(ctx, a, prompt) {
	case differently:
		return say(Good, "%s seems registered: the provider shows its own sign-in, and refuses another address", c.set.RedirectURI)
	case unclear:
		return say(Note, "could not tell whether %s is registered: the provider shows a page of its own (status %d) whatever the address; "+
			"sign in once to see", c.set.RedirectURI, a.status)
	}
	if near := c.nearMiss(ctx); near != "" {
		return say(Wrong, "registered is %s, and the app uses %s: they must be the same letter by letter", near, c.set.RedirectURI)
	}
	if !known {
		return say(Note, "could not be tried, as the client is not accepted; the one to register is %s", c.set.RedirectURI)
	}
	return say(Wrong, "the provider did not send the browser back to %s (status %d): register it for client %s, letter by letter "+
		"(http or https, port, slash at the end)", c.set.RedirectURI, a.status, c.set.ClientID)
}

// judgeHome reads an answer that came back to the app.
func (c *Client) judgeHome(ctx context.Context, a authorizeAnswer) Finding {
	say := func(g Grade, format string, args ...any) Finding {
		return Finding{g, "redirect URI: " + fmt.Sprintf(format, args...)}
	}
	query := a.to.Query()
	if err := c.CheckIssuer(ctx, query.Get("iss")); err != nil {
		return say(Wrong, "the answer to a sign-in names %.200q as issuer, which is refused: %v", query.Get("iss"), err)
	}
	code := query.Get("error")
	switch {
	case code == "" || wantsUser(code) || code == "access_denied":
		return say(Good, "%s is registered", c.set.RedirectURI)
	// OpenID Connect Core section 3.1.2.1: whoever does not know none says so in one way or another. Then it is asked as a
	// sign-in asks.
	case code == "invalid_request" || code == "unsupported_response_type":
		if plain := c.askAuthorize(ctx, c.set.RedirectURI, ""); plain.err == nil && (!plain.home || !plain.to.Query().Has("error")) {
			return say(Note, "%s is registered; a silent sign-in (prompt=none) is answered %s", c.set.RedirectURI, code)
		}
		return say(Wrong, "%s is registered, and a sign-in is refused: %s; compare the kind of application, PKCE and login.params",
			c.set.RedirectURI, code)
	case code == "invalid_scope":
		return say(Wrong, "%s is registered, and a sign-in is refused: invalid_scope; the app asks for %s: compare scopes with what "+
			"client %s may have",
			c.set.RedirectURI, strings.Join(c.set.Scopes, " "), c.set.ClientID)
	case code == "unauthorized_client":
		return say(Wrong, "%s is registered, and a sign-in is refused: unauthorized_client; register %s as a web application with the "+
			"authorization code flow",
			c.set.RedirectURI, c.set.ClientID)
	default:
		return say(Note, "%s is registered; a silent sign-in is answered %.64q", c.set.RedirectURI, code)
	}
}

// askAuthorize sends the authorization request of a sign-in as a browser would, and follows nothing.
func (c *Client) askAuthorize(ctx context.Context, redirectURI, prompt string) authorizeAnswer {
	other := *c
	other.set.RedirectURI = redirectURI
	r := bff.AuthorizationRequest{State: rand.Text(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text()}
	r.Key = c.loginKey(bff.Secret{}) // one that no token will be bound to
	if prompt != "" {
		r.Extra = url.Values{"prompt": {prompt}}
	}
	at, err := other.AuthorizationURL(ctx, r)
	if err != nil {
		return authorizeAnswer{err: err}
	}
	a, err := c.is.ask(asking(ctx, "authorize"), at)
	if err != nil {
		return authorizeAnswer{err: err}
	}
	said := authorizeAnswer{status: a.status}
	from, err := url.Parse(at)
	if err != nil || a.status < 300 || a.status > 399 {
		return said
	}
	if said.to, err = from.Parse(a.header.Get("Location")); err != nil {
		return authorizeAnswer{err: errors.New("a redirect to what is no address")}
	}
	if comesTo(said.to, redirectURI) {
		said.home = said.to.Query().Get("state") == r.State
		said.astray = !said.home
	}
	return said
}

// comesTo compares a target, but for its query, with an address letter by letter.
func comesTo(to *url.URL, address string) bool {
	bare := *to
	bare.RawQuery, bare.ForceQuery, bare.Fragment = "", false, ""
	return bare.String() == address
}

// treatment is how an address fares beside one that is certainly not registered.
type treatment int

const (
	refusedHere treatment = iota // an error, as the other gets, or might
	differently                  // the other is refused, this one is not
	unclear                      // both get the same, which is no error
)

// treated compares an answer that did not come back with what an address gets that nobody registered: some providers show
// their own sign-in or their own error page with the same status, and only the difference tells.
func (c *Client) treated(ctx context.Context, a authorizeAnswer, prompt string) treatment {
	if a.status >= 400 || a.to != nil && looksWrong(a.to) {
		return refusedHere
	}
	stranger := c.askAuthorize(ctx, c.set.RedirectURI+"/not-registered", prompt)
	switch {
	case stranger.err != nil || stranger.home || stranger.status >= 500 || stranger.status == http.StatusTooManyRequests:
		return unclear
	case stranger.status == a.status && (stranger.to == nil || !looksWrong(stranger.to)):
		return unclear
	default:
		return differently
	}
}

// looksWrong reports whether a page of the provider's own is one for errors, by its address.
func looksWrong(to *url.URL) bool {
	return to.Query().Has("error") || strings.Contains(strings.ToLower(to.Path), "error")
}

// nearMiss finds an address that is registered in place of the app's, where it is one that people mistake for it; "" if none.
func (c *Client) nearMiss(ctx context.Context) string {
	for _, near := range nearMisses(c.set.RedirectURI) {
		if c.askAuthorize(ctx, near, "none").home {
			return near
		}
	}
	return ""
}

// nearMisses are an address with the other scheme, the other slash at the end, and no port.
func nearMisses(address string) (near []string) {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	scheme, port := *u, *u
	scheme.Scheme = map[string]string{"http": "https", "https": "http"}[u.Scheme]
	port.Host = u.Hostname()
	slash := strings.TrimSuffix(address, "/")
	if slash == address {
		slash += "/"
	}
	near = append(near, scheme.String(), slash, port.String())
	return slices.DeleteFunc(near, func(a string) bool { return a == address || strings.HasPrefix(a, "//") })
}
