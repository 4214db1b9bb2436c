//go:build integration

package chromium_test

import (
	"fmt"
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// Back and forward bring pages out of the browser's memory as they were: nothing of a user who has signed out is seen again, not
// even before the gateway has answered; and a page of one who has not goes on as it stood. (Playwright turns that memory off
// unless it is told not to.)
func TestBackAndForward(t *testing.T) {
	t.Parallel()
	w, j := start(t, "back", world.Options{})
	j.Given["without"] = []string{"--disable-back-forward-cache"}
	j.Asked = func(what string) (string, error) {
		switch what {
		case "freeze":
			w.All[0].Freeze()
		case "thaw":
			w.All[0].Thaw()
		default:
			return "", fmt.Errorf("nobody does %q", what)
		}
		return "", nil
	}
	chromium.Run(t, j)
	w.Leaks()
}
