package dev_test

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev"
	"cloakroom/dev/provider"
	"cloakroom/test/websocket"
)

// as is the Authorization of a user who signed in so long ago.
func (w *world) as(sub string, ago time.Duration) string {
	return "Bearer " + w.token(provider.Signing{}, map[string]any{"sub": sub, "auth_time": w.clock.Now().Add(-ago).Unix()})
}

// order places one.
func (w *world) order(authorization, item string) (o dev.Order) {
	w.t.Helper()
	res, body := w.do("POST", "/api/orders", authorization, fmt.Sprintf(`{"item":%q,"quantity":12,"status":"shipped","id":"mine"}`, item))
	if err := json.Unmarshal([]byte(body), &o); err != nil || res.StatusCode != 201 {
		w.t.Fatalf("placing an order: %d %s", res.StatusCode, body)
	}
	return o
}

func TestAnOrderIsNumberedAndPlacedByTheAPI(t *testing.T) {
	w := start(t)
	want := dev.Order{ID: "ord_0001", Item: "coat", Quantity: 12, PlacedAt: w.clock.Now(), Status: "placed"}
	if diff := cmp.Diff(want, w.order(w.as("usr_1001", time.Hour), "coat")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a line of a list can hold is an order, and no more.
func TestWhatIsNoOrder(t *testing.T) {
	w := start(t)
	ada := w.as("usr_1001", 0)
	for _, row := range []struct {
		name, item string // an order with …
		quantity   int
		status     int
	}{
		{"no item", "", 1, 400},
		{"an item of one letter", "ü", 1, 201},
		{"an item of eighty letters", strings.Repeat("ü", 80), 1, 201},
		{"an item that is no line any more", strings.Repeat("ü", 81), 1, 400},
		{"no piece", "coat", 0, 400},
		{"999 pieces", "coat", 999, 201},
		{"1000 pieces", "coat", 1000, 400},
	} {
		text, _ := json.Marshal(map[string]any{"item": row.item, "quantity": row.quantity})
		if res, body := w.do("POST", "/api/orders", ada, string(text)); res.StatusCode != row.status || row.status == 400 && !strings.Contains(body, "invalid_order") {
			t.Errorf("an order with %s: %d %s", row.name, res.StatusCode, body)
		}
	}
	if res, _ := w.do("POST", "/api/orders", ada, `{"item":"coat","quantity":1,"x":"`+strings.Repeat("x", 64<<10)+`"}`); res.StatusCode != 400 {
		t.Errorf("an order of more than 64 KiB: %d", res.StatusCode)
	}
}

// RFC 9470 section 3: what is asked for is told by a challenge.
func TestARefundTakesASignInOfTheLastMinutes(t *testing.T) {
	w := start(t)
	const ada = "usr_1001"
	ask := func(id, authorization string) (*http.Response, string) {
		t.Helper()
		return w.do("POST", "/api/orders/"+id+"/refund", authorization, "")
	}
	coat := w.order(w.as(ada, 0), "coat")
	for _, row := range []struct {
		name, id, authorization, want string
		status                        int
	}{
		{"a sign-in of six minutes ago", coat.ID, w.as(ada, 6*time.Minute), `{"error":"insufficient_user_authentication"}`, 401},
		{"no time of the sign-in", coat.ID, "Bearer " + w.good(), `{"error":"insufficient_user_authentication"}`, 401},
		{"another user's sign-in", coat.ID, w.as("usr_1002", 0), `{"error":"unknown_order"}`, 404},
		{"an order that is none, and an old sign-in", "ord_9999", w.as(ada, time.Hour), `{"error":"unknown_order"}`, 404},
	} {
		res, body := ask(row.id, row.authorization)
		if res.StatusCode != row.status || strings.TrimSpace(body) != row.want {
			t.Errorf("a refund with %s: %d %s", row.name, res.StatusCode, body)
		}
		challenge := res.Header.Get("WWW-Authenticate")
		if strings.Contains(challenge, `Bearer error="insufficient_user_authentication"`) != (row.status == 401) ||
			strings.HasSuffix(challenge, ", max_age=300") != (row.status == 401) {
			t.Errorf("a refund with %s: challenge %q", row.name, challenge)
		}
	}
	var refunded dev.Order
	res, body := ask(coat.ID, w.as(ada, 5*time.Minute))
	if err := json.Unmarshal([]byte(body), &refunded); err != nil || res.StatusCode != 200 || refunded.ID != coat.ID || refunded.Status != "refunded" {
		t.Errorf("a refund in time: %d %s", res.StatusCode, body)
	}
	// Nobody is sent to sign in for what cannot be.
	if res, body := ask(coat.ID, w.as(ada, time.Hour)); res.StatusCode != 409 || !strings.Contains(body, `"already_refunded"`) {
		t.Errorf("a second refund: %d %s", res.StatusCode, body)
	}
}

// feedEvent is one message of the feed.
type feedEvent struct {
	Event string
	Order *dev.Order
}

// feed listens to a user's orders, and has heard hello.
func (w *world) feed(sub string) (next func() feedEvent, c *websocket.Conn) {
	w.t.Helper()
	addr := strings.TrimPrefix(w.url, "http://")
	c, resp := websocket.Open(w.t, addr, websocket.Handshake("x", "/api/orders/feed", "Authorization: "+w.as(sub, 0)))
	if resp.StatusCode != 101 {
		w.t.Fatalf("a feed: %s", resp.Status)
	}
	next = func() (e feedEvent) {
		w.t.Helper()
		if err := json.Unmarshal([]byte(c.Message(w.t)), &e); err != nil {
			w.t.Fatal(err)
		}
		return e
	}
	if e := next(); e.Event != "hello" || e.Order != nil {
		w.t.Fatalf("a feed begins with %+v", e)
	}
	return next, c
}

func TestTheFeedTellsWhatBecomesOfAnOrder(t *testing.T) {
	w := start(t)
	const ada, grace = "usr_1001", "usr_1002"
	one, _ := w.feed(ada)
	other, _ := w.feed(ada)
	coat := w.order(w.as(ada, 0), "coat")
	expect := func(status string) {
		t.Helper()
		for name, next := range map[string]func() feedEvent{"one": one, "the other": other} {
			if e := next(); e.Event != status || e.Order == nil || e.Order.ID != coat.ID || e.Order.Status != status {
				t.Errorf("%s feed says %s %+v, want %s", name, e.Event, e.Order, status)
			}
		}
	}
	expect("placed")
	w.clock.Move(5 * time.Second)
	expect("packed")
	w.clock.Move(5 * time.Second)
	expect("shipped")
	if res, body := w.do("POST", "/api/orders/"+coat.ID+"/refund", w.as(ada, 0), ""); res.StatusCode != 200 {
		t.Fatalf("a refund: %d %s", res.StatusCode, body)
	}
	expect("refunded")

	hers, _ := w.feed(grace)
	w.order(w.as(ada, 0), "a secret of Ada's")
	w.order(w.as(grace, 0), "hat")
	if e := hers(); e.Order == nil || e.Order.Item != "hat" {
		t.Errorf("Grace hears of %+v", e.Order)
	}
}

func TestTheWarehouseWorksWhileSomebodyListens(t *testing.T) {
	w := start(t)
	ada := w.as("usr_1001", 0)
	coat, gone := w.order(ada, "coat"), w.order(ada, "hat")
	if res, _ := w.do("POST", "/api/orders/"+gone.ID+"/refund", ada, ""); res.StatusCode != 200 {
		t.Fatal("a refund is refused")
	}
	w.clock.Move(30 * time.Second)
	ada = w.as("usr_1001", 0)
	if _, body := w.do("GET", "/api/orders", ada, ""); strings.Count(body, `"placed"`) != 1 || strings.Count(body, `"refunded"`) != 1 {
		t.Errorf("with nobody listening: %s", body)
	}
	next, _ := w.feed("usr_1001")
	for _, want := range []string{"packed", "shipped"} {
		if e := next(); e.Event != want || e.Order.ID != coat.ID {
			t.Errorf("got %s of %s, want %s of %s", e.Event, e.Order.ID, want, coat.ID)
		}
	}
	if _, body := w.do("GET", "/api/orders", ada, ""); strings.Count(body, `"shipped"`) != 1 || strings.Count(body, `"refunded"`) != 1 {
		t.Errorf("what is refunded is not shipped: %s", body)
	}
}

func TestAFeedTakesNoMessages(t *testing.T) {
	w := start(t)
	_, c := w.feed("usr_1001")
	c.Send(websocket.Text, "hello yourself")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, payload, err := c.Read(); err == nil && !strings.HasPrefix(payload, "\x03") { // a close frame of 1000 to 1023, or nothing
		t.Errorf("the feed answers %q", payload)
	}
}

// events reads an export's events until its end; left is called after so many.
func (w *world) events(authorization, query string, leaveAfter int) (all []string) {
	w.t.Helper()
	ctx, leave := context.WithCancel(w.t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/orders/export"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("an export: %s, %q", res.Status, res.Header.Get("Content-Type"))
	}
	event := ""
	for lines := bufio.NewScanner(res.Body); lines.Scan() && len(all) != leaveAfter; {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
		} else if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			all = append(all, event+" "+data)
		}
	}
	return all
}

// href is the address that an export ends with.
func href(t *testing.T, events []string) string {
	t.Helper()
	var ready struct{ Href string }
	data, ok := strings.CutPrefix(events[len(events)-1], "ready ")
	if err := json.Unmarshal([]byte(data), &ready); !ok || err != nil || !strings.HasPrefix(ready.Href, "/api/orders/export/") {
		t.Fatalf("an export ends with %q", events[len(events)-1])
	}
	return ready.Href
}

func TestAnExportTellsHowFarItIsAndHandsAFileOver(t *testing.T) {
	w := start(t)
	ada := w.as("usr_1001", 0)
	w.order(ada, `Coat, "winter"`)
	w.order(ada, `=HYPERLINK("http://evil.example")`)
	got := w.events(ada, "?ms=0", -1)
	if len(got) != 22 || got[0] != `progress {"done":0,"total":20}` || got[20] != `progress {"done":20,"total":20}` {
		t.Fatalf("%d events: %q", len(got), got)
	}
	address := href(t, got)
	res, body := w.do("GET", address, ada, "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/csv; charset=utf-8" || res.Header.Get("Cache-Control") != "no-store" ||
		res.Header.Get("Content-Disposition") != "attachment; filename=orders-2026-11-21.csv" {
		t.Errorf("the file: %s %v", res.Status, res.Header)
	}
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	want := [][]string{
		{"order", "item", "quantity", "placed at", "status"},
		{"ord_0001", `Coat, "winter"`, "12", "2026-11-21T12:00:00Z", "placed"},
		{"ord_0002", `'=HYPERLINK("http://evil.example")`, "12", "2026-11-21T12:00:00Z", "placed"},
	}
	if diff := cmp.Diff(want, rows); err != nil || diff != "" {
		t.Errorf("the file %v (-want +got):\n%s", err, diff)
	}

	for name, ask := range map[string]struct{ path, authorization string }{
		"another user":       {address, w.as("usr_1002", 0)},
		"another ending":     {strings.TrimSuffix(address, ".csv"), ada},
		"a name nobody gave": {"/api/orders/export/x.csv", ada},
	} {
		if res, body := w.do("GET", ask.path, ask.authorization, ""); res.StatusCode != 404 || strings.Contains(body, "Coat") {
			t.Errorf("the file asked for with %s: %d %s", name, res.StatusCode, body)
		}
	}
	w.clock.Move(10 * time.Minute)
	if res, _ := w.do("GET", address, w.as("usr_1001", 0), ""); res.StatusCode != 404 {
		t.Errorf("the file after ten minutes: %d", res.StatusCode)
	}
}

// No cell of a file that is opened in a spreadsheet is a formula, whatever separates cells in its language.
func TestNothingInAFileIsAFormula(t *testing.T) {
	w := start(t)
	ada := w.as("usr_1001", 0)
	typed := []string{
		"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\x00=1", "＝1+1", "＋1", "－1", "＠SUM(A1)", // begin as one
		`coat;=HYPERLINK("http://evil.example");x`, "coat\n=1", `coat","=1`, `"=1"`, // would begin a cell, or a line
	}
	for _, item := range typed {
		text, _ := json.Marshal(item)
		if res, body := w.do("POST", "/api/orders", ada, `{"quantity":1,"item":`+string(text)+`}`); res.StatusCode != 201 {
			t.Fatalf("%q: %d %s", item, res.StatusCode, body)
		}
	}
	_, body := w.do("GET", href(t, w.events(ada, "?ms=0", -1)), ada, "")
	for _, line := range strings.SplitAfter(strings.TrimSuffix(body, "\r\n"), "\r\n") {
		if !strings.HasPrefix(line, `"`) || !strings.HasSuffix(strings.TrimSuffix(line, "\r\n"), `"`) {
			t.Errorf("a line with a cell that is not in quotes: %q", line)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != len(typed)+1 {
		t.Fatalf("%d rows, %v:\n%s", len(rows), err, body)
	}
	for i, row := range rows[1:] {
		if want := strings.ReplaceAll(typed[i], "\r\n", "\n"); strings.TrimPrefix(row[1], "'") != want || strings.HasPrefix(row[1], "'") != (i < 12) {
			t.Errorf("%q is exported as %q", typed[i], row[1])
		}
	}
}

func TestAnExportThatIsLeftLeavesNothing(t *testing.T) {
	w := start(t)
	ada := w.as("usr_1001", 0)
	if got := w.events(ada, "?ms=1", 3); len(got) != 3 {
		t.Fatalf("left after three, got %q", got)
	}
	href(t, w.events(ada, "?ms=0", -1)) // anew, and to the end
	if res, _ := w.do("GET", "/api/orders/export?ms=-1", ada, ""); res.StatusCode != 400 {
		t.Errorf("ms=-1: %d", res.StatusCode)
	}
}

func TestFilesThatWereMadeFirstGoFirst(t *testing.T) {
	w := start(t)
	ada := w.as("usr_1001", 0)
	first := href(t, w.events(ada, "?ms=0", -1))
	second := href(t, w.events(ada, "?ms=0", -1))
	for range 199 { // of 200 that are kept
		w.events(ada, "?ms=0", -1)
	}
	for address, want := range map[string]int{first: 404, second: 200} {
		if res, _ := w.do("GET", address, ada, ""); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", address, res.StatusCode, want)
		}
	}
}

// However long the lists are, what is kept of them is bounded: what was made first goes first, and who came last has their file.
func TestFilesTakeNoMoreThanTheirRoom(t *testing.T) {
	w := start(t)
	ada := w.as("usr_1001", 0)
	ask := func(method, path, body string) string {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", ada)
		rw := httptest.NewRecorder()
		if w.api.ServeHTTP(rw, r); rw.Code >= 400 && rw.Code != 404 {
			t.Fatalf("%s %s: %d %s", method, path, rw.Code, rw.Body)
		}
		return rw.Body.String()
	}
	for range 1000 { // the longest list there is: 370 KB
		ask("POST", "/api/orders", `{"quantity":1,"item":"`+strings.Repeat("𐍈", 80)+`"}`)
	}
	var made []string
	for range 24 { // of which 8 MiB hold 22
		_, data, _ := strings.Cut(ask("GET", "/api/orders/export?ms=0", ""), "event: ready\ndata: ")
		made = append(made, href(t, []string{"ready " + strings.TrimSpace(data)}))
	}
	for i, want := range map[int]bool{0: false, 1: false, 2: true, 23: true} {
		if got := strings.Contains(ask("GET", made[i], ""), "ord_1000"); got != want {
			t.Errorf("file %d of 24 is kept: %t", i, got)
		}
	}
}
