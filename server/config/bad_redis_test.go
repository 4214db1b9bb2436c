package config_test

import "testing"

func TestBadRedis(t *testing.T) {
	runBad(t, []bad{
		{"no addresses", "{addrs: [redis:6379]}", "{db: 1}", []string{
			"cloakroom.yaml:2: redis.addrs: missing; write [host:6379]",
		}},
		{"an address without a port", "redis:6379", "redis", []string{
			"cloakroom.yaml:2: redis.addrs[0]: no host:port; write it as redis:6379",
		}},
		{"an address without a host", "redis:6379", "\":6379\"", []string{
			"cloakroom.yaml:2: redis.addrs[0]: no host:port; write it as redis:6379",
		}},
		{"several addresses of one server", "[redis:6379]", "[\"a:1\", \"b:2\"]", []string{
			"cloakroom.yaml:2: redis.addrs: several addresses of one server; say cluster: true, or master_name for Sentinel",
		}},
		{"an address on a port that does not exist", "redis:6379", "redis:99999", []string{
			"cloakroom.yaml:2: redis.addrs[0]: a port that does not exist; ports go from 1 to 65535",
		}},
		{"Sentinel's user without a password", "redis: {", "redis: {master_name: m, sentinel_username: me, ", []string{
			"cloakroom.yaml:2: redis.sentinel_password: missing; sentinel_username needs a sentinel_password_file",
		}},
		{"an address twice", "[redis:6379]", "[\"a:1\", \"a:1\"]", []string{
			"cloakroom.yaml:2: redis.addrs: several addresses of one server; say cluster: true, or master_name for Sentinel",
			"cloakroom.yaml:2: redis.addrs[1]: listed twice; delete one of them",
		}},
		{"Sentinel and Cluster at once", "redis: {", "redis: {cluster: true, master_name: m, ", []string{
			"cloakroom.yaml:2: redis.cluster: Cluster and Sentinel (master_name) at once; delete one of the two",
		}},
		{"a database in a Cluster", "redis: {", "redis: {cluster: true, db: 3, ", []string{
			"cloakroom.yaml:2: redis.db: a Cluster has database 0 alone; delete the line",
		}},
		{"Sentinel's password without Sentinel", "redis: {", "redis: {sentinel_password: abc, ", []string{
			"cloakroom.yaml:2: redis.sentinel_password: is for Sentinel; set master_name or delete the line",
		}},
		{"a user without a password", "redis: {", "redis: {username: me, ", []string{
			"cloakroom.yaml:2: redis.password: missing; username needs a password_file",
		}},
		{"TLS settings without TLS", "redis: {", "redis: {tls: {server_name: redis}, ", []string{
			"cloakroom.yaml:2: redis.tls.enabled: not true, yet TLS settings are given; write enabled: true or delete them",
		}},
		{"an authority that is no certificate", "redis: {", "redis: {tls: {enabled: true, ca_file: pem}, ", []string{
			"cloakroom.yaml:2: redis.tls.ca_file: no certificate in pem; it has to hold certificates in PEM",
		}},
		{"an authority that is not there", "redis: {", "redis: {tls: {enabled: true, ca_file: nope}, ", []string{
			"cloakroom.yaml:2: redis.tls.ca_file: reading nope: no such file or directory; name a file that this process may read",
		}},
		{"a prefix with a hash tag", "redis: {", "redis: {key_prefix: \"{cr}:\", ", []string{
			"cloakroom.yaml:2: redis.key_prefix: no usable prefix; write 1 to 32 letters, digits and marks as in cr: or shop:cr:",
		}},
		{"numbers below zero", "redis: {", "redis: {pool_size: -1, read_retries: -1, wait_replicas: -1, db: -1, ", []string{
			"cloakroom.yaml:2: redis.db: negative; databases count from 0",
			"cloakroom.yaml:2: redis.pool_size: negative; write 0 to leave it to the client",
			"cloakroom.yaml:2: redis.read_retries: not between 0 and 5; write 0 to ask once",
			"cloakroom.yaml:2: redis.wait_replicas: negative; write 0 to wait for none",
		}},
		{"a timeout of nothing", "redis: {", "redis: {timeouts: {read: 0s}, ", []string{
			"cloakroom.yaml:2: redis.timeouts.read: out of bounds; write something from 1ms to 1m",
		}},
	})
}
