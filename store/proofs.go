package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

// proofSlack is how much longer than it is taken a proof is remembered: clocks of instances that have not yet sampled
// Redis's anew. Memory is all it costs.
const proofSlack = 5 * time.Second

// ReadProven reads the record of root and uses up a proof of possession, in one round trip: bff.Proofs. It carries an attempt
// id, and so is repeated like any read.
func (s *Store) ReadProven(ctx context.Context, root bff.Root, p *bff.Possession) (*bff.Session, error) {
	lookup := root.Lookup()
	rec := s.record(lookup)
	args := []any{p.Key, atLeastOne(p.Until.Sub(s.Now()) + proofSlack), rand.Text()}
	c := call{s.scripts.proof, []string{rec, proofOf(rec, p.Proof)}, append(args, readCommand(rec)[2:]...)}
	var got answer
	err := s.reading(ctx, "reading the record", func() (err error) {
		got, err = s.runHot(ctx, c)
		return err
	})
	if err == nil && got.text(0) == "used" {
		return nil, bff.ErrUsed
	}
	fields, err := wholeRecord(got.texts(1), err)
	switch {
	case err != nil:
		return nil, err
	case absent(fields):
		return nil, s.absence(ctx, lookup)
	}
	session, err := s.open(fields, root, lookup)
	// The field that the script compared is in clear: somebody who writes it by hand would have proofs taken twice.
	if err == nil && (session.Key == p.Key) != (got.text(0) == "proven") {
		return nil, fmt.Errorf("%w: clear and sealed key differ", bff.ErrTampered)
	}
	return session, err
}

// runHot carries out one script as records are read: in a pipeline with others where that is the setting.
func (s *Store) runHot(ctx context.Context, c call) (answer, error) {
	args := []any{"evalsha", c.script.Hash(), len(c.keys)}
	for _, k := range c.keys {
		args = append(args, k)
	}
	cmd := redis.NewCmd(ctx, append(args, c.args...)...)
	cmd.SetFirstKeyPos(3) // behind the number of keys
	err := s.hot.Process(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") || elsewhere(err) { // it did not run
		return s.run(ctx, c)
	}
	return cmd.Slice()
}
