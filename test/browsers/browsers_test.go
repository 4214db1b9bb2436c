//go:build browsers

package browsers_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"cloakroom/test/browsers"
	"cloakroom/test/wire"
	"cloakroom/test/world"
)

// place is a world at an address that any browser finds: a host under localhost, with a port.
type place struct {
	*world.World
	origin  string
	network *wire.Proxy // between the browser and the gateway
}

// demo is the demo app as it is committed.
func demo(t *testing.T) string {
	t.Helper()
	dist, err := filepath.Abs("../../spa/demo/dist")
	if err != nil {
		t.Fatal(err)
	}
	return dist
}

// at makes a world at http or https whose app is the files of a folder.
func at(t *testing.T, scheme, dir string, o world.Options) *place {
	t.Helper()
	p := &place{network: wire.Start(t, "127.0.0.1:1")} // until there is a gateway, and its address, nobody listens
	addr := p.network.Addr()
	if scheme == "https" {
		addr = overTLS(t, addr)
	}
	p.origin = originOf(scheme, "web.localhost", addr)
	o.Origin = p.origin
	o.App += fmt.Sprintf("    static: {dir: %q}\n", dir)
	p.World = world.New(t, world.DevProvider, o)
	p.network.Retarget(p.Start(1)[0].Addr)
	return p
}

// overTLS listens with a certificate of nobody in particular and passes everything on.
func overTLS(t *testing.T, to string) string {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: srv.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go join(from, to)
		}
	}()
	return l.Addr().String()
}

// join carries bytes both ways until either side is done.
func join(from net.Conn, to string) {
	defer from.Close()
	c, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer c.Close()
	go func() {
		_, _ = io.Copy(c, from)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, c)
}

// engines are the browsers, over https and, where a browser keeps our cookies there, over http.
var engines = []struct {
	name, scheme string
	start        func(*testing.T) *browsers.Browser
}{
	{"Firefox over http", "http", browsers.Firefox},
	{"Firefox over https", "https", browsers.Firefox},
	{"WebKit over https", "https", browsers.WebKit},
}

// each runs a journey in every browser, in a world of its own whose app is the files of a folder.
func each(t *testing.T, dir string, o world.Options, journey func(t *testing.T, b *browsers.Browser, p *place)) {
	t.Helper()
	for _, c := range engines {
		t.Run(c.name, func(t *testing.T) {
			p := at(t, c.scheme, dir, o)
			journey(t, c.start(t), p)
			p.Leaks()
		})
	}
}

// signIn opens an address of the app, and signs in as Ada.
func signIn(tab *browsers.Tab, url string) {
	tab.Goto(url)
	tab.Click("main button", "Sign in")
	tab.Click("button", "Ada")
	tab.Until(`[...document.querySelectorAll("header button")].some((b) => b.innerText === "Sign out")`)
}

// streams counts the event streams that are open.
func streams(p *place) int { return int(p.All[0].Metric(`bff_event_streams{surface="browser"}`)) }

func is(t *testing.T, holds bool, what string, args ...any) {
	t.Helper()
	if !holds {
		t.Errorf("expected: "+what, args...)
	}
}
