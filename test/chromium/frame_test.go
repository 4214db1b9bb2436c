//go:build integration

package chromium_test

import (
	"fmt"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// What a page says while its session comes to its end, and what can be done about it: for an idle end that is near, for an
// absolute end that is, and for each as it comes. The warning comes a minute before, so the sessions here are hardly longer.
func TestASessionThatEndsSoon(t *testing.T) {
	t.Parallel()
	for end, session := range map[string]string{
		"idle":     "{idle: 63s, absolute: 12h}",
		"absolute": "{idle: 63s, absolute: 63s}",
		"passes":   "{idle: 9s, absolute: 12h}",
		"too long": "{idle: 9s, absolute: 9s}",
	} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			w, j := start(t, "ending", world.Options{App: "    session: " + session + "\n"})
			j.Given["end"] = end
			chromium.Run(t, j)
			w.Leaks()
		})
	}
}

// The network goes and comes back while the page is open.
func TestOfflineAndBack(t *testing.T) {
	t.Parallel()
	w, j := start(t, "offline", world.Options{})
	chromium.Run(t, j)
	w.Leaks()
}

// Three tabs share one stream, are signed out at once, and one sign-in brings them all back.
func TestThreeTabs(t *testing.T) {
	t.Parallel()
	w, j := start(t, "tabs", world.Options{})
	j.Given["within"] = within().Milliseconds()
	chromium.Run(t, j)
	w.Leaks()
}

// The gateway is restarted while pages are open, in good order and by a crash: a real process at the same address.
func TestGatewayRestarted(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w, j := start(t, "restart", world.Options{})
			j.Given["how"] = how
			j.Asked = func(what string) (string, error) {
				switch what {
				case "SIGTERM":
					return "", w.All[0].Stop()
				case "SIGKILL":
					w.All[0].Kill()
				case "start":
					w.Start(1, "CLOAKROOM_PUBLIC__LISTEN="+w.All[0].Addr)
				default:
					return "", fmt.Errorf("nobody does %q", what)
				}
				return "", nil
			}
			chromium.Run(t, j)
			w.Leaks()
		})
	}
}
