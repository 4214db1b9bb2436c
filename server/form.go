package server

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"time"
)

// formTime is how long a form may take to come: it has a few hundred bytes, and whoever sends one is waiting. Longer, and
// connections are held by forms that come byte by byte (ASVS 13.1.3).
const formTime = 10 * time.Second

// formTime is how long a form may take here.
func (s *Server) formTime() time.Duration { return cmp.Or(s.options.FormTime, formTime) }

// formInTime breaks a request's body off that is not there in time, and takes the limit off once it is: the answer may take
// longer. (On HTTP/1 net/http does that by itself as of Go 1.26; nothing promises it.) lift takes it off from a body that is
// no form.
func formInTime(w http.ResponseWriter, r *http.Request, within time.Duration) (lift func()) {
	if r.ContentLength == 0 {
		return func() {}
	}
	whole := r.Body
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(within)) // a connection that has none is not one
	r.Body = &timely{ReadCloser: whole, control: control}
	return func() {
		r.Body = whole
		_ = control.SetReadDeadline(time.Time{})
	}
}

// timely is a body with a limit in time.
type timely struct {
	io.ReadCloser
	control *http.ResponseController
	whole   bool
}

// Read reads on, and takes the limit off at the end.
func (b *timely) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !b.whole {
		b.whole = true
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
