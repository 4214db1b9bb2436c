//go:build integration

package chromium_test

import (
	"testing"

	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

func TestBackAfterSigningOut(t *testing.T) {
	t.Parallel()
	w, j := start(t, "back", world.Options{})
	j.Given["without"] = []string{"--disable-back-forward-cache"}
	chromium.Run(t, j)
	w.Leaks()
}
