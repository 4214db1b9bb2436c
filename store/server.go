package store

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// CheckServer asks every primary for what this package relies on, and returns what an operator should change or know:
// a way to another machine that is not encrypted or where we come as the user who may do everything (ASVS 12.3.1,
// 13.2.2), a server older than Redis 7.0, and an eviction policy that drops keys, for a dropped end marker or replay
// entry is a sign-out or a one-time use that did not happen. What may not be asked is noted, not an error. The error is
// bff.ErrStore, and what was found without asking is returned with it.
func (s *Store) CheckServer(ctx context.Context) ([]string, error) {
	found := slices.Clone(s.exposed)
	err := s.perPrimary(ctx, func(ctx context.Context, c *redis.Client) error {
		if err := c.Ping(ctx).Err(); err != nil {
			return err
		}
		found = append(found, oldServer(ctx, c)...)
		found = append(found, evictingServer(ctx, c)...)
		return nil
	})
	return append(found, s.unheard()...), unavailable("checking the server", err)
}

// exposed tells what of the way to Redis anybody could use. On one machine there is none: whoever is there to listen is
// there to read the keys as well.
func (o Options) exposed() (found []string) {
	i := slices.IndexFunc(o.Addrs, func(addr string) bool { return !loopback(addr) })
	if i < 0 {
		return nil
	}
	if o.TLS == nil {
		found = append(found, "the connection to "+o.Addrs[i]+" is not encrypted: whoever is on the way reads the password, "+
			"ends sessions and lets nobody sign out; use TLS")
	}
	if o.Username == "" || o.Username == "default" {
		found = append(found, "we come as the default user, who may do everything to all keys: use a user of our own with no "+
			"more rights than we need")
	}
	return found
}

// loopback reports whether host:port is on this machine by its name alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}

// perPrimary runs f against every primary, one after the other.
func (s *Store) perPrimary(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	switch c := s.rdb.(type) {
	case *redis.Client:
		return f(ctx, c)
	case *redis.ClusterClient:
		one := make(chan struct{}, 1) // ForEachMaster calls concurrently
		return c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			one <- struct{}{}
			defer func() { <-one }()
			return f(ctx, c)
		})
	default:
		return fmt.Errorf("unexpected client %T", c)
	}
}

func oldServer(ctx context.Context, c *redis.Client) []string {
	info, err := c.Info(ctx, "server").Result()
	if err != nil {
		return []string{"note: the version of Redis cannot be read; 7.0 or later is needed"}
	}
	for line := range strings.Lines(info) {
		version, found := strings.CutPrefix(strings.TrimSpace(line), "redis_version:")
		if !found {
			continue
		}
		if major, err := strconv.Atoi(strings.Split(version, ".")[0]); err == nil && major < 7 {
			return []string{"Redis " + version + " is older than 7.0, which is needed"}
		}
		return nil
	}
	return []string{"note: Redis does not tell its version; 7.0 or later is needed"}
}

func evictingServer(ctx context.Context, c *redis.Client) []string {
	const name = "maxmemory-policy"
	config, err := c.ConfigGet(ctx, name).Result()
	if err != nil || config[name] == "" {
		return []string{"note: " + name + " cannot be read; it must be noeviction, or end markers may be dropped"}
	}
	if config[name] != "noeviction" {
		return []string{name + " is " + config[name] + ": under memory pressure Redis would drop end markers and " +
			"replay entries, and with them sign-outs; set it to noeviction"}
	}
	return nil
}
