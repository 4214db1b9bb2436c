//go:build integration

package chromium_test

import (
	"fmt"
	"strings"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/wire"
	"cloakroom/test/world"
)

// The shop in two tabs: an order is there at once and taken back when it is refused; the other tab hears of everything over its
// WebSocket, also when the gateway is replaced under it; an export tells how far it is, can be cancelled, begins anew when its
// connection breaks, and ends in a file; and with the session all of it ends.
//
// shows WS-1
func TestTheShopInTwoTabs(t *testing.T) {
	t.Parallel()
	w, j := start(t, "shop", world.Options{})
	network := wire.Start(t, w.All[0].Addr)
	j.Given["args"] = []string{"--host-resolver-rules=MAP web.localhost:80 " + network.Addr()}
	j.Asked = func(what string) (string, error) {
		switch what {
		case "cut":
			network.Cut()
		case "exports": // that are open at the newest gateway
			return fmt.Sprint(w.All[len(w.All)-1].Metric(`bff_open_streams{route="/api/orders/export"}`)), nil
		case "feeds":
			return fmt.Sprint(w.All[len(w.All)-1].Metric(`bff_open_websockets{route="/api/orders/feed"}`)), nil
		case "another-gateway":
			in := w.Setup.Start(t)
			w.All = append(w.All, in)
			network.Retarget(in.Addr)
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
