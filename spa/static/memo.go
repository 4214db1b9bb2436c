package static

import (
	"io/fs"
	"os"
	"strings"
	"sync"
)

// maxKept bounds what is remembered: far more files than any app has. Links to folders could make names without end.
const maxKept = 4096

// memo remembers what was made of a file's content, as long as the file is the same one, unchanged.
type memo[V any] struct {
	mu   sync.Mutex
	kept map[string]kept[V]
}

// kept is a value and the file that it was made of.
type kept[V any] struct {
	info  fs.FileInfo
	value V
}

// look finds the value of a file that is still the same one, unchanged.
func (m *memo[V]) look(name string, info fs.FileInfo) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.kept[name]
	return k.value, ok && os.SameFile(k.info, info) && k.info.Size() == info.Size() && k.info.ModTime().Equal(info.ModTime())
}

func (m *memo[V]) keep(name string, info fs.FileInfo, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || len(m.kept) >= maxKept {
		m.kept = make(map[string]kept[V])
	}
	m.kept[strings.Clone(name)] = kept[V]{info, value} // the name is a piece of a request, which need not be kept with it
}
