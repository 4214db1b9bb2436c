package telemetry

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// redisOperations are the commands the store sends, and what its client does by itself. What is not among them is "other":
// neither a metric's label nor a span's name is made of anything that Redis or a request brought.
func redisOperations() []string {
	return []string{
		"dial", "pipeline", "hello", "ping", "time", "select", "auth", "client", "readonly", "info", "config", "cluster",
		"cluster slots", "cluster shards", "command", "evalsha", "eval", "script", "publish", "subscribe", "wait", "get",
		"set", "getdel", "del", "exists", "hset", "hget", "hmget", "hgetall", "hvals", "hdel", "hincrby", "hrandfield",
		"pexpire", "pttl", "scan",
	}
}

// operation is where one command's times go.
type operation struct{ ok, timeout, failed prometheus.Observer }

// Redis returns what the store tells of its commands. Made once for a store: an outage is watched by it.
func (t *Telemetry) Redis() func(name string, took time.Duration, err error) {
	operations := make(map[string]operation)
	for _, name := range append(redisOperations(), "other") {
		result := func(word string) prometheus.Observer { return t.metrics.redis.WithLabelValues(name, word) }
		operations[name] = operation{result("ok"), result("timeout"), result("error")}
	}
	watch := t.outage("redis", "")
	return func(name string, took time.Duration, err error) {
		op, known := operations[name]
		if !known {
			op = operations["other"]
		}
		op.of(err).Observe(took.Seconds())
		if name != "dial" || err != nil { // a server that hangs is still dialled: the kernel answers for it
			watch.saw(err)
		}
	}
}

func (o operation) of(err error) prometheus.Observer {
	var network net.Error
	switch {
	case err == nil:
		return o.ok
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return o.timeout
	default:
		return o.failed
	}
}
