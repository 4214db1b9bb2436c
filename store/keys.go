package store

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"
)

// record names the record of a session. The braces are the hash tag: everything of one session is in one slot.
func (s *Store) record(l bff.Lookup) string { return s.prefix + "s:{" + string(l) + "}" }

func claimOf(record string) string        { return record + ":claim" }
func tokOf(record string) string          { return record + ":tok" }
func endedOf(record string) string        { return record + ":ended" }
func proofOf(record, proof string) string { return record + ":j:" + proof }
func leftOf(record string) string         { return endedOf(record) + ":left" }

// indexNames returns all indexes that an identity of a provider belongs to, under all index keys, without the prefix.
// The one by sid is there whenever there is a sid, whatever ties the provider's SSO sessions.
func (s *Store) indexNames(provider string, id *bff.Identity, groups []string) []string {
	names := s.namesOf(bff.Target{Scope: bff.ScopeSubject, Provider: provider, Value: id.Subject})
	if id.SID != "" {
		names = append(names, s.namesOf(bff.Target{Scope: bff.ScopeSID, Provider: provider, Value: id.SID})...)
	}
	for _, g := range groups {
		names = append(names, s.namesOf(bff.Target{Scope: bff.ScopeSSO, Provider: provider, Value: g})...)
	}
	return names
}

// namesOf returns "<scope>:<mac>" of a target, under each index key.
func (s *Store) namesOf(t bff.Target) []string {
	names := s.ring.Names(string(t.Scope), t.Provider, t.Value)
	for i, mac := range names {
		names[i] = string(t.Scope) + ":" + mac
	}
	return names
}

// indexKey is the key of one index.
func (s *Store) indexKey(name string) string { return s.prefix + "ix:" + name }

// markerKeys returns the keys of a target's markers, under each index key.
func (s *Store) markerKeys(t bff.Target) []string {
	keys := s.ring.Names(string(t.Scope), t.Provider, t.Value)
	for i, mac := range keys {
		keys[i] = s.prefix + "end:" + mac
	}
	return keys
}

// groupNames returns the names under which records and markers compare groups: MACs under each index key. They do
// without the provider, as bff.Marker.Applies does, and are labelled apart from the names of indexes.
func (s *Store) groupNames(group string) []string { return s.ring.Names("group", group) }

// onceKey names a one-time thing.
func (s *Store) onceKey(kind, name string) string {
	return s.prefix + kind + ":" + onceHash(kind, name)
}

// onceHash is labelled and unkeyed: one name, whatever key of the ring changes.
func onceHash(kind, name string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "cloakroom once v1 %d:%s %s", len(kind), kind, name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// codeKey names a login that waits under a code. The braces are the hash tag: who redeemed it stands in the same slot.
func (s *Store) codeKey(code bff.Root) string {
	return s.prefix + "code:{" + onceHash("code", code.Reveal()) + "}"
}

func redeemedOf(code string) string { return code + ":by" }

// Times are kept as milliseconds since 1970. A zero time is 0.

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// millisUp rounds up: the time of a marker, so that what it ends by the exact clock it also ends by this one.
func millisUp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(time.Millisecond - 1).UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// endedText writes what is left of a session: why it ended, and when. The script that keeps it adds by which attempt, and
// of which app.
func endedText(r bff.Reason, at time.Time) string {
	return string(r) + " " + strconv.FormatInt(millis(at), 10)
}

// gone makes of an end's text, "" if there is none, the answer for a record that is not there.
func gone(ended string) error {
	if ended == "" {
		return bff.ErrNoSession
	}
	reason, at, _ := strings.Cut(ended, " ")
	at, _, _ = strings.Cut(at, " ")
	ms, _ := strconv.ParseInt(at, 10, 64)
	return &bff.EndedError{Reason: bff.Reason(reason), At: fromMillis(ms)}
}
