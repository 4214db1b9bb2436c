//go:build integration

package faults_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// keyLists are the keys of one instance's configuration: the first seals or names, the others open or are asked as well.
type keyLists struct{ sealing, index, retired []string }

// yaml writes them as the configuration has them.
func (k keyLists) yaml() string {
	list := func(ids []string) string {
		var all []string
		for _, id := range ids {
			all = append(all, fmt.Sprintf("{id: %s, file: %s}", id, id))
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	return fmt.Sprintf("sealing_keys: %s\nindex_keys: %s\nretired_keys: [%s]", list(k.sealing), list(k.index), strings.Join(k.retired, ", "))
}

// name tells them apart as a file's name.
func (k keyLists) name() string {
	return strings.Join(append(append(append([]string{"with"}, k.sealing...), k.index...), k.retired...), "-")
}

// The steps of changing both kinds of keys: append, move to the front, remove.
var (
	keysBefore   = keyLists{sealing: []string{"k1"}, index: []string{"i1"}}
	keysAppended = keyLists{sealing: []string{"k1", "k2"}, index: []string{"i1", "i2"}}
	keysMoved    = keyLists{sealing: []string{"k2", "k1"}, index: []string{"i2", "i1"}}
	keysRemoved  = keyLists{sealing: []string{"k2"}, index: []string{"i2"}}
	keysRetired  = keyLists{sealing: []string{"k2"}, index: []string{"i2"}, retired: []string{"k1"}}
)

// rollout is a deployment whose instances are replaced one after the other, each by one of another configuration.
type rollout struct {
	*nativeWorld
	has [3]keyLists // of each instance
}

// newRollout starts instances with the first keys.
func newRollout(t *testing.T, instances int) *rollout {
	t.Helper()
	r := &rollout{nativeWorld: newNativeAt(t, revocableProvider, world.Options{})}
	for len(r.clients) < instances {
		r.more()
	}
	r.Setup.Keys["i2"] = keyFile()
	r.Setup.Write(t, "i2", r.Setup.Keys["i2"]+"\n")
	for at := range r.has {
		r.has[at] = keysBefore
	}
	return r
}

// revocableProvider is one at which a session that ends without its credential is revoked, by a token sealed under the ring.
func revocableProvider(t *testing.T, w *world.World, o world.Options) {
	nativeProvider(t, w, o)
	w.OP.YAML = strings.Replace(w.OP.YAML, "{", "{revocable: true, ", 1)
}

// replace stops an instance as an operator does, and starts one with other keys in its place.
func (r *rollout) replace(t *testing.T, at int, keys keyLists) {
	t.Helper()
	if err := r.All[at].Stop(); err != nil {
		t.Errorf("stopping instance %d: %v", at, err)
	}
	text := strings.Replace(r.yaml(t), keysLines, keys.yaml(), 1)
	setup := *r.Setup
	setup.File = r.Setup.Write(t, keys.name()+".yaml", text)
	in := setup.Start(t, append(r.env, "CLOAKROOM_PUBLIC__URL="+publicURL, "CLOAKROOM_REDIS__ADDRS="+r.wires[at].Addr())...)
	r.All = append(r.All, r.All[at]) // its log is looked at in the end
	r.All[at], r.has[at] = in, keys
	r.clients[at].CloseIdleConnections()
	r.clients[at] = in.Client()
}

// keysLines are the lines that a world begins with.
const keysLines = "sealing_keys: [{id: k1, file: k1}]\nindex_keys: [{id: i1, file: i1}]"

func (r *rollout) yaml(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(r.Setup.File)
	if err != nil || !strings.Contains(string(text), keysLines) {
		t.Fatalf("the configuration does not name its keys as this test thinks: %v\n%s", err, text)
	}
	return string(text)
}

// domain is the engine as an instance has it, for what has no address yet: an end that begins at the provider.
func (r *rollout) domain(t *testing.T, keys keyLists) *domain {
	t.Helper()
	return newDomain(t, r.Redis.Addr(), ringKeys{keys.sealing, keys.retired, keys.index, r.Setup.Keys}, time.Now)
}

// traffic is users who go on with what they do, whichever instance is there.
type traffic struct {
	t         *testing.T
	instances [3]atomic.Pointer[gateway.Instance]
	client    *http.Client

	mu       sync.Mutex
	served   int
	refused  int // connections: somebody is being restarted
	rotated  int
	complain []string

	users sync.WaitGroup
}

// newTraffic sends to all instances in turn.
func newTraffic(t *testing.T, r *rollout) *traffic {
	t.Helper()
	l := &traffic{t: t, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: answerTime}}
	t.Cleanup(l.client.CloseIdleConnections)
	l.follow(r)
	return l
}

// follow takes the instances over that are there now.
func (l *traffic) follow(r *rollout) {
	for at := range r.clients {
		l.instances[at].Store(r.All[at])
	}
}

// user is one who is signed in; leave has them stop.
type user struct {
	name  string
	leave chan struct{}
	gone  chan struct{}
}

// stop has users stop, and waits.
func stop(users ...*user) {
	for _, u := range users {
		close(u.leave)
		<-u.gone
	}
}

// pace is how often one user calls.
const pace = 60 * time.Millisecond

// uses has a user call again and again, until they are told to stop. call makes the i-th request.
func (l *traffic) uses(name string, call func(in *gateway.Instance, i int) (status int, text string)) *user {
	u := &user{name: name, leave: make(chan struct{}), gone: make(chan struct{})}
	l.users.Go(func() {
		defer close(u.gone)
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-u.leave:
				return
			case <-tick.C:
			}
			l.one(u, i, call)
		}
	})
	return u
}

// one is one request. Where no connection is had, or it breaks, the next instance is asked, as a balancer does.
func (l *traffic) one(u *user, i int, call func(*gateway.Instance, int) (int, string)) {
	for try := range len(l.instances) {
		at := (i + try) % len(l.instances)
		status, text := call(l.instances[at].Load(), i)
		l.mu.Lock()
		switch status {
		case 200:
			l.served++
			l.mu.Unlock()
			return
		case 0:
			l.refused++
		default:
			l.complain = append(l.complain, fmt.Sprintf("%s at instance %d, request %d: %d %s", u.name, at, i, status, text))
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complain = append(l.complain, u.name+": nobody answers")
}

// do sends a request to an instance; status 0 is no answer.
func (l *traffic) do(in *gateway.Instance, r *http.Request) (status int, text string) {
	r.URL.Host = in.Addr
	resp, err := l.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// browses is a user of the cookie app. The request holds the cookie.
func (l *traffic) browses(name string, request *http.Request) *user {
	return l.uses(name, func(in *gateway.Instance, _ int) (int, string) {
		r := request.Clone(l.t.Context())
		r.Host = request.URL.Host
		return l.do(in, r)
	})
}

// carries is a user of the native app, who rotates at every eighth call.
func (l *traffic) carries(name string, h handles) *user {
	return l.uses(name, func(in *gateway.Instance, i int) (int, string) {
		if i%8 == 7 {
			return l.rotates(in, &h)
		}
		r, _ := http.NewRequest("GET", publicURL+"/api/orders", nil)
		r.Header.Set("Authorization", "Bearer "+h.Access)
		return l.do(in, r)
	})
}

// rotates moves the user's handles on.
func (l *traffic) rotates(in *gateway.Instance, h *handles) (status int, text string) {
	r, _ := http.NewRequest("POST", publicURL+"/mobile/token", strings.NewReader(rotation(h.Refresh).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if status, text = l.do(in, r); status != 200 {
		return status, text
	}
	if err := json.Unmarshal([]byte(text), h); err != nil {
		return -1, err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rotated++
	return status, text
}

// fine fails if anybody was told anything but 200 so far.
func (l *traffic) fine(when string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Logf("%s: %d requests served, %d connections refused, %d rotations", when, l.served, l.refused, l.rotated)
	for _, c := range l.complain {
		l.t.Errorf("%s: %s", when, c)
	}
	l.complain = nil
	if l.served == 0 {
		l.t.Errorf("%s: there was no traffic", when)
	}
	l.served, l.refused, l.rotated = 0, 0, 0
}

// underWay is what one instance has begun and another is to finish.
type underWay struct {
	r        *rollout
	signing  *browser.Browser // on the provider's page
	page     *browser.Page
	code     url.Values       // of a native app
	leaving  *browser.Browser // signed out here, and on the way to the provider
	ticket   string
	together *browser.Browser // in one SSO session with the next two
	handle   handles
	token    string     // its refresh token at the provider
	late     url.Values // a code of that SSO session
	told     string     // cookie of a session that the provider will end
}

// begin has instance at begin one of everything.
func (r *rollout) begin(t *testing.T, at int) *underWay {
	t.Helper()
	r.At(r.All[at])
	u := &underWay{r: r, signing: r.Browser(), leaving: r.Browser(), together: r.phone()}
	var err error
	if u.page, err = u.signing.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/"); err != nil {
		t.Fatal(err)
	}
	u.code = r.code(t, r.phone())
	r.SignIn(u.leaving, "/")
	var out struct {
		RedirectTo string `json:"redirect_to"`
	}
	if p := r.Want(r.Fetch(u.leaving, "POST", "/bff/logout", ""), 200); json.Unmarshal(p.Body, &out) != nil || out.RedirectTo == "" {
		t.Fatalf("signing out: %s", p.Body)
	}
	u.ticket = out.RedirectTo
	r.SignIn(u.together, "/")
	u.handle = granted(t, r.token(at, r.code(t, u.together)))
	s, err := r.domain(t, r.has[at]).store.Read(t.Context(), handleRoot(t, u.handle.Access))
	if err != nil {
		t.Fatal(err)
	}
	u.token = s.Tokens.Refresh.Reveal()
	u.late = r.code(t, u.together)
	ended := r.Browser()
	r.SignIn(ended, "/")
	c, _ := ended.Cookie(world.Origin, cookieName)
	u.told = c.Value
	return u
}

// finish has instance at finish it all, and looks at every instance for what ended.
func (u *underWay) finish(t *testing.T, at int, what string) {
	t.Helper()
	r := u.r
	r.At(r.All[at])
	r.OP.SignIn(t, u.signing, u.page)
	signedIn(t, r.World, u.signing, true)
	h := granted(t, r.token(at, u.code))
	if p, err := u.leaving.Click(browser.At(world.Origin+"/"), u.ticket); err != nil || p.Status == 410 || p.Status >= 500 {
		t.Errorf("%s: the ticket of a sign-out: %v, %+v", what, err, p)
	}
	r.Want(r.Fetch(u.together, "POST", "/bff/logout", ""), 200)
	rejected(t, what+": a code of an SSO session that was signed out", r.token((at+1)%len(r.clients), u.late))
	d := r.domain(t, r.has[at])
	s, err := d.store.Read(t.Context(), root(t, u.told))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if _, err := d.EndSessionsOf(t.Context(), bff.Target{Scope: bff.ScopeSID, Provider: d.web.Provider.Name, Value: s.SID}); err != nil {
		t.Errorf("%s: an end by the provider: %v", what, err)
	}
	for other := range r.clients {
		r.want(t, other, "GET", "/api/orders", h.Access, 200)
		r.want(t, other, "GET", "/api/orders", u.handle.Access, 401)
		if got := r.cookieAt(other, u.told); got != 401 {
			t.Errorf("%s: a session that the provider ended answers %d at instance %d", what, got, other)
		}
	}
	await(t, what+": what ended without its credential is revoked", healTime, func() bool { return revokedAt(r.World, u.token) })
}

// cookieAt asks an instance with a cookie; it is safe for concurrent use.
func (r *rollout) cookieAt(at int, value string) (status int) {
	req, err := http.NewRequest("GET", world.Origin+"/api/orders", nil)
	if err != nil {
		return 0
	}
	req.Header = http.Header{"X-Csrf": {"1"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {cookieName + "=" + value}}
	return send(r.All[at], req)
}
