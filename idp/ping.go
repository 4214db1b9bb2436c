package idp

import "context"

// Ping asks for the provider's metadata, unless a good copy or a fresh failure is at hand, and returns what is wrong with
// it: for probes and for the operator.
func (is *Issuer) Ping(ctx context.Context) error {
	_, err := is.discover(ctx)
	return err
}
