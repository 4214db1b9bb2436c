//go:build integration && screenshots

package chromium_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// The pictures of the documentation are of this very demo, and written over those that are there: make screenshots, nothing else,
// runs it.
func TestScreenshots(t *testing.T) {
	folder, err := filepath.Abs("../../docs/screenshots")
	if err != nil {
		t.Fatal(err)
	}
	w, j := start(t, "screenshots", world.Options{
		App:    "    session: {idle: 30m, absolute: 12h}\n",
		Behave: func(b *provider.Behaviour) { b.AccessLife = 12 * time.Second },
	})
	j.Given["folder"] = folder
	j.Asked = func(what string) (string, error) {
		switch what {
		case "an-hour-later":
			w.Dev.AgeSignIns(time.Hour)
		case "redis-stop":
			w.Redis.Stop()
		default:
			return "", fmt.Errorf("nobody does %q", what)
		}
		return "", nil
	}
	chromium.Run(t, j)
}
