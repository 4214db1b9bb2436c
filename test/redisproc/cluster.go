package redisproc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	masters = 3     // the fewest of which a majority is left when one dies
	slots   = 16384 // of any Cluster

	nodeTimeout = 2 * time.Second // silence after which a node counts as failed: a busy machine keeps one waiting for a second
	migrateTime = 5000            // milliseconds for one MIGRATE between two servers of one machine
)

// ClusterOptions are the settings of a Cluster.
type ClusterOptions struct {
	// Replicas gives every master one replica.
	Replicas bool
	// Server are the settings of all nodes.
	Server Options
}

// Cluster is three masters that share the slots, and their replicas. Like a Server it is for the test's goroutine.
type Cluster struct {
	// Nodes are the servers in the order of their start: three masters, then the replica of each.
	Nodes []*Server

	tb testing.TB
}

// StartCluster runs a Cluster until the test ends, and returns when all nodes agree that it is well.
func StartCluster(tb testing.TB, o ClusterOptions) *Cluster {
	tb.Helper()
	if o.Server.TLS != nil || len(o.Server.Users) > 0 {
		tb.Fatal("a Cluster with TLS or users is not built")
	}
	o.Server.peers = true
	o.Server.cluster = true
	c := &Cluster{tb: tb}
	n := masters
	if o.Replicas {
		n *= 2
	}
	for range n {
		c.Nodes = append(c.Nodes, Start(tb, o.Server))
	}
	c.form(o.Replicas)
	return c
}

// clusterArguments make a server a node.
func (s *Server) clusterArguments() []string {
	return []string{
		"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(s.busPort), "--cluster-announce-ip", "127.0.0.1",
		"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
		"--cluster-replica-validity-factor", "0", // a replica may stand for election however long it was cut off
		"--cluster-allow-replica-migration", "no", // masters keep the replicas they were given
	}
}

// form deals the slots out, introduces the nodes to each other, and waits until all of them agree.
func (c *Cluster) form(replicas bool) {
	c.tb.Helper()
	for i, node := range c.Nodes {
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i < masters {
			node.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/masters, (i+1)*slots/masters-1)
		}
		for _, other := range c.Nodes[:i] {
			node.Do("CLUSTER", "MEET", "127.0.0.1", other.port, other.busPort)
		}
	}
	c.awaitAgreement()
	if !replicas {
		return
	}
	for i, node := range c.Nodes[masters:] {
		node.Do("CLUSTER", "REPLICATE", c.Nodes[i].id())
	}
	for i, node := range c.Nodes[masters:] {
		await(c.tb, formPatience, "replicas that follow their masters", func() bool {
			info := node.Info("replication")
			return info["master_port"] == strconv.Itoa(c.Nodes[i].port) && info["master_link_status"] == "up"
		})
	}
	c.awaitAgreement()
}

// awaitAgreement waits until every node that runs says that all slots are served and that it knows all others.
func (c *Cluster) awaitAgreement() {
	c.tb.Helper()
	for _, node := range c.Nodes {
		await(c.tb, formPatience, "nodes that agree", func() bool {
			info := node.clusterInfo()
			return info["cluster_state"] == "ok" && info["cluster_slots_ok"] == strconv.Itoa(slots) &&
				info["cluster_known_nodes"] == strconv.Itoa(len(c.Nodes)) && !strings.Contains(node.nodes(), "handshake")
		})
	}
}

// clusterInfo is CLUSTER INFO; empty while the node cannot be asked.
func (s *Server) clusterInfo() map[string]string { return s.fields("CLUSTER", "INFO") }

// nodes is the Cluster as this node sees it; empty while it cannot be asked.
func (s *Server) nodes() string {
	text, err := s.try("CLUSTER", "NODES")
	if err != nil {
		return ""
	}
	return fmt.Sprint(text)
}

// id is the node's name in the Cluster.
func (s *Server) id() string {
	s.tb.Helper()
	return fmt.Sprint(s.Do("CLUSTER", "MYID"))
}

// Addrs are the addresses of all nodes.
func (c *Cluster) Addrs() (addrs []string) {
	for _, node := range c.Nodes {
		addrs = append(addrs, node.Addr())
	}
	return addrs
}

// Slot is the slot of a key.
func (c *Cluster) Slot(key string) int {
	c.tb.Helper()
	slot, _ := c.Nodes[0].Do("CLUSTER", "KEYSLOT", key).(int64)
	return int(slot)
}

// Master is the node that serves a slot, as the first node that answers sees it.
func (c *Cluster) Master(slot int) *Server {
	c.tb.Helper()
	for _, asked := range c.Nodes {
		if node := c.seenBy(asked, slot); node != nil {
			return node
		}
	}
	c.tb.Fatalf("no node is known to serve slot %d", slot)
	return nil
}

// serves is the master of one range of CLUSTER SLOTS, if slot is in it.
func (c *Cluster) serves(r any, slot int) *Server {
	fields := r.([]any)
	from, to := fields[0].(int64), fields[1].(int64)
	if int64(slot) < from || int64(slot) > to {
		return nil
	}
	port := fields[2].([]any)[1].(int64)
	return onPort(c.Nodes, strconv.FormatInt(port, 10))
}

// Replica is the node that follows a master; nil if none does.
func (c *Cluster) Replica(master *Server) *Server {
	for _, node := range c.Nodes {
		info := node.Info("replication")
		if info["role"] == "slave" && info["master_port"] == strconv.Itoa(master.port) {
			return node
		}
	}
	return nil
}

// Keys lists the keys of all masters that run, sorted.
func (c *Cluster) Keys() (keys []string) {
	c.tb.Helper()
	for _, node := range c.Nodes {
		if node.Info("replication")["role"] == "master" {
			keys = append(keys, node.Keys()...)
		}
	}
	slices.Sort(keys)
	return keys
}

// AwaitPromotion waits until another node serves what old did and all that run agree, and returns it.
func (c *Cluster) AwaitPromotion(old *Server, slot int) *Server {
	c.tb.Helper()
	var fresh *Server
	await(c.tb, failoverPatience, "a promoted replica", func() bool {
		for _, node := range c.Nodes {
			if node == old {
				continue
			}
			if node.clusterInfo()["cluster_state"] != "ok" {
				return false
			}
			fresh = c.seenBy(node, slot)
			if fresh == nil || fresh == old {
				return false
			}
		}
		return true
	})
	return fresh
}

// seenBy is the master of a slot as one node sees it; nil while it cannot be asked.
func (c *Cluster) seenBy(node *Server, slot int) *Server {
	answer, err := node.try("CLUSTER", "SLOTS")
	ranges, ok := answer.([]any)
	if err != nil || !ok {
		return nil
	}
	for _, r := range ranges {
		if found := c.serves(r, slot); found != nil {
			return found
		}
	}
	return nil
}
