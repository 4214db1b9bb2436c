// Package config is the configuration file as it is written: its types, its
// defaults, the environment laid over it, and where each value came from.
//
// It knows names, shapes and what can be judged from the text alone (and from
// the files the text names). It knows nothing of sessions, Redis clients or
// providers; it imports nothing of ours, so that whoever wires the gateway turns
// these plain values into the ones each room asks for.
//
// The journey: [Load] reads the file ([Parse] takes its bytes) into a small tree
// in which every value remembers its line. The environment is laid over that
// tree (overlay.go), then what the app's kind and the provider's preset say
// (presets.go), then the defaults (defaults.go); none of them replaces what is
// there already, so that the order of precedence is environment, file, preset,
// default. ([LoadOver] puts one more layer, its caller's, below the file.) The
// tree is decoded into [Config] (decode.go), which refuses unknown keys and wrong
// shapes, and read through by the validate files. Nothing stops at the first
// finding: all of them come back as one [Problems]. [Config.Print] shows the
// outcome, each line with its origin and no secret in it.
package config

import (
	"net"
	"net/netip"
	"time"
)

// Config is the whole configuration, checked. Every value in it can be used as
// it stands: relative file names have become names relative to the folder of
// the file, secrets have been read from the files that hold them.
type Config struct {
	// Public is the listener that browsers, native apps and providers reach.
	Public Public `yaml:"public"`
	// Ops is the listener for probes and metrics.
	Ops Ops `yaml:"ops"`
	// Admin is the listener for administrators; absent unless its listen and
	// token are set.
	Admin Admin `yaml:"admin"`
	// ExternalAuth is the listener at which another proxy asks what it may
	// forward; absent unless its listen and token are set.
	ExternalAuth ExternalAuth `yaml:"external_auth"`
	// Log is how much is logged.
	Log Log `yaml:"log"`
	// Redis is where sessions are kept.
	Redis Redis `yaml:"redis"`
	// SealingKeys seal what is stored: the first seals, all open.
	SealingKeys []*Key `yaml:"sealing_keys"`
	// RetiredKeys are ids of sealing keys that are gone for good: what they
	// sealed is signed out, where any other unknown id is an operator's mistake.
	RetiredKeys []string `yaml:"retired_keys"`
	// IndexKeys name index entries and end markers: the first writes, all are
	// asked.
	IndexKeys []*Key `yaml:"index_keys"`
	// Providers are the OpenID providers by the name that apps use for them.
	Providers map[string]*Provider `yaml:"providers"`
	// Apps are the registered frontends by id.
	Apps map[string]*App `yaml:"apps"`
	// Routes are the paths that are forwarded, in the order of the file.
	Routes []*Route `yaml:"routes"`
	// Upstreams say how the origins are reached that routes forward to: several
	// targets, their health, retries, protocol, certificates. Default none.
	Upstreams []*Upstream `yaml:"upstreams"`
	// Limits are how often one address may come where nobody is signed in yet.
	Limits RateLimits `yaml:"limits"`

	sources map[string]source
}

// Public is the listener that browsers, native apps and providers reach.
type Public struct {
	// URL is the gateway's own origin, home of the native surface. Required as
	// soon as there is a mobile or desktop app; no app may live on it then.
	URL string `yaml:"url"`
	// Listen is host:port; the host may be empty. Default ":8080", or the port
	// that the variable PORT names.
	Listen string `yaml:"listen"`
	// TrustedProxies are the networks whose X-Forwarded-* fields are believed.
	// Default none.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// TLS is the certificate to serve; without one the listener speaks http and
	// a proxy before it has to speak https.
	TLS ServerTLS `yaml:"tls"`
	// Limits bound what one client may send.
	Limits Limits `yaml:"limits"`
	// Timeouts bound how long one client may take.
	Timeouts Timeouts `yaml:"timeouts"`
}

// ServerTLS is a certificate with its key, in PEM. Both or neither.
type ServerTLS struct {
	// CertFile is the certificate, its chain after it.
	CertFile string `yaml:"cert_file" path:"file"`
	// KeyFile is the private key.
	KeyFile string `yaml:"key_file" path:"file"`
}

// Limits bound what one client may send.
type Limits struct {
	// HeaderBytes is the most a request's header may take. Default 32 KiB.
	HeaderBytes Bytes `yaml:"header_bytes"`
	// BodyBytes is the most a request's body may take; a route may say
	// otherwise. Default 10 MiB.
	BodyBytes Bytes `yaml:"body_bytes"`
	// Connections is the most connections open at once; 0 is no limit, the
	// default.
	Connections int `yaml:"connections"`
}

// Timeouts bound how long one client may take, and how long stopping may.
type Timeouts struct {
	// ReadHeader is for a request's header to arrive. Default 10s.
	ReadHeader time.Duration `yaml:"read_header"`
	// Idle is how long a connection is kept between requests. Default 120s.
	Idle time.Duration `yaml:"idle"`
	// Drain is how long requests may go on after the signal to stop. Default
	// 25s.
	Drain time.Duration `yaml:"drain"`
}

// Ops is the listener for probes and metrics: never one for the public.
type Ops struct {
	// Listen is host:port. Default "127.0.0.1:9090".
	Listen string `yaml:"listen"`
}

// Admin is the listener for administrators: other people's sessions, profiles.
// It exists only if listen and token are set.
type Admin struct {
	// Listen is host:port. Keep it on loopback or an internal network.
	Listen string `yaml:"listen"`
	// Token is the bearer token every request must carry; at least 32 bytes.
	Token Secret `yaml:"token"`
	// TLS is the certificate to serve; without one the listener speaks http.
	TLS ServerTLS `yaml:"tls"`
}

// Exposed reports whether the listener speaks in the clear beyond this machine,
// so that others may read the credential on the way.
func (a Admin) Exposed() bool {
	host, _, err := net.SplitHostPort(a.Listen)
	return err == nil && a.TLS.CertFile == "" && !loopback(host)
}

// ExternalAuth is the listener at which another proxy (nginx auth_request, Traefik
// ForwardAuth, Envoy ext_authz) asks for each request on a route with external:
// true. Its answers hold users' tokens. It exists only if listen and token are
// set.
type ExternalAuth struct {
	// Listen is host:port. Keep it on loopback or a network of the proxies alone.
	Listen string `yaml:"listen"`
	// Token is what the asking proxy sends in Cloakroom-Credential; at least 32
	// bytes.
	Token Secret `yaml:"token"`
	// TLS is the certificate to serve; without one the listener speaks http.
	TLS ServerTLS `yaml:"tls"`
}

// Exposed reports whether the listener speaks in the clear beyond this machine,
// so that others may read tokens on the way.
func (e ExternalAuth) Exposed() bool {
	host, _, err := net.SplitHostPort(e.Listen)
	return err == nil && e.TLS.CertFile == "" && !loopback(host)
}

// Log is how much is logged.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `yaml:"level"`
}

// Redis is where sessions are kept: one server, a set watched by Sentinel
// (MasterName) or a Cluster.
type Redis struct {
	// Addrs are host:port: the server, the Sentinels or some of the Cluster.
	Addrs []string `yaml:"addrs"`
	// MasterName is the name Sentinel knows the primary by.
	MasterName string `yaml:"master_name"`
	// Cluster says that Addrs belong to a Redis Cluster.
	Cluster bool `yaml:"cluster"`
	// Username is the ACL user; empty for the default user.
	Username string `yaml:"username"`
	// Password is that user's.
	Password Secret `yaml:"password"`
	// SentinelUsername is the ACL user at the Sentinels.
	SentinelUsername string `yaml:"sentinel_username"`
	// SentinelPassword is that user's.
	SentinelPassword Secret `yaml:"sentinel_password"`
	// DB is the database number; a Cluster has only 0. Default 0.
	DB int `yaml:"db"`
	// TLS is how the connection is protected.
	TLS RedisTLS `yaml:"tls"`
	// KeyPrefix starts every key and channel name. Default "cr:".
	KeyPrefix string `yaml:"key_prefix"`
	// Timeouts bound single steps.
	Timeouts RedisTimeouts `yaml:"timeouts"`
	// PoolSize is the most connections per server. A request holds one for a
	// round trip, so it is a slow Redis that needs many: 64 carry 200 requests a
	// second at 300 ms. 0, the default, is 64, or ten for each CPU if that is
	// more.
	PoolSize int `yaml:"pool_size"`
	// ReadRetries is how often a read that found its connection broken, or the
	// server in the middle of a failover, is tried again within a request; 0 is
	// never. Writes are sent once. Default 2, after 10 and 50 ms.
	ReadRetries int `yaml:"read_retries"`
	// Pipeline gathers reads of concurrent requests into one write: less work
	// for Redis, some microseconds more for a lone request. Default false.
	Pipeline bool `yaml:"pipeline"`
	// WaitReplicas is how many replicas should confirm the beginning of
	// sessions, what a refresh writes and the ending of sessions. Default 0:
	// none is waited for.
	WaitReplicas int `yaml:"wait_replicas"`
	// WaitTimeout is how long that confirmation is waited for. Default 200ms.
	WaitTimeout time.Duration `yaml:"wait_timeout"`
}

// RedisTLS is how the connection to Redis is protected.
type RedisTLS struct {
	// Enabled turns TLS on. Default false.
	Enabled bool `yaml:"enabled"`
	// CAFile is who signs the servers' certificates; empty for the system's.
	CAFile string `yaml:"ca_file" path:"ca"`
	// CertFile is the client certificate, where the servers ask for one.
	CertFile string `yaml:"cert_file" path:"file"`
	// KeyFile is that certificate's private key.
	KeyFile string `yaml:"key_file" path:"file"`
	// ServerName is the name the certificate must carry, where it is not the
	// host of the address.
	ServerName string `yaml:"server_name"`
}

// RedisTimeouts bound single steps of talking to Redis.
type RedisTimeouts struct {
	// Dial is for a connection to be made. Default 1s.
	Dial time.Duration `yaml:"dial"`
	// Read is for one answer. Default 500ms.
	Read time.Duration `yaml:"read"`
	// Write is for one command. Default 500ms.
	Write time.Duration `yaml:"write"`
	// PoolWait is for a connection to become free. Default 1s.
	PoolWait time.Duration `yaml:"pool_wait"`
}

// Bytes is a size in bytes. It is written as a number, or with one of the units
// B, KiB, MiB and GiB (powers of 1024).
type Bytes int64
