//go:build browsers

package browsers_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cloakroom/test/browsers"
	"cloakroom/test/world"
)

// Files in the forms that a build has compressed them to, each of which says its own name: a browser gets one that it can read.
func TestCompressedFiles(t *testing.T) {
	dir := t.TempDir()
	say := func(form string) string {
		return fmt.Sprintf("document.querySelector('main').textContent = 'as %s';", form)
	}
	for name, text := range map[string]string{
		"index.html":       `<!doctype html><title>Files</title><main></main><script src="/says-8c1d2e3f.js"></script>`,
		"says-8c1d2e3f.js": say("it is"), "says-8c1d2e3f.js.br": brotli(say("br")), "says-8c1d2e3f.js.zst": zstd(say("zstd")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	each(t, dir, world.Options{}, func(t *testing.T, b *browsers.Browser, p *place) {
		tab := b.First()
		tab.Goto(p.origin + "/")
		tab.Sees("as br")
	})
}

// brotli wraps less than 64 KiB as they are (RFC 7932, section 9.2): a window, one meta-block that is not compressed, an empty last one.
func brotli(text string) string {
	n := len(text) - 1
	return string([]byte{0x0b | byte(n&1)<<7, byte(n >> 1), byte(n>>9) | 0x80}) + text + "\x03"
}

// zstd wraps less than 256 bytes as they are (RFC 8878, section 3.1.1): one segment of known size, one raw block, the last.
func zstd(text string) string {
	n := len(text)
	return "\x28\xb5\x2f\xfd\x20" + string([]byte{byte(n), byte(n<<3) | 1, byte(n >> 5), 0}) + text
}

// An app at another origin of the gateway's site: sign-in, calls with CORS, one stream for two tabs, sign-out.
func TestSplitHosting(t *testing.T) {
	client := built(t)
	for _, c := range engines {
		t.Run(c.name, func(t *testing.T) {
			mux := http.NewServeMux()
			www := originOf(c.scheme, "www.web.localhost", serve(t, c.scheme, mux))
			p := at(t, c.scheme, demo(t), world.Options{App: fmt.Sprintf("    allowed_origins: [%q]\n    post_logout: %q\n", www, www+"/bye")})
			pages(mux, client, p.origin)
			b := c.start(t)
			tab := b.First()
			tab.Goto(www + "/orders?x=1#part")
			tab.Sees("signed-out")
			tab.Run("setTimeout(() => client.login());", nil)
			tab.Click("button", "Ada")
			tab.Sees("signed-in")
			is(t, tab.URL() == www+"/orders?x=1#part", "back at the very address, not %s", tab.URL())
			var got []string
			tab.Run(`const read = await client.fetch("/api/orders");
				const wrote = await client.fetch("/api/orders", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"item":"coat","quantity":1}'});
				const bare = await fetch(args[0] + "/api/orders", {credentials: "include"});
				return [read, wrote, bare].map((answer) => String(answer.status));`, &got, p.origin)
			is(t, len(got) == 3 && got[0] == "200" && got[1] == "201" && got[2] == "403", "200, 201, 403, not %v", got)
			other := b.Open(www + "/second")
			other.Sees("signed-in")
			tab.Until(`client.hearing() === "at-once"`)
			other.Until(`client.hearing() === "at-once"`)
			is(t, streams(p) == 1, "one stream for both, not %d", streams(p))
			tab.Run("setTimeout(() => client.logout());", nil)
			tab.Until(`location.pathname === "/bye"`)
			tab.Sees("signed-out")
			other.Sees("signed-out")
		})
	}
}

// built is the client as npm has it.
func built(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "npx", "vite", "build", "--outDir", folder, "--logLevel", "warn")
	build.Dir = filepath.Join("..", "..", "spa", "client")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the client: %v\n%s", err, out)
	}
	return folder
}

// serve serves a site that knows nothing of the gateway, and returns its address.
func serve(t *testing.T, scheme string, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	if scheme == "https" {
		return overTLS(t, srv.Listener.Addr().String())
	}
	return srv.Listener.Addr().String()
}

func originOf(scheme, host, addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return scheme + "://" + net.JoinHostPort(host, port)
}

// pages has a site show one page at every address, with the client of a gateway at another origin.
func pages(mux *http.ServeMux, client, gateway string) {
	mux.Handle("/client/", http.StripPrefix("/client/", http.FileServer(http.Dir(client))))
	mux.HandleFunc("/app.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprintf(w, `import { createClient } from "/client/index.js";
			globalThis.client = createClient({ base: %q });
			const show = () => { document.querySelector("main").textContent = client.getState().status; };
			client.subscribe(show); show(); void client.check();`, gateway+"/bff")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><html lang="en"><title>Elsewhere</title><main></main><script type="module" src="/app.js"></script></html>`))
	})
}
