//go:build integration

package chromium_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// program is the desktop example as its users have it: built, and with a home of its own.
type program struct {
	t       *testing.T
	gateway string
	bin     string
	home    string
	running *exec.Cmd
	lines   chan string // that it says; closed with its end
	handle  string
}

func newProgram(t *testing.T, gateway string) *program {
	t.Helper()
	p := &program{t: t, gateway: gateway, bin: filepath.Join(t.TempDir(), "desktop"), home: t.TempDir()}
	if out, err := exec.Command("go", "build", "-o", p.bin, "cloakroom/mobile-api/examples/desktop").CombinedOutput(); err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	return p
}

// do plays the program's part for the journey.
func (p *program) do(what string) (string, error) {
	switch what {
	case "login":
		if err := p.start("login"); err != nil {
			return "", err
		}
		return p.says(p.gateway)
	case "logged-in":
		if err := p.ended(); err != nil {
			return "", err
		}
		if err := p.keepHandle(); err != nil {
			return "", err
		}
		if err := p.start("watch"); err != nil {
			return "", err
		}
		return p.says("Following the session")
	case "told":
		said, err := p.says("Signed out")
		if err == nil {
			err = p.ended()
		}
		return said, err
	case "refused":
		return "", p.refused()
	}
	return "", fmt.Errorf("nobody does %q", what)
}

// start runs a command of the program.
func (p *program) start(command string) error {
	p.running = exec.CommandContext(p.t.Context(), p.bin, "--no-browser", "--gateway", p.gateway, command)
	p.running.Env = append(os.Environ(), "HOME="+p.home, "XDG_CONFIG_HOME="+filepath.Join(p.home, ".config"))
	p.running.Stderr = os.Stderr
	out, err := p.running.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.running.Start(); err != nil {
		return err
	}
	lines := make(chan string, 100) // more than it ever says
	p.lines = lines
	go func() {
		defer close(lines)
		for text := bufio.NewScanner(out); text.Scan(); {
			lines <- strings.TrimSpace(text.Text())
		}
	}()
	return nil
}

// says waits for a line that begins so.
func (p *program) says(begin string) (string, error) {
	late := time.After(15 * time.Second) // what hangs is found; what is slow is measured elsewhere
	for {
		select {
		case line, more := <-p.lines:
			if strings.HasPrefix(line, begin) {
				return line, nil
			}
			if !more {
				return "", fmt.Errorf("the program ended and never said %q", begin)
			}
		case <-late:
			return "", fmt.Errorf("the program does not say %q", begin)
		}
	}
}

// ended waits for the program to end well.
func (p *program) ended() error {
	for range p.lines { // the pipe is read to its end before Wait
	}
	return p.running.Wait()
}

// keepHandle reads the handle as the program keeps it, to try it when the program has dropped it.
func (p *program) keepHandle() error {
	text, err := os.ReadFile(filepath.Join(p.home, ".config", "cloakroom-desktop-example", "handles.json"))
	var kept struct{ Token oauth2.Token }
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if p.handle = kept.Token.AccessToken; err == nil && p.ask() != http.StatusOK {
		err = fmt.Errorf("the handle of the sign-in opens nothing")
	}
	return err
}

// ask shows the handle and returns the status.
func (p *program) ask() int {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.gateway+"/mobile/session", nil)
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+p.handle)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// refused shows that the handle is nothing any more, and that the program keeps none.
func (p *program) refused() error {
	if status := p.ask(); status != http.StatusUnauthorized {
		return fmt.Errorf("the handle is answered %d", status)
	}
	left, err := filepath.Glob(filepath.Join(p.home, ".config", "cloakroom-desktop-example", "*"))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("the program keeps %v", left)
	}
	return err
}
