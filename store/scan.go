package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

const (
	// scanCount is how many keys one step has Redis look at: some tenths of a millisecond, in which it serves nobody else.
	scanCount = 500
	// betweenPasses is the wait before all is gone over once more: slots that move take seconds.
	betweenPasses = time.Second
)

// position is where a scan goes on. A cursor of Redis means something to the process that gave it and to no other, its
// replica included; so the process is named, and another one at its place is gone over from the beginning.
type position struct {
	Pass     int    `json:"p"`
	Topology string `json:"t"`           // who served which slots as the pass began; "" = that was not settled
	Node     string `json:"n,omitempty"` // address of the primary; "" = the pass is over
	Process  string `json:"r,omitempty"` // that the cursor is of; "" = this primary was not asked yet
	Cursor   uint64 `json:"c,omitempty"`
}

// Scan takes one step through the names of all records, primary by primary: bff.Scanner. When the last has answered, those
// who serve are compared with those at the beginning of the pass; a failover or a slot that moved may have carried records
// from a primary that was not asked yet to one that was, so then all is gone over again.
func (s *Store) Scan(ctx context.Context, from string) (bff.ScanStep, error) {
	at, err := positionOf(from)
	if err != nil {
		return bff.ScanStep{}, err
	}
	var names []bff.Lookup
	done := false
	if at.Node == "" {
		done, err = s.beginPass(ctx, &at)
	} else {
		names, err = s.scanStep(ctx, &at)
	}
	if err != nil {
		return bff.ScanStep{}, unavailable("scanning", err)
	}
	step := bff.ScanStep{Lookups: names, Pass: at.Pass}
	if !done {
		step.Next = at.text()
	}
	return step, nil
}

// positionOf reads a position; it comes back sealed, so what does not read is a mistake of the caller's.
func positionOf(text string) (at position, err error) {
	if text == "" {
		return position{}, nil
	}
	if err := json.Unmarshal([]byte(text), &at); err != nil {
		return position{}, fmt.Errorf("position of a scan: %w", err)
	}
	return at, nil
}

func (at *position) text() string {
	text, err := json.Marshal(at)
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(text)
}

// beginPass ends the scan if nothing has changed since the pass began, and begins the next one otherwise.
func (s *Store) beginPass(ctx context.Context, at *position) (done bool, err error) {
	now, nodes, err := s.topology(ctx)
	switch {
	case err != nil:
		return false, err
	case at.Pass > 0 && now != "" && now == at.Topology:
		return true, nil
	case at.Pass > 0 && !pause(ctx, betweenPasses):
		return false, ctx.Err()
	}
	*at = position{Pass: at.Pass + 1, Topology: now, Node: nodes[0]}
	return false, nil
}

// scanStep asks one primary for some of its names.
func (s *Store) scanStep(ctx context.Context, at *position) ([]bff.Lookup, error) {
	nodes, err := s.primaries(ctx)
	if err != nil {
		return nil, err
	}
	node, there := nodes[at.Node]
	if !there { // it serves nothing any more: the end of the pass finds that out
		at.after(nodes)
		return nil, nil
	}
	process, keys, next, err := s.scanNode(ctx, node, at)
	if err != nil {
		return nil, err
	}
	switch {
	case at.Process != "" && process != at.Process:
		// Another process at this place, or connections to two of them after a failover: the pass is over, and not the last.
		*at = position{Pass: at.Pass}
		return nil, nil
	case next == 0:
		at.after(nodes)
	default:
		at.Process, at.Cursor = process, next
	}
	return s.lookupsOf(keys), nil
}

// after goes on to the next primary, in the order of their addresses.
func (at *position) after(nodes map[string]*redis.Client) {
	next := ""
	for addr := range nodes {
		if addr > at.Node && (next == "" || addr < next) {
			next = addr
		}
	}
	at.Node, at.Process, at.Cursor = next, "", 0
}

// scanNode asks in one pipeline, which is one connection, so that the names are those of the process.
func (s *Store) scanNode(ctx context.Context, node *redis.Client, at *position) (process string, keys []string, next uint64, err error) {
	err = s.reading(ctx, "scanning", func() error {
		pipe := node.Pipeline()
		info := pipe.Info(ctx, "server")
		scan := pipe.Scan(ctx, at.Cursor, escapedPattern(s.prefix)+"s:{*}", scanCount)
		_, _ = pipe.Exec(ctx) // each command keeps its own error
		keys, next = scan.Val()
		process, err = processOf(info)
		return cmp.Or(scan.Err(), err)
	})
	return process, keys, next, err
}

// escapedPattern is a text as a pattern of Redis that matches it alone.
func escapedPattern(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

// processOf reads which process answered INFO. Without that no cursor can be trusted, but for the embedded server's, which
// knows no such section and gives all names in one step.
func processOf(info *redis.StringCmd) (string, error) {
	if redis.HasErrorPrefix(info.Err(), "section (server) is not supported") {
		return "embedded", nil
	}
	for line := range strings.Lines(info.Val()) {
		if id, found := strings.CutPrefix(strings.TrimSpace(line), "run_id:"); found {
			return id, nil
		}
	}
	return "", cmp.Or(info.Err(), errors.New("the server does not tell its run id"))
}

// lookupsOf takes the lookups out of names of records. Keys beside a record end in something else than its brace.
func (s *Store) lookupsOf(keys []string) (lookups []bff.Lookup) {
	for _, key := range keys {
		lookups = append(lookups, bff.Lookup(strings.TrimSuffix(strings.TrimPrefix(key, s.prefix+"s:{"), "}")))
	}
	return lookups
}

// theOnly is the place of a primary that is alone: wherever Sentinel says that it is, it is the one.
const theOnly = "primary"

// primaries returns all that serve, by address; asked anew each time.
func (s *Store) primaries(ctx context.Context) (map[string]*redis.Client, error) {
	nodes := make(map[string]*redis.Client)
	var mu sync.Mutex
	switch c := s.rdb.(type) {
	case *redis.Client:
		nodes[theOnly] = c
	case *redis.ClusterClient:
		err := c.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			nodes[node.Options().Addr] = node
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(nodes) == 0 {
		return nil, errors.New("no primary serves")
	}
	return nodes, nil
}

// topology tells who serves what, in a text that is equal only if nothing has changed, and "" while that is not settled:
// slots are on their way, or the primaries do not agree. nodes are the addresses, in order.
func (s *Store) topology(ctx context.Context) (text string, nodes []string, err error) {
	all, err := s.primaries(ctx)
	if err != nil {
		return "", nil, err
	}
	for addr := range all {
		nodes = append(nodes, addr)
	}
	slices.Sort(nodes)
	views := make([]clusterView, len(nodes))
	for i, addr := range nodes {
		if views[i], err = s.viewOf(ctx, all[addr]); err != nil {
			return "", nil, err
		}
	}
	return agreed(views), nodes, nil
}

// clusterView is what one primary knows of all.
type clusterView struct {
	self    string   // its own id
	process string   // its run id
	masters []string // id, epoch and slots of each that has any, in order
	ids     []string // of these
	moving  bool     // a slot of its own is leaving or arriving
}

// viewOf asks a primary. One that is alone knows of itself.
func (s *Store) viewOf(ctx context.Context, node *redis.Client) (v clusterView, err error) {
	_, cluster := s.rdb.(*redis.ClusterClient)
	err = s.reading(ctx, "asking who serves", func() error {
		pipe := node.Pipeline()
		info := pipe.Info(ctx, "server")
		var lines *redis.StringCmd
		if cluster {
			lines = pipe.ClusterNodes(ctx)
		}
		_, _ = pipe.Exec(ctx) // each command keeps its own error
		v = clusterView{}
		if cluster {
			v = viewIn(lines.Val())
			err = lines.Err()
		}
		process, wrong := processOf(info)
		v.process = process
		return cmp.Or(err, wrong)
	})
	return v, err
}

// viewIn reads the answer to CLUSTER NODES: "id address flags master ping pong epoch link slots…", where a slot in brackets
// is one of its own on the way.
func viewIn(text string) (v clusterView) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		flags := strings.Split(f[2], ",")
		slots := slices.DeleteFunc(f[8:], func(slot string) bool {
			moving := strings.HasPrefix(slot, "[")
			v.moving = v.moving || moving
			return moving
		})
		if slices.Contains(flags, "myself") {
			v.self = f[0]
		}
		if slices.Contains(flags, "master") && len(slots) > 0 {
			v.masters = append(v.masters, f[0]+" "+f[6]+" "+strings.Join(slots, " "))
			v.ids = append(v.ids, f[0])
		}
	}
	slices.Sort(v.masters)
	slices.Sort(v.ids)
	return v
}

// agreed is what all views say; "" if they differ, if somebody with slots was not asked, or if a slot is on its way.
func agreed(views []clusterView) string {
	var asked, processes []string
	for _, v := range views {
		if v.moving || !slices.Equal(v.masters, views[0].masters) {
			return ""
		}
		if v.self != "" {
			asked = append(asked, v.self)
		}
		processes = append(processes, v.process)
	}
	slices.Sort(asked)
	if !slices.Equal(asked, views[0].ids) {
		return ""
	}
	return onceHash("topology", strings.Join(slices.Concat(views[0].masters, processes), "\n"))
}

// Described returns what records say in clear: bff.Scanner.
func (s *Store) Described(ctx context.Context, lookups []bff.Lookup) (found []bff.Device, err error) {
	members := make([]bff.Member, len(lookups))
	for i, l := range lookups {
		members[i].Lookup = l
	}
	err = s.reading(ctx, "reading records", func() (err error) {
		found, err = s.devicesOf(ctx, members)
		return err
	})
	return found, err
}

// Entry returns a session's entry in one of its indexes, which its record names: bff.Scanner.
func (s *Store) Entry(ctx context.Context, lookup bff.Lookup) (bff.Member, error) {
	var value string
	err := s.reading(ctx, "reading an index entry", func() error {
		names, err := s.rdb.HGet(ctx, s.record(lookup), "ix").Result()
		first, _, _ := strings.Cut(names, " ") // each of them says the same
		if err != nil || first == "" {
			return err
		}
		value, err = s.rdb.HGet(ctx, s.indexKey(first), string(lookup)).Result()
		return err
	})
	switch {
	case errors.Is(err, redis.Nil) || err == nil && value == "":
		return bff.Member{}, bff.ErrNoSession
	case err != nil:
		return bff.Member{}, err
	}
	m := s.memberOf(string(lookup), value)
	if m.App == "" {
		return bff.Member{}, fmt.Errorf("%w: index entry", bff.ErrKeyUnknown)
	}
	return m, nil
}
