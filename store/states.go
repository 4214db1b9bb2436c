package store

import (
	"context"
	"errors"
	"strconv"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

// States returns what records say in clear of their sessions' lives: bff.States. It costs one pipeline to each server that
// holds some of them, of one field each: nothing else of a record moves with its use. Of those that are gone the ends are
// asked for in a second one.
func (s *Store) States(ctx context.Context, lookups []bff.Lookup) []bff.State {
	states := make([]bff.State, len(lookups))
	cmds := make([]*redis.SliceCmd, len(lookups))
	_ = s.reading(ctx, "looking at records", func() error { // each command keeps its own error
		pipe := s.rdb.Pipeline()
		for i, l := range lookups {
			cmds[i] = pipe.HMGet(ctx, s.record(l), "act")
		}
		_, err := pipe.Exec(ctx)
		return err
	})
	for i, cmd := range cmds {
		states[i] = stateOf(cmd)
	}
	s.tellEnds(ctx, lookups, states)
	return states
}

// stateOf reads the answer about one record. What is none, or does not say when it was used, is no session that anybody
// could use: Read refuses it as well.
func stateOf(cmd *redis.SliceCmd) bff.State {
	switch err := cmd.Err(); {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return bff.State{Gone: true}
	case err != nil:
		return bff.State{Err: unavailable("looking at a record", err)}
	case len(cmd.Val()) != 1:
		return bff.State{Err: bff.ErrStore}
	}
	text, _ := cmd.Val()[0].(string)
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return bff.State{Gone: true}
	}
	return bff.State{LastActive: fromMillis(ms)}
}

// tellEnds adds to the states of records that are gone why they are. Without that a state is gone all the same: that the
// session is over is known.
func (s *Store) tellEnds(ctx context.Context, lookups []bff.Lookup, states []bff.State) {
	pipe := s.rdb.Pipeline()
	ends := make(map[int]*redis.StringCmd)
	for i := range states {
		if states[i].Gone {
			ends[i] = pipe.Get(ctx, endedOf(s.record(lookups[i])))
		}
	}
	if len(ends) == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each command keeps its own error
	for i, cmd := range ends {
		if ended, ok := errors.AsType[*bff.EndedError](gone(cmd.Val())); ok {
			states[i].Reason, states[i].Ended = ended.Reason, ended.At
		}
	}
}
