package static

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	// maxHashed is the largest file that is read to make its tag: some 20 ms once. Larger ones go by size and time.
	maxHashed = 16 << 20
	tagSize   = 16 // bytes of the digest: nobody is to forge a tag, two contents must only not share one by chance
	// policyTagSize is of the policy's part: one page has had a handful of policies, not a world of contents.
	policyTagSize = 6
)

// tags remembers the entity tags of files (RFC 9110 section 8.8.3), strong ones: of a content, not of a time. An image
// of a container, a checkout and a repeatable build all give files times that do not change with their content.
type tags struct{ known memo[string] }

// of returns the tag of an open file, without its quotes, and leaves the file at its beginning.
func (t *tags) of(f form, content *os.File) (string, error) {
	info, err := content.Stat()
	if err != nil {
		return "", err
	}
	if tag, ok := t.known.look(f.name, info); ok {
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
	tag := base64.RawURLEncoding.EncodeToString(digest.Sum(nil)[:tagSize])
	t.known.keep(f.name, info, tag)
	_, err = content.Seek(0, io.SeekStart)
	return tag, err
}

// entityTag is the tag as it is sent: of the content and of the policy that it comes with, "" for what has none. RFC 9111
// section 4.3.4 has a cache take the fields of a 304 over, but WebKit leaves out all that begin with "content-": a page that
// has another policy since yesterday would run under the old one until its content changes, so it is another page.
func entityTag(tag, policy string) string {
	if policy != "" {
		digest := sha256.Sum256([]byte(policy))
		tag += "." + base64.RawURLEncoding.EncodeToString(digest[:policyTagSize])
	}
	return strings.Join([]string{`"`, tag, `"`}, "")
}
