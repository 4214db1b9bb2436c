//go:build integration

package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/test/world"
)

// from sends one request from an address of this machine, and returns its answer.
func (p *probe) from(t *testing.T, local, target string, lines ...string) reply {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	conn, err := dialer.Dial("tcp", p.in.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	lines = append([]string{"Host: " + appHost, "Connection: close"}, lines...)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\n%s\r\n\r\n", target, strings.Join(lines, "\r\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body strings.Builder
	if _, err := bufio.NewReader(resp.Body).WriteTo(&body); err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, body.String()}
}

// Whom a limit counts, and what the API is told of the frontend, follows from trusted proxies alone: whoever makes fields up
// at each request stays who it is, and two frontends behind one proxy are two.
//
// shows PRX-FWD (limits), OPS-1, PREFETCH-1 (limited, behind a proxy)
func TestWhomLimitsCountBehindProxies(t *testing.T) {
	t.Parallel()
	const proxy, stranger, burst = "127.0.0.3", "127.0.0.4", 5
	p := &probe{World: world.New(t, world.DevProvider, world.Options{
		Routes: `  - {path: /few/, upstream: "http://127.0.0.1:1", methods: [GET], token: none, limits: [{by: address, count: 5, per: 24h}]}`,
		More:   "limits: {sign_in: {count: 1, per: 1h, burst: 5}}",
	})}
	p.in = p.Start(1, "CLOAKROOM_PUBLIC__TRUSTED_PROXIES=127.0.0.3/32,10.0.0.0/8,2001:db8:aa::/48")[0]
	for _, row := range []struct {
		what, peer string
		fields     func(i int) []string
		limited    bool // all of the requests are one frontend's
	}{
		{"a frontend behind the proxy", proxy, func(int) []string { return []string{"X-Forwarded-For: 203.0.113.1"} }, true},
		{"one that writes another address at each request", proxy, func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 198.51.100.%d, 203.0.113.2", i)}
		}, true},
		{"one that writes it in a field of its own", proxy, func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i), "X-Forwarded-For: 203.0.113.3"}
		}, true},
		{"one that names trusted proxies", proxy, func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 198.51.100.%d, 10.0.0.%d, 203.0.113.4, 10.0.0.9", i, i)}
		}, true},
		{"one that writes garbage", proxy, func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: ', -- %d, {}, 203.0.113.5", i)}
		}, true},
		{"one with another port at each request", proxy, func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 203.0.113.6:%d", 10_000+i)}
		}, true},
		{"one with another IPv6 address of its /64 at each request", proxy, func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 2001:db8:1:2::%d, 2001:db8:aa::1", i)}
		}, true},
		{"one that writes every other field", proxy, func(i int) []string {
			at := fmt.Sprintf("198.51.100.%d", i)
			return []string{
				"X-Forwarded-For: 203.0.113.7", "Forwarded: for=" + at, "X-Real-IP: " + at, "True-Client-IP: " + at, "X-Client-IP: " + at,
				"CF-Connecting-IP: " + at, "X_Forwarded_For: " + at, "X-Original-Forwarded-For: " + at, "X-Cluster-Client-IP: " + at,
			}
		}, true},
		{"many frontends behind the proxy", proxy, func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i)}
		}, false},
		{"a stranger that says it is a proxy", stranger, func(i int) []string {
			return []string{fmt.Sprintf("X-Forwarded-For: 192.0.2.%d, 10.0.0.1", 100+i)}
		}, true},
	} {
		for target, ok := range map[string]int{"/bff/login": 303, "/few/x": 0} {
			statuses := map[int]int{}
			for i := range burst + 4 {
				statuses[p.from(t, row.peer, target, with(opened, row.fields(i)...)...).Status]++
			}
			passed := burst + 4 - statuses[429]
			if ok != 0 && statuses[ok] != passed {
				t.Errorf("%s at %s: %v", row.what, target, statuses)
			}
			if want := map[bool]int{true: burst, false: burst + 4}[row.limited]; passed != want {
				t.Errorf("%s at %s: %d passed, want %d: %v", row.what, target, passed, want, statuses)
			}
		}
	}
}

// What the API is told of the frontend is the address that limits count, whatever fields came.
//
// shows PRX-FWD
func TestWhatTheAPIIsToldOfTheFrontend(t *testing.T) {
	t.Parallel()
	p := contract(t, "CLOAKROOM_PUBLIC__TRUSTED_PROXIES=127.0.0.3/32,10.0.0.0/8")
	for _, row := range []struct {
		what, peer string
		fields     []string
		told       string
	}{
		{"a chain of proxies", "127.0.0.3", []string{"X-Forwarded-For: 198.51.100.1, 203.0.113.9", "X-Forwarded-For: 10.0.0.2"}, "203.0.113.9"},
		{"a port", "127.0.0.3", []string{"X-Forwarded-For: 203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv6 in brackets", "127.0.0.3", []string{"X-Forwarded-For: [2001:db8::9]:4711"}, "2001:db8::9"},
		{"garbage", "127.0.0.3", []string{"X-Forwarded-For: 203.0.113.9, unknown"}, "127.0.0.3"},
		{"Forwarded alone", "127.0.0.3", []string{"Forwarded: for=203.0.113.9;proto=https;host=evil.example"}, "127.0.0.3"},
		{"a stranger", "127.0.0.4", []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9"}, "127.0.0.4"},
	} {
		got := p.from(t, row.peer, "/any/x", row.fields...)
		var m mirrored
		if err := json.Unmarshal([]byte(got.Body), &m); err != nil {
			t.Fatalf("%s: %v: %s", row.what, err, got.Body)
		}
		if told := m.Header.Values("X-Forwarded-For"); len(told) != 1 || told[0] != row.told || m.Header.Get("Forwarded") != "" {
			t.Errorf("%s: the API is told %v, want %s", row.what, m.Header, row.told)
		}
	}
}
