package server

import (
	"fmt"
	"io"
	"strings"

	"cloakroom/server/config"
)

// tellKeys says what each key of the configuration does, and where a list is between two steps of a change, what comes next.
func tellKeys(out io.Writer, cfg *config.Config) {
	fmt.Fprintf(out, "sealing key %s seals; %s open\n", cfg.SealingKeys[0].ID, keyIDs(cfg.SealingKeys))
	fmt.Fprintf(out, "index keys under which names are written and asked: %s\n", keyIDs(cfg.IndexKeys))
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

func keyIDs(keys []*config.Key) string {
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return strings.Join(ids, ", ")
}
