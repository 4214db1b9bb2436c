//go:build unix

package config_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe that nobody writes to would hold up the start for ever.
func TestANamedPipeIsNotWaitedFor(t *testing.T) {
	dir := folder(t, nil)
	if err := os.Remove(filepath.Join(dir, "web")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "web"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := problems(t, dir, base)
	want := "cloakroom.yaml:17: apps.web.client_secret_file: reading web: no regular file; name a file that this process may read"
	if len(got) != 1 || got[0] != want {
		t.Errorf("problems = %q, want %q alone", got, want)
	}
}
