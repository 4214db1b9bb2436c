package config

import (
	"crypto/subtle"
	"errors"
	"regexp"
	"slices"
)

// keyIDPattern: an id stands in clear beside every sealed thing, and 16
// characters keep it short there.
const keyIDPattern = `^[a-z0-9][a-z0-9._-]{0,15}$`

func (r *report) validateKeys(c *Config) {
	ids := regexp.MustCompile(keyIDPattern)
	r.validateRing("sealing_keys", c.SealingKeys, ids)
	r.validateRing("index_keys", c.IndexKeys, ids)
	r.validateSameKey(c)
	for i, id := range c.RetiredKeys {
		here := at("retired_keys", i)
		switch {
		case !ids.MatchString(id):
			r.add(here, "no key id; %s", idHint)
		case slices.ContainsFunc(c.SealingKeys, func(k *Key) bool { return k.ID == id }):
			r.add(here, "still among sealing_keys; a retired key no longer opens anything, so remove it there first")
		}
	}
	r.unique("retired_keys", c.RetiredKeys)
}

const idHint = "an id is up to 16 of a-z, 0-9, dot, underscore and hyphen, the first a letter or digit"

func (r *report) validateRing(path string, keys []*Key, ids *regexp.Regexp) {
	if len(keys) == 0 {
		r.add(path, "missing; write [{id: k1, file: name}] with a file that `cloakroom keygen` made")
	}
	seen := map[string]bool{}
	for i, key := range keys {
		here := at(path, i)
		r.validateKeyID(join(here, "id"), key.ID, ids, seen, "what one sealed would be opened with the other")
		r.validateKey(here, key)
	}
}

// validateKeyID checks the id of one key of a list, of which seen are those before it; twice says what two of one
// id lead to.
func (r *report) validateKeyID(here, id string, ids *regexp.Regexp, seen map[string]bool, twice string) {
	switch {
	case !r.need(here, id, idHint):
	case !ids.MatchString(id):
		r.add(here, "no key id; %s", idHint)
	case seen[id]:
		r.add(here, "the id of another key; %s", twice)
	}
	seen[id] = true
}

func (r *report) validateKey(path string, key *Key) {
	here := r.asWritten(path, "key", "file")
	_, err := ParseKey(key.Key.Reveal())
	switch {
	case r.has(join(path, "file")):
	case !key.Key.IsSet():
		r.add(join(path, "file"), "missing; name a file that `cloakroom keygen` made")
	case here == join(path, "key") && r.sources[here].layer == fromFile:
		r.add(here, "a key in the configuration file itself; put it into a file of its own and name that in file")
	case errors.Is(err, errKeyLines), errors.Is(err, errKeyPattern):
		r.add(here, "%s; draw one with `cloakroom keygen`", err)
	case err != nil:
		// ASVS 11.2.3 and 13.3.1: a short or guessable key stops the start.
		r.add(here, "%s; it has to be 32 random bytes in base64url, as `cloakroom keygen` prints", err)
	}
}

// validateSameKey refuses one key in two places: keys that seal and keys that
// name must not be one, and two ids for one key undo its rotation.
func (r *report) validateSameKey(c *Config) {
	var seen []*Key
	check := func(path string, keys []*Key) {
		for i, key := range keys {
			twin := func(k *Key) bool { return subtle.ConstantTimeCompare(k.Bytes(), key.Bytes()) == 1 }
			if key.Bytes() != nil && slices.ContainsFunc(seen, twin) {
				r.add(r.asWritten(at(path, i), "key", "file"), "the same key as another one; draw each with `cloakroom keygen`")
			}
			seen = append(seen, key)
		}
	}
	check("sealing_keys", c.SealingKeys)
	check("index_keys", c.IndexKeys)
}
