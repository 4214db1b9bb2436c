//go:build browsers

package browsers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// webdriver is W3C WebDriver: a request for each verb.
type webdriver struct {
	base string // with the session, once there is one
}

// endpoints of the verbs that we use (W3C WebDriver, section 5.4); {id} is an element.
var endpoints = map[string]string{
	"NewSession": "POST /session", "Navigate": "POST /url", "Refresh": "POST /refresh", "Back": "POST /back", "GetWindowHandle": "GET /window",
	"NewWindow": "POST /window/new", "SwitchToWindow": "POST /window", "CloseWindow": "DELETE /window",
	"GetCookies":         "GET /cookie",
	"ExecuteAsyncScript": "POST /execute/async", "ElementClick": "POST /element/{id}/click", "ElementSendKeys": "POST /element/{id}/value",
}

// WebKit starts WebKitGTK's small browser, on a screen that nobody sees, until the test ends.
func WebKit(t *testing.T) *Browser {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/webkit2gtk-4.1/MiniBrowser")
	if err != nil || len(found) == 0 {
		t.Fatal("WebKitGTK's MiniBrowser is needed: run make browsers as root on Debian, or install it")
	}
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	run(t, "WebKitWebDriver", []string{"DISPLAY=" + screen(t)}, "--port="+port)
	await(t, "WebKitWebDriver to listen", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	d := &webdriver{base: "http://" + addr}
	b := &Browser{Name: "WebKit", t: t, wire: d}
	var made struct{ SessionID string }
	b.call("NewSession", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"acceptInsecureCerts":      true,
		"webkitgtk:browserOptions": map[string]any{"binary": found[0], "args": []string{"--automation"}},
	}}}, &made)
	d.base += "/session/" + made.SessionID
	return b
}

// Call implements Wire.
func (d *webdriver) Call(verb string, params map[string]any, answer any) error {
	method, path, _ := strings.Cut(endpoints[verb], " ")
	if id, ok := params["id"].(string); ok {
		path = strings.Replace(path, "{id}", id, 1)
	}
	if params == nil {
		params = map[string]any{}
	}
	text, err := json.Marshal(params)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, d.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 4 * patience}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var got struct{ Value json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%d %.600s", res.StatusCode, got.Value)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got.Value, answer)
}
