package config

import (
	"regexp"
	"slices"
	"strings"
)

// Routes with token: client carry a token that may do anything its app is allowed
// at the API behind, to anybody, and that API knows of no user. So whom a call is
// about is said by the route and by the session alone (RFC 9700 section 2.3, least
// privilege).

// clientRoute checks what only such a route must hold.
func (r *report) clientRoute(path string, route *Route) {
	if route.Token != "client" {
		if len(route.Query) > 0 {
			r.add(join(path, "query"), "belongs to routes with token: client; everywhere else the whole query passes")
		}
		return
	}
	for _, rule := range []struct {
		wrong     bool
		key, text string
	}{
		{strings.HasSuffix(route.Path, "/"), "path", "ends in a slash, which matches all below; the app's own token is for exact paths, " +
			"so list each with {name} for what varies"},
		{strings.HasSuffix(route.Upstream, "/"), "upstream", "ends in a slash; with token: client it is the whole address, to which no " +
			"path is added"},
		{route.StripPrefix, "strip_prefix", "nothing to strip with token: client, whose upstream is the whole address; delete it"},
		{len(route.Apps) == 0, "apps", "missing; a route with token: client names the apps whose token it may use"},
		{route.Kind == "site", "kind", "a site with the app's own token would act for everybody; write kind: api"},
		{route.Guard == "origin", "guard", "with token: client every call shows that a script of the app makes it; write guard: header"},
		{route.WebSocket, "websocket", "not with token: client; delete it"},
		{route.InsecureHTTP, "insecure_http", "the app's own token never travels in the clear; use https, or a loopback name"},
		{len(route.SetCookies) > 0, "set_cookies", "not with token: client; delete it"},
	} {
		if rule.wrong {
			r.add(join(path, rule.key), "%s", rule.text)
		}
	}
	r.clientDemand(path, route)
	r.clientQuery(join(path, "query"), route.Query)
	r.template(path, route)
}

// clientDemand wants a claim or scope before anything is changed: the API behind
// lets the app do it, whoever asks.
func (r *report) clientDemand(path string, route *Route) {
	changes := slices.ContainsFunc(route.Methods, func(m string) bool {
		return !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, strings.ToUpper(m))
	})
	if changes && len(route.Require.Claims)+len(route.Require.Scopes) == 0 {
		r.add(join(path, "require"), "missing; a method that changes something with token: client needs a claim or scope that the user must have")
	}
}

func (r *report) clientQuery(path string, names []string) {
	for i, name := range names {
		if name == "" || strings.EqualFold(name, "access_token") {
			r.add(at(path, i), "no parameter that may pass; name one, as page_size")
		}
	}
	r.unique(path, names)
}

// pathName is what stands in the braces of a path.
const pathName = `^\{([a-z][a-z0-9_]*)\}$`

// template checks the {name} segments of a path, and that the upstream uses them.
func (r *report) template(path string, route *Route) {
	pattern := regexp.MustCompile(pathName)
	var names []string
	for segment := range strings.SplitSeq(route.Path, "/") {
		name := pattern.FindStringSubmatch(segment)
		switch {
		case !strings.ContainsAny(segment, "{}"):
		case name == nil:
			r.add(join(path, "path"), "braces within a segment; a whole segment may be {name}, of small letters, digits and underscores")
		case slices.Contains(names, name[1]):
			r.add(join(path, "path"), "{%s} twice; give each place a name of its own", name[1])
		case !strings.Contains(route.Upstream, "{path:"+name[1]+"}"):
			r.add(join(path, "path"), "{%s} is used nowhere; write {path:%s} in upstream, or the words that are meant", name[1], name[1])
		default:
			names = append(names, name[1])
		}
	}
}

// pathWord reports whether a placeholder of the upstream is one of the path's.
func pathWord(placeholder string, route *Route) bool {
	name, ok := strings.CutPrefix(placeholder, "{path:")
	return ok && route.Token == "client" && slices.Contains(strings.Split(route.Path, "/"), "{"+name)
}

// literal is the path with a word in place of each {name}, to be judged as paths
// are; braces of other routes stay, and are refused.
func literal(route *Route) string {
	if route.Token != "client" {
		return route.Path
	}
	return regexp.MustCompile(`/\{[^{}/]*\}`).ReplaceAllString(route.Path, "/x")
}

// shape is the path without its names: routes of one shape take the same requests.
func shape(route *Route) string {
	return regexp.MustCompile(`/\{[^{}/]*\}`).ReplaceAllString(route.Path, "/{}")
}

// crossing reports whether two paths both match something, and neither is the more
// literal one all along: which is meant nobody could tell.
func crossing(a, b *Route) bool {
	if shape(a) == shape(b) || !strings.Contains(a.Path+b.Path, "{") {
		return false
	}
	pieces := func(r *Route) ([]string, bool) {
		stem, tree := strings.CutSuffix(r.Path, "/")
		return strings.Split(stem, "/"), tree
	}
	inA, treeA := pieces(a)
	inB, treeB := pieces(b)
	if len(inA) > len(inB) && !treeB || len(inB) > len(inA) && !treeA {
		return false
	}
	moreA, moreB := len(inA) > len(inB), len(inB) > len(inA) // beyond a tree's end one says more
	for i := range min(len(inA), len(inB)) {
		wildA, wildB := strings.HasPrefix(inA[i], "{"), strings.HasPrefix(inB[i], "{")
		if !wildA && !wildB && inA[i] != inB[i] {
			return false
		}
		moreA, moreB = moreA || wildB && !wildA, moreB || wildA && !wildB
	}
	return moreA && moreB
}

// clientScopes checks the scopes of an app's own token.
func (r *report) clientScopes(path string, scopes []string) {
	for i, scope := range scopes {
		if !scopeToken(scope) {
			r.add(at(path, i), "no scope; list each one by itself, without spaces")
		}
	}
	r.unique(path, scopes)
}
