package provider

import (
	"net/url"
	"slices"
)

// resource is the parameter of RFC 8707 section 2: the API that a token is for.
const resource = "resource"

// badTarget refuses an API that a token is asked for (RFC 8707 section 2).
func badTarget(text string) error { return refuse("invalid_target", text) }

// checkResources judges the resources that a request names: each an absolute URI without a fragment, and one that the client may have.
func (c Client) checkResources(named []string) error {
	for _, text := range named {
		u, err := url.Parse(text)
		switch {
		case err != nil || !u.IsAbs() || u.Host == "" && u.Opaque == "":
			return badTarget("resource is not an absolute URI")
		case u.Fragment != "" || text[len(text)-1] == '#':
			return badTarget("resource has a fragment")
		case c.Resources != nil && !slices.Contains(c.Resources, text):
			return badTarget("the client may not have this resource")
		}
	}
	return nil
}

// aimed finds the one resource that a code or refresh token is traded for, "" for none: one of those that the user was asked for (RFC
// 8707 section 2.2). This provider makes a token for one at a time.
func (p *Provider) aimed(client Client, g *grant, form url.Values) (string, error) {
	named := form[resource]
	switch {
	case len(named) == 0:
		return "", nil
	case len(named) > 1:
		return "", badTarget("one resource at a time")
	case !slices.Contains(g.resources, named[0]):
		return "", badTarget("the resource was not asked for at the sign-in")
	}
	return named[0], client.checkResources(named)
}

// repeatable tells whether a parameter may stand more than once: RFC 8707 section 2 and RFC 8693 section 2.1.
func repeatable(name string) bool { return name == resource || name == "audience" }

// one is a list of one text; nil for none.
func one(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}
