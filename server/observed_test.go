package server_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/collector"
	"cloakroom/test/leak"
)

// Everything that the docs promise to be seen from outside is seen in one life of a gateway: sign-ins and outs by browser
// and app, every outcome of a refresh, an outage of Redis, of the provider and of the collector; and nothing else is seen.
//
// shows LOG-1, LOG-2
func TestSeenFromOutside(t *testing.T) {
	o := newObserved(t)
	o.everyday()
	o.providerLogout()
	o.refreshes()
	o.redisOutage()
	o.refusals()
	o.administrator() // whoever signs in within two seconds of it is told to start anew
	o.providerOutage()
	o.collectorOutage()
	o.scrape()
	metrics := o.documentedMetrics()
	o.stop()
	o.tracesOfTheJourney()
	o.nobodyElseIsTold()
	o.linesOfTheJourney()
	o.eventsOfTheJourney()
	if diff := cmp.Diff(metrics, o.exposedMetrics()); diff != "" {
		t.Errorf("metrics (-docs +exposed):\n%s", diff)
	}
	if diff := cmp.Diff(o.documentedSpans(), o.exportedSpans()); diff != "" {
		t.Errorf("spans (-docs +exported):\n%s", diff)
	}
	o.nothingLeaks()
}

// everyday is a user's day: in, a call, a stream, many at once, out, and the same with an app.
func (o *observed) everyday() {
	b := o.signInBrowser()
	if status := o.fetch(b, "GET", "/api/whoami?code=in-the-query-of-a-call", "Traceparent", traceparent, "Tracestate", "vendor=opaque"); status != 200 {
		o.t.Fatalf("a call: %d", status)
	}
	var crowd sync.WaitGroup
	for range 30 { // over one connection to Redis: somebody waits
		crowd.Go(func() { o.fetch(b, "GET", "/api/orders") })
	}
	crowd.Wait()
	o.stream(b)
	o.events(b)
	o.webSocket(b)
	o.appToken(b)
	o.exchanged(b)
	o.logout(b)
	h := o.signIn("phone", "ada@example.com")
	for name, value := range map[string]string{"access handle": h.Access, "refresh handle": h.Refresh, "public name": h.Session.ID} {
		o.scan.Secret(name, value)
	}
	if res, text := o.call("GET", "/api/orders", "", h.bearer()...); res.StatusCode != 200 {
		o.t.Fatalf("an app's call: %d %s", res.StatusCode, text)
	}
	o.call("POST", "/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {h.Refresh}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// traceparent is what a frontend says of a trace of its own.
const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// stream holds an event stream open while the metrics are read.
func (o *observed) stream(b *browser.Browser) {
	o.t.Helper()
	ctx, leave := context.WithCancel(o.t.Context())
	defer leave()
	res, err := b.Open(ctx, browser.At(webOrigin+"/"), browser.Request{URL: webOrigin + "/api/stream", Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil || res.StatusCode != 200 {
		o.t.Fatalf("a stream: %v %v", res, err)
	}
	defer res.Body.Close()
	if n := o.now("bff_open_streams", `route="/api/"`); n != 1 {
		o.t.Errorf("%v streams are open, want 1", n)
	}
	if n := o.now("bff_http_requests_in_flight", ""); n != 1 {
		o.t.Errorf("%v requests are in flight, want 1", n)
	}
	kept := o.families["bff_open_streams"]
	leave()
	_ = res.Body.Close()
	o.until("the stream is counted out", func() bool { return o.now("bff_open_streams", `route="/api/"`) == 0 })
	o.families["bff_open_streams"] = kept
}

// logout goes the way of a script: a one-time address, then the provider.
func (o *observed) logout(b *browser.Browser) {
	o.t.Helper()
	p, err := b.Fetch(browser.At(webOrigin+"/"), browser.Request{Method: "POST", URL: webOrigin + "/bff/logout", Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil || p.Status != 200 {
		o.t.Fatalf("signing out: %v %v", p, err)
	}
	_, at, _ := strings.Cut(string(p.Body), `"redirect_to":"`)
	at, _, _ = strings.Cut(at, `"`)
	_, ticket, _ := strings.Cut(at, "/bff/logout/")
	o.scan.Secret("ticket", ticket)
	if _, err := b.Click(browser.At(webOrigin+"/"), webOrigin+strings.TrimPrefix(at, webOrigin)); err != nil {
		o.t.Fatal(err)
	}
	o.until("the tokens are revoked", func() bool { return o.now("bff_revocations_total", `provider="main",result="done"`) > 0 })
}

// refreshes has one session for each outcome.
func (o *observed) refreshes() {
	good := o.signInBrowser()
	faults := []struct {
		outcome string
		fault   provider.Fault
		status  int
	}{
		{"spent", refused(400, "invalid_grant"), 401},
		{"client", refused(401, "invalid_client"), 503},
		{"transient", refused(503, "busy"), 503},
		{"unknown", provider.Fault{Match: refused(0, "").Match, Drop: true, AfterWork: true}, 503},
	}
	var users []*browser.Browser
	for range faults {
		users = append(users, o.signInBrowser())
	}
	o.ended()
	gate := provider.NewGate()
	o.issuer.Fault(provider.Token, provider.Fault{Gate: gate})
	status := make(chan int)
	go func() { status <- o.fetch(good, "GET", "/api/orders") }()
	<-gate.Arrived()
	gate.Release()
	if got := <-status; got != 200 {
		o.t.Fatalf("a call that waited for a refresh: %d", got)
	}
	for i, f := range faults {
		o.issuer.Fault(provider.Token, f.fault)
		if got := o.fetch(users[i], "GET", "/api/orders"); got != f.status {
			o.t.Errorf("a refresh with the outcome %s: %d, want %d", f.outcome, got, f.status)
		}
		if n := o.now("bff_refresh_total", `later="false",provider="main",result="`+f.outcome+`"`); n != 1 {
			o.t.Errorf("bff_refresh_total of %s is %v, want 1", f.outcome, n)
		}
	}
	o.until("the later attempt after the lost answer is counted", func() bool {
		o.fetch(users[3], "GET", "/api/orders") // the provider takes a used token for spent
		return o.now("bff_refresh_total", `later="true",provider="main",result="spent"`) == 1
	})
}

// ended waits until the tokens that were issued so far are over.
func (o *observed) ended() {
	issued := time.Now()
	o.until("the tokens have ended", func() bool { return time.Since(issued) > 1100*time.Millisecond })
}

// redisOutage begins while a refresh is under way: its tokens are in memory only.
func (o *observed) redisOutage() {
	b := o.signInBrowser()
	o.ended()
	gate := provider.NewGate()
	o.issuer.Fault(provider.Token, provider.Fault{Gate: gate})
	status := make(chan int)
	go func() { status <- o.fetch(b, "GET", "/api/orders") }()
	<-gate.Arrived()
	o.redis.SetError("LOADING of a test")
	gate.Release()
	if got := <-status; got != 200 {
		o.t.Errorf("a call whose refreshed tokens could not be saved: %d, want 200", got)
	}
	if n := o.now("bff_unsaved_sessions", ""); n != 1 {
		o.t.Errorf("bff_unsaved_sessions is %v, want 1", n)
	}
	for range 3 {
		if got := o.fetch(b, "GET", "/bff/session"); got != 503 {
			o.t.Errorf("a session check without Redis: %d", got)
		}
	}
	if n := o.now("bff_outage", `kind="redis",name=""`); n != 1 {
		o.t.Errorf("bff_outage of Redis is %v, want 1", n)
	}
	kept, unsaved := o.families["bff_outage"], o.families["bff_unsaved_sessions"]
	o.redis.SetError("")
	o.until("the tokens are saved", func() bool { return o.now("bff_unsaved_sessions", "") == 0 })
	o.until("the outage is over", func() bool {
		o.fetch(b, "GET", "/bff/session")
		return o.now("bff_outage", `kind="redis",name=""`) == 0
	})
	o.families["bff_outage"], o.families["bff_unsaved_sessions"] = kept, unsaved
}

// refusals are requests that a guard, or nobody, knows.
func (o *observed) refusals() {
	b := o.signInBrowser()
	if got := o.fetch(b, "GET", "/api/orders", "X-Csrf", "0"); got != 403 {
		o.t.Errorf("a call without the guard's field: %d", got)
	}
	if got := o.fetch(b, "GET", "/dead/"); got != 502 {
		o.t.Errorf("a call to an API that is not there: %d", got)
	}
	if got := o.fetch(b, "GET", "/dead/"); got != 429 {
		o.t.Errorf("one more than the route's limit: %d", got)
	}
	for range 24 { // the target that refuses is missed so often in a row once in sixteen million runs
		if got := o.fetch(b, "GET", "/halved/orders"); got != 200 {
			o.t.Errorf("a call to an API of which half is there: %d", got)
		}
	}
	b = o.user()
	b.StoreCookie(webOrigin, "__Host-Http-web=malformed; Secure; HttpOnly; Path=/")
	if got := o.fetch(b, "GET", "/api/orders"); got != 401 {
		o.t.Errorf("a call with a malformed cookie: %d", got)
	}
}

// providerOutage has sign-ins fail until the breaker opens.
func (o *observed) providerOutage() {
	fault := o.issuer.Fault(provider.Token, provider.Fault{Drop: true, Times: provider.Always})
	o.until("the breaker is open", func() bool {
		b := o.user()
		if _, err := b.Click(browser.At(webOrigin+"/"), webOrigin+"/bff/login?return_to=/&login_hint=ada@example.com"); err != nil {
			o.t.Fatal(err)
		}
		for _, c := range b.Cookies() {
			o.scan.Secret("cookie", c.Value)
		}
		return o.now("bff_provider_breaker_open", `provider="main"`) == 1
	})
	if n := o.now("bff_outage", `kind="provider",name="main"`); n != 1 {
		o.t.Errorf("bff_outage of the provider is %v, want 1", n)
	}
	fault.Remove()
}

// collectorOutage has the collector refuse what it is sent: requests do not notice, and the log says so once.
func (o *observed) collectorOutage() {
	o.traces.Refuse(true)
	o.until("the collector's outage is told", func() bool {
		o.fetch(o.user(), "GET", "/bff/session")
		return len(o.entries(func(e entry) bool { return e.Msg == "outage begins" && e.Kind == "traces" })) > 0
	})
	o.traces.Refuse(false)
	o.until("the collector's outage is over", func() bool {
		o.fetch(o.user(), "GET", "/bff/session")
		return len(o.entries(func(e entry) bool { return e.Msg == "outage ends" && e.Kind == "traces" })) > 0
	})
}

// tableIn returns the rows of the first table under a heading of a document, as cells without backquotes.
func tableIn(t *testing.T, file, heading string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", file, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	section, _, _ = strings.Cut(section, "\n### ")
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), "`", ""))
		}
		rows = append(rows, cells)
	}
	return rows
}

// documentedMetrics are name, kind and labels of the table in the docs.
func (o *observed) documentedMetrics() (all []string) {
	for _, row := range tableIn(o.t, "../docs/operations.md", "## Metrics") {
		all = append(all, strings.TrimSpace(strings.Join(row[:3], " ")))
	}
	slices.Sort(all)
	return all
}

// exposedMetrics are name, kind and labels of what the registry exposed, as far as it moved.
func (o *observed) exposedMetrics() (all []string) {
	for name, series := range o.families {
		moved := false
		var labels []string
		for _, m := range series {
			moved = moved || valueOf(m) != 0
			labels = labels[:0]
			for _, l := range m.Label {
				labels = append(labels, l.GetName())
			}
		}
		if !moved && name != "bff_redis_pool_timeouts_total" { // that one moves where Redis is slower than anybody waits
			o.t.Errorf("%s never moved", name)
		}
		all = append(all, strings.TrimSpace(name+" "+strings.ToLower(o.kinds[name].String())+" "+strings.Join(labels, ", ")))
	}
	slices.Sort(all)
	return all
}

// documentedSpans are name and attributes of the table in the docs.
func (o *observed) documentedSpans() map[string][]string {
	all := make(map[string][]string)
	for _, row := range tableIn(o.t, "../docs/operations.md", "## Traces") {
		attrs := strings.Split(row[1], ", ")
		slices.Sort(attrs)
		all[row[0]] = attrs
	}
	return all
}

// exportedSpans are those that arrived, by what their names are made of, each with all attributes it ever had.
func (o *observed) exportedSpans() map[string][]string {
	seen := make(map[string][]string)
	for _, s := range o.traces.Spans() {
		name := pattern(s)
		for key, text := range s.Attrs {
			if strings.ContainsAny(text, "?=\"") || strings.Contains(text, "/bff/logout/") && !strings.HasSuffix(text, "{ticket}") {
				o.t.Errorf("%s: %s is %q", s.Name, key, text)
			}
			if !slices.Contains(seen[name], key) {
				seen[name] = append(seen[name], key)
			}
		}
		if s.TraceState != "" || len(s.Events) > 0 || s.Status.GetMessage() != "" {
			o.t.Errorf("%s has a state %q, %d events, a status that says %q", s.Name, s.TraceState, len(s.Events), s.Status.GetMessage())
		}
	}
	for _, attrs := range seen {
		slices.Sort(attrs)
	}
	return seen
}

// pattern is what a span's name is made of, as the docs write it.
func pattern(s collector.Span) string {
	first, rest, _ := strings.Cut(s.Name, " ")
	switch {
	case s.Name == "refresh" || s.Name == "refresh wait":
		return s.Name
	case first == "upstream":
		return "upstream ROUTE"
	case first == "provider" && slices.Contains([]string{"metadata", "keys", "token", "userinfo", "revocation", "session_api"}, rest):
		return "provider ENDPOINT"
	case first == "redis" && rest != "other":
		return "redis COMMAND"
	case slices.Contains([]string{"GET", "POST"}, first) && s.Attrs["http.route"] == rest:
		return "METHOD ROUTE"
	}
	return s.Name
}

// tracesOfTheJourney looks at how the spans hang together.
func (o *observed) tracesOfTheJourney() {
	o.t.Helper()
	byID := make(map[string]collector.Span)
	for _, s := range o.traces.Spans() {
		byID[string(s.SpanId)] = s
		if s.About["service.name"] != "cloakroom" || s.About["service.version"] == "" || s.About["deployment.environment.name"] != "test" {
			o.t.Fatalf("the resource is %v", s.About)
		}
	}
	var within []string // what hangs below what
	for _, s := range o.traces.Spans() {
		if parent, ok := byID[string(s.ParentSpanId)]; ok && string(parent.TraceId) == string(s.TraceId) {
			within = append(within, parent.Name+" > "+s.Name)
		}
	}
	for _, want := range []string{
		"GET /api/ > redis hmget", "GET /api/ > upstream /api/", "GET /api/ > refresh", "GET /api/ > refresh wait",
		"refresh > redis evalsha", "refresh > provider token", "GET /bff/callback > provider token", "GET /bff/callback > provider userinfo",
	} {
		if !slices.Contains(within, want) {
			o.t.Errorf("no trace has %s; there are %q", want, slices.Compact(slices.Sorted(slices.Values(within))))
		}
	}
	for _, s := range o.traces.Named("refresh") {
		if by, ok := byID[string(s.ParentSpanId)]; !ok || len(s.Links) != 1 || string(s.Links[0].SpanId) != string(by.SpanId) {
			o.t.Errorf("a refresh is not linked to the request that began it: %v", s)
		}
	}
	for _, s := range o.traces.Spans() {
		if strings.HasPrefix(s.Name, "redis ") && len(s.ParentSpanId) == 0 {
			o.t.Errorf("a trace of its own for %s", s.Name)
		}
	}
}

// nobodyElseIsTold looks at what reached the provider: it is told nothing of a trace, but where a route makes it an upstream.
func (o *observed) nobodyElseIsTold() {
	for _, r := range o.issuer.Requests() {
		if r.Endpoint != provider.Management && r.Header.Get("Traceparent")+r.Header.Get("Tracestate")+r.Header.Get("Baggage") != "" {
			o.t.Errorf("the provider's %s was told of a trace: %v", r.Endpoint, r.Header)
		}
	}
}

// linesOfTheJourney looks at the log.
func (o *observed) linesOfTheJourney() {
	o.t.Helper()
	for _, kind := range []string{"redis", "provider", "traces"} {
		begins := len(o.entries(func(e entry) bool { return e.Msg == "outage begins" && e.Kind == kind }))
		ends := len(o.entries(func(e entry) bool { return e.Msg == "outage ends" && e.Kind == kind }))
		if begins != 1 || ends > 1 || ends == 0 && kind != "provider" { // nobody asks the provider after its own
			o.t.Errorf("%s: %d outages begin and %d end, want one", kind, begins, ends)
		}
	}
	out := o.entries(func(e entry) bool { return e.Msg == "a target of an upstream is out" })
	if len(out) == 0 || !strings.Contains(out[0].Error, "connection refused") {
		o.t.Errorf("what is out does not say what it met with: %+v", out)
	}
	means := make(map[string]bool)
	for _, e := range o.entries(func(e entry) bool { return e.Event == "refresh" }) {
		if e.RequestID == "" || e.TraceID == "" || (e.Means == "") != (e.Outcome == "refreshed") {
			o.t.Errorf("a refresh whose line does not tell what it means, or whose request it was: %+v", e)
		}
		if e.Means != "" && e.Outcome != "" {
			means[e.Means] = true
		}
	}
	if len(means) < 4 {
		o.t.Errorf("%d outcomes of a refresh are told apart, want 4 of the provider's: %v", len(means), means)
	}
	requests := o.entries(func(e entry) bool { return e.Msg == "request" && e.TraceID != "" })
	if all := o.entries(func(e entry) bool { return e.Msg == "request" }); len(requests) != len(all) || len(all) == 0 {
		o.t.Errorf("%d of %d requests name their trace", len(requests), len(all))
	}
}

// nothingLeaks scans log, metrics and traces for everything secret, and the traces for everything that names somebody.
func (o *observed) nothingLeaks() {
	o.secrets()
	o.scan.Observe("log", "text", []byte(o.log.String()))
	for _, raw := range o.traces.Raw() {
		o.scan.Observe("traces", "body", raw)
		for _, word := range []string{"usr_1001", "in-the-query-of-a-call", "Mozilla", "vendor=opaque", "cr:s:", "cr:ix"} {
			if strings.Contains(string(raw), word) {
				o.t.Errorf("traces say %q", word)
			}
		}
	}
	if strings.Contains(o.log.String(), "usr_1001") {
		o.t.Error("the log names a user")
	}
	o.scan.Allow(leak.Rule{Kinds: []string{"public name"}, Place: "log", Field: "text"}) // it is made for that
	for _, f := range o.scan.Report() {
		o.t.Errorf("leak: %v", f)
	}
}
