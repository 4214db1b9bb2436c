//go:build integration

package faults_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"cloakroom/bff"
	"cloakroom/test/redisproc"
)

// What the version before kept is in testdata/kept.json, written by commit 1f6eb10. To make it anew for the next version, check
// the released commit out beside, copy domain_test.go, kept_test.go and this file over its own where it has none, and run
// there
//
//	go test -tags integration ./test/faults -run TestWhatIsKeptIsReadAgain -keep testdata/kept.json -commit HASH
//
// Files of older versions may stay beside it under other names for as long as a rolling deploy from them is promised.
var (
	keepFile   = flag.String("keep", "", "write what this version keeps to a file")
	keepCommit = flag.String("commit", "", "the commit that -keep names in it")
)

const keptFile = "testdata/kept.json"

// moment is a clock that stands until it is moved; all instances of a test look at it.
type moment struct{ ms atomic.Int64 }

func (m *moment) now() time.Time       { return time.UnixMilli(m.ms.Load()) }
func (m *moment) move(d time.Duration) { m.ms.Add(d.Milliseconds()) }

// era is one Redis, with a clock.
type era struct {
	clock moment
	redis *redisproc.Server
	raw   *redis.Client
}

func newEra(t *testing.T, at time.Time) *era {
	t.Helper()
	e := &era{redis: redisproc.Start(t, redisproc.Options{})}
	e.clock.ms.Store(at.UnixMilli())
	e.raw = redis.NewClient(&redis.Options{Addr: e.redis.Addr(), DisableIdentity: true})
	t.Cleanup(func() { e.raw.Close() })
	return e
}

func (e *era) instance(t *testing.T, keys ringKeys) *domain {
	t.Helper()
	return newDomain(t, e.redis.Addr(), keys, e.clock.now)
}

// first are the keys of what is kept.
func first(files map[string]string) ringKeys {
	return ringKeys{sealing: []string{"k1"}, index: []string{"i1"}, files: files}
}

// writeKept has this version write one of everything that it keeps.
func writeKept(t *testing.T, e *era) *kept {
	t.Helper()
	k := &kept{By: *keepCommit, Keys: map[string]string{"k1": keyFile(), "i1": keyFile()}, Have: map[string]string{}}
	d := e.instance(t, first(k.Keys))
	k.writeLogins(d)
	k.writeCookies(t, d, e)
	k.writeNative(t, d, e)
	d.drain()
	k.At, k.Redis = e.clock.ms.Load(), keep(t, e.raw)
	return k
}

// writeCookies makes sessions of the cookie app: one that was refreshed, one whose sender vanished and one whose answer is
// in doubt, one that was signed out.
func (k *kept) writeCookies(t *testing.T, d *domain, e *era) {
	t.Helper()
	ctx := t.Context()
	s := d.login("usr_ada", "ses_ada")
	marked, doubtful := d.login("usr_bob", "ses_bob"), d.login("usr_cy", "ses_cy")
	over := d.login("usr_dee", "ses_dee")
	k.Have["cookie"], k.Have["marked"] = s.Root.Reveal(), marked.Root.Reveal()
	k.Have["doubtful"], k.Have["signed-out"] = doubtful.Root.Reveal(), over.Root.Reveal()
	e.clock.move(5 * time.Minute) // to the end of its access token
	if _, err := d.FreshTokens(ctx, d.web, s); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		s      *bff.Session
		settle bff.Settlement
	}{{marked, bff.SettleNothing}, {doubtful, bff.SettleDoubt}} {
		const lease = 200 * time.Millisecond // nobody waits long for one that never ends its work
		if _, err := d.store.Claim(ctx, m.s.Lookup, "attempt-of-before", lease); err != nil {
			t.Fatal(err)
		}
		if err := d.store.MarkSent(ctx, m.s.Lookup, "attempt-of-before", 1, d.Now()); err != nil {
			t.Fatal(err)
		}
		if m.settle == bff.SettleDoubt {
			if err := d.store.Release(ctx, m.s.Lookup, "attempt-of-before", m.settle); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err := d.SignOut(ctx, d.web, over)
	if err != nil {
		t.Fatal(err)
	}
	k.Have["out"], k.Have["notice"] = out.Ticket, out.Notice
}

// writeLogins begins logins: one that waits at the provider, one that was completed, and one that a sign-out overtakes.
func (k *kept) writeLogins(d *domain) {
	for _, name := range []string{"waiting", "used", "overtaken"} {
		k.Have[name+" cookie"], k.Have[name+" state"] = d.begin(d.web, bff.LoginRequest{ReturnTo: "/after"})
	}
	d.idp.as("usr_eve", "ses_eve")
	if _, err := d.CompleteLogin(d.t.Context(), d.web, callback(k.Have["used cookie"], k.Have["used state"])); err != nil {
		d.t.Fatal(err)
	}
}

// writeNative makes sessions of the native app: one that rotated twice, one whose code can be replayed, and logins that
// wait for the app and for a person.
func (k *kept) writeNative(t *testing.T, d *domain, e *era) {
	t.Helper()
	s, err := d.redeem(d.returned("usr_ada", "ses_ada", keptURI).Code, keptURI)
	if err != nil {
		t.Fatal(err)
	}
	for _, turn := range []string{"1", "2", "3"} {
		k.Have["access "+turn], k.Have["refresh "+turn] = d.pair(s)
		if _, err := d.call(k.Have["access "+turn]); err != nil {
			t.Fatal(err)
		}
		d.drain() // the use of the turn is noted beside
		e.clock.move(time.Minute)
		if turn == "3" {
			break
		}
		if s, err = d.rotate(k.Have["refresh "+turn]); err != nil {
			t.Fatal(err)
		}
	}
	code := d.returned("usr_fay", "ses_fay", keptURI).Code
	if s, err = d.redeem(code, keptURI); err != nil {
		t.Fatal(err)
	}
	k.Have["redeemed code"] = code.Reveal()
	k.Have["redeemed access"], _ = d.pair(s)
	k.Have["code"] = d.returned("usr_gil", "ses_gil", keptURI).Code.Reveal()
	k.Have["ticket"] = d.returned("usr_hal", "ses_hal", keptScheme).Ticket.Reveal()
}

// reading is what was kept, put back on a Redis, and an instance of today that reads it a second later.
type reading struct {
	*domain
	era  *era
	have map[string]string
}

// want fails unless an error has a code; "" is none.
func want(t *testing.T, doing string, err error, code bff.Code) {
	t.Helper()
	if bff.CodeOf(err) != code {
		t.Errorf("%s: %v, want %q", doing, err, code)
	}
}

// readings are what an instance must be able to do with records that another version wrote.
var readings = []struct {
	name string
	do   func(t *testing.T, r *reading)
}{
	{"a session that is read", func(t *testing.T, r *reading) {
		s := r.session(r.have["cookie"])
		if s.Generation != 2 || s.Subject != "usr_ada" || s.SID != "ses_ada" || s.ACR != "aal2" || len(s.Groups) != 1 ||
			s.Tokens.Access.Reveal() == "" || string(s.Claims) != `{"sub":"usr_ada"}` || s.KeyID != "k1" {
			t.Errorf("session %+v", s)
		}
		if m := r.session(r.have["marked"]).Sent; m == nil || m.Doubt || m.Attempt != "attempt-of-before" || m.Generation != 1 {
			t.Errorf("sent mark %+v", m)
		}
		if m := r.session(r.have["doubtful"]).Sent; m == nil || !m.Doubt {
			t.Errorf("sent mark %+v", m)
		}
	}},
	{"a session that is extended", func(t *testing.T, r *reading) {
		r.era.clock.move(20 * time.Minute)
		s, err := r.Extend(t.Context(), r.web, r.session(r.have["cookie"]))
		want(t, "extending", err, "")
		if err == nil && (!s.LastActive.Equal(r.Now()) || s.Generation != 3) {
			t.Errorf("extended: active %v at %v, generation %d", s.LastActive, r.Now(), s.Generation)
		}
		r.era.clock.move(20 * time.Minute)
		r.session(r.have["cookie"])
	}},
	{"a session over the mark of a sender that vanished", func(t *testing.T, r *reading) {
		for _, name := range []string{"marked", "doubtful"} {
			r.era.clock.move(time.Minute)
			if _, err := r.FreshTokens(t.Context(), r.web, r.session(r.have[name])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if s := r.session(r.have[name]); s.Generation != 2 || s.Sent != nil {
				t.Errorf("%s: generation %d, mark %+v", name, s.Generation, s.Sent)
			}
		}
	}},
	{"handles", func(t *testing.T, r *reading) {
		_, err := r.call(r.have["access 3"])
		want(t, "the access handle", err, "")
		_, err = r.call(r.have["access 2"])
		want(t, "the access handle of the turn before", err, bff.CodeSessionRequired)
		s, err := r.rotate(r.have["refresh 3"])
		want(t, "the refresh handle", err, "")
		if err != nil {
			return
		}
		again, err := r.rotate(r.have["refresh 3"])
		want(t, "its repetition", err, "")
		a, b := r.Turns(s), r.Turns(again)
		if a != b || s.Turn.N != 4 {
			t.Errorf("turn %d, or two successors", s.Turn.N)
		}
		_, err = r.rotate(r.have["refresh 1"])
		want(t, "a refresh handle of long ago", err, bff.CodeGrantRejected)
		access, _ := r.pair(s)
		_, err = r.call(access)
		want(t, "after the reuse", err, bff.CodeSessionEnded)
	}},
	{"a sign-out by the user", func(t *testing.T, r *reading) {
		_, err := r.SignOut(t.Context(), r.web, r.session(r.have["cookie"]))
		want(t, "signing out", err, "")
		r.endedAs(r.have["cookie"], bff.ReasonSignedOut)
		_, err = r.call(r.have["access 3"]) // another app of the SSO session
		want(t, "the other app", err, bff.CodeSessionEnded)
		r.drain()
		if len(r.idp.revoked) != 2 { // its own, and the other's, kept under the ring for that
			t.Errorf("revoked: %v", r.idp.revoked)
		}
	}},
	{"an end by the provider's session id", func(t *testing.T, r *reading) {
		_, err := r.EndSessionsOf(t.Context(), bff.Target{Scope: bff.ScopeSID, Provider: r.web.Provider.Name, Value: "ses_ada"})
		want(t, "ending", err, "")
		r.endedAs(r.have["cookie"], bff.ReasonAdmin)
		r.session(r.have["marked"])
	}},
	{"an end by the subject", func(t *testing.T, r *reading) {
		_, err := r.EndSessionsOf(t.Context(), bff.Target{Scope: bff.ScopeSubject, Provider: r.web.Provider.Name, Value: "usr_bob"})
		want(t, "ending", err, "")
		r.endedAs(r.have["marked"], bff.ReasonAdmin)
		r.session(r.have["cookie"])
	}},
	{"a session that had ended", func(_ *testing.T, r *reading) { r.endedAs(r.have["signed-out"], bff.ReasonSignedOut) }},
	{"logins on their way", func(t *testing.T, r *reading) {
		complete := func(name, sub, sid string) error {
			r.idp.as(sub, sid)
			_, err := r.CompleteLogin(t.Context(), r.web, callback(r.have[name+" cookie"], r.have[name+" state"]))
			return err
		}
		want(t, "one that waits", complete("waiting", "usr_new", "ses_new"), "")
		want(t, "one that was completed", complete("used", "usr_eve", "ses_eve"), bff.CodeLoginReplayed)
		want(t, "one that a sign-out overtook", complete("overtaken", "usr_dee", "ses_dee"), bff.CodeLoginSignedOut)
		r.idp.as("usr_dee", "ses_dee")
		_, err := r.CompleteLogin(t.Context(), r.web, callback(r.begin(r.web, bff.LoginRequest{SignedOut: r.have["notice"]})))
		want(t, "one of the browser that signed out", err, "")
	}},
	{"a code", func(t *testing.T, r *reading) {
		s, err := r.redeem(root(t, r.have["code"]), keptURI)
		want(t, "redeeming", err, "")
		if err == nil && s.Subject != "usr_gil" {
			t.Errorf("redeemed for %q", s.Subject)
		}
	}},
	{"a login that waits for a person", func(t *testing.T, r *reading) {
		l, err := r.ConfirmNativeLogin(t.Context(), r.phone, root(t, r.have["ticket"]))
		want(t, "confirming", err, "")
		if err == nil {
			_, err = r.redeem(l.Code, keptScheme)
			want(t, "redeeming", err, "")
		}
	}},
	{"a code that is replayed", func(t *testing.T, r *reading) {
		_, err := r.call(r.have["redeemed access"])
		want(t, "before", err, "")
		_, err = r.redeem(root(t, r.have["redeemed code"]), keptURI)
		want(t, "replaying", err, bff.CodeGrantRejected)
		_, err = r.call(r.have["redeemed access"])
		want(t, "after", err, bff.CodeSessionEnded)
	}},
	{"a sign-out ticket", func(t *testing.T, r *reading) {
		to, err := r.RedeemTicket(t.Context(), r.web, r.have["out"], "s")
		want(t, "taking it", err, "")
		if err == nil && to.Values.Get("id_token_hint") == "" {
			t.Error("no hint in it")
		}
		_, err = r.RedeemTicket(t.Context(), r.web, r.have["out"], "s")
		want(t, "taking it again", err, bff.CodeGone)
	}},
}

// Turns are both handles of a session, to be compared.
func (d *domain) Turns(s *bff.Session) [2]string {
	access, refresh := d.pair(s)
	return [2]string{access, refresh}
}

// readAll does with what was kept everything that an instance does with its own.
func (k *kept) readAll(t *testing.T) {
	t.Helper()
	e := newEra(t, time.UnixMilli(k.At))
	for _, c := range readings {
		t.Run(c.name, func(t *testing.T) {
			k.restore(t, e.raw)
			e.clock.ms.Store(k.At + 1000)
			r := &reading{e.instance(t, first(k.Keys)), e, k.Have}
			c.do(t, r)
		})
	}
}

// What the version before wrote, all of it, is good for this one.
//
// shows KEY-SCHEMA
func TestRecordsOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.FromSlash(keptFile))
	if err != nil {
		t.Fatal(err)
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	k.readAll(t)
}

// The same with what this version writes: that is what the next one will be held to.
func TestWhatIsKeptIsReadAgain(t *testing.T) {
	t.Parallel()
	k := writeKept(t, newEra(t, time.Now()))
	if *keepFile != "" {
		text, err := json.MarshalIndent(k, "", " ")
		if err = errors.Join(err, os.WriteFile(*keepFile, append(text, '\n'), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	k.readAll(t)
}
