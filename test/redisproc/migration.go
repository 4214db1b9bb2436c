package redisproc

import "strconv"

// Migration is a slot on its way to another master, which a test takes step by step: Begin, Keys any number of times,
// Finish. Between Begin and Finish the old master answers ASK for keys that have left, and TRYAGAIN where a command's keys
// are divided; after Finish it answers MOVED.
type Migration struct {
	cluster  *Cluster
	slot     int
	from, to *Server
}

// Move prepares to move a slot. Nothing happens before Begin.
func (c *Cluster) Move(slot int, to *Server) *Migration {
	c.tb.Helper()
	return &Migration{cluster: c, slot: slot, from: c.Master(slot), to: to}
}

// Begin marks the slot as leaving and as arriving.
func (m *Migration) Begin() {
	m.to.tb.Helper()
	m.to.Do("CLUSTER", "SETSLOT", m.slot, "IMPORTING", m.from.id())
	m.from.Do("CLUSTER", "SETSLOT", m.slot, "MIGRATING", m.to.id())
}

// Keys moves at most n keys of the slot and returns how many it moved.
func (m *Migration) Keys(n int) int {
	m.from.tb.Helper()
	keys, _ := m.from.Do("CLUSTER", "GETKEYSINSLOT", m.slot, n).([]any)
	if len(keys) == 0 {
		return 0
	}
	m.from.Do(append([]any{"MIGRATE", "127.0.0.1", strconv.Itoa(m.to.port), "", 0, migrateTime, "KEYS"}, keys...)...)
	return len(keys)
}

// Finish moves what is left and gives the slot to its new master.
func (m *Migration) Finish() {
	m.from.tb.Helper()
	const batch = 100 // keys in one MIGRATE
	for m.Keys(batch) > 0 {
		continue
	}
	id := m.to.id()
	for _, node := range append([]*Server{m.to, m.from}, m.cluster.Nodes...) { // the receiver first: it must not miss it
		if node.Info("replication")["role"] == "master" {
			node.Do("CLUSTER", "SETSLOT", m.slot, "NODE", id)
		}
	}
}
