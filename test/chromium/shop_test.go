//go:build integration

package chromium_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// wire passes connections on to an address that can be changed, and breaks them at will: the network before gateways that come
// and go.
type wire struct {
	net.Listener

	mu   sync.Mutex
	to   string
	open map[net.Conn]bool
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: to, open: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close(); w.cut() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go w.pass(from)
		}
	}()
	return w
}

func (w *wire) pass(from net.Conn) {
	defer from.Close()
	w.mu.Lock()
	w.open[from] = true
	addr := w.to
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, from)
	}()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
}

// cut breaks every connection.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.open {
		_ = conn.Close()
	}
}

// lead sends new connections to another address.
func (w *wire) lead(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
}

// The shop in two tabs: an order is there at once and taken back when it is refused; the other tab hears of everything over its
// WebSocket, also when the gateway is replaced under it; an export tells how far it is, can be cancelled, begins anew when its
// connection breaks, and ends in a file; and with the session all of it ends.
//
// shows WS-1
func TestTheShopInTwoTabs(t *testing.T) {
	t.Parallel()
	w, j := start(t, "shop", world.Options{})
	network := newWire(t, w.All[0].Addr)
	j.Given["args"] = []string{"--host-resolver-rules=MAP web.localhost:80 " + network.Addr().String()}
	j.Given["folder"] = os.Getenv("SHOTS")
	if j.Given["folder"] == "" {
		j.Given["folder"] = t.TempDir()
	}
	j.Asked = func(what string) (string, error) {
		switch what {
		case "cut":
			network.cut()
		case "exports": // that are open at the newest gateway
			return fmt.Sprint(w.All[len(w.All)-1].Metric(`bff_open_streams{route="/api/orders/export"}`)), nil
		case "feeds":
			return fmt.Sprint(w.All[len(w.All)-1].Metric(`bff_open_websockets{route="/api/orders/feed"}`)), nil
		case "another-gateway":
			in := w.Setup.Start(t)
			w.All = append(w.All, in)
			network.lead(in.Addr)
			w.At(in)
			return "", w.All[0].Stop()
		default:
			return "", fmt.Errorf("nobody does %q", what)
		}
		return "", nil
	}
	chromium.Run(t, j)
	if log := w.All[0].Log(); strings.Contains(log, "panic") {
		t.Errorf("the gateway that went away:\n%s", log)
	}
	w.Leaks()
}
