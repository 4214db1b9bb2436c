package server_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"cloakroom/server"
	"cloakroom/test/websocket"
)

// limited is a gateway with limits on its routes, behind a proxy that tells addresses, and an API that counts what reaches it.
type limited struct {
	*phones
	hits atomic.Int64
}

func newLimited(t *testing.T) *limited {
	t.Helper()
	l := new(limited)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.hits.Add(1)
		switch r.URL.Path {
		case "/live":
			c := websocket.Take(w)
			c.Switch(r)
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprint(w, "data: 1\n\ndata: 2\n\n")
		default:
			_, _ = fmt.Fprint(w, "answer")
		}
	}))
	t.Cleanup(api.Close)
	l.phones = newPhones(t, server.Options{}, func(text string) string {
		text = strings.Replace(text, "public: {", "public: {trusted_proxies: [127.0.0.0/8], ", 1)
		// None comes back while a test runs.
		return text + fmt.Sprintf(`
  - {path: /session/, upstream: %[1]q, methods: [GET], apps: [phone, tablet], limits: [{by: session, count: 3, per: 1h}]}
  - {path: /route/, upstream: %[1]q, methods: [GET], apps: [phone, tablet], limits: [{by: route, count: 4, per: 1h, burst: 5}]}
  - {path: /address/, upstream: %[1]q, methods: [GET], token: none, limits: [{by: address, count: 4, per: 1h}]}
  - {path: /guests/, upstream: %[1]q, methods: [GET], token: user-or-none, limits: [{by: session, count: 2, per: 1h}]}
  - {path: /bought, upstream: %[1]q, methods: [GET], apps: [phone], limits: [{by: address, count: 9, per: 1h}]}
  - {path: /bought, upstream: %[1]q, methods: [GET], apps: [tablet], limits: [{by: address, count: 2, per: 1h}]}
  - {path: /two, upstream: %[1]q, methods: [GET], apps: [phone, tablet], limits: [{by: address, count: 4, per: 1h}, {by: session, count: 2, per: 1h}]}
  - {path: /live, upstream: %[1]q, methods: [GET], websocket: true, apps: [phone], limits: [{by: session, count: 2, per: 1h}]}
  - {path: /events, upstream: %[1]q, methods: [GET], apps: [phone], limits: [{by: session, count: 2, per: 1h}]}
`, api.URL)
	})
	return l
}

// passed sends n requests and counts those that were answered 200, all others must be refused in full.
func (l *limited) passed(path, from string, n int, fields ...string) (passed int) {
	l.t.Helper()
	for range n {
		before := l.hits.Load()
		res, text := l.call("GET", path, "", append([]string{"X-Forwarded-For", from}, fields...)...)
		after, err := strconv.Atoi(res.Header.Get("Retry-After"))
		switch {
		case res.StatusCode == 200 && l.hits.Load() == before+1:
			passed++
		case res.StatusCode != 429 || !strings.Contains(text, `"code":"rate_limited"`) || err != nil || after < 1 || after > 3600 ||
			l.hits.Load() != before || res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store":
			l.t.Errorf("%s: %d %v %s", path, res.StatusCode, res.Header, text)
		}
	}
	return passed
}

// shows OPS-1 (routes)
func TestLimitsOfRoutes(t *testing.T) {
	l := newLimited(t)
	ada, tablet, grace := l.signIn("phone", "ada@example.com"), l.signIn("tablet", "ada@example.com"), l.signIn("phone", "grace@example.com")
	const here, there = "203.0.113.1", "203.0.113.2"
	for _, row := range []struct {
		what, path, from string
		who              []string
		n, passed        int
	}{
		{"a session", "/session/a", here, ada.bearer(), 2, 2},
		{"the same session from another address and on another path", "/session/b", there, ada.bearer(), 3, 1},
		{"another user's session", "/session/a", here, grace.bearer(), 4, 3},
		{"another session of the same user", "/session/a", here, tablet.bearer(), 4, 3},

		{"a route", "/route/a", here, ada.bearer(), 3, 3},
		{"the same route by others", "/route/b", there, grace.bearer(), 4, 2},
		{"the same route, when all of it is used up", "/route/c", "203.0.113.3", tablet.bearer(), 1, 0},

		{"an address", "/address/a", here, nil, 3, 3},
		{"the same address with a handle that is not looked at", "/address/b", here, ada.bearer(), 3, 1},
		{"another address", "/address/a", there, nil, 5, 4},
		{"an address by IPv6", "/address/a", "2001:db8:1:2::1", nil, 2, 2},
		{"its neighbour in the same /64", "/address/a", "2001:db8:1:2:ffff::9", nil, 4, 2},
		{"an address in the next /64", "/address/a", "2001:db8:1:3::1", nil, 4, 4},
		{"an IPv4 address written as IPv6", "/address/a", "::ffff:203.0.113.1", nil, 1, 0},

		{"nobody where nobody need be anybody", "/guests/a", here, nil, 3, 2},
		{"nobody from elsewhere", "/guests/a", there, nil, 3, 2},
		{"somebody there, from the address of nobody", "/guests/a", here, ada.bearer(), 3, 2},
		{"somebody else", "/guests/a", here, grace.bearer(), 3, 2},

		{"the app whose route came first", "/bought", here, ada.bearer(), 5, 5},
		{"the other app on the same path", "/bought", there, tablet.bearer(), 3, 2},

		{"a session beside a limit by address", "/two", here, ada.bearer(), 3, 2},
		{"another session, for which the address has one left", "/two", here, grace.bearer(), 2, 1},
		{"the same from another address", "/two", there, grace.bearer(), 2, 1},
	} {
		if got := l.passed(row.path, row.from, row.n, row.who...); got != row.passed {
			t.Errorf("%s: %d of %d passed, want %d", row.what, got, row.n, row.passed)
		}
	}
	if log := l.log.String(); !strings.Contains(log, `"code":"rate_limited"`) || !strings.Contains(log, `"session":"`+ada.Session.ID+`","status":429`) {
		t.Error("the log does not tell whose request was too many")
	}
}

// A limit by address is asked before the credential: whoever has used it up makes nobody look at a handle, and a good handle
// is no way past it.
func TestAnAddressIsLimitedBeforeTheCredential(t *testing.T) {
	l := newLimited(t)
	const from = "203.0.113.1"
	for i := range 12 {
		res, text := l.call("GET", "/two", "", "X-Forwarded-For", from, "Authorization", "Bearer clk_x")
		if want := map[bool]int{true: 401, false: 429}[i < 4]; res.StatusCode != want {
			t.Fatalf("request %d with a bad handle: %d, want %d: %s", i, res.StatusCode, want, text)
		}
	}
	if got := l.passed("/two", from, 1, l.signIn("phone", "ada@example.com").bearer()...); got != 0 {
		t.Error("a good handle passes where the address may not")
	}
	if got := strings.Count(l.log.String(), `"event":"credential_refused"`); got > 4 {
		t.Errorf("%d handles were looked at", got)
	}
}

// A navigation is told by a page, a script by a problem.
func TestHowALimitIsTold(t *testing.T) {
	l := newLimited(t)
	l.passed("/address/a", "203.0.113.1", 4)
	const web = "GET /address/a HTTP/1.1\nHost: app.example.com\nX-Forwarded-For: 203.0.113.1\n"
	res, text := l.ask(web + "Sec-Fetch-Mode: navigate\nSec-Fetch-Site: none\nSec-Fetch-Dest: document\nAccept: text/html")
	if res.StatusCode != 429 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || !strings.Contains(text, "rate_limited") || res.Header.Get("Retry-After") == "" {
		t.Errorf("a navigation: %d %v %s", res.StatusCode, res.Header, text)
	}
	if strings.Contains(text, "/bff/login") {
		t.Errorf("a sign-in would change nothing: %s", text)
	}
	res, text = l.ask(web + "Sec-Fetch-Mode: cors\nSec-Fetch-Site: same-origin\nX-CSRF: 1")
	if res.StatusCode != 429 || res.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(text, `"retry_after":`) {
		t.Errorf("a script: %d %v %s", res.StatusCode, res.Header, text)
	}
}

// A WebSocket and an event stream count once, when they begin: what is sent in them does not, and one that is too many
// reaches no API.
func TestLimitsOfStreams(t *testing.T) {
	l := newLimited(t)
	h := l.signIn("phone", "ada@example.com")
	shake := func() int {
		_, res := websocket.Open(t, l.addr, websocket.Handshake("gw.example.com", "/live", "Authorization: Bearer "+h.Access))
		return res.StatusCode
	}
	if a, b, c := shake(), shake(), shake(); a != 101 || b != 101 || c != 429 || l.hits.Load() != 2 {
		t.Errorf("handshakes %d %d %d, %d at the API, want two of 101, then 429", a, b, c, l.hits.Load())
	}
	for i := range 3 {
		c := l.open("GET /events HTTP/1.1\nHost: gw.example.com\nAuthorization: Bearer " + h.Access + "\n\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if want := map[bool]int{true: 200, false: 429}[i < 2]; res.StatusCode != want {
			t.Errorf("event stream %d: %d, want %d", i, res.StatusCode, want)
		}
	}
}

// shows OPS-1
func TestWhomALimitCounts(t *testing.T) {
	for _, same := range [][2]string{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"},
		{"fe80::1%eth0", "fe80::2%eth1"},
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.1", "::ffff:192.0.2.1"},
		{"192.0.2.1", "64:ff9b::192.0.2.1"},
	} {
		if a, b := server.AddressBlock(same[0]), server.AddressBlock(same[1]); a != b {
			t.Errorf("%s counts as %s, %s as %s", same[0], a, same[1], b)
		}
	}
	for _, other := range [][2]string{
		{"2001:db8:1:2::1", "2001:db8:1:3::1"}, {"192.0.2.1", "192.0.2.2"}, {"::ffff:192.0.2.1", "::ffff:192.0.2.2"}, {"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"},
	} {
		if a, b := server.AddressBlock(other[0]), server.AddressBlock(other[1]); a == b {
			t.Errorf("%s and %s both count as %s", other[0], other[1], a)
		}
	}
}
