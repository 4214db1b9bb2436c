package store

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// reloading has the client of a Cluster ask who serves which slots as soon as a node fails to answer. By itself it asks
// when a node redirects it, and once a minute: a master that died redirects nobody, and the sessions of its slots would
// stay 503 for up to that minute after its replica was promoted.
func reloading(client redis.UniversalClient) {
	if c, ok := client.(*redis.ClusterClient); ok {
		reload := reloader(func() { c.ReloadState(context.Background()) }) // beside the request, one at a time, 200 ms apart
		c.OnNewNode(func(node *redis.Client) { node.AddHook(reload) })
	}
}

// reloader is called when a node did not answer.
type reloader func()

// DialHook sees connections that could not be made: redis.Hook.
func (r reloader) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		r.after(err)
		return conn, err
	}
}

// ProcessHook sees single commands: redis.Hook.
func (r reloader) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.after(err)
		return err
	}
}

// ProcessPipelineHook sees pipelines: redis.Hook.
func (r reloader) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		r.after(err)
		return err
	}
}

// after reloads where err says nothing of Redis: an answer, an error included, comes from a node that lives, and a caller
// who went away says nothing of the node.
func (r reloader) after(err error) {
	var answer redis.Error
	if err != nil && !errors.As(err, &answer) && !errors.Is(err, context.Canceled) {
		r()
	}
}
