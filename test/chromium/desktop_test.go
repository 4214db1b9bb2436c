//go:build integration

package chromium_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/world"

	"cloakroom/dev/provider"
)

const (
	gateway  = "http://gw.localhost" // the gateway's own origin
	verifier = "a-verifier-of-the-desktop-app-that-is-long-enough-for-everybody"
)

// desktop plays a desktop app: a loopback listener, and what it does with what it gets.
type desktop struct {
	world *world.World
	at    string // its own address

	mu     sync.Mutex
	answer url.Values // the last one
	access string
}

func (d *desktop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.URL.Path == "/callback" {
		d.answer = r.URL.Query()
	}
	_, _ = io.WriteString(w, "<!doctype html><title>App</title><p>Back to the app.")
}

// do plays the app's part for the journey.
func (d *desktop) do(what string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch what {
	case "authorize":
		sum := sha256.Sum256([]byte(verifier))
		return gateway + "/mobile/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {"desk"}, "redirect_uri": {d.at + "/callback"}, "state": {"mine"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		}.Encode(), nil
	case "redeem":
		return "", d.redeem()
	case "cancelled":
		if d.answer.Get("error") != "access_denied" || d.answer.Get("state") != "mine" || d.answer.Get("iss") != gateway+"/mobile" {
			return "", fmt.Errorf("the app was told %v", d.answer)
		}
		return "", nil
	case "logout":
		var told struct {
			URL string `json:"logout_url"`
		}
		err := d.post("/mobile/logout", nil, &told)
		return told.URL, err
	}
	return "", fmt.Errorf("nobody does %q", what)
}

func (d *desktop) redeem() error {
	if d.answer.Get("code") == "" || d.answer.Get("state") != "mine" || d.answer.Get("iss") != gateway+"/mobile" {
		return fmt.Errorf("the app was told %v", d.answer)
	}
	var got struct {
		Access string `json:"access_token"`
	}
	err := d.post("/mobile/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"desk"}, "code": {d.answer.Get("code")},
		"redirect_uri": {d.at + "/callback"}, "code_verifier": {verifier},
	}, &got)
	if err == nil && !strings.HasPrefix(got.Access, "clk_") {
		err = errors.New("no handle")
	}
	d.access = got.Access
	return err
}

// post asks the gateway at its own origin.
func (d *desktop) post(path string, form url.Values, into any) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+d.world.All[0].Addr+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Host = strings.TrimPrefix(gateway, "http://")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if d.access != "" {
		req.Header.Set("Authorization", "Bearer "+d.access)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %.200s %w", path, res.Status, body, err)
	}
	return json.Unmarshal(body, into)
}

// The browser's part in a desktop app's life, in a real browser: Chromium applies form-action to what follows a form, and
// cookies to what comes from another site, as no imitation does.
//
// shows NAT-8.6, NAT-8.9, RPL-NATIVE
func TestDesktop(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.DevProvider, world.Options{
		Apps: `  desk:
    kind: desktop
    name: Order desk
    provider: main
    client_id: webc_desk
    client_secret: the-secret-of-the-desktop-app
    redirect_uris: ["http://127.0.0.1/callback"]
`,
	})
	w.Dev.Register(provider.Client{
		ID: "webc_desk", Secret: "the-secret-of-the-desktop-app",
		RedirectURIs: []string{gateway + "/mobile/callback/desk"}, PostLogoutRedirectURIs: []string{gateway + "/mobile/logged-out"},
	})
	w.Start(1, "CLOAKROOM_PUBLIC__URL="+gateway)
	app := &desktop{world: w}
	srv := httptest.NewServer(app)
	t.Cleanup(srv.Close)
	app.at = srv.URL
	chromium.Run(t, chromium.Journey{
		Name:  "desktop",
		Given: map[string]any{"args": []string{"--host-resolver-rules=MAP gw.localhost:80 " + w.All[0].Addr}},
		Asked: app.do,
	})
}
