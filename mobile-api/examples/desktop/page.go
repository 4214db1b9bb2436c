package main

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"os/exec"
	"runtime"
)

// page answers the browser. Its address holds the code, so it loads nothing, sends nobody there and is kept nowhere.
func page(w http.ResponseWriter, status int, title, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>%[1]s</title>
<style>
  :root { color-scheme: light dark; font: 1.125rem/1.6 system-ui, sans-serif }
  body { max-width: 26rem; margin: 20vh auto 0; padding: 0 1.5rem; text-align: center; text-wrap: balance }
</style>
<h1>%[1]s</h1>
<p>%[2]s</p>
</html>
`, html.EscapeString(title), html.EscapeString(text))
}

// open shows an address in the system browser: never in a window of our own, where the person could not tell who reads
// the password (RFC 8252 section 8.12).
func (a *app) open(ctx context.Context, address string) error {
	name, args := "xdg-open", []string{address}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	}
	browser := exec.Command(name, args...) // not bound to ctx: it may be the browser itself, and stays when we go on
	if err := browser.Start(); err != nil {
		a.say("No browser could be opened (%v).", err)
		return a.show(ctx, address)
	}
	go func() { _ = browser.Wait() }() // some openers end at once, some with the browser; neither tells whether a page was shown
	a.say("A browser should open now. If none does, open this address on this machine:\n  %s", address)
	return nil
}

// show prints an address, for a browser that this program cannot open.
func (a *app) show(_ context.Context, address string) error {
	a.say("Open this address in a browser on this machine:\n  %s", address)
	return nil
}
