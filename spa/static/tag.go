package static

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
)

const (
	// maxHashed is the largest file that is read to make its tag: some 20 ms once. Larger ones go by size and time.
	maxHashed = 16 << 20
	// maxTags bounds what is remembered: far more files than any app has. Links to folders could make names without end.
	maxTags = 4096
	tagSize = 16 // bytes of the digest: nobody is to forge a tag, two contents must only not share one by chance
)

// tags remembers the entity tags of files (RFC 9110 section 8.8.3), strong ones: of a content, not of a time. An image
// of a container, a checkout and a repeatable build all give files times that do not change with their content.
type tags struct {
	mu    sync.Mutex
	known map[string]known
}

// known is a tag and the file that it was made of.
type known struct {
	info fs.FileInfo
	tag  string
}

// of returns the tag of an open file, and leaves it at its beginning.
func (t *tags) of(f form, content *os.File) (string, error) {
	info, err := content.Stat()
	if err != nil {
		return "", err
	}
	if tag, ok := t.look(f.name, info); ok {
		return tag, nil
	}
	digest := sha256.New()
	if info.Size() <= maxHashed {
		_, err = io.Copy(digest, content)
	} else {
		_, err = fmt.Fprint(digest, f.name, info.Size(), info.ModTime().UnixNano())
	}
	if err != nil {
		return "", err
	}
	tag := `"` + base64.RawURLEncoding.EncodeToString(digest.Sum(nil)[:tagSize]) + `"`
	t.keep(f.name, known{info, tag})
	_, err = content.Seek(0, io.SeekStart)
	return tag, err
}

// look finds the tag of a file that is still the same one, unchanged.
func (t *tags) look(name string, info fs.FileInfo) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.known[name]
	return k.tag, ok && os.SameFile(k.info, info) && k.info.Size() == info.Size() && k.info.ModTime().Equal(info.ModTime())
}

func (t *tags) keep(name string, k known) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= maxTags {
		t.known = make(map[string]known)
	}
	t.known[strings.Clone(name)] = k // the name is a piece of a request, which need not be kept with it
}
