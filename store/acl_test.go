//go:build integration

package store_test

import (
	"errors"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/store"
)

// realRedis says that this build of the tests has real servers to run on.
const realRedis = true

// onReal runs a test on the real servers: miniredis knows no users with rights of their own.
func onReal(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	each(t, func(t *testing.T, w *world) {
		if w.server.name != "miniredis" {
			test(t, w)
		}
	})
}

// An old password, or another fault that Redis answers, is no less an outage than silence.
func TestAServerThatRefusesUsIsUnavailable(t *testing.T) {
	onReal(t, func(t *testing.T, w *world) {
		err := w.raw.ACLSetUser(t.Context(), "limited", "on", ">pass", "~"+w.prefix+"*", "&*", "+@all", "-hmget").Err()
		if err != nil {
			t.Fatal(err)
		}
		limited := w.open(func(o *store.Options) { o.Username, o.Password = "limited", bff.NewSecret("pass") })
		_, err = limited.Read(t.Context(), bff.NewRoot())
		want(t, "a read that the user may not make", err, bff.ErrStore)
		stranger := w.open(func(o *store.Options) { o.Username, o.Password = "limited", bff.NewSecret("wrong") })
		_, err = stranger.Read(t.Context(), bff.NewRoot())
		want(t, "a read with a wrong password", err, bff.ErrStore)
		if errors.Is(err, bff.ErrNoSession) {
			t.Error("it says that there is no session")
		}
	})
}

// What the store needs of Redis, as an operator would grant it: commands one by one, keys and channel by prefix. (The
// command "command" is what a Cluster's client needs.)
func TestALeastPrivilegedUserIsEnough(t *testing.T) {
	onReal(t, func(t *testing.T, w *world) {
		rules := []string{"on", ">pass", "~" + w.prefix + "*", "&" + w.prefix + "events"}
		for _, c := range strings.Fields("ping time hello select evalsha eval publish subscribe unsubscribe get set getdel del " +
			"exists hset hget hmget hgetall hvals hdel hincrby hrandfield pexpire pttl cluster command wait info") {
			rules = append(rules, "+"+c)
		}
		if err := w.raw.ACLSetUser(t.Context(), "least", rules...).Err(); err != nil {
			t.Fatal(err)
		}
		w.Store = w.open(func(o *store.Options) { o.Username, o.Password = "least", bff.NewSecret("pass") })
		events := w.listen(w.Store)
		for doing, err := range w.everything(t.Context(), w.session()) {
			if errors.Is(err, bff.ErrStore) {
				t.Errorf("%s: %v", doing, err)
			}
		}
		s := w.created()
		want(t, "touch", w.Touch(t.Context(), s, w.clock.Now()), nil)
		if e := receive(t, events); e.Kind == "" {
			t.Error("no event")
		}
	})
}
