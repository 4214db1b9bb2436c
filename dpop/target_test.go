package dpop_test

import (
	"testing"

	"cloakroom/dpop"
	"cloakroom/test/prover"
)

// shows DPOP-4.3-9
func TestAddressWith(t *testing.T) {
	tests := []struct {
		name, claimed, real string
		same                bool
	}{
		{"nothing odd", address, address, true},
		{"the default port", "https://gw.example.com:443/api/orders", address, true},
		{"an empty port", "https://gw.example.com:/api/orders", address, true},
		{"the default port of http", "http://gw.example.com:80/x", "http://gw.example.com/x", true},
		{"a default port that is the real one's", "https://gw.example.com/x", "https://gw.example.com:443/x", true},
		{"the host in capitals", "https://GW.Example.COM/api/orders", address, true},
		{"the scheme in capitals", "HTTPS://gw.example.com/api/orders", address, true},
		{"an escape that needs none", "https://gw.example.com/%61pi/orders", address, true},
		{"an escaped tilde", "https://gw.example.com/%7Eme", "https://gw.example.com/~me", true},
		{"an escaped tilde in lower case", "https://gw.example.com/~me", "https://gw.example.com/%7eme", true},
		{"an escape at its end", "https://gw.example.com/me%7e", "https://gw.example.com/me~", true},
		{"an escape in lower case", "https://gw.example.com/a%c3%a4%2fb", "https://gw.example.com/a%C3%A4%2Fb", true},
		{"no path for the root", "https://gw.example.com", "https://gw.example.com/", true},
		{"no path and a query", "https://gw.example.com?a=/b", "https://gw.example.com/", true},
		{"dot segments", "https://gw.example.com/x/../api/./orders", address, true},
		{"escaped dot segments", "https://gw.example.com/x/%2e%2E/api/orders", address, true},
		{"more dots than folders", "https://gw.example.com/../../api/orders", address, true},
		{"a dot at its end", "https://gw.example.com/api/.", "https://gw.example.com/api/", true},
		{"two dots at its end", "https://gw.example.com/api/x/..", "https://gw.example.com/api/", true},
		{"dots in names", "https://gw.example.com/.a/..b/...", "https://gw.example.com/.a/..b/...", true},
		{"dots over an empty segment", "https://gw.example.com/a//../b", "https://gw.example.com/a/b", true},
		{"a query", address + "?page=2", address, true},
		{"a fragment", address + "#top", address, true},
		{"a query and a fragment with all in it", address + "?a=%zz&b=//x/../#?@:%", address, true},
		{"a query of the real one", address, address + "?page=2", true},
		{"an address in brackets", "http://[::1]:8080/x", "http://[::1]:8080/x", true},
		{"an address in brackets without its default port", "http://[FE80::1]/x", "http://[fe80::1]:80/x", true},
		{"what scripts leave unescaped", "https://gw.example.com/a|b[1]", "https://gw.example.com/a%7cb[1]", true},
		{"letters that are not of ASCII", "https://gw.example.com/ä b", "https://gw.example.com/%C3%A4%20b", true},
		{"marks that may stand plainly", "https://gw.example.com/a!$&'()*+,;=:@b", "https://gw.example.com/a!$&'()*+,;=:@b", true},

		{"another host", "https://evil.example.com/api/orders", address, false},
		{"a host before it", "https://x.gw.example.com/api/orders", address, false},
		{"a host behind it", "https://gw.example.com.evil.example/api/orders", address, false},
		{"a host with a dot at its end", "https://gw.example.com./api/orders", address, false},
		{"an escaped host", "https://gw%2Eexample.com/api/orders", address, false},
		{"a sign for kelvin in its host", "https://\u212aiosk.example.com/x", "https://kiosk.example.com/x", false},
		{"another scheme", "http://gw.example.com/api/orders", address, false},
		{"the port of another scheme", "https://gw.example.com:80/api/orders", address, false},
		{"another scheme with the port", "http://gw.example.com:443/api/orders", address, false},
		{"another port", "https://gw.example.com:8443/api/orders", address, false},
		{"a port with a zero before it", "https://gw.example.com:0443/api/orders", address, false},
		{"two ports", "https://gw.example.com:443:443/api/orders", address, false},
		{"another path", "https://gw.example.com/api/order", address, false},
		{"a longer path", "https://gw.example.com/api/orders/1", address, false},
		{"a slash at its end", "https://gw.example.com/api/orders/", address, false},
		{"two slashes", "https://gw.example.com//api/orders", address, false},
		{"the path in another case", "https://gw.example.com/API/orders", address, false},
		{"an escaped slash", "https://gw.example.com/api%2Forders", address, false},
		{"an escaped mark that may mean something", "https://gw.example.com/a%2Bb", "https://gw.example.com/a+b", false},
		{"an escaped percent sign", "https://gw.example.com/a%25b", "https://gw.example.com/a%b", false},
		{"an escape twice over", "https://gw.example.com/%2561pi/orders", address, false},
		{"an escaped question mark", "https://gw.example.com/api/orders%3Fa", address, false},
		{"a user", "https://gw.example.com@gw.example.com/api/orders", address, false},
		{"a user of that name", "https://gw.example.com:443@evil.example.com/api/orders", address, false},
		{"an empty user", "https://@gw.example.com/api/orders", address, false},
		{"a backslash", `https://gw.example.com\@evil.example.com/api/orders`, address, false},
		{"backslashes for slashes", `https:\\gw.example.com\api\orders`, address, false},
		{"an escape that is none", "https://gw.example.com/api/orders%", address, false},
		{"an escape with one digit", "https://gw.example.com/api/orders%2", address, false},
		{"an escape with other digits", "https://gw.example.com/api/orders%2x", address, false},
		{"an escape with another second digit in both", "https://gw.example.com/%2x", "https://gw.example.com/%2x", false},
		{"an escape with another first digit in both", "https://gw.example.com/%x2", "https://gw.example.com/%x2", false},
		{"escapes that are none in both", "https://gw.example.com/%zz", "https://gw.example.com/%zz", false},
		{"a space before it", " " + address, address, false},
		{"a space behind it", address + " ", address, false},
		{"a line break in its host", "https://gw.example.com\n/api/orders", address, false},
		{"a path alone", "/api/orders", address, false},
		{"no scheme", "//gw.example.com/api/orders", address, false},
		{"no host", "https:///api/orders", address, false},
		{"no host in both", "https:///api/orders", "https:///api/orders", false},
		{"one slash", "https:/gw.example.com/api/orders", address, false},
		{"a query that holds it", "https://evil.example.com/?" + address, address, false},
		{"a fragment that holds it", "https://evil.example.com/#" + address, address, false},
		{"a scheme that nobody has a port for", "app://gw.example.com/x", "app://gw.example.com/x", false},
		{"something else", "null", address, false},
	}
	p := fixed()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := dpop.Request{Method: "GET", URL: tt.real, Handle: handle, Now: moment}
			text := p.Proof("GET", address, handle, prover.URL(tt.claimed))
			if tt.same {
				mustHold(t, text, r)
				return
			}
			mustBreak(t, "htu", r, text)
		})
	}
}
