package bff

import "sync"

// hub spreads events within the process to those who wait for a refresh. Events are hints, so every wait also polls.
type hub struct {
	mu        sync.Mutex
	interests map[Lookup]map[*interest]struct{}
}

// interest is one in the events of one session. notify must not block.
type interest struct{ notify func(Event) }

// add registers an interest until the returned function is called.
func (h *hub) add(lookup Lookup, notify func(Event)) (remove func()) {
	i := &interest{notify: notify}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.interests[lookup] == nil {
		h.interests[lookup] = make(map[*interest]struct{})
	}
	h.interests[lookup][i] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.interests[lookup], i)
		if len(h.interests[lookup]) == 0 {
			delete(h.interests, lookup)
		}
	}
}

// deliver passes an event to whom it concerns: after a gap in the subscription, to all.
func (h *hub) deliver(ev Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ev.Kind != EventResubscribed {
		for i := range h.interests[ev.Lookup] {
			i.notify(ev)
		}
		return
	}
	for _, all := range h.interests {
		for i := range all {
			i.notify(ev)
		}
	}
}
