package dev

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"cloakroom/server/config"
)

// baseName is how `config print` would call what a world adds to the user's file.
const baseName = "default of cloakroom-dev"

// worldConfig is the configuration of the demo, and what stands below the user's own.
const worldConfig = `public:
  url: http://127.0.0.1:{{.Ports.Gateway}}
  listen: 127.0.0.1:{{.Ports.Gateway}}
  timeouts: {drain: 5s}
ops: {listen: "127.0.0.1:{{.Ports.Ops}}"}
redis:
  addrs: [{{printf "%q" .Redis.Addr}}]
  key_prefix: {{printf "%q" .Redis.Prefix}}
  db: {{.Redis.DB}}
  tls: {enabled: {{.Redis.TLS}}}
{{- if .Redis.Username}}
  username: {{printf "%q" .Redis.Username}}{{end}}
{{- if .Redis.Password}}
  password_file: {{file "redis.secret"}}{{end}}
sealing_keys: [{id: k1, file: {{file "k1"}}}]
index_keys: [{id: i1, file: {{file "i1"}}}]
providers:
  dev: {preset: scalekit, issuer: "{{.Issuer}}"}
apps:
  demo:
    kind: spa
    origin: http://localhost:{{.Ports.Gateway}}
    provider: dev
    client_id: demo
    client_secret_file: {{file "demo.secret"}}
    static: {dir: {{file "demo"}}}
    login: {initiate: true}
  board:
    kind: spa
    origin: http://board.localhost:{{.Ports.Gateway}}
    provider: dev
    client_id: board
    client_secret_file: {{file "board.secret"}}
    static: {dir: {{file "board"}}}
  notes:
    kind: web
    origin: http://notes.localhost:{{.Ports.Gateway}}
    provider: dev
    client_id: notes
    client_secret_file: {{file "notes.secret"}}
  docs:
    kind: web
    origin: http://docs.localhost:{{.Ports.Gateway}}
    provider: dev
    client_id: docs
    client_secret_file: {{file "docs.secret"}}
    static: {dir: {{file "handbook"}}, protected: true}
  cli:
    kind: desktop
    name: Desktop example
    provider: dev
    client_id: cli
    client_secret_file: {{file "cli.secret"}}
    redirect_uris: ["http://127.0.0.1/callback"]
    handle: {dpop: allowed} # a program that sends a proof gets a handle that is bound to its key
routes:
  - {path: /api/, upstream: "{{.API}}", methods: [GET, POST], apps: [demo, board, docs, cli]}
  - {path: /api/public, upstream: "{{.API}}", methods: [GET], token: none, apps: [demo, board, docs, cli]}
  # EventSource cannot send a header, so this route asks for the page's own origin instead. It streams until the session ends.
  - {path: /api/stream, upstream: "{{.API}}", methods: [GET], guard: origin, timeout: 5s, apps: [demo, board, docs, cli]}
  # So do these two: an EventSource for the progress, and a link for the file that is ready. The stream ends with the session.
  - {path: /api/orders/export, upstream: "{{.API}}", methods: [GET], guard: origin, timeout: 5s, apps: [demo, board, docs, cli]}
  - {path: /api/orders/export/, upstream: "{{.API}}", methods: [GET], guard: origin, apps: [demo, board, docs, cli]}
  # A WebSocket: a browser's is taken from the app's own page alone, and closed when the session ends.
  - {path: /api/orders/feed, upstream: "{{.API}}", methods: [GET], websocket: true, apps: [demo, board, docs, cli]}
  - {path: /api/live, upstream: "{{.API}}", methods: [GET], websocket: true, apps: [demo, board, docs, cli]}
  # GET /api/slow?ms= waits up to ten minutes before it answers.
  - {path: /api/slow, upstream: "{{.API}}", methods: [GET], timeout: 11m, apps: [demo, board, docs, cli]}
  # With the app's own token, at the provider's Management API: the session says whose profile it is, and no request can.
  - {path: /api/profile, upstream: "{{.Issuer}}/api/v1/users/{sub}", methods: [GET], token: client, apps: [demo]}
  # A site whose pages are made on a server. Who asks it reads from these fields.
  - path: /
    kind: site
    upstream: "{{.API}}"
    methods: [GET, HEAD, POST]
    apps: [notes]
    identity_headers: {X-Forwarded-Name: name, X-Forwarded-Email: email}
`

// decidedHere is what a world does not leave to the user's file: it would not be on this machine alone, or would need what
// is not there.
func decidedHere() []string {
	return []string{
		"public.url", "public.listen", "public.tls", "public.trusted_proxies", "ops", "admin", "log",
		"redis", "sealing_keys", "retired_keys", "index_keys",
	}
}

// furnish makes the world's private folder with keys, secrets, the demo's files and the configuration, and reads the
// configuration with the user's own over it.
func (w *world) furnish(context.Context) error {
	dir, err := os.MkdirTemp("", "cloakroom-dev-") // mode 0700: os.MkdirTemp's promise
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	w.dir = dir
	w.later(func() { _ = os.RemoveAll(dir) })
	text, err := w.configText()
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"cloakroom.yaml": text, "k1": newSecret(), "i1": newSecret(), "redis.secret": w.redis.Password,
		"demo.secret": newSecret(), "board.secret": newSecret(), "notes.secret": newSecret(), "docs.secret": newSecret(),
		"cli.secret": newSecret(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
	}
	for name, files := range map[string]fs.FS{"demo": demoFiles(), "board": boardFiles(), "handbook": handbookFiles()} {
		if err := w.copyFiles(filepath.Join(dir, name), files); err != nil {
			return fmt.Errorf("writing the files of %s: %w", name, err)
		}
	}
	defer w.forget()
	w.cfg, w.away, err = config.LoadOver(config.Base{Name: baseName, Text: []byte(text), Own: decidedHere(), App: w.clientOf}, w.Config, w.Env)
	return err
}

// forget deletes what was read, which is all that lies beside the folders of files: a world that is killed leaves the
// demo's files behind, and no key or password.
func (w *world) forget() {
	entries, _ := os.ReadDir(w.dir) // made a moment ago; what cannot be listed goes with the whole at the end
	for _, e := range entries {
		if !e.IsDir() {
			_ = os.Remove(filepath.Join(w.dir, e.Name()))
		}
	}
}

// newSecret is 32 random bytes in base64url, as keygen prints them.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime stops the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// clientOf makes a client of an app of the user's at the dev provider. An app elsewhere says itself who it is.
func (w *world) clientOf(id, issuer string) []byte {
	if issuer != w.issuer() {
		return nil
	}
	return fmt.Appendf(nil, "{client_id: %q, client_secret: %q}\n", id, newSecret())
}

func (w *world) configText() (string, error) {
	file := func(name string) string { return fmt.Sprintf("%q", filepath.Join(w.dir, name)) }
	tmpl, err := template.New("configuration").Funcs(template.FuncMap{"file": file}).Parse(worldConfig)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = tmpl.Execute(&b, map[string]any{
		"Ports": w.Ports, "Issuer": w.issuer(), "API": "http://" + at(w.Ports.API),
		"Redis": map[string]any{
			"Addr": w.redis.Addr, "Prefix": w.redis.prefix, "DB": w.redis.DB, "TLS": w.redis.TLSConfig != nil,
			"Username": w.redis.Username, "Password": w.redis.Password != "",
		},
	})
	return b.String(), err
}

// beside is what the demo's page says of the apps that are there besides it: where it is served alone, the handbook.
const beside = `<meta name="apps" content="docs">`

// copyFiles writes files to a new folder. Pages name the apps at their usual port; here it may be another.
func (w *world) copyFiles(to string, files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		target := filepath.Join(to, filepath.FromSlash(name))
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".html") {
			data = bytes.ReplaceAll(data, []byte("localhost:8080"), fmt.Appendf(nil, "localhost:%d", w.Ports.Gateway))
			data = bytes.ReplaceAll(data, []byte(beside), []byte(`<meta name="apps" content="board notes docs">`))
		}
		return os.WriteFile(target, data, 0o600)
	})
}
