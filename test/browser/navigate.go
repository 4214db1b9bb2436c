package browser

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Page is where a navigation or a fetch ended.
type Page struct {
	URL    string // with fragment
	Status int
	Header http.Header
	Body   []byte
	// Hops are all requests of the navigation in order; the last one answered with this page.
	Hops []Hop
	// Unsent: URL was not requested, because its scheme belongs to another program (a native app's redirect) or
	// because of HoldAt. Status, Header and Body are empty then.
	Unsent bool

	at      *url.URL
	policy  string
	request *request
}

// At is a page that stands at rawURL without having been loaded: the place from which a test clicks, posts or
// fetches as any other site. It panics if rawURL is no URL, which only a mistake in a test can cause.
func At(rawURL string) *Page {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	return &Page{URL: rawURL, at: u, policy: defaultPolicy}
}

// WithReferrerPolicy returns the same page under another referrer policy, as an attacker's page would state it.
func (p *Page) WithReferrerPolicy(policy string) *Page {
	q := *p
	q.policy = policyOf([]string{policy}, p.policy)
	return &q
}

// Navigate opens a URL as typed into the address bar: no initiator.
func (b *Browser) Navigate(rawURL string) (*Page, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("navigating: %w", err)
	}
	return b.navigate(navigation(u, nil, true), nil)
}

// Click follows a link on a page; href may be relative to it.
func (b *Browser) Click(from *Page, href string) (*Page, error) {
	u, err := from.at.Parse(href)
	if err != nil {
		return nil, fmt.Errorf("clicking: %w", err)
	}
	return b.navigate(navigation(u, from, true), nil)
}

// Assign is a navigation by the page's own script (location.assign): like Click, without a person's gesture.
func (b *Browser) Assign(from *Page, href string) (*Page, error) {
	u, err := from.at.Parse(href)
	if err != nil {
		return nil, fmt.Errorf("assigning location: %w", err)
	}
	return b.navigate(navigation(u, from, false), nil)
}

// SubmitForm sends a form of a page as a top-level navigation, its defaults overridden by values; a name with
// no values is left out. A form-action policy of the page is obeyed: ErrBlocked.
func (b *Browser) SubmitForm(from *Page, form Form, values url.Values) (*Page, error) {
	action, err := from.at.Parse(form.Action)
	if err != nil {
		return nil, fmt.Errorf("submitting: %w", err)
	}
	filled := form.fill(values).Encode()
	r := navigation(action, from, true)
	r.formActions(from.Header.Values("Content-Security-Policy"))
	if !strings.EqualFold(form.Method, http.MethodPost) {
		action.RawQuery = filled
		return b.navigate(r, nil)
	}
	r.method, r.body = http.MethodPost, []byte(filled)
	r.header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.navigate(r, nil)
}

// Reload asks for a page again as the reload button does. RFC 6265bis section 5.2: the reload of a cross-site
// navigation is still cross-site, so the chain that led to the page is kept.
func (b *Browser) Reload(p *Page) (*Page, error) {
	if p.request == nil {
		return nil, fmt.Errorf("reloading %s: %w", p.URL, ErrNotFound)
	}
	return b.navigate(p.request, nil)
}

// Continue sends a navigation that HoldAt stopped, with its chain as it was.
func (b *Browser) Continue(p *Page) (*Page, error) {
	if p.request == nil || !p.Unsent {
		return nil, fmt.Errorf("continuing %s: %w", p.URL, ErrNotFound)
	}
	return b.follow(p.request, p.Hops)
}

// navigate runs a chain to its page, unless it is held.
func (b *Browser) navigate(r *request, hops []Hop) (*Page, error) {
	if b.stops(r.url) {
		return unsent(r, hops), nil
	}
	return b.follow(r, hops)
}

// follow sends r and goes where the answer points: by redirect within the chain, by refresh in a new one.
func (b *Browser) follow(r *request, hops []Hop) (*Page, error) {
	if len(hops) > maxHops {
		return nil, fmt.Errorf("navigating to %s: %w", r.url, ErrTooManyHops)
	}
	if err := r.formAllowed(); err != nil {
		return nil, err
	}
	hop, err := b.send(r)
	if err != nil {
		return nil, err
	}
	hops = append(hops[:len(hops):len(hops)], hop)
	next, err := r.follow(hop)
	if err != nil {
		return nil, err
	}
	if next != nil {
		return b.navigate(next, hops)
	}
	page := arrived(r, hops)
	if to, ok := page.refresh(); ok {
		return b.navigate(navigation(to, page, false), hops)
	}
	return page, nil
}

// stops tells whether a URL is not for this browser to request.
func (b *Browser) stops(u *url.URL) bool {
	return u.Scheme != "http" && u.Scheme != "https" || b.hold(u)
}

func unsent(r *request, hops []Hop) *Page {
	return &Page{URL: r.url.String(), Unsent: true, Header: http.Header{}, Hops: hops, at: r.url, policy: r.policy, request: r}
}

func arrived(r *request, hops []Hop) *Page {
	last := hops[len(hops)-1]
	return &Page{
		URL: r.url.String(), Status: last.Status, Header: last.Header, Body: last.Body, Hops: hops,
		at: r.url, policy: policyOf(last.Header.Values("Referrer-Policy"), defaultPolicy), request: r,
	}
}
