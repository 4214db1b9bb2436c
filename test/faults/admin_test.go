//go:build integration

package faults_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/wire"
	"cloakroom/test/world"
)

const (
	adminToken = "7c1f0a94be5d28360fa1c97e4d83b652"
	adminYAML  = `admin: {listen: "127.0.0.1:0", token: ` + adminToken + "}\n"
)

// admin asks an instance's admin listener; the answer's body is for the caller to read and close.
func admin(t *testing.T, in *gateway.Instance, method, query string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+in.Admin+"/admin/sessions"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s %s: %d %s", method, query, resp.StatusCode, text)
	}
	return resp
}

// line is one line of an answer of the admin listener.
type line struct {
	Done           bool
	Scanned, Ended int
	Cursor, Error  string
	Sessions       []struct{ ID, App, Kind string }
}

// last reads an answer to its end and returns its last line.
func last(t *testing.T, resp *http.Response) (l line) {
	t.Helper()
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); lines.More(); {
		l = line{}
		if err := lines.Decode(&l); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// A user whom an administrator ends at one instance is out at the other as soon as that is answered, is told why, and may
// sign in again.
//
// shows SESS-KILL, LOG-2
func TestAnAdministratorEndsAUserEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{More: adminYAML})
	two := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	r := request(t, w, b)
	if got := send(two[1], r); got != 200 {
		t.Fatalf("before: %d", got)
	}
	found := last(t, admin(t, two[1], "GET", "?provider=main&sub=usr_1001"))
	if len(found.Sessions) != 1 || found.Sessions[0].App != "web" || found.Sessions[0].Kind != "spa" {
		t.Fatalf("found %+v", found)
	}
	named := admin(t, two[0], "GET", "/"+found.Sessions[0].ID)
	_ = named.Body.Close()
	if l := last(t, admin(t, two[0], "DELETE", "?provider=main&sub=usr_1001")); !l.Done || l.Ended != 1 {
		t.Fatalf("ended %+v", l)
	}
	if got := fetched(two[1], r); got.status != 401 || !strings.Contains(got.body, `"reason":"admin"`) {
		t.Errorf("right after, at the other instance: %d %s", got.status, got.body)
	}
	signsInAgain(t, w, b)
	for _, text := range []string{
		`"event":"admin_acted","request_id":`, `"action":"end","result":"done","client_ip":"127.0.0.1","found":0,"ended":1`, `"reason":"admin"`,
	} {
		two[0].AwaitLog(text)
	}
	for _, in := range two {
		if log := in.Log(); strings.Contains(log, adminToken) || strings.Contains(log, "usr_1001") {
			t.Error("a log holds the credential, or the user's name")
		}
	}
}

// signsInAgain clicks until the browser is signed in: a sign-in that begins within the slack of clocks is asked to start anew.
func signsInAgain(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	await(t, "signing in again works", healTime, func() bool {
		p, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/")
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.URL, w.OP.Issuer) {
			w.OP.SignIn(t, b, p)
		}
		return strings.Contains(string(w.Fetch(b, "GET", "/bff/session", "").Body), `"authenticated":true`)
	})
}

// sessionsOf puts sessions of an app into Redis, as if so many had signed in.
func sessionsOf(t *testing.T, w *world.World, app string, n int) (roots []bff.Root) {
	t.Helper()
	key := func(id string) bff.Key {
		raw, err := base64.RawURLEncoding.DecodeString(w.Setup.Keys[id])
		if err != nil {
			t.Fatal(err)
		}
		return bff.Key{ID: id, Bytes: bff.NewSecret(string(raw))}
	}
	ring, err := bff.NewKeyring([]bff.Key{key("k1")}, nil, []bff.Key{key("i1")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.New(store.Options{
		Addrs: []string{w.Redis.Addr()}, KeyPrefix: "cr:", Ring: ring, MarkerLife: 13 * time.Hour, ReadTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	for i := range n {
		root := bff.NewRoot()
		roots = append(roots, root)
		one := &bff.Session{
			Root: root, Lookup: root.Lookup(), App: app, KeyID: "k1", Provider: "main",
			Identity: bff.Identity{Subject: "many-" + strconv.Itoa(i), Claims: []byte(`{}`)},
			Began:    now, CreatedAt: now, LastActive: now, AbsoluteEnd: now.Add(12 * time.Hour), Idle: time.Hour, Generation: 1,
			Tokens: bff.TokenSet{Access: bff.NewSecret("access"), TokenType: "Bearer", ExpiresAt: now.Add(time.Hour), RefreshAt: now.Add(time.Hour)},
		}
		if err := s.Create(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	return roots
}

// An instance is killed in the middle of a purge. Another goes on from the last line that was told: all that began before it
// are gone, of the app alone, and who signed in since lives.
//
// shows SESS-KILL
func TestAPurgeSurvivesTheInstanceThatBeganIt(t *testing.T) {
	alongside(t)
	n := 2000
	if os.Getenv("SOAK") == "1" {
		n = 100_000
	}
	w := newWorld(t, world.Options{More: adminYAML})
	p := wire.Start(t, w.Redis.Addr())
	a := w.Start(1, veryPatient, "CLOAKROOM_REDIS__ADDRS="+p.Addr())[0]
	b := w.Start(1)[1]
	sessionsOf(t, w, "web", n)
	others := sessionsOf(t, w, "docs", 3)

	scans := 0 // the faults' predicate is called under the proxy's lock
	held, release := p.HoldRequest(func(flight []byte) bool {
		if wire.Contains("cr:s:{*}")(flight) {
			scans++
		}
		return scans == 5
	})
	defer release()
	resp := admin(t, a, "DELETE", "?app=web")
	defer resp.Body.Close()
	<-held
	began := time.Now()
	a.Kill()
	var cut line
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Cursor != "" {
			cut = l
		}
	}
	if cut.Cursor == "" || cut.Ended == 0 || cut.Ended >= n {
		t.Fatalf("cut off at %+v, want the middle", cut)
	}
	w.At(b)
	later := w.Browser()
	signsInAgain(t, w, later) // after the marker, while nobody goes on with the purge
	done := last(t, admin(t, b, "DELETE", "?app=web&cursor="+cut.Cursor))
	if !done.Done || done.Ended != n {
		t.Errorf("ended %+v, want %d in all", done, n)
	}
	t.Logf("%d sessions in %v, of which %d before the kill", n, time.Since(began).Round(time.Millisecond), cut.Ended)
	left := 0
	for _, key := range w.Redis.Keys() {
		if strings.HasPrefix(key, "cr:s:{") && strings.HasSuffix(key, "}") {
			left++
		}
	}
	if left != len(others)+1 {
		t.Errorf("%d sessions left, want %d of another app and the later one", left, len(others))
	}
	signedIn(t, w, later, true)
}

// A purge that is under way when its instance stops tells where it stood, and the stop does not wait for it.
func TestAStopCutsAPurgeShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{More: adminYAML})
	p := wire.Start(t, w.Redis.Addr())
	a := w.Start(1, veryPatient, "CLOAKROOM_REDIS__ADDRS="+p.Addr())[0]
	sessionsOf(t, w, "web", 50)
	held, release := p.HoldReply(wire.Contains("cr:s:{*}"))
	resp := admin(t, a, "DELETE", "?all=true")
	<-held
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop() }()
	a.AwaitLog("draining")
	release()
	if l := last(t, resp); l.Error != string(bff.CodeDraining) || l.Cursor == "" {
		t.Errorf("last line %+v, want that it stops, with a cursor", l)
	}
	if err := <-stopped; err != nil {
		t.Errorf("the stop: %v", err)
	}
	if !strings.Contains(a.Log(), `"action":"end","result":"left"`) {
		t.Error("the log does not tell that it was left")
	}
}
