// Package oidcprovider runs the npm package oidc-provider, a certified OpenID provider that shares no line with this
// repository, for tests of the gateway against somebody else's reading of the specifications.
//
// It knows how to start it (server.mjs, as a child process on 127.0.0.1), what to tell it, and what it has issued: every
// code and token appears in Issued, so that a leak scanner can look for it elsewhere. It knows nothing of the gateway.
//
// The journey: Start writes the Config to the child's stdin, waits for its issuer on stdout, then keeps reading that
// stdout as the issue log. Closing stdin ends the child, so a test binary that dies takes it along.
package oidcprovider

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 10 * time.Second // for a child that was told to leave; it needs milliseconds

// Config is the provider's world. Durations are seconds; 0 takes the value named.
type Config struct {
	Port                int       `json:"port"` // 0: any free one
	Clients             []Client  `json:"clients"`
	Accounts            []Account `json:"accounts"`
	API                 string    `json:"api"`                   // resource indicator (RFC 8707) of JWT access tokens; "": opaque tokens
	APIScopes           []string  `json:"api_scopes,omitempty"`  // api:read, api:write
	AccessTokenSeconds  int       `json:"access_token_seconds"`  // 60
	IDTokenSeconds      int       `json:"id_token_seconds"`      // 3600
	RefreshTokenSeconds int       `json:"refresh_token_seconds"` // 86400
	DPoP                string    `json:"dpop,omitempty"`        // RFC 9449: "on" binds tokens to proofs, "nonces" wants nonces in them
	Consent             string    `json:"consent"`               // "" shows a form for it; "auto" grants at once, refresh tokens too
	Logout              string    `json:"logout"`                // "" shows a form with a choice; "auto" one that submits itself
}

// Client is a registered relying party. PKCE is required of all, refresh tokens rotate for all; offline_access needs
// prompt=consent (OpenID Connect Core section 11).
type Client struct {
	ID                     string          `json:"id"`
	Secret                 string          `json:"secret,omitempty"`
	AuthMethod             string          `json:"auth_method,omitempty"` // client_secret_basic with a secret, none without
	JWKS                   json.RawMessage `json:"jwks,omitempty"`        // for private_key_jwt
	JWKSURI                string          `json:"jwks_uri,omitempty"`    // where its keys are fetched; any host name is 127.0.0.1
	Native                 bool            `json:"native,omitempty"`
	RedirectURIs           []string        `json:"redirect_uris"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string          `json:"backchannel_logout_uri,omitempty"` // any host name in it is 127.0.0.1
}

// Account is a person who signs in by typing ID into the login form.
type Account struct {
	ID     string         `json:"id"` // the sub
	Claims map[string]any `json:"claims,omitempty"`
}

// Token is one thing the provider issued: Kind is code, access_token, refresh_token, id_token or logout_token.
type Token struct {
	Kind   string `json:"kind"`
	Client string `json:"client"` // empty for logout tokens
	Value  string `json:"value"`
}

// Grant is one answered token request, or a revocation that ended a grant or was refused (Type is revocation then); Error is
// empty when it was granted.
type Grant struct {
	Type   string `json:"type"`
	Client string `json:"client"`
	Error  string `json:"error"`
}

// Provider is a running provider.
type Provider struct {
	Issuer string

	mu      sync.Mutex
	issued  []Token
	grants  []Grant
	logouts []Grant
	errors  []string
	stdin   io.Closer
	kill    func() error
	exited  chan struct{}
}

// line is one line of the child's stdout.
type line struct {
	Event  string `json:"event"`
	Issuer string `json:"issuer"`
	Token
	Type  string `json:"type"`
	Error string `json:"error"`
}

// Start runs a provider until the test ends. It fails the test, never skips it, when node or the package is missing.
func Start(tb testing.TB, config Config) *Provider {
	tb.Helper()
	node, dir := installed(tb)
	cmd := exec.Command(node, filepath.Join(dir, "server.mjs"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_ENV=production", "NODE_NO_WARNINGS=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, errIn := cmd.StdinPipe()
	stdout, errOut := cmd.StdoutPipe()
	if err := firstError(errIn, errOut); err != nil {
		tb.Fatalf("piping to oidc-provider: %v", err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("starting oidc-provider: %v", err)
	}
	p := &Provider{stdin: stdin, kill: cmd.Process.Kill, exited: make(chan struct{})}
	tb.Cleanup(p.Stop)
	ready := make(chan string, 1)
	go p.listen(stdout, ready, cmd.Wait)
	if err := json.NewEncoder(stdin).Encode(config.complete()); err != nil {
		tb.Fatalf("configuring oidc-provider: %v", err)
	}
	p.Issuer = <-ready
	if p.Issuer == "" {
		<-p.exited // stderr is complete once the child has gone
		tb.Fatalf("oidc-provider ended before it was ready:\n%s", stderr.String())
	}
	return p
}

// installed finds node and the folder with node_modules, or fails the test saying how to get them.
func installed(tb testing.TB) (node, dir string) {
	tb.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Fatal("node is not installed: this test needs Node.js 20 or newer on the PATH (make test installs what tests need)")
	}
	_, file, _, _ := runtime.Caller(0)
	dir = filepath.Dir(file)
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "oidc-provider")); err != nil {
		tb.Fatal("oidc-provider is not installed: run `npm ci` in test/oidcprovider (make test does)")
	}
	return node, dir
}

func firstError(errs ...error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

// complete gives lists that JSON writes as [] rather than null.
func (c Config) complete() Config {
	c.Clients = append([]Client{}, c.Clients...)
	c.Accounts = append([]Account{}, c.Accounts...)
	for i, client := range c.Clients {
		c.Clients[i].RedirectURIs = append([]string{}, client.RedirectURIs...)
	}
	return c
}

// listen keeps the issue log until the child's stdout ends, then collects the child.
func (p *Provider) listen(stdout io.Reader, ready chan<- string, wait func() error) {
	defer close(p.exited)
	defer close(ready)
	lines := bufio.NewReader(stdout)
	for {
		text, err := lines.ReadBytes('\n')
		var l line
		if json.Unmarshal(text, &l) == nil {
			if l.Event == "ready" {
				ready <- l.Issuer
			}
			p.note(l)
		}
		if err != nil {
			break
		}
	}
	if err := wait(); err != nil {
		p.note(line{Event: "error", Error: fmt.Sprintf("oidc-provider: %v", err)})
	}
}

func (p *Provider) note(l line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := Grant{Type: l.Type, Client: l.Client, Error: l.Error}
	switch l.Event {
	case "issued":
		p.issued = append(p.issued, l.Token)
	case "grant":
		p.grants = append(p.grants, answer)
	case "logout":
		p.logouts = append(p.logouts, answer)
	case "error":
		p.errors = append(p.errors, l.Error)
	}
}

// Issued lists every code and token handed out so far, oldest first. A line may arrive a moment after the answer that
// carries the token; after Stop the list is complete.
func (p *Provider) Issued() []Token { return locked(p, &p.issued) }

// Grants lists every answered token request so far, oldest first, with the same moment's delay.
func (p *Provider) Grants() []Grant { return locked(p, &p.grants) }

// Logouts lists every back-channel logout request sent so far, by client, Error empty when it was accepted.
func (p *Provider) Logouts() []Grant { return locked(p, &p.logouts) }

// Errors lists faults of the provider itself; a good test run has none.
func (p *Provider) Errors() []string { return locked(p, &p.errors) }

func locked[T any](p *Provider, list *[]T) []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(*list)
}

// Stop ends the provider and waits until it has gone; a second call does nothing.
func (p *Provider) Stop() {
	_ = p.stdin.Close() // its end is the child's order to leave; an error means that it has left already
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.kill() // fails only if it has just ended
		<-p.exited
	}
}
