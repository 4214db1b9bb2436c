package proxy

// Routes with the app's own token (TokenClient). Behind them is an API that lets the app do anything to anybody, and that
// cannot tell for which user it is asked: so everything that names whom a call is about comes from the route and from the
// session, and from the frontend only what the route has a place for. RFC 9700 section 2.3 (least privilege), OWASP API1
// (an id that the caller chooses).

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"cloakroom/bff"
)

// maxWord is the longest word a frontend may put into a path, in bytes: identifiers are a tenth of it.
const maxWord = 256

// own reports whether the route attaches the app's own token.
func (r Route) own() bool { return r.Token == TokenClient }

// unsafe are the methods that change something (RFC 9110 section 9.2.1).
func isUnsafe(method string) bool {
	return !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, method)
}

// checkOwn returns what is wrong with a route for the app's own token, or with one that only has its settings.
func checkOwn(r Route) (problems []error) {
	wrong := func(is bool, text string) {
		if is {
			problems = append(problems, errors.New(text))
		}
	}
	if !r.own() {
		wrong(len(r.Query) > 0, "only a route for the app's own token has a list of parameters")
		return problems
	}
	_, err := templateOf(r)
	problems = append(problems, err)
	wrong(strings.HasSuffix(r.Path, "/"), "the app's own token is for exact paths: no slash at the end")
	wrong(strings.HasSuffix(r.Upstream, "/"), "the upstream of the app's own token is the whole address: no slash at its end")
	wrong(r.Strip, "the upstream of the app's own token is the whole address: there is nothing to strip")
	wrong(len(r.Apps) == 0, "the app's own token needs the apps to be named")
	wrong(r.Kind != KindAPI || r.Guard != GuardHeader || r.WebSocket, "the app's own token is for calls by script alone")
	wrong(r.InsecureHTTP, "the app's own token never travels in the clear")
	wrong(len(r.ResponseCookies) > 0, "an API for the app's own token sets no cookies")
	wrong(slices.ContainsFunc(r.Methods, isUnsafe) && len(r.RequireClaims)+len(r.RequireScopes) == 0,
		"a method that changes something with the app's own token needs a claim or scope")
	for _, name := range r.Query {
		wrong(name == "" || strings.EqualFold(name, "access_token"), "a parameter that cannot be let through")
	}
	return problems
}

// templateOf returns the segments of a path with words, each a literal or a {name}; nil of a path without any. Every name
// stands once, and is used by the upstream: a word that goes nowhere would open addresses that mean nothing.
func templateOf(r Route) ([]string, error) {
	if !r.own() || !strings.ContainsAny(r.Path, "{}") {
		return nil, nil
	}
	segments := strings.Split(strings.TrimPrefix(r.Path, "/"), "/")
	var seen []string
	for _, s := range segments {
		name, ok := placeholder(s)
		switch {
		case !ok && strings.ContainsAny(s, "{}"), ok && (!isToken(name) || strings.ContainsAny(name, "{}")):
			return nil, fmt.Errorf("segment %q: a placeholder fills a whole segment and has a name", s)
		case !ok:
			continue
		case slices.Contains(seen, name):
			return nil, fmt.Errorf("placeholder %s twice", s)
		case !strings.Contains(r.Upstream, "{path:"+name+"}"):
			return nil, fmt.Errorf("placeholder %s is not used by the upstream as {path:%s}", s, name)
		}
		seen = append(seen, name)
	}
	return segments, nil
}

// literal is the path of a route with a word in place of every placeholder, to be judged like any path.
func (r Route) literal() string {
	segments, err := templateOf(r)
	if err != nil || segments == nil {
		return r.Path
	}
	for i, s := range segments {
		if _, ok := placeholder(s); ok {
			segments[i] = "x"
		}
	}
	return "/" + strings.Join(segments, "/")
}

// isPathWord reports whether a name of an upstream's placeholder is one of the route's own path.
func (r Route) isPathWord(name string) bool {
	word, ok := strings.CutPrefix(name, "path:")
	return ok && r.own() && slices.Contains(strings.Split(r.Path, "/"), "{"+word+"}")
}

// shapeOf orders routes so that of all that match a path the first is the one to take: segment by segment a literal before a
// placeholder, the longer path before the shorter, the exact one before the tree. Routes of one shape take the same paths.
func shapeOf(stem string, template []string, tree bool) string {
	var b strings.Builder
	segments := template
	if template == nil && stem != "" {
		segments = strings.Split(stem[1:], "/")
	}
	for _, s := range segments {
		if _, ok := placeholder(s); ok && template != nil {
			b.WriteString("1\x00")
		} else {
			b.WriteString("0" + s + "\x00")
		}
	}
	if tree {
		return b.String() + "3"
	}
	return b.String() + "2"
}

// matchesTemplate compares segment by segment; a placeholder is one segment that is not empty.
func (c *compiled) matchesTemplate(plain string) bool {
	rest := strings.TrimPrefix(plain, "/")
	for i, want := range c.template {
		segment, after, more := strings.Cut(rest, "/")
		if more == (i == len(c.template)-1) {
			return false
		}
		if _, ok := placeholder(want); ok && segment == "" || !ok && segment != want {
			return false
		}
		rest = after
	}
	return true
}

// words are what stands in the places of a template's names. A path that holds what is no identifier is refused, and not
// left to another route: a shorter one is never a way around.
func (c *compiled) words(plain string) (map[string]string, error) {
	if c.template == nil {
		return nil, nil
	}
	words := make(map[string]string)
	segments := strings.Split(strings.TrimPrefix(plain, "/"), "/")
	for i, s := range c.template {
		if name, ok := placeholder(s); ok {
			if why := wordFault(segments[i]); why != "" {
				return nil, badRequest(s + ": " + why) // the word itself may be a token, and stays out of the log
			}
			words[name] = segments[i]
		}
	}
	return words, nil
}

// wordFault names why a frontend's word must not become a segment of an address that the app's own token opens.
func wordFault(word string) string {
	switch {
	case len(word) > maxWord:
		return "too long for an identifier"
	case !fitsSegment(word):
		return "no single segment"
	// A colon begins a custom method of an address ("/users/7:disable") where gRPC is behind, a semicolon parameters, and the
	// rest is what a second decoding would act on.
	case strings.ContainsAny(word, `/\:;?#%`):
		return "a character that could mean more than an identifier"
	// A token that was put into a path by mistake: it would stand in the logs of everybody on the way. A JWT's header is
	// JSON, so it begins with these letters (RFC 7515 section 3.1); the others are handles of this gateway.
	case strings.HasPrefix(word, "eyJ"), strings.HasPrefix(word, "clk_"), strings.HasPrefix(word, "clr_"):
		return "looks like a token"
	}
	return ""
}

// claimFits reports whether a word of the session's may become a segment. Of an address that the app's own token opens it
// must be an identifier too: what a claim says, a name for example, may be its user's to choose, and no choice of it leads to
// another address. Ids that the provider gives may hold colons, as those of federated users do at some.
func (r Route) claimFits(name, word string) bool {
	if !r.own() {
		return fitsSegment(word)
	}
	if name == "sub" || name == "org" {
		word = strings.ReplaceAll(word, ":", "")
	}
	return wordFault(word) == ""
}

// crosses reports whether two routes both take some path, and neither is the more literal one all along: which of them is
// meant, nobody could tell.
func (c *compiled) crosses(other *compiled) bool {
	if c.template == nil && other.template == nil || c.shape == other.shape {
		return false
	}
	a, b := c.pieces(), other.pieces()
	if len(a) != len(b) && !(c.tree && len(a) < len(b)) && !(other.tree && len(b) < len(a)) {
		return false
	}
	moreA, moreB := len(a) > len(b), len(b) > len(a) // beyond the other's end it says more than a tree does
	for i := range min(len(a), len(b)) {
		_, wildA := placeholder(a[i])
		_, wildB := placeholder(b[i])
		if !wildA && !wildB && a[i] != b[i] {
			return false
		}
		moreA, moreB = moreA || !wildA && wildB, moreB || wildA && !wildB
	}
	return moreA && moreB
}

func (c *compiled) pieces() []string {
	if c.stem == "" {
		return nil
	}
	return strings.Split(c.stem[1:], "/")
}

// pickQuery keeps of the frontend's parameters those that the route lists, written anew: nothing else of the query can say
// whom the call is about. One that comes twice is refused, for nobody knows which of them the API would believe.
func (x *exchange) pickQuery() error {
	if len(x.route.Query) == 0 {
		return nil
	}
	values, err := url.ParseQuery(x.in.URL.RawQuery)
	if err != nil {
		return badRequest("query does not decode")
	}
	kept := make(url.Values)
	for _, name := range x.route.Query {
		if len(values[name]) > 1 {
			return badRequest("parameter " + name + " twice")
		}
		if len(values[name]) == 1 {
			kept[name] = values[name]
		}
	}
	x.query = kept.Encode()
	return nil
}

// prepareOwn takes the app's own token, once nothing else of the request can be refused.
func (x *exchange) prepareOwn() error {
	if err := x.pickQuery(); err != nil {
		return err
	}
	if x.call.Own == nil {
		return &bff.Error{Code: bff.CodeInternal, Err: errors.New("no way to the app's own token")}
	}
	t, err := x.call.Own(x.in.Context(), bff.Secret{})
	if err != nil {
		return err
	}
	x.present(&t)
	x.call.Renew = func(ctx context.Context) (bff.TokenSet, error) { return x.call.Own(ctx, x.token) }
	return nil
}

// refusedOwn judges an answer to the app's own token. The API knows of no user, so its refusal is about the app: what the
// user may do was judged before, by what the route requires. It is told as the operator's to mend.
func (x *exchange) refusedOwn(res *http.Response) error {
	if !x.route.own() || res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
		return nil
	}
	return &bff.Error{
		Code: bff.CodeManagementDisabled, Message: "This service is not set up correctly here.",
		Err: fmt.Errorf("the API answers %d to the app's own token: is the app allowed to use it, with these scopes?", res.StatusCode),
	}
}
