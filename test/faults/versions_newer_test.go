//go:build integration

package faults_test

import (
	"encoding/base64"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"cloakroom/bff"
	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// newer is a world into whose Redis a newer version writes beside its two instances of today.
type newer struct {
	*nativeWorld
	raw    *redis.Client
	domain *domain // opens records as the instances do
}

func newNewer(t *testing.T) *newer {
	t.Helper()
	n := &newer{nativeWorld: newNative(t, world.Options{})}
	n.raw = redis.NewClient(&redis.Options{Addr: n.Redis.Addr(), DisableIdentity: true})
	t.Cleanup(func() { n.raw.Close() })
	n.domain = newDomain(t, n.Redis.Addr(), first(n.Setup.Keys), time.Now)
	return n
}

// written is one session's record: its name, and what opens it.
type written struct {
	n    *newer
	key  string
	root bff.Root
	of   *bff.Session
}

// web signs in at the cookie app.
func (n *newer) web(t *testing.T, b *browser.Browser) *written {
	t.Helper()
	n.SignIn(b, "/")
	c, _ := b.Cookie(world.Origin, cookieName)
	return n.record(t, root(t, c.Value))
}

func (n *newer) record(t *testing.T, r bff.Root) *written {
	t.Helper()
	s, err := n.domain.store.Read(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return &written{n: n, key: "cr:s:{" + string(s.Lookup) + "}", root: r, of: s}
}

func (w *written) fields(t *testing.T) map[string]string {
	t.Helper()
	return w.n.raw.HGetAll(t.Context(), w.key).Val()
}

func (w *written) set(t *testing.T, pairs ...any) {
	t.Helper()
	if err := w.n.raw.HSet(t.Context(), w.key, pairs...).Err(); err != nil {
		t.Fatal(err)
	}
}

// write puts a whole record in the place of what is there, at once: no moment sees it without a life.
func (w *written) write(t *testing.T, fields map[string]string) {
	t.Helper()
	_, err := w.n.raw.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Del(t.Context(), w.key)
		p.HSet(t.Context(), w.key, fields)
		return p.Expire(t.Context(), w.key, time.Minute).Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reseal changes the sealed part in field as a newer version would write it.
func (w *written) reseal(t *testing.T, field string, change func(map[int]any)) {
	t.Helper()
	box, err := w.n.domain.ring.Record(w.of.KeyID, w.root, w.of.Lookup, w.of.App)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]string{"body": "body", "tok": "tokens"}[field]
	plain, err := box.Open(part, []byte(w.fields(t)[field]))
	if err != nil {
		t.Fatal(err)
	}
	var content map[int]any
	if err := cbor.Unmarshal(plain, &content); err != nil {
		t.Fatal(err)
	}
	change(content)
	if plain, err = cbor.Marshal(content); err != nil {
		t.Fatal(err)
	}
	w.set(t, field, box.Seal(part, plain))
}

// A record of a newer layout is 503 at an instance of today, whatever is asked, and stays as it is: the newer instance goes
// on with it. What today's instance need not know is no obstacle.
//
// shows KEY-SCHEMA
func TestRecordsOfANewerVersion(t *testing.T) {
	t.Parallel()
	n := newNewer(t)
	later := func(content map[int]any) { content[1] = uint64(2) }
	more := func(content map[int]any) { content[99] = "new" }
	for _, c := range []struct {
		name  string
		write func(*written)
	}{
		{"the next schema", func(w *written) { w.set(t, "v", "2") }},
		{"the next schema, sealed, in its body", func(w *written) { w.reseal(t, "body", later) }},
		{"the next schema, sealed, in its tokens", func(w *written) { w.reseal(t, "tok", later) }},
		{"one more key in its body", func(w *written) { w.reseal(t, "body", more) }},
		{"one more key in its tokens", func(w *written) { w.reseal(t, "tok", more) }},
	} {
		t.Run("a record with "+c.name, func(t *testing.T) {
			b := n.phone()
			web := n.web(t, b)
			before := web.fields(t)
			c.write(web)
			n.untouchedWeb(t, b, web)
			web.set(t, "v", before["v"], "body", before["body"], "tok", before["tok"]) // what the newer one reads
			n.Want(n.Fetch(b, "GET", "/api/orders", ""), 200)
		})
		t.Run("a native app's record with "+c.name, func(t *testing.T) {
			h := n.signIn(t, n.phone())
			parsed := handleRoot(t, h.Access)
			phone := n.record(t, parsed)
			n.lives(t, h, 200)
			await(t, "the use is noted", healTime, func() bool { return !strings.HasSuffix(phone.fields(t)["turn"], " 0 0") })
			before := phone.fields(t)
			c.write(phone)
			n.untouchedPhone(t, h, phone)
			phone.set(t, "v", before["v"], "body", before["body"], "tok", before["tok"])
			n.lives(t, granted(t, n.token(1, rotation(h.Refresh))), 200)
		})
	}
}

// handleRoot is the root in a handle: the first 32 bytes of what stands between prefix and checksum.
func handleRoot(t *testing.T, handle string) bff.Root {
	t.Helper()
	text := strings.TrimPrefix(handle, "clk_")
	raw, err := base64.RawURLEncoding.DecodeString(text[:len(text)-6]) // six characters of checksum
	if err != nil {
		t.Fatal(err)
	}
	r, err := bff.RootFromBytes(raw[:32])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// untouchedWeb asks both instances for everything that a cookie opens.
func (n *newer) untouchedWeb(t *testing.T, b *browser.Browser, w *written) {
	t.Helper()
	as := w.fields(t)
	for _, in := range n.All {
		n.At(in)
		for _, q := range []struct{ method, path string }{
			{"GET", "/api/orders"}, {"GET", "/bff/session"}, {"POST", "/bff/session/extend"}, {"POST", "/bff/logout"},
		} {
			unavailable(t, n.Fetch(b, q.method, q.path, ""), `"code":"key_unknown"`)
		}
	}
	if diff := cmp.Diff(as, w.fields(t)); diff != "" {
		t.Errorf("the record was touched: %s", diff)
	}
}

// untouchedPhone asks both for everything that handles open.
func (n *newer) untouchedPhone(t *testing.T, h handles, w *written) {
	t.Helper()
	as := w.fields(t)
	for at := range 2 {
		for _, q := range []struct{ method, path string }{{"GET", "/api/orders"}, {"GET", "/mobile/session"}, {"POST", "/mobile/logout"}} {
			if body := n.want(t, at, q.method, q.path, h.Access, 503); !strings.Contains(body, `"code":"key_unknown"`) {
				t.Errorf("%s: %s", q.path, body)
			}
		}
		outOfReach(t, "a rotation", n.token(at, rotation(h.Refresh)))
		resp, err := n.clients[at].PostForm(publicURL+"/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {h.Refresh}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 503 {
			t.Errorf("a revocation: %d", resp.StatusCode)
		}
	}
	if diff := cmp.Diff(as, w.fields(t)); diff != "" {
		t.Errorf("the record was touched: %s", diff)
	}
}

// What stands beside what is known is left alone by every update: fields of the record, members of an index, marks and
// events of forms that are not known yet.
//
// shows KEY-SCHEMA
func TestAdditionsOfANewerVersionAreKept(t *testing.T) {
	t.Parallel()
	n := newNewer(t)
	n.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = accessLife })
	b := n.phone()
	web := n.web(t, b)
	const member, value = "lookup-of-a-newer-session", "2;sealed in a way of its own"
	indexes := slices.DeleteFunc(n.Redis.Keys(), func(key string) bool { return !strings.HasPrefix(key, "cr:ix:") })
	for _, key := range indexes {
		n.raw.HSet(t.Context(), key, member, value)
	}
	web.set(t, "newfield", "kept", "sent", "v2 a mark of another form")
	for range 2 { // updates of all kinds: a refresh, a slide, index entries written again
		ended(n.World)
		n.Want(n.Fetch(b, "GET", "/api/orders", ""), 200)
		n.Want(n.Fetch(b, "POST", "/bff/session/extend", ""), 200)
		for _, nothing := range []string{"", "hello", "newkind " + string(web.of.Lookup) + " x", "ended", "ended  ", "a b c d e"} {
			n.raw.Publish(t.Context(), "cr:events", nothing)
		}
	}
	if got := web.fields(t)["newfield"]; got != "kept" {
		t.Errorf("a field that is not known became %q", got)
	}
	if len(indexes) == 0 {
		t.Fatal("no index")
	}
	for _, key := range indexes {
		if got := n.raw.HGet(t.Context(), key, member).Val(); got != value {
			t.Errorf("%s: a member that is not known became %q", key, got)
		}
	}
	// The sign-out ends whatever is indexed, in whichever form: the newer session's record too.
	beside := &written{n: n, key: "cr:s:{" + member + "}"}
	beside.write(t, map[string]string{"v": "2", "app": "web", "began": "1", "abs": "9999999999999"})
	s := openStream(t, b, 50)
	n.Want(n.Fetch(b, "POST", "/bff/logout", ""), 200)
	s.ends(t)
	if n.raw.Exists(t.Context(), beside.key).Val() != 0 {
		t.Error("a sign-out left a session of a newer version alive")
	}
}

// garbled returns what to write into the fields of a record, by what it is called.
func (w *written) garbled(t *testing.T) map[string]func() {
	t.Helper()
	sets := map[string]func(){
		"another type": func() {
			w.n.raw.Del(t.Context(), w.key)
			w.n.raw.Set(t.Context(), w.key, "garbage", time.Minute)
		},
	}
	for _, field := range []string{"v", "app", "began", "act", "abs", "idle", "gen", "turn", "body", "tok"} {
		for name, value := range map[string]string{
			"garbage": "\x00garbage\xff", "nothing": "", "a negative number": "-1", "a large number": strings.Repeat("9", 400),
		} {
			sets[name+" as "+field] = func() { w.set(t, field, value) }
		}
		sets["no "+field] = func() { w.n.raw.HDel(t.Context(), w.key, field) }
	}
	return sets
}

// Garbage in a record is 401 and a security event, never a panic, and costs nobody else anything.
//
// shows KEY-SCHEMA, KEY-AAD
func TestGarbageInARecord(t *testing.T) {
	t.Parallel()
	n := newNewer(t)
	b, other := n.phone(), n.phone()
	web := n.web(t, b)
	n.SignIn(other, "/")
	good, r := web.fields(t), request(t, n.World, b)
	answer := func() (status int, body string) {
		resp, err := n.All[0].Client().Do(r.Clone(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	restore := func() { web.write(t, good) }
	sets := web.garbled(t)
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		restore()
		sets[name]()
		if status, body := answer(); status != 401 || !strings.Contains(body, `"code":"session_required"`) {
			t.Errorf("a record with %s: %d %s", name, status, body)
		}
	}
	await(t, "an event tells of each", healTime, func() bool {
		return strings.Count(n.All[0].Log(), `"rule":"record does not open"`) >= len(sets)
	})
	restore()
	web.set(t, "kid", "garbage") // or a key that comes with a later deploy
	if status, body := answer(); status != 503 || !strings.Contains(body, `"code":"key_unknown"`) {
		t.Errorf("a record with a key that nobody has: %d %s", status, body)
	}
	restore()
	web.set(t, "sent", "garbage")
	if status, body := answer(); status != 200 {
		t.Errorf("a record with garbage as its sent mark: %d %s", status, body)
	}
	n.Want(n.Fetch(other, "GET", "/api/orders", ""), 200)
}
