package server_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/server"
	"cloakroom/server/config"
)

// behind is a server that trusts some networks.
func behind(t *testing.T, proxies string) *server.Server {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(keyed(t), "cloakroom.yaml"), []byte(`
public: {listen: "127.0.0.1:0", trusted_proxies: `+proxies+`}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: "http://127.0.0.1:1"}
apps:
  web: {kind: spa, origin: "https://app.example.com", provider: main, client_id: c, client_secret: a-secret-of-some-length-for-the-app}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// The frontend is who spoke to the first trusted proxy of the chain, read from its end; nothing else is believed.
//
// shows PRX-FWD (trusted hops), OPS-1 (whom a limit counts)
func TestWhoTheFrontendIs(t *testing.T) {
	const proxies = `[10.0.0.0/8, "2001:db8:aa::/48", 192.0.2.7/32]`
	s := behind(t, proxies)
	nobody := behind(t, "[]")
	for _, row := range []struct {
		what, peer string
		fields     []string // of X-Forwarded-For
		want       string
	}{
		{"a request without the field", "10.0.0.1:1", nil, "10.0.0.1"},
		{"an entry by a trusted proxy", "10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"an entry that the frontend wrote itself", "10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		{"entries that name a trusted proxy, written by the frontend", "10.0.0.1:1", []string{"198.51.100.1, 10.0.0.2, 203.0.113.9"}, "203.0.113.9"},
		{"two trusted proxies", "10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"three of two networks", "10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9, 192.0.2.7, 2001:db8:aa::5"}, "203.0.113.9"},
		{"a chain of trusted proxies alone", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"several fields", "10.0.0.1:1", []string{"198.51.100.1", "203.0.113.9, 10.0.0.3", "10.0.0.2"}, "203.0.113.9"},
		{"several fields, the last of the frontend's own proxy", "10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		{"an untrusted peer", "198.51.100.7:1", []string{"203.0.113.9"}, "198.51.100.7"},
		{"an untrusted peer that names trusted proxies", "198.51.100.7:1", []string{"203.0.113.9, 10.0.0.1"}, "198.51.100.7"},
		{"a neighbour of a trusted address", "192.0.2.8:1", []string{"203.0.113.9"}, "192.0.2.8"},
		{"a peer by IPv6", "[2001:db8:aa::1]:1", []string{"2001:db8:bb::9"}, "2001:db8:bb::9"},
		{"an untrusted peer by IPv6", "[2001:db8:ab::1]:1", []string{"203.0.113.9"}, "2001:db8:ab::1"},
		{"a trusted peer written as IPv6", "[::ffff:10.0.0.1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"an entry written as IPv6", "10.0.0.1:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"a trusted entry written as IPv6", "10.0.0.1:1", []string{"203.0.113.9, ::ffff:10.0.0.2"}, "203.0.113.9"},
		{"an entry with a port", "10.0.0.1:1", []string{"203.0.113.9:54321"}, "203.0.113.9"},
		{"IPv6 in brackets", "10.0.0.1:1", []string{"[2001:db8::9]"}, "2001:db8::9"},
		{"IPv6 in brackets with a port", "10.0.0.1:1", []string{"[2001:db8::9]:443"}, "2001:db8::9"},
		{"IPv6 with a zone", "10.0.0.1:1", []string{"fe80::9%eth0"}, "fe80::9"},
		{"blanks and empty entries", "10.0.0.1:1", []string{" , 203.0.113.9 ,, ", "\t10.0.0.2"}, "203.0.113.9"},
		{"an empty field", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"garbage", "10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		{"garbage before an address", "10.0.0.1:1", []string{"'; drop, 203.0.113.9"}, "203.0.113.9"},
		{"garbage behind a trusted hop", "10.0.0.1:1", []string{"203.0.113.9, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"garbage at the end", "10.0.0.1:1", []string{"203.0.113.9, 10.0.0.2, x"}, "10.0.0.1"},
		{"a name", "10.0.0.1:1", []string{"localhost"}, "10.0.0.1"},
		{"a network", "10.0.0.1:1", []string{"203.0.113.0/24"}, "10.0.0.1"},
		{"an address with zeros in front", "10.0.0.1:1", []string{"203.0.113.009"}, "10.0.0.1"},
		{"a bracket too few", "10.0.0.1:1", []string{"[2001:db8::9"}, "10.0.0.1"},
		{"an entry of Forwarded", "10.0.0.1:1", []string{"for=203.0.113.9"}, "10.0.0.1"},
		{"a very long chain", "10.0.0.1:1", []string{strings.Repeat("198.51.100.1, ", 1000) + "203.0.113.9"}, "203.0.113.9"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = row.peer, row.fields
		for _, name := range []string{
			"Forwarded", "X-Real-Ip", "True-Client-Ip", "X-Client-Ip", "Cf-Connecting-Ip", "X-Forwarded", "X-Cluster-Client-Ip", "X_Forwarded_For",
		} {
			r.Header.Set(name, "for=192.0.2.99, 192.0.2.99") // which nobody ever is
		}
		if got := s.ClientAddress(r); got != row.want {
			t.Errorf("%s: the frontend is %s, want %s", row.what, got, row.want)
		}
		peer := http.Request{RemoteAddr: row.peer, Header: http.Header{}}
		if got, want := nobody.ClientAddress(r), nobody.ClientAddress(&peer); got != want {
			t.Errorf("%s, where nobody is trusted: the frontend is %s, want the peer %s", row.what, got, want)
		}
	}
}
