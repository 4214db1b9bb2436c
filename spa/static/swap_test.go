package static_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"cloakroom/spa/static"
)

// A file that gives way to a pipe between two looks holds nobody: a reader would wait for a writer that never comes.
//
// shows PRX-LIMIT (static files)
func TestAFileThatTurnsIntoAPipe(t *testing.T) {
	dir := app(t)
	at, file, pipe := filepath.Join(dir, "x.txt"), filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.WriteFile(file, []byte("whole"), 0o644)
			_ = os.Rename(file, at)
			_ = syscall.Mkfifo(pipe, 0o644)
			_ = os.Rename(pipe, at)
		}
	})
	h := serve(t, static.Options{Dir: dir})
	for range 400 {
		if a := h.ask("GET", "/x.txt"); a.status != 404 && a.body != "whole" {
			t.Errorf("%d %q", a.status, a.body)
		}
	}
	close(stop)
	swapping.Wait()
}

// A file that grows or shrinks between two looks is told with the length that is sent.
func TestAFileThatChangesItsLength(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{"404.html": "<p>gone"})
	short, long := "<p>gone", "<p>gone "+strings.Repeat("x", 10_000)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			text := []string{short, long}[n%2]
			next := filepath.Join(dir, "next")
			_ = os.WriteFile(next, []byte(text), 0o644)
			_ = os.Rename(next, filepath.Join(dir, "404.html"))
		}
	})
	h := serve(t, static.Options{Dir: dir})
	for range 300 {
		if a := h.ask("GET", "/nothing", navigation...); a.status != 404 || a.body != short && a.body != long {
			t.Errorf("%d, %d bytes", a.status, len(a.body))
		}
	}
	close(stop)
	writing.Wait()
}

// A short request for a thousand pieces is not worth a thousand heads of parts (RFC 9110 section 17.15).
func TestManyRanges(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{"film.bin": strings.Repeat("x", 100_000)})
	h := serve(t, static.Options{Dir: dir})
	of := func(n int) string {
		var pieces []string
		for i := range n {
			pieces = append(pieces, fmt.Sprintf("%d-%d", 2*i, 2*i))
		}
		return "bytes=" + strings.Join(pieces, ",")
	}
	if a := h.ask("GET", "/film.bin", "Range", of(3)); a.status != 206 || strings.Count(a.body, "Content-Range") != 3 {
		t.Errorf("three pieces: %d", a.status)
	}
	if a := h.ask("GET", "/film.bin", "Range", of(16)); a.status != 206 || strings.Count(a.body, "Content-Range") != 16 {
		t.Errorf("sixteen pieces: %d", a.status)
	}
	if a := h.ask("GET", "/film.bin", "Range", of(17)); a.status != 200 || len(a.body) != 100_000 {
		t.Errorf("seventeen pieces: %d, %d bytes", a.status, len(a.body))
	}
	if a := h.ask("GET", "/film.bin", "Range", of(1000)); a.status != 200 || len(a.body) != 100_000 {
		t.Errorf("a thousand pieces: %d, %d bytes", a.status, len(a.body))
	}
}
