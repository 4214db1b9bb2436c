package config

import "time"

// Upstream is how an origin is reached that routes forward to. One that is not
// listed has the defaults, and is dialled at its own host and port.
type Upstream struct {
	// Origin is that of the routes' upstream, as https://orders.internal: it stays
	// the API's name, whichever target answers. Required.
	Origin string `yaml:"origin"`
	// Targets are host:port that are dialled instead of the origin's own. Default
	// that one.
	Targets []string `yaml:"targets"`
	// Protocol is auto, the default (over TLS HTTP/2 or HTTP/1.1, by ALPN; else
	// HTTP/1.1), http1, http2 (over TLS), or h2c: HTTP/2 in the clear.
	Protocol string `yaml:"protocol"`
	// Health is how targets are asked whether they are well; without a path they
	// are judged by what requests find.
	Health UpstreamHealth `yaml:"health"`
	// Attempts is the most targets that one safe request (GET, HEAD, OPTIONS) is
	// tried at; 1: none is tried again. Default 3.
	Attempts int `yaml:"attempts"`
	// Connections is the most to one target; 0, the default, is no limit.
	Connections int `yaml:"connections"`
	// IdleConnections is the most that are kept to one target. Default 256.
	IdleConnections int `yaml:"idle_connections"`
	// Timeouts bound the phases of a call; a route's timeout bounds all until the
	// answer's head.
	Timeouts UpstreamTimeouts `yaml:"timeouts"`
	// CAFile is who signs the targets' certificates; empty for the system's.
	CAFile string `yaml:"ca_file" path:"ca"`
	// CertFile is the client certificate, where targets ask for one. It is read
	// again when it changes.
	CertFile string `yaml:"cert_file" path:"file"`
	// KeyFile is that certificate's private key.
	KeyFile string `yaml:"key_file" path:"file"`
	// ServerName is the name the certificate must carry, where it is not the
	// origin's host.
	ServerName string `yaml:"server_name"`
	// Breaker is when a target is left alone for a while.
	Breaker UpstreamBreaker `yaml:"breaker"`
}

// UpstreamHealth is how targets are asked whether they are well.
type UpstreamHealth struct {
	// Path is asked by GET, without any credential: 200 to 399 is well. Default
	// none: nobody is asked.
	Path string `yaml:"path"`
	// Every is the time between two questions to a target. Default 5s.
	Every time.Duration `yaml:"every"`
	// Timeout is for an answer to come. Default 2s.
	Timeout time.Duration `yaml:"timeout"`
}

// UpstreamTimeouts bound the phases of a call.
type UpstreamTimeouts struct {
	// Connect is for a connection to be made. Default 5s.
	Connect time.Duration `yaml:"connect"`
	// TLS is for it to be encrypted. Default 5s.
	TLS time.Duration `yaml:"tls"`
	// Stall is how long an answer of known length may pause before it is broken
	// off, and a target take nothing of a request's body. Default 60s.
	Stall time.Duration `yaml:"stall"`
	// Idle is how long a connection is kept between requests. Default 90s.
	Idle time.Duration `yaml:"idle"`
}

// UpstreamBreaker is when a target is left alone for a while.
type UpstreamBreaker struct {
	// Failures are how many attempts in a row must come to nothing. Default 5.
	Failures int `yaml:"failures"`
	// Open is how long the target is left alone before one request tries it.
	// Default 5s.
	Open time.Duration `yaml:"open"`
}
