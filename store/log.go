package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// LogClient has the Redis client's own lines written to log, at debug level: what matters of them reaches the log as the
// error of a request. The client knows one logger for the whole process, and by default writes plain text to standard
// error, in the middle of a log that is JSON. So this is called once, by the command that owns the process.
func LogClient(log *slog.Logger) { redis.SetLogger(clientLog{log}) }

// clientLog is the Redis client's idea of a logger.
type clientLog struct{ to *slog.Logger }

// Printf writes one line.
func (l clientLog) Printf(ctx context.Context, format string, args ...any) {
	l.to.DebugContext(ctx, "Redis client", "detail", fmt.Sprintf(format, args...))
}
