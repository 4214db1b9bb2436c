package server

import (
	"fmt"
	"io"
	"strings"

	"cloakroom/server/config"
)

// tellKeys says what each key for the store does, and where a list is between two steps of a change, what comes next.
func tellKeys(out io.Writer, cfg *config.Config) {
	fmt.Fprintf(out, "sealing key %s seals; %s open\n", cfg.SealingKeys[0].ID, ids(cfg.SealingKeys, keyID))
	fmt.Fprintf(out, "index keys under which names are written and asked: %s\n", ids(cfg.IndexKeys, keyID))
	if len(cfg.RetiredKeys) > 0 {
		fmt.Fprintf(out, "retired: %s; sessions that began under them are signed out\n", strings.Join(cfg.RetiredKeys, ", "))
	}
	for _, list := range []struct {
		name string
		keys []*config.Key
	}{{"sealing_keys", cfg.SealingKeys}, {"index_keys", cfg.IndexKeys}} {
		if len(list.keys) > 1 {
			// What stands behind the front is either on its way there or on its way out: the list alone does not say which.
			fmt.Fprintf(out, "note: %s: a key that is new goes to the front once every instance has it; one that was in front goes "+
				"once the longest session since then (%s) is over\n", list.name, longestSession(cfg))
		}
	}
}

// tellClientKeys says of each app that has keys which one signs: the step of a rotation that it is at.
func tellClientKeys(out io.Writer, cfg *config.Config) {
	for _, id := range sortedKeys(cfg.Apps) {
		keys := cfg.Apps[id].ClientKeys
		if len(keys) == 0 {
			continue
		}
		fmt.Fprintf(out, "client key %s of app %s signs; %s published\n", keys[0].ID, id,
			ids(keys, func(k *config.ClientKey) string { return k.ID }))
	}
}

func keyID(k *config.Key) string { return k.ID }

// ids names keys of either kind.
func ids[K any](keys []K, id func(K) string) string {
	var names []string
	for _, k := range keys {
		names = append(names, id(k))
	}
	return strings.Join(names, ", ")
}
