package store

import (
	"context"
	"embed"
	"fmt"
	"path"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var scriptFiles embed.FS

// scripts are the Lua scripts, each of which opens with its keys, arguments, answers and the rules it keeps. They are
// called by hash, and sent whole only to a server that does not know them.
type scripts struct {
	index, create, touch, remove      *redis.Script
	claim, renew, mark, release, save *redis.Script
	turn, seen, redeem, proof         *redis.Script
	marker, use, limit, lineUp        *redis.Script
	keep                              *redis.Script
}

func loadScripts() scripts {
	load := func(name string) *redis.Script {
		text, err := scriptFiles.ReadFile(path.Join("lua", name+".lua"))
		if err != nil {
			panic(err) // it is part of the program
		}
		return redis.NewScript(string(text))
	}
	return scripts{
		index: load("index"), create: load("create"), touch: load("touch"), remove: load("delete"),
		claim: load("claim"), renew: load("renew"), mark: load("mark"), release: load("release"), save: load("save"),
		turn: load("turn"), seen: load("seen"), redeem: load("redeem"), proof: load("proof"),
		marker: load("marker"), use: load("use"), limit: load("limit"), lineUp: load("lineup"),
		keep: load("keep"),
	}
}

// call is one script with its keys, all of one slot, and arguments.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
}

// run carries out one script whose answer is a list.
func (s *Store) run(ctx context.Context, c call) (answer, error) {
	return s.script(ctx, c).Slice()
}

func (s *Store) script(ctx context.Context, c call) *redis.Cmd {
	cmd := c.script.Run(ctx, s.rdb, c.keys, c.args...)
	for _, wait := range undivided() {
		if !elsewhere(cmd.Err()) || !pause(ctx, wait) {
			break
		}
		cmd = c.script.Run(ctx, s.rdb, c.keys, c.args...)
	}
	return cmd
}

// undivided are the waits for a slot that moves to another node of a Cluster: until all of it has moved, a script whose
// keys are not all there is refused, and did not run; nor did one that was sent on once too often for the client. A slot
// takes milliseconds, and some more until all nodes agree whose it is; together these are a second.
func undivided() [4]time.Duration {
	return [4]time.Duration{50 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond}
}

// runAll carries out scripts that do not depend on each other in one pipeline, over as many slots as they touch. It
// returns the first error; then any of them may have happened.
func (s *Store) runAll(ctx context.Context, calls []call) error {
	if len(calls) == 0 {
		return nil
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		cmds[i] = c.script.EvalSha(ctx, pipe, c.keys, c.args...)
	}
	_, _ = pipe.Exec(ctx) // each command keeps its own error
	for i, c := range calls {
		err := cmds[i].Err()
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // it did not run, so it is not run twice
			err = c.script.Eval(ctx, s.rdb, c.keys, c.args...).Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runConfirmed carries out one script of a session's record and, if so configured, waits until replicas have what it wrote,
// on the connection that wrote it. Too few in time is "saved, unconfirmed": it is logged with the session, which is one that
// a failover may undo, and the answer counts.
func (s *Store) runConfirmed(ctx context.Context, of bff.Lookup, c call) (answer, error) {
	if s.waitReplicas <= 0 {
		return s.run(ctx, c)
	}
	primary, err := s.primaryOf(ctx, c.keys[0])
	if err != nil {
		return nil, err
	}
	cmd, wait := s.withWait(ctx, primary, c, c.script.EvalSha)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd, wait = s.withWait(ctx, primary, c, c.script.Eval)
	}
	if elsewhere(cmd.Err()) {
		// The slot has another primary by now, or is on its way there, and nothing was done. The cluster's client finds it.
		cmd, wait = s.script(ctx, c), redis.NewIntCmd(ctx)
	}
	if confirmed, err := wait.Result(); cmd.Err() == nil && (err != nil || confirmed < int64(s.waitReplicas)) {
		s.log.WarnContext(ctx, "saved, unconfirmed by replicas",
			"session", of.ID(), "confirmed", confirmed, "wanted", s.waitReplicas, "err", err)
	}
	return cmd.Slice()
}

// elsewhere reports whether a node of a Cluster refused a script because its slot has moved or is moving.
func elsewhere(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask || redis.IsTryAgainError(err)
}

// primaryOf returns the client of the one server that holds key.
func (s *Store) primaryOf(ctx context.Context, key string) (*redis.Client, error) {
	switch c := s.rdb.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	default:
		return nil, fmt.Errorf("unexpected client %T", c)
	}
}

// evaluation is redis.Script.Eval or EvalSha.
type evaluation func(ctx context.Context, on redis.Scripter, keys []string, args ...any) *redis.Cmd

// withWait sends the script and WAIT in one pipeline, which is one connection.
func (s *Store) withWait(ctx context.Context, on *redis.Client, c call, eval evaluation) (*redis.Cmd, *redis.IntCmd) {
	pipe := on.Pipeline()
	cmd := eval(ctx, pipe, c.keys, c.args...)
	wait := redis.NewIntCmd(ctx, "wait", s.waitReplicas, s.waitTimeout.Milliseconds())
	_ = pipe.Process(ctx, wait)
	_, _ = pipe.Exec(ctx) // each command keeps its own error
	return cmd, wait
}

// answer is what a script returned: a word, then what belongs to it.
type answer []any

// text returns the i-th element, or "".
func (a answer) text(i int) string {
	if i >= len(a) {
		return ""
	}
	t, _ := a[i].(string)
	return t
}

// texts returns the elements from the i-th on; "" for one that is none.
func (a answer) texts(i int) []string {
	var out []string
	for ; i < len(a); i++ {
		out = append(out, a.text(i))
	}
	return out
}

// number returns the i-th element, or 0.
func (a answer) number(i int) int64 {
	if i >= len(a) {
		return 0
	}
	n, _ := a[i].(int64)
	return n
}
