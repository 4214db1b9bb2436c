//go:build integration

package chromium_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/websocket"
	"cloakroom/test/world"
)

// pages is a web server that knows nothing of the gateway: it serves one page at every address, and the client as npm has it.
func pages(t *testing.T) string {
	t.Helper()
	client, err := filepath.Abs("../../spa/client")
	if err != nil {
		t.Fatal(err)
	}
	built := t.TempDir()
	build := exec.CommandContext(t.Context(), "npx", "vite", "build", "--outDir", built, "--logLevel", "warn")
	build.Dir = client
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the client: %v\n%s", err, out)
	}
	mux := http.NewServeMux()
	mux.Handle("/client/", http.StripPrefix("/client/", http.FileServer(http.Dir(built))))
	mux.HandleFunc("/app.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprintf(w, `import { createClient } from "/client/index.js";
globalThis.client = createClient({ base: %q });
const show = () => { document.querySelector("main").textContent = client.getState().status; };
client.subscribe(show);
show();
void client.check();
`, world.Origin+"/bff")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// What docs/clients/split-hosting.md tells to say: the gateway's origin is another to the policy, too.
		w.Header().Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' "+world.Origin+" ws://web.localhost; img-src *; frame-ancestors 'none'")
		_, _ = w.Write([]byte(`<!doctype html><html lang="en"><title>Elsewhere</title><link rel="icon" href="data:,"><main></main><script type="module" src="/app.js"></script></html>`))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// An app at another origin of the gateway's site, with the real client in a real browser, which alone knows what it sends where:
// a sign-in, calls, events, a WebSocket, two tabs and a sign-out. A sibling that is not listed can do none of it.
//
// shows CORS-1, CORS-2, CSRF-3, WS-1 (a listed origin)
func TestSplitHosting(t *testing.T) {
	t.Parallel()
	live := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := websocket.Take(w)
		c.Switch(r)
		c.Send(1, "hello from the API")
		_, _, _ = c.Read() // until the page closes it
	}))
	t.Cleanup(live.Close)
	const www, sibling = "http://www.web.localhost", "http://docs.web.localhost"
	w, j := start(t, "split", world.Options{
		App: fmt.Sprintf("    allowed_origins: [%q]\n    post_logout: %q\n", www, www+"/bye"),
		Routes: fmt.Sprintf("  - {path: /live, upstream: %q, methods: [GET], token: user, websocket: true}\n"+
			"  - {path: /dead/, upstream: \"http://127.0.0.1:1\", methods: [GET], token: user}", live.URL),
	})
	server := pages(t)
	j.Given["www"], j.Given["sibling"] = www, sibling
	j.Given["args"] = []string{fmt.Sprintf("--host-resolver-rules=MAP web.localhost:80 %s,MAP www.web.localhost:80 %s,MAP docs.web.localhost:80 %s",
		w.All[0].Addr, server, server)}
	chromium.Run(t, j)
	w.Leaks()
}
