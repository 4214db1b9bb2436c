package store_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"cloakroom/bff"
	"cloakroom/store"
)

// The session is gone, but the answer that held its refresh token is lost: a repetition by the same attempt gets it.
func TestAnEndWhoseAnswerIsLostStillYieldsItsRefreshToken(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		w.created() // Redis knows the scripts
		w.Store = w.open(func(o *store.Options) { o.Revocable = func(string) bool { return true } })
		warm := w.created()
		if _, err := w.Delete(t.Context(), warm.Lookup, nil, bff.ReasonSignedOut); err != nil {
			t.Fatal(err)
		}
		p := w.proxy()
		through := w.open(func(o *store.Options) {
			o.Addrs, o.Revocable = []string{p.listener.Addr().String()}, func(string) bool { return true }
		})
		s := w.created()
		p.loseReplyTo(w.record(s.Lookup) + ":tok")
		ended, err := through.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
		if err != nil || ended == nil || ended.Refresh.Reveal() != "refresh-token-1" || ended.App != app {
			t.Errorf("ended %+v, %v: want what was ended", ended, err)
		}
		if p.losses() != 1 {
			t.Errorf("%d replies were lost, want 1", p.losses())
		}
		_, err = w.Read(t.Context(), s.Root)
		wantEnded(t, "read", err, bff.ReasonSignedOut)
		if again, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonIdle); again != nil || err != nil {
			t.Errorf("somebody else's delete of what is gone: %+v, %v", again, err)
		}
	})
}

// A login gave up because its write was in doubt. That write may still be on its way: it must find the end.
func TestARecordWrittenAfterItsLoginWasUndoneIsNone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.session()
		if ended, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonLoginUndone); ended != nil || err != nil {
			t.Fatalf("undoing what is not there yet: %+v, %v", ended, err)
		}
		wantEnded(t, "a create that comes late", w.Create(t.Context(), s), bff.ReasonLoginUndone)
		_, err := w.Read(t.Context(), s.Root)
		wantEnded(t, "read", err, bff.ReasonLoginUndone)
	})
}

// hookedConn calls hook once, before the first request that holds text goes out.
type hookedConn struct {
	net.Conn
	text string
	once *sync.Once
	hook func()
}

func (c hookedConn) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.text) {
		c.once.Do(c.hook)
	}
	return c.Conn.Write(b)
}

// A sign-out comes between the two writes of a save: the tokens, and the index entries that it adds again.
//
// shows KEY-TTL
func TestASaveThatASignOutOvertakesLeavesNoIndexEntry(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		var once sync.Once
		signOut := func() {
			if _, err := w.Delete(context.Background(), s.Lookup, nil, bff.ReasonSignedOut); err != nil {
				t.Error(err)
			}
		}
		saving := w.open(func(o *store.Options) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return hookedConn{c, w.prefix + "ix:", &once, signOut}, err
			}
		})
		if err := saving.Save(t.Context(), s, "a1", next(2)); err != nil {
			t.Fatal(err)
		}
		members, err := w.Members(t.Context(), bff.Target{Scope: bff.ScopeSSO, Provider: provider, Value: group})
		if err != nil || len(members) != 0 {
			t.Errorf("members %v, %v: want none, the session is gone", members, err)
		}
	})
}
