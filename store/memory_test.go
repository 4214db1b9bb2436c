//go:build integration

package store_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/test/redisproc"
)

// random is a token of n characters that no compression makes smaller.
func random(n int) bff.Secret {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return bff.NewSecret(base64.RawURLEncoding.EncodeToString(b)[:n])
}

// usual is a session of a user of their own, with tokens of usual sizes.
func (w *world) usual(i int) *bff.Session {
	s := w.session()
	s.Subject, s.SID, s.Seen = fmt.Sprintf("usr_%018d", i), fmt.Sprintf("ses_%018d", i), ""
	s.Groups = []string{"sid " + s.SID}
	s.Claims = []byte(fmt.Sprintf(`{"name":"Ada Lovelace","email":"ada.%06d@example.com","picture":"https://example.com/p/%d.png"}`, i, i))
	s.Tokens.Access, s.Tokens.Refresh, s.Tokens.ID = random(900), random(64), random(900)
	s.Tokens.Scope = "openid profile email offline_access"
	return s
}

// kindOf is what a key is of: s, ix:sub, …
func (w *world) kindOf(key string) string {
	parts := strings.Split(strings.TrimPrefix(key, w.prefix), ":")
	if parts[0] == "ix" {
		return "ix:" + parts[1]
	}
	return strings.Join(append(parts[:1], parts[2:]...), ":")
}

// What a session takes of Redis's memory, by kind of key, as its owner sees it after a refresh.
func TestWhatASessionCosts(t *testing.T) {
	n := 200
	if os.Getenv("SOAK") == "1" {
		n = 2000
	}
	for _, c := range []struct {
		name string
		args []string
		most int64 // bytes of one session
	}{
		{"a server with its defaults", nil, 4800},
		{"a server with larger listpacks", []string{"--hash-max-listpack-value", "4096"}, 4100},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, server{addrs: []string{redisproc.Start(t, redisproc.Options{Args: c.args}).Addr()}})
			w.prefix = "cr:"
			w.Store = w.open(nil)
			for i := range n {
				s := w.usual(i)
				want(t, "create", w.Create(t.Context(), s), nil)
				want(t, "touch", w.Touch(t.Context(), s, w.clock.Now()), nil)
				want(t, "save", w.Save(t.Context(), s, "attempt-of-26-characters-x", &bff.Grant{Tokens: s.Tokens}), nil)
			}
			kinds, total := make(map[string]int64), int64(0)
			for _, key := range w.keys() {
				b, err := w.raw.MemoryUsage(context.Background(), key, 0).Result()
				if err != nil {
					t.Fatal(err)
				}
				kinds[w.kindOf(key)] += b
				total += b
			}
			for _, kind := range slices.Sorted(maps.Keys(kinds)) {
				t.Logf("%-8s %5d bytes of each session", kind, kinds[kind]/int64(n))
			}
			t.Logf("%-8s %5d", "all", total/int64(n))
			if total/int64(n) > c.most {
				t.Errorf("%d bytes of each session, want no more than %d", total/int64(n), c.most)
			}
		})
	}
}
