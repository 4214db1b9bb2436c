package dev

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// redisAt is the Redis of a world.
type redisAt struct {
	*redis.Options
	// prefix begins every key. It is new at each start: the keys that seal are, too, so what an earlier run left in a real
	// Redis could not be opened, and a cookie from then finds nothing instead of something that cannot be read.
	prefix string
}

func (w *world) startRedis(ctx context.Context) error {
	w.redis = &redisAt{prefix: "crdev-" + strings.ToLower(rand.Text()[:8]) + ":"}
	if w.Redis == "" {
		return w.embedRedis()
	}
	var err error
	if w.redis.Options, err = readRedis(w.Redis); err != nil {
		return &usageError{fmt.Errorf("--redis: %w", err)}
	}
	client := redis.NewClient(w.redis.Options)
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // a Redis for developing is near
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	return nil
}

// readRedis takes a URL or host:port. What is wrong with a URL is not told: it may hold a password.
func readRedis(text string) (*redis.Options, error) {
	if !strings.Contains(text, "://") {
		text = "redis://" + text
	}
	o, err := redis.ParseURL(text)
	if err != nil || o.Network != "tcp" {
		return nil, fmt.Errorf("neither redis://[user:password@]host:port[/db] nor host:port")
	}
	return o, nil
}

// embedRedis starts the one inside. It keeps the real time, as the gateway's sessions end by it.
func (w *world) embedRedis() error {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return fmt.Errorf("embedded Redis: %w", err)
	}
	w.later(m.Close)
	m.Server().SetPreHook(answerOperator)
	w.redis.Options = &redis.Options{Addr: m.Addr()}
	return nil
}

// answerOperator answers what the gateway asks of a server's settings and the embedded one does not know: it has the
// commands of Redis 7, and drops no key.
func answerOperator(c *miniserver.Peer, cmd string, args ...string) bool {
	switch {
	case cmd == "INFO" && len(args) == 1 && args[0] == "server":
		c.WriteBulk("# Server\r\nredis_version:7.2.0\r\n")
	case cmd == "CONFIG" && len(args) == 2 && args[1] == "maxmemory-policy":
		c.WriteMapLen(1)
		c.WriteBulk("maxmemory-policy")
		c.WriteBulk("noeviction")
	default:
		return false
	}
	return true
}
