package idp_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"
)

// taken are leases of which the first is lost while its call waits, and taken by somebody else.
type taken struct {
	bff.Leases // no other method is expected
	mu         sync.Mutex
	claims     int
	lost       chan struct{}
}

func (l *taken) Claim(context.Context, bff.Lookup, string, time.Duration) (bff.Claim, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claims++
	switch l.claims {
	case 1:
		return bff.Claim{Granted: true}, nil
	case 2: // the lease was lost, and is not to be had again
		close(l.lost)
		return bff.Claim{Remaining: time.Second}, nil
	default: // enough is seen: the refresh is given up
		return bff.Claim{}, bff.ErrStore
	}
}

func (l *taken) Renew(context.Context, bff.Lookup, string, time.Duration) error {
	return bff.ErrClaimLost
}

func (l *taken) MarkSent(context.Context, bff.Lookup, string, int64, time.Time) error { return nil }

func (l *taken) Release(context.Context, bff.Lookup, string, bff.Settlement) error { return nil }

// kept is the one record there is.
type kept struct {
	bff.Records
	session *bff.Session
}

func (k kept) Read(context.Context, bff.Root) (*bff.Session, error) { return k.session, nil }

// delayed is a client whose call has to wait until the lease is lost.
type delayed struct {
	*idp.Client
	until <-chan struct{}
}

func (d delayed) Refresh(ctx context.Context, s *bff.Session, resource string) (*bff.Grant, error) {
	<-d.until
	return d.Client.Refresh(ctx, s, resource)
}

// A refresh token whose lease was lost on the way to the token endpoint does not leave: somebody else may have sent it by
// now (RFC 9700 section 4.14.2).
//
// shows REF-ONE
func TestATokenWhoseLeaseIsLostDoesNotLeave(t *testing.T) {
	p := newProvider(t)
	leases, s := &taken{lost: make(chan struct{})}, p.session()
	c := delayed{p.client(nil), leases.lost}
	e := bff.NewEngine(bff.Ports{
		Records: kept{session: s}, Leases: leases, Providers: func(string) bff.Provider { return c },
	}, nil, p.now, &bff.Trace{}, bff.Limits{Lease: 30 * time.Millisecond})
	_, err := e.FreshTokens(t.Context(), &bff.App{ID: "web"}, s)
	if !errors.Is(err, bff.ErrStore) {
		t.Errorf("the refresh that was given up: %v", err)
	}
	if n := p.count("/token"); n != 0 {
		t.Errorf("the token was sent %d times", n)
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
