package browser

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of RFC 6265bis section 5.6.
const (
	maxNameValue = 4096                 // bytes of name and value together; more is ignored
	maxAttribute = 1024                 // bytes of one attribute's value; a longer attribute is ignored
	maxAge       = 400 * 24 * time.Hour // the longest life a browser grants
)

// Cookie is one entry of the jar.
type Cookie struct {
	Name, Value string
	Domain      string // host that set it, or the Domain attribute
	HostOnly    bool   // no Domain attribute
	Path        string
	Secure      bool
	HTTPOnly    bool
	SameSite    string    // "Strict", "Lax" or "None"; a cookie that says nothing is Lax
	Expires     time.Time // zero: a session cookie
	Created     time.Time

	serial      int // order of creation
	pathWritten bool
}

// jar holds cookies; its methods are safe for concurrent use.
type jar struct {
	mu      sync.Mutex
	now     func() time.Time
	cookies []Cookie
	serial  int
}

func newJar(now func() time.Time) *jar { return &jar{now: now} }

// Cookies lists the live cookies of the profile, oldest first.
func (b *Browser) Cookies() []Cookie { return b.jar.live() }

// Cookie finds a live cookie by name among those a same-site request for rawURL would carry.
func (b *Browser) Cookie(rawURL, name string) (Cookie, bool) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Cookie{}, false
	}
	for _, c := range b.jar.live() {
		if c.Name == name && c.matches(u) {
			return c, true
		}
	}
	return Cookie{}, false
}

// StoreCookie gives the jar a Set-Cookie line as if rawURL had answered a typed navigation with it; false means
// the browser refused the cookie.
func (b *Browser) StoreCookie(rawURL, line string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	return b.jar.set(navigation(u, nil, true), line)
}

// ForgetCookies empties the jar of those cookies that match accepts; nil accepts all.
func (b *Browser) ForgetCookies(match func(Cookie) bool) {
	b.jar.mu.Lock()
	defer b.jar.mu.Unlock()
	b.jar.cookies = slices.DeleteFunc(b.jar.cookies, func(c Cookie) bool { return match == nil || match(c) })
}

func (j *jar) live() []Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	j.cookies = slices.DeleteFunc(j.cookies, func(c Cookie) bool { return c.expired(now) })
	return slices.Clone(j.cookies)
}

func (c Cookie) expired(now time.Time) bool { return !c.Expires.IsZero() && !c.Expires.After(now) }

// header is the Cookie field for r, RFC 6265bis section 5.8.3: longest path first, then oldest.
func (j *jar) header(r *request) string {
	var send []Cookie
	for _, c := range j.live() {
		if c.matches(r.url) && c.travels(r) {
			send = append(send, c)
		}
	}
	slices.SortStableFunc(send, func(a, b Cookie) int {
		if len(a.Path) != len(b.Path) {
			return len(b.Path) - len(a.Path)
		}
		return a.serial - b.serial
	})
	var pairs []string
	for _, c := range send {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

func (c Cookie) matches(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	if c.HostOnly && host != c.Domain || !domainMatch(host, c.Domain) {
		return false
	}
	return pathMatch(u.EscapedPath(), c.Path) && (!c.Secure || trustworthy(u))
}

// travels applies SameSite, RFC 6265bis section 5.8.3: Strict with same-site requests alone, Lax also with
// top-level navigations by a safe method.
func (c Cookie) travels(r *request) bool {
	switch {
	case c.SameSite == "None", r.sameSite():
		return true
	case c.SameSite == "Lax":
		return r.topLevel() && r.safe()
	}
	return false
}

// set stores one Set-Cookie line of the answer to r, RFC 6265bis sections 5.6 and 5.7.
func (j *jar) set(r *request, line string) bool {
	c, ok := parseCookie(line, r.url, j.now())
	if !ok || !c.acceptable(r) {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.shadowsSecure(c, r.url) {
		return false
	}
	j.serial++
	c.serial, c.Created = j.serial, j.now()
	old := slices.IndexFunc(j.cookies, c.replaces)
	if old < 0 {
		j.cookies = append(j.cookies, c)
		return true
	}
	c.serial, c.Created = j.cookies[old].serial, j.cookies[old].Created
	j.cookies[old] = c
	return true
}

func (c Cookie) replaces(other Cookie) bool {
	return c.Name == other.Name && c.Domain == other.Domain && c.HostOnly == other.HostOnly && c.Path == other.Path
}

// acceptable holds the refusals that depend on the request: Secure needs a trustworthy URL, None needs Secure,
// a cross-site subresource sets no SameSite cookie, and a prefixed name keeps its promises.
func (c Cookie) acceptable(r *request) bool {
	switch {
	case c.Secure && !trustworthy(r.url),
		c.SameSite == "None" && !c.Secure,
		c.SameSite != "None" && !r.sameSite() && !r.topLevel():
		return false
	}
	return c.prefixKept()
}

// prefixKept checks cookie name prefixes (RFC 6265bis section 4.1.3), compared without case as browsers do.
func (c Cookie) prefixKept() bool {
	name := strings.ToLower(c.Name)
	if name == "" {
		name = strings.ToLower(c.Value) // section 5.7: a nameless cookie must not smuggle a prefixed name in its value
		return !strings.HasPrefix(name, "__secure-") && !strings.HasPrefix(name, "__host-") && !strings.HasPrefix(name, "__http-")
	}
	host := c.Secure && c.HostOnly && c.Path == "/" && c.pathWritten
	switch {
	case strings.HasPrefix(name, "__host-http-"):
		return host && c.HTTPOnly
	case strings.HasPrefix(name, "__host-"):
		return host
	case strings.HasPrefix(name, "__http-"):
		return c.Secure && c.HTTPOnly
	case strings.HasPrefix(name, "__secure-"):
		return c.Secure
	}
	return true
}

// shadowsSecure: an insecure URL may not overlay a Secure cookie (RFC 6265bis section 5.7, leave secure cookies alone).
func (j *jar) shadowsSecure(c Cookie, from *url.URL) bool {
	if trustworthy(from) {
		return false
	}
	return slices.ContainsFunc(j.cookies, func(o Cookie) bool {
		related := domainMatch(o.Domain, c.Domain) || domainMatch(c.Domain, o.Domain)
		return o.Secure && o.Name == c.Name && related && pathMatch(c.Path, o.Path)
	})
}

// parseCookie reads a Set-Cookie line, RFC 6265bis section 5.6.
func parseCookie(line string, from *url.URL, now time.Time) (Cookie, bool) {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return Cookie{}, false
	}
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, named := strings.Cut(pair, "=")
	if !named {
		name, value = "", name
	}
	c := Cookie{
		Name: strings.TrimSpace(name), Value: strings.TrimSpace(value), SameSite: "Lax",
		Domain: strings.ToLower(from.Hostname()), HostOnly: true, Path: defaultPath(from.EscapedPath()),
	}
	if n := len(c.Name) + len(c.Value); n == 0 || n > maxNameValue {
		return c, false
	}
	ok := c.attributes(attributes, now)
	return c, ok
}

// attributes reads what follows the first semicolon; the last of a name counts. It reports a refusal.
func (c *Cookie) attributes(text string, now time.Time) bool {
	ok, aged := true, false
	for part := range strings.SplitSeq(text, ";") {
		key, value, _ := strings.Cut(part, "=")
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		if len(value) > maxAttribute {
			continue
		}
		switch key {
		case "secure":
			c.Secure = true
		case "httponly":
			c.HTTPOnly = true
		case "path":
			c.path(value)
		case "domain":
			ok = c.domain(value) && ok
		case "samesite":
			c.SameSite = sameSiteWord(value)
		case "max-age":
			aged = c.age(value, now) || aged
		case "expires":
			if t, err := http.ParseTime(strings.ReplaceAll(value, "-", " ")); err == nil && !aged {
				c.Expires = earlier(t, now.Add(maxAge))
			}
		}
	}
	return ok
}

func (c *Cookie) path(value string) {
	if strings.HasPrefix(value, "/") {
		c.Path, c.pathWritten = value, true
	}
}

// domain widens the cookie to a parent domain; a foreign one, or a public suffix, is refused.
func (c *Cookie) domain(value string) bool {
	value = strings.ToLower(strings.TrimPrefix(value, "."))
	if value == "" {
		return true
	}
	host := c.Domain
	if !domainMatch(host, value) || value != host && !strings.Contains(value, ".") {
		return false
	}
	c.HostOnly, c.Domain = false, value
	return true
}

// age applies Max-Age, which beats Expires wherever it stands.
func (c *Cookie) age(value string, now time.Time) bool {
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false
	}
	life := time.Duration(min(seconds, int64(maxAge/time.Second))) * time.Second
	c.Expires = now.Add(life)
	if seconds <= 0 {
		c.Expires = time.Unix(0, 1)
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func sameSiteWord(value string) string {
	switch strings.ToLower(value) {
	case "strict":
		return "Strict"
	case "none":
		return "None"
	}
	return "Lax"
}

func domainMatch(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain) && net.ParseIP(host) == nil
}

func pathMatch(path, cookiePath string) bool {
	if path == "" {
		path = "/"
	}
	if !strings.HasPrefix(path, cookiePath) {
		return false
	}
	return len(path) == len(cookiePath) || strings.HasSuffix(cookiePath, "/") || path[len(cookiePath)] == '/'
}

func defaultPath(path string) string {
	if i := strings.LastIndex(path, "/"); i > 0 {
		return path[:i]
	}
	return "/"
}
