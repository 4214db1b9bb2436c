//go:build integration

package faults_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// soak reports whether the full counts are asked for: 500 sessions, 200 requests a second, outages of half a minute.
func soak() bool { return os.Getenv("SOAK") == "1" }

// sized is the number of the short run, or that of the full one.
func sized[N int | time.Duration](short, full N) N {
	if soak() {
		return full
	}
	return short
}

// The bounds of the full run are those that are promised, on a machine that it has for itself. Short runs go beside others, which
// keep both cores busy: there they are to find what hangs, not what is slow.
var (
	recovery = sized(12*time.Second, 5*time.Second) // what the gateway may take, once what it needs is back, until it answers as before
	// longest is how long anybody may wait during an outage: dials and reads at their time-outs, or the four seconds for
	// which a refresh that was sent is suspected to be on its way.
	longest = sized(15*time.Second, 6*time.Second)
	// longestHung is the same where all that is waited for is time-outs.
	longestHung = sized(12*time.Second, 3*time.Second)
)

const (
	signingIn  = 16 // sign-ins at once: as many as keep two cores busy
	answerTime = 30 * time.Second
)

// member is one signed-in browser of the load: its cookie and nothing else.
type member struct {
	id     int
	cookie string
}

// answered is what one request of the load got.
type answered struct {
	at       time.Time // when it was sent
	took     time.Duration
	instance int
	member   int
	status   int    // 0: none
	code     string // of a problem
	retry    bool   // it came with Retry-After
}

// load is requests of many sessions to several instances, and what they were answered.
type load struct {
	t         *testing.T
	w         *world.World
	instances []*gateway.Instance
	client    *http.Client
	members   []*member

	mu      sync.Mutex
	answers []answered
	sent    sync.WaitGroup
	stop    func()
	done    chan struct{}
	sending sync.WaitGroup
}

// loadOptions make a world for load: tokens that run out while it lasts, and addresses of many users behind one proxy.
func loadOptions(life time.Duration) world.Options {
	return world.Options{Behave: func(b *provider.Behaviour) { b.AccessLife = life }}
}

// newLoad starts instances of the plain binary, with env laid over their configuration, and signs the sessions in.
func newLoad(t *testing.T, w *world.World, instances int, env ...string) *load {
	t.Helper()
	w.Setup.Bin = gateway.Plain(t)
	l := newDriver(t, w, w.Start(instances, slices.Concat(defaultWaits, []string{behindAProxy, "CLOAKROOM_LOG__LEVEL=info"}, env)...))
	t.Cleanup(l.causes)
	t.Cleanup(l.stop) // where the test ended early
	l.signInAll(sized(60, 500))
	return l
}

// newDriver drives instances that run already, and that stand behind a proxy.
func newDriver(t *testing.T, w *world.World, instances []*gateway.Instance) *load {
	t.Helper()
	l := &load{t: t, w: w, instances: instances, done: make(chan struct{}), client: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256}, // more than are ever on their way
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       answerTime,
	}}
	l.stop = sync.OnceFunc(func() { close(l.done); l.sending.Wait(); l.sent.Wait() })
	t.Cleanup(l.client.CloseIdleConnections)
	return l
}

// causes says, when the test failed, what the instances gave as the causes of 503 and how often.
func (l *load) causes() {
	if !l.t.Failed() {
		return
	}
	counts := map[string]int{}
	for _, in := range l.instances {
		for line := range strings.Lines(in.Log()) {
			var request struct {
				Status int
				Error  string
			}
			if json.Unmarshal([]byte(line), &request) == nil && request.Status == http.StatusServiceUnavailable {
				counts[request.Error]++
			}
		}
	}
	for cause, n := range counts {
		l.t.Logf("503 %d times: %s", n, cause)
	}
}

// signInAll signs n sessions in, several at once, over all instances.
func (l *load) signInAll(n int) {
	l.t.Helper()
	began := time.Now()
	l.members = make([]*member, n)
	var all sync.WaitGroup
	slots := make(chan struct{}, signingIn)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			m, status, err := l.signIn(i)
			if err != nil || m == nil {
				l.t.Errorf("session %d did not sign in: %d %v", i, status, err)
				return
			}
			l.members[i] = m
		})
	}
	all.Wait()
	if l.t.Failed() {
		l.t.FailNow()
	}
	l.t.Logf("%d sessions signed in within %v", n, time.Since(began).Round(time.Millisecond))
}

// signIn goes through the provider, which knows the user by the hint. Without a member, status says how far it came: the
// callback's, or 0 when there was no answer. err is a journey that went where none should.
func (l *load) signIn(id int) (m *member, status int, err error) {
	in := l.instances[id%len(l.instances)]
	start := l.navigation(in, id, "/bff/login?return_to=/&login_hint=usr_1001")
	resp, err := l.do(start)
	if err != nil || resp.StatusCode != http.StatusSeeOther && resp.StatusCode != http.StatusFound {
		return nil, statusOf(resp), err
	}
	transaction := cookies(resp)
	at, err := http.NewRequest("GET", resp.Header.Get("Location"), nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err = l.do(at)
	if err != nil {
		return nil, 0, err
	}
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(back.String(), world.Origin+"/bff/callback?") {
		return nil, resp.StatusCode, fmt.Errorf("the provider sent the browser to %q (%v)", back, err)
	}
	callback := l.navigation(in, id, back.RequestURI())
	callback.Header.Set("Cookie", transaction)
	callback.Header.Set("Sec-Fetch-Site", "cross-site")
	if resp, err = l.do(callback); err != nil {
		return nil, 0, err
	}
	for _, c := range resp.Cookies() {
		if c.Name == cookieName && c.Value != "" {
			return &member{id, c.Name + "=" + c.Value}, resp.StatusCode, nil
		}
	}
	return nil, resp.StatusCode, nil
}

// navigation is a top-level request that somebody typed, from the member's own address.
func (l *load) navigation(in *gateway.Instance, id int, path string) *http.Request {
	r := l.request(in, id, "GET", path)
	r.Header = http.Header{
		"Sec-Fetch-Site": {"none"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"},
		"X-Forwarded-For": r.Header["X-Forwarded-For"],
	}
	return r
}

// request is a fetch of the app's own script, without a cookie.
func (l *load) request(in *gateway.Instance, id int, method, path string) *http.Request {
	r, err := http.NewRequest(method, "http://"+in.Addr+path, nil)
	if err != nil {
		panic(err) // the test's own words
	}
	r.Host = strings.TrimPrefix(world.Origin, "http://")
	r.Header = http.Header{
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "X-Csrf": {"1"},
		"Origin": {world.Origin}, "X-Forwarded-For": {fmt.Sprintf("10.1.%d.%d", id/250, id%250+1)},
	}
	return r
}

// do sends, reads the answer to its end and leaves it in Body.
func (l *load) do(r *http.Request) (*http.Response, error) {
	resp, err := l.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, err
}

func statusOf(resp *http.Response) int {
	if resp == nil {
		return 0
	}
	return resp.StatusCode
}

// cookies are those that an answer sets, as the next request sends them.
func cookies(resp *http.Response) string {
	var all []string
	for _, c := range resp.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// call sends one fetch with the member's cookie and tells what came back.
func (l *load) call(m *member, instance int, method, path string) answered {
	r := l.request(l.instances[instance], m.id, method, path)
	r.Header.Set("Cookie", m.cookie)
	a := answered{at: time.Now(), instance: instance, member: m.id}
	resp, err := l.do(r)
	a.took = time.Since(a.at)
	if err != nil {
		return a
	}
	a.status, a.retry = resp.StatusCode, resp.Header.Get("Retry-After") != ""
	if a.status >= http.StatusBadRequest {
		var problem struct{ Code string }
		_ = json.NewDecoder(resp.Body).Decode(&problem) // an answer without a code shows as one
		a.code = problem.Code
	}
	return a
}

// begin sends so many requests a second, spread over sessions and instances, until end.
func (l *load) begin(perSecond int) {
	l.sending.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.done:
				return
			case <-tick.C:
			}
			m, instance := l.members[i%len(l.members)], i/len(l.members)+i
			l.sent.Go(func() { l.record(l.call(m, instance%len(l.instances), "GET", "/api/orders")) })
		}
	})
}

func (l *load) record(a answered) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
}

// end stops sending, waits for what is on its way, and returns all answers in the order they were sent.
func (l *load) end() []answered {
	l.stop()
	slices.SortFunc(l.answers, func(a, b answered) int { return a.at.Compare(b.at) })
	return l.answers
}

// through runs the load, with people who come and go, before an outage, during it and until all is well again, and fails
// if anybody was told more than that Redis is away. outage returns when what was away is back.
func (l *load) through(outage func()) (*doors, []answered) {
	l.t.Helper()
	d, answers, recovered := l.around(outage)
	l.well(answers, recovered)
	return d, answers
}

// around is through without a judgement; recovered is when outage returned.
func (l *load) around(outage func()) (d *doors, answers []answered, recovered time.Time) {
	l.t.Helper()
	d = l.openDoors(leavers, doorsOpen)
	l.begin(perSecond())
	pause(warm)
	outage()
	recovered = time.Now()
	l.settle(recovered)
	d.close()
	return d, l.end(), recovered
}

// settle lets the load go on until for a while nobody was refused, at most a little longer than a recovery may take.
func (l *load) settle(recovered time.Time) {
	quiet := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !slices.ContainsFunc(l.answers, func(a answered) bool {
			return a.status != http.StatusOK && time.Since(a.at) < warm
		})
	}
	for time.Since(recovered) < warm || !quiet() && time.Since(recovered) < recovery+warm {
		pause(warm / 10)
	}
}

// pause lets the load run for a while: the scenario's own time, not a wait for anything.
func pause(d time.Duration) { <-time.After(d) }

// tally says how often each answer was given.
func tally(answers []answered) string {
	counts := map[string]int{}
	var slowest time.Duration
	for _, a := range answers {
		counts[strings.TrimSpace(fmt.Sprint(a.status, " ", a.code))]++
		slowest = max(slowest, a.took)
	}
	return fmt.Sprintf("%d requests: %v, the slowest %v", len(answers), counts, slowest.Round(time.Millisecond))
}

// onlyOutage fails unless every answer is 200 or a 503 that says why and when to come back, within longest.
func (l *load) onlyOutage(answers []answered, codes ...string) {
	l.t.Helper()
	l.onlyWithin(answers, longest, codes...)
}

// onlyWithin is onlyOutage with another bound.
func (l *load) onlyWithin(answers []answered, bound time.Duration, codes ...string) {
	l.t.Helper()
	for _, a := range answers {
		switch {
		case a.status == http.StatusOK:
		case a.status == http.StatusServiceUnavailable && a.retry && slices.Contains(codes, a.code):
		default:
			l.t.Errorf("session %d at instance %d was answered %d %q (Retry-After %v)", a.member, a.instance, a.status, a.code, a.retry)
		}
		if a.took > bound {
			l.t.Errorf("session %d at instance %d waited %v", a.member, a.instance, a.took)
		}
	}
}

// well fails unless, within 5 s of recovered, each instance answers 200 and nobody is refused any more.
func (l *load) well(answers []answered, recovered time.Time) {
	l.t.Helper()
	var last time.Time
	first := map[int]time.Duration{}
	for _, a := range answers {
		done := a.at.Add(a.took)
		if _, seen := first[a.instance]; !seen && a.status == http.StatusOK && a.at.After(recovered) {
			first[a.instance] = done.Sub(recovered)
		}
		if a.status != http.StatusOK && a.at.After(last) {
			last = a.at
		}
	}
	for i := range l.instances {
		if took, seen := first[i]; !seen || took > recovery {
			l.t.Errorf("instance %d answered its first 200 %v after the recovery (%v)", i, took, seen)
		}
	}
	if late := last.Sub(recovered); late > recovery {
		l.t.Errorf("requests were refused until %v after the recovery", late)
	}
	l.t.Logf("%s; first 200 after the recovery: %v; last refusal %v after it", tally(answers), first, max(0, last.Sub(recovered)).Round(time.Millisecond))
}

// alive sends one more request of every session and returns those that are signed in no more.
func (l *load) alive() (lost []*member) {
	l.t.Helper()
	for i, m := range l.members {
		var a answered
		await(l.t, fmt.Sprintf("session %d is answered", m.id), healTime, func() bool {
			a = l.call(m, i%len(l.instances), "GET", "/api/orders")
			return a.status == http.StatusOK || a.status == http.StatusUnauthorized
		})
		if a.status != http.StatusOK {
			lost = append(lost, m)
		}
	}
	return lost
}
