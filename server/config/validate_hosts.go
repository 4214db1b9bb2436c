package config

import (
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// validateHosts refuses two surfaces on one host: the Host field of a request is
// all that tells apps apart, and the native surface never shares a browser app's.
func (r *report) validateHosts(c *Config) {
	owner := map[string]string{}
	if native := r.nativeApp(c); native != "" {
		if !r.need("public.url", c.Public.URL, "the native surface of "+native+" lives there") {
			return
		}
		if u, wrong := origin(c.Public.URL); wrong == "" {
			owner[hostKey(u)] = "public.url"
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.Apps)) {
		u, wrong := origin(c.Apps[id].Origin)
		if wrong != "" || c.Apps[id].Native() {
			continue
		}
		if other := owner[hostKey(u)]; other != "" {
			r.add(join(join("apps", id), "origin"), "the host of %s too; give each its own", other)
		}
		owner[hostKey(u)] = join("apps", id)
	}
}

// nativeApp is the path of the first native app, empty if there is none.
func (r *report) nativeApp(c *Config) string {
	for _, id := range slices.Sorted(maps.Keys(c.Apps)) {
		if c.Apps[id].Native() {
			return join("apps", id)
		}
	}
	return ""
}

// validateSecrets refuses one secret for two apps and secrets out of a manual
// (RFC 9700 section 2.5; ASVS 13.2.3).
func (r *report) validateSecrets(c *Config) {
	ids := slices.Sorted(maps.Keys(c.Apps))
	for i, id := range ids {
		secret, here := c.Apps[id].ClientSecret, r.asWritten(join("apps", id), "client_secret", "client_secret_file")
		switch text := secret.Reveal(); {
		case !secret.IsSet():
		case exampleSecret(text):
			r.add(here, "an example, not a secret; write the one the provider gave this app")
		case len(text) < leastSecret:
			r.add(here, "too short for a secret; let the provider make one of %d characters or more", leastSecret)
		case strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0:
			r.add(here, "more than one line, or control characters; write the secret alone")
		}
		for _, other := range ids[:i] {
			if secret.IsSet() && secret.Equal(c.Apps[other].ClientSecret) {
				r.add(here, "the secret of app %s too; each app is a client of its own", other)
			}
		}
	}
}

// leastSecret is no strength but a bound below which a text is no secret at all.
const leastSecret = 8

// exampleSecret recognises what manuals write where a secret belongs, whatever
// its case and separators.
func exampleSecret(text string) bool {
	plain := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "", "<", "", ">", "", ".", "").Replace(text))
	return slices.Contains([]string{
		"changeme", "changeit", "secret", "password", "passw0rd", "example",
		"examplesecret", "clientsecret", "yourclientsecret", "yourclientid", "yoursecret", "mysecret", "topsecret",
		"supersecret", "replaceme", "placeholder", "insertsecrethere", "todo", "test", "testsecret", "12345678",
		"123456789", "1234567890", "xxxxxxxx",
	}, plain)
}

// validateClients refuses two apps that are one client: a logout token and a
// session would not tell which of them is meant.
func (r *report) validateClients(c *Config) {
	owner := map[[2]string]string{}
	for _, id := range slices.Sorted(maps.Keys(c.Apps)) {
		a := c.Apps[id]
		client := [2]string{a.Provider, a.ClientID}
		if other := owner[client]; other != "" && a.ClientID != "" {
			r.add(join(join("apps", id), "client_id"), "the client of app %s too; register each app by itself", other)
		}
		owner[client] = id
	}
}

// privateScheme is a reverse domain name (RFC 8252 section 7.1): at least one
// dot, which also keeps javascript:, data: and the like out.
const privateScheme = `^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+$`

// redirectURI says what is wrong with a native app's redirect (RFC 8252 section
// 7); it is matched as it stands, so nothing in it is repaired.
func redirectURI(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsAny(text, " \\*"):
		return "no URI; write it in full and without wildcards, as com.example.app:/signed-in"
	case u.Scheme == "":
		return "no scheme; write it in full, as com.example.app:/signed-in"
	case !strings.HasPrefix(text, u.Scheme):
		return "capitals in the scheme; write it in lower case"
	case u.User != nil || strings.Contains(text, "#"):
		return "holds a user name or a fragment; remove it (RFC 6749 section 3.1.2)"
	case clashing(u.Query()):
		return "its query holds a parameter of the answer (code, state, iss, error); remove it"
	case u.Scheme == "https":
		return claimed(u)
	case u.Scheme == "http":
		return loopbackRedirect(u)
	}
	return private(u)
}

func clashing(query url.Values) bool {
	return query.Has("code") || query.Has("state") || query.Has("iss") || query.Has("error")
}

// claimed takes a host that a system can hand to one app alone: at an address
// of this machine any program may listen, and nobody would be asked (RFC 8252
// section 8.6).
func claimed(u *url.URL) string {
	switch host := u.Hostname(); {
	case host == "" || !goodPort(u):
		return "no host; a claimed https address has one"
	case loopback(host), net.ParseIP(host) != nil:
		return "no domain name, so no system hands it to one app alone; write a host that your app claims, or a private scheme"
	}
	return ""
}

// loopbackRedirect takes the two addresses alone: localhost may resolve to
// another interface (RFC 8252 sections 7.3 and 8.3).
func loopbackRedirect(u *url.URL) string {
	switch host := u.Hostname(); {
	case host == "localhost":
		return "localhost may resolve elsewhere; write http://127.0.0.1 or http://[::1] (RFC 8252 section 8.3)"
	case host != "127.0.0.1" && host != "::1":
		return "plain http beyond this machine; write https, 127.0.0.1 or a private scheme"
	case !goodPort(u):
		return "a port that does not exist; leave it out, any port matches"
	}
	return ""
}

func private(u *url.URL) string {
	switch {
	case !regexp.MustCompile(privateScheme).MatchString(u.Scheme):
		return "a private scheme has to be a domain of yours in reverse, as com.example.app:/signed-in (RFC 8252 section 7.1)"
	case u.Opaque != "" || u.Path == "" && u.Host == "":
		return "no path; write one slash and a path after the scheme, as com.example.app:/signed-in"
	}
	return ""
}
