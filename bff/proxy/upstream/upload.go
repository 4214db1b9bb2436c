package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// keptBytes is the longest body that is kept for another attempt: a form or a JSON document, not an upload. So much of an
// answer is read whole too.
const keptBytes = 64 << 10

// errOver is what an attempt that is over reads of the body.
var errOver = errors.New("the attempt is over")

// upload is a request's body over all its attempts. Closing an attempt's closes nothing of the frontend's, for the next one may
// need it: whoever made the request does that.
type upload struct {
	src    io.Reader
	length int64

	mu      sync.Mutex
	kept    []byte
	lost    bool // something was read that was not kept
	reading bool // from src
	ended   bool
	err     error // of src
	turn    int   // of the attempt that may read
}

// newUpload carries a request's body; nil: it has none.
func newUpload(r *http.Request) *upload {
	if bodyless(r) {
		return nil
	}
	return &upload{src: r.Body, length: r.ContentLength}
}

// rewind reports whether another attempt can send the body from its beginning.
func (u *upload) rewind() bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.reading && !u.lost && u.err == nil
}

// anew gives the body to another attempt, from its beginning: from here on the one before reads nothing more, for it would
// take away what the next one sends. false: it has read on meanwhile.
func (u *upload) anew() bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reading || u.lost || u.err != nil {
		return false
	}
	u.turn++
	return true
}

// fault is what went wrong in reading from the frontend.
func (u *upload) fault() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// leg is the body as one attempt reads it.
type leg struct {
	*upload
	attempt *attempt
	at      int  // how much of what was kept this attempt has read
	mine    int  // its turn
	over    bool // guarded by upload.mu
}

// leg lets an attempt read.
func (u *upload) leg(a *attempt) *leg {
	u.mu.Lock()
	defer u.mu.Unlock()
	return &leg{upload: u, attempt: a, mine: u.turn}
}

// Read reads what was kept, then on from the frontend. The attempt's clock stands while the frontend is waited for.
func (l *leg) Read(p []byte) (int, error) {
	if n, err, ok := l.again(p); ok {
		return n, err
	}
	l.attempt.pause()
	n, err := l.src.Read(p)
	whole := l.note(p[:n], err)
	l.attempt.sending(whole)
	return n, err
}

// again serves what an earlier attempt has read.
func (l *leg) again(p []byte) (n int, err error, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.over, l.mine != l.turn:
		return 0, errOver, true
	case l.at < len(l.kept):
		n = copy(p, l.kept[l.at:])
		l.at += n
		return n, nil, true
	case l.ended:
		l.attempt.sending(true)
		return 0, io.EOF, true
	}
	l.reading = true
	return 0, nil, false
}

// note keeps what was read, where it is short, and reports whether the body is whole.
func (l *leg) note(p []byte, err error) (whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = false
	if l.ended = err == io.EOF; err != nil && err != io.EOF {
		l.err = err
	}
	if l.length > keptBytes || l.length < 0 {
		l.lost = l.lost || len(p) > 0
		return l.ended
	}
	l.kept = append(l.kept, p...)
	l.at += len(p)
	return l.ended || int64(len(l.kept)) == l.length
}

// Close ends the attempt's use of the body.
func (l *leg) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	return nil
}
