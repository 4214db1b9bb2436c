package store

import (
	"context"
	"testing"

	"cloakroom/bff"
)

// OpenFields gives the tests the decoder alone: fields in the order in which a read asks for them.
func (s *Store) OpenFields(fields []string, root bff.Root) (*bff.Session, error) {
	return s.open(fields, root, root.Lookup())
}

// SampleClock reads Redis's clock once.
func (s *Store) SampleClock(ctx context.Context) error {
	_, err := s.sample(ctx)
	return err
}

// FieldsOf returns what a read of root gets from Redis.
func (s *Store) FieldsOf(t testing.TB, root bff.Root) []string {
	fields, err := s.fields(t.Context(), s.record(root.Lookup()))
	if err != nil {
		t.Fatal(err)
	}
	return fields
}
