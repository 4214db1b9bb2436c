package proxy

import (
	"errors"
	"net/http"
	"strings"

	"cloakroom/bff"
)

// checkExternal returns what an external route cannot have: everything that is done on the way to an upstream, for that way is
// another proxy's. The app's own token is for addresses that are composed here.
func checkExternal(r Route) error {
	if r.Upstream != "" || r.Strip || r.Token == TokenClient || len(r.ResponseCookies) > 0 || r.StreamTimeout != 0 {
		return errors.New("an external route has no upstream, and nothing that is done on the way to one")
	}
	return nil
}

// Authorize judges a request that another proxy is about to forward, as Forward judges one of its own, and returns the
// fields that the other proxy is to send on in place of those of the same names that came: Authorization, Cookie and the
// identity fields of all routes. All of them are there; an empty one says that the field is not to be sent at all, so that nobody
// sends one past the gateway. They hold a token: they are for the asking proxy alone.
//
// r is the original request, without its body. Errors are those of Forward that need no upstream, and bff.CodeNotFound for a
// route that is not external.
func (t *Table) Authorize(r *http.Request, m *Match, c Call) (http.Header, error) {
	rt := m.route
	if !rt.External {
		return nil, notFound("a route that is forwarded here")
	}
	if err := rt.refuse(r, t.pseudonym); err != nil {
		return nil, err
	}
	x := &exchange{table: t, route: rt, path: m.path, words: m.words, call: c, in: r}
	if err := x.prepare(); err != nil {
		return nil, err
	}
	// RFC 9449 section 4.2: a proof names the address that the API is asked under, which only the other proxy knows. Sent as
	// a bearer token, a bound one would be refused at best (section 7.2).
	if !x.token.IsZero() && x.tokenTyp != "" && !strings.EqualFold(x.tokenTyp, "Bearer") {
		return nil, &bff.Error{Code: bff.CodeInternal, Err: errors.New("a token of type " + x.tokenTyp + " cannot be sent by another proxy")}
	}
	fields := http.Header{"Authorization": {authorization(x.tokenTyp, x.token.Reveal())}, "Cookie": {x.cookie}}
	for _, other := range t.routes { // also on a route without them nobody may send them: two may lead to one API
		for _, f := range other.identity {
			fields[f.name] = []string{""}
		}
	}
	x.identify(fields)
	return fields, nil
}
