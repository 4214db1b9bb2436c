package server_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"cloakroom/server"
)

// open sends what a client of the admin listener sends first, as it stands, and returns its connection.
func (a *administered) open(text string) net.Conn {
	a.t.Helper()
	c, err := net.Dial("tcp", a.at["admin"])
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		a.t.Fatal(err)
	}
	return c
}

// A body that is announced and never comes holds no connection, with the credential or without; and nobody has the listener
// keep a header of any size.
//
// shows OPS-1 (slow clients)
func TestABodyThatNeverComesToTheAdminListener(t *testing.T) {
	a := newAdministered(t)
	const head = "DELETE /admin/sessions?app=web HTTP/1.1\nHost: admin\n"
	for _, row := range []struct{ with, text, status string }{
		{"ten bytes that never come", head + "Content-Length: 10\n\n", "401"},
		{"the credential and ten bytes that never come", head + "Authorization: Bearer " + adminToken + "\nContent-Length: 10\n\n", "400"},
		{"the credential and chunks that never come", head + "Authorization: Bearer " + adminToken + "\nTransfer-Encoding: chunked\n\n", "400"},
		{"the credential and an empty body in chunks", head + "Authorization: Bearer " + adminToken + "\nTransfer-Encoding: chunked\n\n0\n\n", "400"},
		{"thirty kilobytes of header", head + "X: " + strings.Repeat("x", 30<<10) + "\n\n", "431"},
	} {
		text, err := io.ReadAll(a.open(row.text)) // to its end: the connection is closed
		if errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(string(text), "HTTP/1.1 "+row.status+" ") {
			t.Errorf("a request with %s: %.40q, %v", row.with, text, err)
		}
	}
}

// Whoever asks and asks, and reads no answer, is let go of.
//
// shows OPS-1 (slow clients)
func TestAnAdministratorWhoStopsReading(t *testing.T) {
	a := newAdministered(t, func(o *server.Options) { o.Stall = 200 * time.Millisecond })
	asking := fmt.Sprintf("GET /debug/pprof/goroutine?debug=2 HTTP/1.1\nHost: admin\nAuthorization: Bearer %s\n\n", adminToken)
	c := a.open(asking)
	for {
		if _, err := io.WriteString(c, strings.ReplaceAll(asking, "\n", "\r\n")); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the listener still writes to somebody who reads nothing")
			}
			return
		}
	}
}
