package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"
)

// turnBits bounds the numbers of a turn: a script counts exactly below 2^53.
const turnBits = 53

// Rotate moves the turn of a native session, or returns it as it is for a repetition: bff.Turns. A move whose answer was
// lost is not repeated here: the app that asks again gets the same successor.
func (s *Store) Rotate(ctx context.Context, n *bff.Session, presented int64, grace time.Duration) (bff.Turn, error) {
	rec := s.record(lookupOf(n))
	got, err := s.run(ctx, call{
		s.scripts.turn, []string{rec, endedOf(rec)}, []any{presented, millis(s.Now()), grace.Milliseconds()},
	})
	if err != nil {
		return bff.Turn{}, unavailable("moving the turn", err)
	}
	switch got.text(0) {
	case "ok":
		return parseTurn(got.text(1))
	case "gone":
		return bff.Turn{}, gone(got.text(1))
	case "used":
		return bff.Turn{}, bff.ErrUsed
	case "reused":
		return bff.Turn{}, bff.ErrReused
	default:
		return bff.Turn{}, fmt.Errorf("%w: no turn to move", bff.ErrTampered)
	}
}

// TurnSeen notes the first use of a turn: bff.Turns.
func (s *Store) TurnSeen(ctx context.Context, n *bff.Session, turn int64) error {
	rec := s.record(lookupOf(n))
	got, err := s.run(ctx, call{s.scripts.seen, []string{rec, endedOf(rec)}, []any{turn, millis(s.Now())}})
	if err != nil {
		return unavailable("noting the use of a turn", err)
	}
	if got.text(0) == "gone" {
		return gone(got.text(1))
	}
	return nil
}

// turnText writes a turn as "<n> <moved> <issued> <seen> <before>", times in ms; "0" for a session without.
func turnText(t bff.Turn) string {
	if t.N == 0 {
		return "0"
	}
	return fmt.Sprintf("%d %d %d %d %d", t.N, millis(t.Moved), millis(t.Issued), millis(t.Seen), millis(t.Before))
}

// parseTurn reads what turnText or the script wrote.
func parseTurn(text string) (t bff.Turn, err error) {
	if text == "0" {
		return t, nil
	}
	parts := strings.Split(text, " ")
	var n [5]int64
	if len(parts) != len(n) {
		return t, fmt.Errorf("%w: turn", bff.ErrTampered)
	}
	for i, p := range parts {
		u, err := strconv.ParseUint(p, 10, turnBits)
		if err != nil {
			return t, fmt.Errorf("%w: turn", bff.ErrTampered)
		}
		n[i] = int64(u)
	}
	if n[0] == 0 {
		return t, fmt.Errorf("%w: turn", bff.ErrTampered)
	}
	return bff.Turn{
		N: n[0], Moved: fromMillis(n[1]), Issued: fromMillis(n[2]), Seen: fromMillis(n[3]), Before: fromMillis(n[4]),
	}, nil
}

// latest is the latest of a turn's times.
func latest(t bff.Turn) time.Time {
	out := t.Moved
	for _, at := range []time.Time{t.Issued, t.Seen, t.Before} {
		if at.After(out) {
			out = at
		}
	}
	return out
}
