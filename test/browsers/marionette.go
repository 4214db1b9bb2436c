//go:build browsers

package browsers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// marionette is Firefox's own protocol: a length, a colon, and a JSON array of kind, number, verb and parameters.
type marionette struct {
	conn net.Conn
	in   *bufio.Reader
	last int
}

// quiet keeps Firefox from asking hosts of its maker, and has it choose its port.
const quiet = `user_pref("marionette.port", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
`

// Firefox starts Firefox, without a window, until the test ends.
func Firefox(t *testing.T) *Browser {
	t.Helper()
	profile := t.TempDir()
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(quiet), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "firefox-esr", nil, "--headless", "--marionette", "--no-remote", "--profile", profile)
	var port string
	await(t, "Firefox to tell its port", func() bool {
		text, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		port = strings.TrimSpace(string(text))
		return err == nil && port != ""
	})
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	m := &marionette{conn: conn, in: bufio.NewReader(conn)}
	if _, err := m.read(); err != nil { // its greeting
		t.Fatal(err)
	}
	b := &Browser{Name: "Firefox", t: t, wire: m}
	b.call("NewSession", map[string]any{"acceptInsecureCerts": true}, nil)
	return b
}

// Call implements Wire.
func (m *marionette) Call(verb string, params map[string]any, answer any) error {
	m.last++
	if params == nil {
		params = map[string]any{}
	}
	text, err := json.Marshal([]any{0, m.last, "WebDriver:" + verb, params})
	if err != nil {
		return err
	}
	_ = m.conn.SetDeadline(time.Now().Add(4 * patience)) // the read below tells of a connection that takes none
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(text), text); err != nil {
		return err
	}
	message, err := m.read()
	if err != nil {
		return err
	}
	return decode(message, answer)
}

// read reads one message.
func (m *marionette) read() ([]byte, error) {
	length, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		return nil, err
	}
	text := make([]byte, n)
	_, err = io.ReadFull(m.in, text)
	return text, err
}

// decode takes an answer apart: [1, number, error, result]. A single value comes as {"value": …}.
func decode(message []byte, answer any) error {
	var parts [4]json.RawMessage
	if err := json.Unmarshal(message, &parts); err != nil {
		return err
	}
	if string(parts[2]) != "null" {
		return fmt.Errorf("%.600s", parts[2])
	}
	if answer == nil {
		return nil
	}
	var boxed map[string]json.RawMessage
	if json.Unmarshal(parts[3], &boxed) == nil && len(boxed) == 1 && boxed["value"] != nil {
		parts[3] = boxed["value"]
	}
	return json.Unmarshal(parts[3], answer)
}
