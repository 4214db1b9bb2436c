package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// What a frontend sends under these names never reaches an API. There is no setting that lets one pass: an API that
// believes such a field believes whoever writes it, and on a route that is a page. What an app means to tell its API goes
// by a name that no gateway has for its users.

// ownFields are set by the gateway alone.
var ownFields = []string{
	"Authorization", "Cookie", "Forwarded", "Max-Forwards", "Via", "X-Forwarded-For", "X-Forwarded-Host",
	"X-Forwarded-Proto", "X-Request-Id",
}

// droppedFromRequests are names that are dropped besides ownFields; what begins like one of them is another field.
var droppedFromRequests = []string{
	// Credentials towards the gateway, and its own guard.
	"Dpop", "Dpop-Nonce", "X-Csrf",
	// RFC 9110 section 7.6.1, as far as ReverseProxy leaves or restores them.
	"Connection", "Upgrade", "Http2-Settings", "Te", "Trailer", "Transfer-Encoding", "Keep-Alive",
	// Who the client is, in the words of some load balancer: only Call says.
	"X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "Fastly-Client-Ip",
	"X-Client-Ip", "X-Cluster-Client-Ip", "X-Azure-Clientip", "X-Azure-Socketip", "Client-Ip", "X-Proxyuser-Ip",
	// Another address or method than the one that was matched.
	"X-Rewrite-Url", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Host", "X-Http-Host-Override",
	"Destination-Override", "X-Http-Path-Override",
}

// droppedFamilies are dropped with everything that goes on behind a dash: X-Original, and X-Original-Url.
var droppedFamilies = []string{
	"X-Forwarded", "X-Original", "X-Appengine",
	"Proxy",          // RFC 9110 section 11.7; and CGI would read Proxy as HTTP_PROXY and send its own calls there
	"X-Envoy", "L5d", // a mesh's own: by them a request says where it goes, and whose it is
}

// userFields and userFamilies are who the user is, in the words of some gateway: an API that stood behind one believes them
// (ASVS 4.1.3).
var (
	userFields = []string{
		"X-Authorization", "X-Userid", "X-Username", "X-Userinfo", "X-Useremail", "X-Email", "X-Group", "X-Groups", "X-Role",
		"X-Roles", "X-Subject", "X-Principal", "X-Scope-Orgid", "X-Rh-Identity", "X-Anonymous-Consumer", "X-Serverless-Authorization",
		"X-Apigateway-Api-Userinfo", "X-Endpoint-Api-Userinfo", "Auth-User", "Smuser", "Eppn",
		// The commonest of the families once more: UserFields knows a family by what came along, and another proxy may send little.
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
		"X-User-Id", "X-User-Name", "X-User-Email", "X-User-Groups", "X-User-Roles", "X-Remote-User", "X-Remote-Group", "Remote-User",
		"Remote-Groups", "Remote-Email", "Remote-Name", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups",
		"X-Webauth-User", "Impersonate-User", "Impersonate-Group",
		// Client certificates: what was checked, in the words of whoever ended TLS.
		"X-Arr-Clientcert", "X-Clientcert", "X-Client-Verify", "X-Client-Dn", "X-Client-Cn", "X-Client-S-Dn", "X-Client-I-Dn",
	}
	userFamilies = []string{
		"X-User", "X-Auth", "X-Authenticated", "X-Authentik", "X-Remote", "Remote", "X-Webauth", "X-Vouch", "X-Consumer",
		"X-Credential", "X-Jwt", "X-Access-Token", "X-Id-Token", "X-Pomerium", "X-Amzn-Oidc", "X-Amzn-Mtls", "X-Goog-Iap",
		"X-Goog-Authenticated", "Cf-Access", "X-Ms-Client-Principal", "X-Ms-Token", "Tailscale", "Teleport", "Ngrok-Auth",
		"Impersonate", "X-Impersonate", "Oidc", "Sm", "Oam", "Iv", "Cas", "Mellon", "Shib",
		// Client certificates (RFC 9440 section 2.4).
		"Client-Cert", "X-Client-Cert", "Cf-Client-Cert", "X-Ssl", "Ssl", "X-Tls", "Tls",
	}
)

// notUser begins like a user's field, and is what gRPC-Web calls its library.
const notUser = "X-User-Agent"

// spelledOnce are fields whose right spelling passes and whose odd spellings do not: a CGI-like API reads Content_Length
// as Content-Length.
var spelledOnce = []string{"Content-Length", "Content-Type", "Content-Encoding", "Host", "Origin", "Referer", "Traceparent"}

// droppedFields says which fields of a request never reach an API.
type droppedFields struct {
	exact    map[string]struct{} // canonical names
	odd      map[string]struct{} // what an odd spelling must not come out as
	families map[string]struct{}
}

// droppedFieldsOf collects the fixed names and the identity fields of all routes: also on a route without them nobody may
// send them, for two routes may lead to one API.
func droppedFieldsOf(routes []Route) droppedFields {
	d := droppedFields{
		exact:    setOf(ownFields, droppedFromRequests, userFields),
		families: setOf(droppedFamilies, userFamilies),
	}
	for _, r := range routes {
		for name := range r.IdentityHeaders {
			d.exact[canonical(name)] = struct{}{}
		}
	}
	d.odd = setOf(spelledOnce)
	for name := range d.exact {
		d.odd[name] = struct{}{}
	}
	return d
}

func setOf(lists ...[]string) map[string]struct{} {
	set := make(map[string]struct{})
	for _, name := range slices.Concat(lists...) {
		set[name] = struct{}{}
	}
	return set
}

// has reports whether a field, named as net/http spells it, is to be dropped. CGI, WSGI and their like turn every sign
// of a name into an underscore, so that X_Forwarded_For and X-Forwarded-For become one: odd spellings are judged by what
// they come out as.
func (d droppedFields) has(name string) bool {
	set := d.exact
	if strings.IndexFunc(name, isOddSign) >= 0 {
		name, set = canonical(name), d.odd
	}
	if _, ok := set[name]; ok {
		return true
	}
	return name != notUser && inFamily(d.families, name)
}

// inFamily reports whether a canonical name, or what of it stands before one of its dashes, is in a set.
func inFamily(families map[string]struct{}, name string) bool {
	for i := range len(name) {
		if name[i] != '-' {
			continue
		}
		if _, ok := families[name[:i]]; ok {
			return true
		}
	}
	_, ok := families[name]
	return ok
}

// UserFields returns the names under which a frontend could say to an API who its user is: those that are known by their
// names, and those in h that begin like one, sorted. They are for another proxy that can take fields out by name alone.
func UserFields(h http.Header) []string {
	names, families := slices.Concat(userFields, userFamilies), setOf(userFamilies)
	for name := range h {
		if plain := canonical(name); plain != notUser && inFamily(families, plain) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func isOddSign(c rune) bool {
	return c >= 0x80 || c != '-' && !isAlnum(byte(c))
}

// canonical spells a name with dashes for every sign, as net/http spells those.
func canonical(name string) string {
	return http.CanonicalHeaderKey(strings.Map(func(c rune) rune {
		if isOddSign(c) {
			return '-'
		}
		return c
	}, name))
}

// isOwnField reports whether the gateway, or framing, owns a field, so that no claim can go by its name.
func isOwnField(name string) bool {
	name = canonical(name)
	return slices.Contains(ownFields, name) || slices.Contains(spelledOnce, name) ||
		slices.Contains([]string{"Connection", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Keep-Alive"}, name)
}
