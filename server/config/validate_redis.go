package config

import (
	"strings"
	"time"
)

func (r *report) validateRedis(c Redis) {
	if len(c.Addrs) == 0 {
		r.add("redis.addrs", "missing; write [host:6379]")
	}
	for i, addr := range c.Addrs {
		if wrong := dialAddr(addr); wrong != "" {
			r.add(at("redis.addrs", i), "%s", wrong)
		}
	}
	r.unique("redis.addrs", c.Addrs)
	r.validateTopology(c)
	r.validateRedisUsers(c)
	r.validateKeyPrefix(c.KeyPrefix)
	r.validateRedisTLS(c.TLS)
	r.validateRedisTimes(c)
	if c.PoolSize < 0 {
		r.add("redis.pool_size", "negative; write 0 to leave it to the client")
	}
	if c.ReadRetries < 0 || c.ReadRetries > 5 { // more would keep a request waiting for what an error would have told it
		r.add("redis.read_retries", "not between 0 and 5; write 0 to ask once")
	}
	if c.WaitReplicas < 0 {
		r.add("redis.wait_replicas", "negative; write 0 to wait for none")
	}
}

// validateTopology tells one server, Sentinel and Cluster apart: nothing is
// guessed from the number of addresses.
func (r *report) validateTopology(c Redis) {
	switch {
	case c.Cluster && c.MasterName != "":
		r.add("redis.cluster", "Cluster and Sentinel (master_name) at once; delete one of the two")
	case c.Cluster && c.DB != 0:
		r.add("redis.db", "a Cluster has database 0 alone; delete the line")
	case !c.Cluster && c.MasterName == "" && len(c.Addrs) > 1:
		r.add("redis.addrs", "several addresses of one server; say cluster: true, or master_name for Sentinel")
	}
	if c.DB < 0 {
		r.add("redis.db", "negative; databases count from 0")
	}
}

func (r *report) validateRedisUsers(c Redis) {
	if c.Username != "" && !c.Password.IsSet() {
		r.add("redis.password", "missing; username needs a password_file")
	}
	if c.MasterName == "" {
		for _, key := range []string{"redis.sentinel_username", "redis.sentinel_password"} {
			if r.written(key) {
				r.add(key, "is for Sentinel; set master_name or delete the line")
			}
		}
	}
	if c.SentinelUsername != "" && !c.SentinelPassword.IsSet() {
		r.add("redis.sentinel_password", "missing; sentinel_username needs a sentinel_password_file")
	}
}

// validateKeyPrefix keeps what would change a key's slot (braces) or match other
// keys in a scan (glob characters) out of the prefix.
func (r *report) validateKeyPrefix(prefix string) {
	const longest = 32 // it is repeated in every key
	plain := strings.IndexFunc(prefix, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`{}*?[]\^"'`, c)
	}) < 0
	if prefix == "" || len(prefix) > longest || !plain {
		r.add("redis.key_prefix", "no usable prefix; write 1 to 32 letters, digits and marks as in cr: or shop:cr:")
	}
}

func (r *report) validateRedisTLS(t RedisTLS) {
	r.pair("redis.tls", t.CertFile, t.KeyFile)
	if !t.Enabled && (t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" || t.ServerName != "") {
		// Fails closed: whoever names a certificate does not want plain text.
		r.add("redis.tls.enabled", "not true, yet TLS settings are given; write enabled: true or delete them")
	}
}

func (r *report) validateRedisTimes(c Redis) {
	const least, most = time.Millisecond, time.Minute
	r.within("redis.timeouts.dial", c.Timeouts.Dial, least, most)
	r.within("redis.timeouts.read", c.Timeouts.Read, least, most)
	r.within("redis.timeouts.write", c.Timeouts.Write, least, most)
	r.within("redis.timeouts.pool_wait", c.Timeouts.PoolWait, least, most)
	r.within("redis.wait_timeout", c.WaitTimeout, least, most)
}
