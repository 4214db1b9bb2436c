package ratelimit

// soonest is a set of keys, each with the moment at which its burst is free again, of which the one that is so the soonest
// is found and dropped in logarithmic time: a binary heap, and where in it each key is.
type soonest struct {
	heap []entry
	at   map[uint64]int32
}

// entry is a key's name and its moment.
type entry struct {
	free int64
	name uint64
}

func (s *soonest) has(name uint64) bool {
	_, there := s.at[name]
	return there
}

// of is the moment of a key; 0, the start of time, of one that is not there.
func (s *soonest) of(name uint64) int64 {
	if i, there := s.at[name]; there {
		return s.heap[i].free
	}
	return 0
}

// next is the soonest moment of all.
func (s *soonest) next() (free int64, any bool) {
	if len(s.heap) == 0 {
		return 0, false
	}
	return s.heap[0].free, true
}

// put adds a key, or moves it.
func (s *soonest) put(name uint64, free int64) {
	i, there := s.at[name]
	if !there {
		i = int32(len(s.heap))
		s.heap = append(s.heap, entry{})
	}
	s.set(i, entry{free, name})
	s.down(s.up(i))
}

// drop takes the soonest out.
func (s *soonest) drop() {
	last := len(s.heap) - 1
	delete(s.at, s.heap[0].name)
	e := s.heap[last]
	s.heap = s.heap[:last]
	if last > 0 {
		s.set(0, e)
		s.down(0)
	}
}

func (s *soonest) set(i int32, e entry) { s.heap[i], s.at[e.name] = e, i }

func (s *soonest) swap(i, j int32) {
	a, b := s.heap[i], s.heap[j]
	s.set(i, b)
	s.set(j, a)
}

// up moves an entry towards the root, and returns where it stays.
func (s *soonest) up(i int32) int32 {
	for i > 0 {
		parent := (i - 1) / 2
		if s.heap[parent].free <= s.heap[i].free {
			break
		}
		s.swap(i, parent)
		i = parent
	}
	return i
}

// down moves an entry away from the root.
func (s *soonest) down(i int32) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && int(child) < len(s.heap); child++ {
			if s.heap[child].free < s.heap[least].free {
				least = child
			}
		}
		if least == i {
			return
		}
		s.swap(i, least)
		i = least
	}
}
