// Package store keeps what must outlive a request, in Redis: it implements the ports Records, Leases, Markers,
// OneTime, Replays, Events, Turns, Proofs, Codes, Devices, States, Scanner, ClientTokens and KeptTokens of package bff, and rate
// limits.
//
// It knows Redis (a single primary, one behind Sentinel, or a Cluster), the layout of its keys, and how a record is
// sealed field by field. It does not know what a session is allowed to do, when one has ended, or whom to ask about it:
// that is judged in package bff, from what is returned here.
//
// The journey of a session: Create writes its index entries, then its record. Each request Reads it: one command to the
// primary. Touch moves its idle end; Claim, MarkSent, Save and Release carry a refresh. Mark, Members and Delete end it,
// and what is left is the reason, for a while. That of a native app begins as a login that waits under a code (Keep), once
// redeemed (Redeem), and its handles move by Rotate; one whose handle is bound to a key is read by ReadProven, which uses the
// proof up as well. Devices and LineUp tell a user's sessions apart and in order. States looks at many records at once for
// whoever watches them, and Scan goes over all that there are, primary by primary.
//
// The rules that everything here holds:
//
//   - An update is a script on an existing record. Deletion always wins.
//   - The client sends a write once; reads may be repeated. Whatever must happen once carries an attempt id, and a script
//     that finds its own answers success: such a write is repeated here, once, where its answer was lost. (In a Cluster
//     the client repeats a command that it had to redirect, or whose node was lost.)
//   - Everything of one session shares a hash tag, so that a script stays in one slot. Index before record.
//   - Every key has a life on every path, set in the script that writes it.
//   - Redis that is full (maxmemory, noeviction) refuses a command that may need room, in a script only as its first write.
//     So whatever serves those who are signed in begins with a write that needs none: they go on and can sign out, and
//     only what begins is refused.
//   - Names are hashes or MACs, values are sealed: a dump of Redis shows no subject, session id, token or credential.
//   - An error of Redis or of the way to it is bff.ErrStore: nothing is known then, least of all that a session ended.
package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/trace"
)

// Options are the values a Store is made of. Zero durations and sizes take the default named with them.
type Options struct {
	Addrs      []string // host:port of the primary, of the Sentinels (with MasterName) or of Cluster nodes
	MasterName string   // asks Sentinels for the primary
	Cluster    bool     // speaks to a Redis Cluster

	Username         string
	Password         bff.Secret
	SentinelUsername string
	SentinelPassword bff.Secret
	DB               int
	TLS              *tls.Config // nil: without TLS
	KeyPrefix        string      // stands before every key and the channel; no braces, which would move the hash tag

	DialTimeout  time.Duration // default 2 s
	ReadTimeout  time.Duration // default 500 ms
	WriteTimeout time.Duration // default 500 ms
	PoolTimeout  time.Duration // default 1 s: how long a request waits for a free connection
	PoolSize     int           // default: 64, or ten for each CPU if that is more

	// WaitReplicas makes Create, MarkSent, Save and Delete wait until so many replicas have the write, for at most
	// WaitTimeout (less than ReadTimeout; default a fifth of it). Fewer in time is logged as unconfirmed and is no error.
	WaitReplicas int
	WaitTimeout  time.Duration
	Pipeline     bool // gathers concurrent reads of records into pipelines: less CPU under load, later when idle

	// MarkerLife is how long an end marker is kept: at least the longest absolute life of a session, and slack. Required.
	MarkerLife time.Duration
	// Revocable says of a provider, by its configured name, whether refresh tokens are also sealed under the ring, so that
	// a session ended without its credential can be revoked. nil: of none.
	Revocable func(provider string) bool

	Ring     *bff.Keyring     // required
	Now      func() time.Time // the local clock; default time.Now
	Instance string           // names this process in claims and marks, for the operator; no secret
	Log      *slog.Logger     // default: nowhere
	// Done, if set, is told of every command and pipeline that was sent: its name ("hmget", "evalsha", "pipeline", "dial"),
	// what it took, and how it ended. That something is not there, or that a script or a slot is to be asked for
	// elsewhere, is no error. It must not block.
	Done func(operation string, took time.Duration, err error)
	// Tracer, if set, gets a span for each command, which names the command and nothing of its arguments.
	Tracer trace.TracerProvider
	// ReadRetries is how often a read is tried again where that promises something; writes never are. Negative: never;
	// default 2.
	ReadRetries int
	// Dialer, if set, makes the connections.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Store is the one place that speaks to Redis. It is safe for concurrent use.
type Store struct {
	rdb     redis.UniversalClient
	hot     processor // reads of records: the client itself, or its pipelines
	ring    *bff.Keyring
	scripts scripts
	log     *slog.Logger

	local    func() time.Time
	clock    atomic.Pointer[moment] // Redis's, as last sampled; nil: not yet
	resample chan struct{}          // has Run sample at once

	prefix       string
	channel      string
	instance     string
	markerLife   time.Duration
	waitReplicas int
	waitTimeout  time.Duration
	revocable    func(provider string) bool
	readRetries  int
	readTimeout  time.Duration
	exposed      []string              // what CheckServer knows without asking
	deaf         atomic.Pointer[error] // why events are not heard; nil: they are, or nobody listens
}

// processor carries out one command.
type processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

var (
	_ bff.Records = (*Store)(nil)
	_ bff.Leases  = (*Store)(nil)
	_ bff.Markers = (*Store)(nil)
	_ bff.OneTime = (*Store)(nil)
	_ bff.Events  = (*Store)(nil)
	_ bff.Turns   = (*Store)(nil)
	_ bff.Proofs  = (*Store)(nil)
	_ bff.Codes   = (*Store)(nil)
	_ bff.Devices = (*Store)(nil)
	_ bff.Scanner = (*Store)(nil)
	_ bff.States  = (*Store)(nil)
)

// New makes a store. It asks nothing of Redis: a gateway starts without it, and says so. Errors are about the options.
func New(o Options) (*Store, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Store{
		rdb: o.client(), ring: o.Ring, scripts: loadScripts(), log: o.Log, local: o.Now,
		resample: make(chan struct{}, 1),
		prefix:   o.KeyPrefix, channel: o.KeyPrefix + "events", instance: o.Instance,
		markerLife: o.MarkerLife, waitReplicas: o.WaitReplicas, waitTimeout: o.WaitTimeout, revocable: o.Revocable,
		readRetries: o.ReadRetries, readTimeout: o.ReadTimeout, exposed: o.exposed(),
	}
	s.hot = s.rdb
	reloading(s.rdb)
	if err := o.observe(s.rdb); err != nil {
		return nil, errors.Join(fmt.Errorf("observing the client: %w", err), s.rdb.Close())
	}
	if o.Pipeline {
		pipelines, err := s.rdb.AutoPipeline()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("pipelining reads: %w", err), s.rdb.Close())
		}
		s.hot = pipelines
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	orDuration(&o.DialTimeout, 2*time.Second)         // a SYN that was lost twice still makes it
	orDuration(&o.ReadTimeout, 500*time.Millisecond)  // a request waits no longer for its session
	orDuration(&o.WriteTimeout, 500*time.Millisecond) // as above
	orDuration(&o.PoolTimeout, time.Second)           // twice a slow answer
	orDuration(&o.WaitTimeout, o.ReadTimeout/5)       // leaves the script itself most of the time
	if o.ReadRetries == 0 {
		o.ReadRetries = 2 // a connection that Redis closed, and the last moment of a failover
	}
	if o.PoolSize <= 0 {
		// A request holds a connection for one round trip. While Redis takes 300 ms for it, 64 carry 200 requests a second; it
		// is the slow Redis that needs them, for the client opens no more than are in use.
		o.PoolSize = max(64, 10*runtime.GOMAXPROCS(0))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Revocable == nil {
		o.Revocable = func(string) bool { return false }
	}
	return o
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

func (o Options) check() error {
	switch {
	case len(o.Addrs) == 0:
		return errors.New("redis: no address")
	case len(o.Addrs) > 1 && !o.Cluster && o.MasterName == "":
		return errors.New("redis: several addresses need a master name (Sentinel) or cluster mode")
	case o.Cluster && o.MasterName != "":
		return errors.New("redis: Sentinel and Cluster exclude each other")
	case strings.ContainsAny(o.KeyPrefix, "{}"):
		return errors.New("redis: the key prefix must not hold braces")
	case o.Ring == nil:
		return errors.New("redis: no keyring")
	case o.MarkerLife <= 0:
		return errors.New("redis: markers need a life")
	case o.WaitReplicas > 0 && o.WaitTimeout >= o.ReadTimeout:
		return errors.New("redis: waiting for replicas must take less than the read timeout")
	default:
		return nil
	}
}

// client makes the one client. Only primaries are read, so that a sign-out is in force on every instance at once.
func (o Options) client() redis.UniversalClient {
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: o.Addrs, MasterName: o.MasterName, IsClusterMode: o.Cluster, DB: o.DB, TLSConfig: o.TLS, Dialer: o.Dialer,
		Username: o.Username, Password: o.Password.Reveal(),
		SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword.Reveal(),
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout,
		MaxRetries:            -1, // a write is sent once; reads are repeated by Store.reading
		DialerRetries:         1,  // Redis down is answered at once; the next request tries again
		ContextTimeoutEnabled: true,
		Protocol:              2, // RESP3 brings nothing used here, and a look for push messages before every reply
		// What older servers and plain Redis 7.0 do not know is not asked of them.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Close frees the connections.
func (s *Store) Close() error { return s.rdb.Close() }

// Ping reports whether Redis answers. The error is bff.ErrStore.
func (s *Store) Ping(ctx context.Context) error {
	return unavailable("asking Redis", s.rdb.Ping(ctx).Err())
}

// unavailable makes an error of Redis, or of the way to it, a bff.ErrStore: that includes a caller who went away, for
// then nothing is known either. nil stays nil.
func unavailable(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", bff.ErrStore, doing, untold(err))
}

// untold is an error without the arguments that Redis repeats of a command it does not know: names of sessions and sealed
// values, which belong in no log (ASVS 16.2.5).
func untold(err error) error {
	if told, _, repeats := strings.Cut(err.Error(), ", with args beginning with"); repeats {
		return errors.New(told)
	}
	return err
}

const (
	firstRetryAfter  = 10 * time.Millisecond // a connection that Redis closed is replaced in less
	latestRetryAfter = 50 * time.Millisecond // what takes longer to pass than a few of these, a request does not wait for
)

// reading carries out a read, and repeats it where that promises something. redis.Nil is returned as it is.
func (s *Store) reading(ctx context.Context, doing string, read func() error) error {
	err := read()
	for wait, n := firstRetryAfter, 0; n < s.readRetries && err != nil && passing(err) && pause(ctx, wait); n++ {
		err = read()
		wait = latestRetryAfter
	}
	if errors.Is(err, redis.Nil) {
		return redis.Nil
	}
	return unavailable(doing, err)
}

// passing reports whether a read that failed with err may succeed in a moment. What Redis answered stays, but for the
// states it passes through; and what took its whole time-out has cost the request enough.
func passing(err error) bool {
	var answer redis.Error
	if errors.As(err, &answer) {
		return redis.IsLoadingError(err) || redis.IsMasterDownError(err) || redis.IsClusterDownError(err) ||
			redis.IsTryAgainError(err)
	}
	var network net.Error
	return !errors.Is(err, context.Canceled) && !errors.Is(err, redis.ErrPoolTimeout) &&
		(!errors.As(err, &network) || !network.Timeout())
}

// pause waits, or reports false because ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
