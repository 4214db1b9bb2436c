package redisproc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	masterName = "main"
	sentinels  = 3 // the fewest of which a majority is left when one dies

	// Times of a Sentinel, short so that a test sees a failover in a second or two.
	downAfter       = time.Second     // an idle machine answers in a millisecond; half a second was too short for a busy one
	failoverTimeout = 2 * time.Second // an election that failed is repeated after twice this

	formPatience     = 30 * time.Second // for servers to know each other, on a loaded machine; two seconds are usual
	failoverPatience = 30 * time.Second // for a failover, as above
)

// SentinelOptions are the settings of a set.
type SentinelOptions struct {
	// Replicas is how many follow the primary: 1 or 2. Default 1.
	Replicas int
	// Server are the settings of the primary and its replicas. Without AppendOnly a primary that comes back brings nothing.
	Server Options
}

// Sentinel is a primary with its replicas, watched by three Sentinels. Like a Server it is for the test's goroutine.
type Sentinel struct {
	// Servers are primary and replicas, in the order of their start: the first was the first primary.
	Servers []*Server
	// Sentinels are the watchers.
	Sentinels []*Server

	tb testing.TB
}

// StartSentinel runs a set until the test ends, and returns when its Sentinels know each other and the replicas.
func StartSentinel(tb testing.TB, o SentinelOptions) *Sentinel {
	tb.Helper()
	if o.Server.TLS != nil || len(o.Server.Users) > 0 {
		tb.Fatal("a Sentinel set with TLS or users is not built")
	}
	o.Server.peers = true
	set := &Sentinel{tb: tb, Servers: []*Server{Start(tb, o.Server)}}
	for range max(1, o.Replicas) {
		replica := Start(tb, o.Server)
		replica.follow(set.Servers[0])
		set.Servers = append(set.Servers, replica)
	}
	set.awaitReplicas(func() *Server { return set.Servers[0] }, len(set.Servers)-1)
	for range sentinels {
		set.Sentinels = append(set.Sentinels, set.startSentinel())
	}
	set.awaitAcquaintance()
	set.settle()
	return set
}

// peerArguments are what members of a set or a Cluster need: replication begins at once, and is checked every second.
func (s *Server) peerArguments() []string {
	return []string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}
}

// follow makes s a replica of primary.
func (s *Server) follow(primary *Server) {
	s.tb.Helper()
	s.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(primary.port))
}

// startSentinel runs one Sentinel, with a configuration of its own: it writes into the file what it learns.
func (set *Sentinel) startSentinel() *Server {
	set.tb.Helper()
	file := filepath.Join(set.tb.TempDir(), "sentinel.conf")
	text := fmt.Sprintf(`sentinel monitor %[1]s 127.0.0.1 %[2]d %[3]d
sentinel down-after-milliseconds %[1]s %[4]d
sentinel failover-timeout %[1]s %[5]d
sentinel parallel-syncs %[1]s 1
`, masterName, set.Servers[0].port, sentinels/2+1, downAfter.Milliseconds(), failoverTimeout.Milliseconds())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		set.tb.Fatalf("writing a Sentinel's configuration: %v", err)
	}
	s := Start(set.tb, Options{sentinel: file})
	// Sentinels greet each other and ask for news more often than every 2 and 10 seconds, or starting would take as long.
	s.Do("SENTINEL", "DEBUG", "PUBLISH-PERIOD", 100, "INFO-PERIOD", 500)
	return s
}

// settle has the Sentinels greet each other less often. Four times this is how long they let a server be that says it is
// primary and should not: with less, one that has not heard yet of a failover undoes it.
func (set *Sentinel) settle() {
	for _, s := range set.Sentinels {
		s.Do("SENTINEL", "DEBUG", "PUBLISH-PERIOD", 1000)
	}
}

// awaitReplicas waits until so many servers follow the primary, which may be another one each time it is asked for.
func (set *Sentinel) awaitReplicas(primary func() *Server, n int) {
	set.tb.Helper()
	await(set.tb, formPatience, "replicas that follow their primary", func() bool {
		info := primary().Info("replication")
		online := 0
		for i := range len(set.Servers) {
			var ip, port, state string
			var offset int64
			text := strings.ReplaceAll(info["slave"+strconv.Itoa(i)], ",", " ") // as Sscanf wants it
			if _, err := fmt.Sscanf(text, "ip=%s port=%s state=%s offset=%d", &ip, &port, &state, &offset); err == nil && state == "online" {
				online++
			}
		}
		return online >= n
	})
}

// awaitAcquaintance waits until every Sentinel knows the others and all replicas.
func (set *Sentinel) awaitAcquaintance() {
	set.tb.Helper()
	for _, s := range set.Sentinels {
		await(set.tb, formPatience, "Sentinels that know each other", func() bool {
			about := s.master()
			return about["num-other-sentinels"] == strconv.Itoa(sentinels-1) &&
				about["num-slaves"] == strconv.Itoa(len(set.Servers)-1) && about["flags"] == "master"
		})
	}
}

// master is what a Sentinel tells of the primary it watches.
func (s *Server) master() map[string]string {
	about := map[string]string{}
	answer, err := s.try("SENTINEL", "MASTER", masterName)
	fields, ok := answer.([]any)
	if err != nil || !ok {
		return about
	}
	for i := 0; i+1 < len(fields); i += 2 {
		about[fmt.Sprint(fields[i])] = fmt.Sprint(fields[i+1])
	}
	return about
}

// MasterName is the name under which the Sentinels know the primary.
func (set *Sentinel) MasterName() string { return masterName }

// Addrs are the Sentinels' addresses.
func (set *Sentinel) Addrs() (addrs []string) {
	for _, s := range set.Sentinels {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Primary is the server that the Sentinels name at this moment. During a failover that may be the old one.
func (set *Sentinel) Primary() *Server {
	set.tb.Helper()
	for _, s := range set.Sentinels {
		if named := onPort(set.Servers, s.master()["port"]); named != nil {
			return named
		}
	}
	set.tb.Fatal("no Sentinel names a primary")
	return nil
}

// AwaitFailover waits until every Sentinel names another primary than old and that one takes writes, and returns it.
func (set *Sentinel) AwaitFailover(old *Server) *Server {
	set.tb.Helper()
	var fresh *Server
	await(set.tb, failoverPatience, "a new primary", func() bool {
		fresh = nil
		for _, s := range set.Sentinels {
			named := onPort(set.Servers, s.master()["port"])
			if named == nil || named == old || fresh != nil && named != fresh {
				return false
			}
			fresh = named
		}
		return fresh != nil && fresh.Info("replication")["role"] == "master"
	})
	return fresh
}

// Failover asks for an orderly change of the primary, as an operator does, and returns the new one. The old one becomes
// its replica and goes on.
func (set *Sentinel) Failover() *Server {
	set.tb.Helper()
	old := set.Primary()
	await(set.tb, formPatience, "replicas that a Sentinel finds fit to be primary", func() bool {
		_, err := set.Sentinels[0].try("SENTINEL", "FAILOVER", masterName)
		return err == nil
	})
	return set.AwaitFailover(old)
}

// AwaitReplicas waits until n servers follow the primary of this moment.
func (set *Sentinel) AwaitReplicas(n int) {
	set.tb.Helper()
	set.awaitReplicas(set.Primary, n)
}
