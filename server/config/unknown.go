package config

import (
	"fmt"
	"strings"
)

// unknown refuses a key that no field has, with the reason where people are
// known to look for such a key.
func (d decoder) unknown(v *value, path, key string, known []field) {
	here := join(path, key)
	if pointed := pointedAt(key); pointed != "" {
		for _, sub := range v.keys { // cookie: {domain: …} is reported where the domain stands
			d.addAt(v.fields[sub].at, join(here, sub), "%s", pointed)
		}
		if len(v.keys) == 0 {
			d.addAt(v.at, here, "%s", pointed)
		}
		return
	}
	d.addAt(v.at, here, "unknown key%s", suggestion(key, known))
}

// pointedAt says why a key that other gateways have does not exist here.
func pointedAt(key string) string {
	switch key {
	case "response_type", "response_types", "response_mode", "grant_type", "grant_types", "implicit":
		// RFC 9700 sections 2.1.2 and 2.4: no implicit and no password grant; the
		// browser-based apps draft, section 6.1.3.1: the code grant only.
		return "there is no choice: only the authorization code grant with PKCE is used; delete the key"
	case "cookie", "cookies", "cookie_name", "cookie_domain", "cookie_path", "domain":
		// The __Host- prefix demands Path=/ and no Domain (RFC 6265bis section
		// 4.1.3.2); browsers drop a cookie that breaks this.
		return "there is no choice: the cookie is __Host-Http-<app> with Path=/ and no Domain; delete the key"
	case "secure", "http_only", "httponly":
		return "there is no choice: cookies are always Secure and HttpOnly; delete the key"
	case "insecure_skip_verify", "skip_verify", "tls_skip_verify":
		return "certificates are always checked; name the authority in ca_file"
	case "secret", "app_secret", "shared_secret", "secret_file", "app_secret_file", "shared_secret_file":
		// RFC 8252 section 8.5: whoever has the app has its secret.
		return "there is no such thing: what is shipped in an app proves nothing, and a native app names itself by its id alone; " +
			"the gateway's own at the provider is client_secret"
	case "public_client":
		return "every app is a confidential client; register it with a secret and delete the key"
	}
	return ""
}

// suggestion names the key that was probably meant, or all there are.
func suggestion(key string, known []field) string {
	best, least := "", 3 // more than two slips of the finger are another word
	var names []string
	for _, f := range known {
		for _, name := range []string{f.key, f.file} {
			if name == "" {
				continue
			}
			names = append(names, name)
			if n := distance(key, name); n < least {
				best, least = name, n
			}
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %s?", best)
	}
	return "; known here are " + strings.Join(names, ", ")
}

// distance is Levenshtein's, over bytes: how many letters were added, lost or
// changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
