package surface_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"cloakroom/surface"
)

// shows SESS-LIST (the text of a device)
func TestWhatADeviceIsCalled(t *testing.T) {
	const webkit = " AppleWebKit/537.36 (KHTML, like Gecko) "
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                           "Firefox on Linux",
		"Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0":                                                             "Firefox on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Safari/605.1.15":      "Firefox on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64)" + webkit + "Chrome/138.0.0.0 Safari/537.36":                                            "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64)" + webkit + "Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0":                              "Edge on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64)" + webkit + "Chrome/138.0.0.0 Safari/537.36 OPR/122.0.0.0":                              "Opera on Windows",
		"Mozilla/5.0 (Linux; Android 10; K)" + webkit + "Chrome/138.0.0.0 Mobile Safari/537.36":                                            "Chrome on Android",
		"Mozilla/5.0 (Linux; Android 14; SM-S918B)" + webkit + "SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36":                 "Samsung Internet on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)" + webkit + "Chrome/138.0.0.0 Safari/537.36":                                             "Chrome on ChromeOS",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":            "Safari on macOS",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0.0.0 Mobile/15E148 Safari/60.1": "Chrome on iPad",
		"Orders/3.1 CFNetwork/3826.500 Darwin/24.5.0":                                                                                      "an Apple device",
		"Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9 Build/BP1A)":                                                                          "Android",
		"Go-http-client/2.0": "", "": "", "<script>alert(1)</script>": "",
		strings.Repeat("x", 512) + "Firefox/1": "", // too far behind to be looked at
	} {
		if got := surface.DeviceOf(with("User-Agent", agent)); got != want {
			t.Errorf("%q is called %q, want %q", agent, got, want)
		}
	}
}

// shows SESS-LIST (the words of a native app)
func TestWhatAnAppCallsItsDevice(t *testing.T) {
	for said, want := range map[string]string{
		"Ada's phone": "Ada's phone", "  Zoë’s Gerät  ": "Zoë’s Gerät", "": "Android", " \t\n": "Android",
		"a\x00b\nc\u202edna\u200b": "abcdna", "\xff\xfe": "Android", strings.Repeat("ä", 100): strings.Repeat("ä", 64),
	} {
		if got := surface.DeviceName(with("User-Agent", "Dalvik/2.1.0 (Linux; U; Android 15)"), said); got != want {
			t.Errorf("%q is shown as %q, want %q", said, got, want)
		}
	}
}

// shows SESS-LIST (the words of a native app)
func TestWhatAnAppCallsItsPlatform(t *testing.T) {
	for said, want := range map[string]string{
		"iOS 19.1": "iOS 19.1", "": "", " \t\n": "", "\xff\xfe": "", "Android\x00 17\u202e ": "Android 17",
		strings.Repeat("ä", 100): strings.Repeat("ä", 32), strings.Repeat("a", 31) + " b": strings.Repeat("a", 31),
	} {
		if got := surface.DevicePlatform(said); got != want {
			t.Errorf("%q is shown as %q, want %q", said, got, want)
		}
	}
}

// FuzzDeviceName looks for a name that is too long, not text, or holds what cannot be seen.
func FuzzDeviceName(f *testing.F) {
	f.Add("Ada's phone", "Firefox/1 Linux")
	f.Add("\u202e\xff", "")
	f.Fuzz(func(t *testing.T, said, agent string) {
		r := with()
		r.Header["User-Agent"] = []string{agent}
		for _, name := range []string{surface.DeviceName(r, said), surface.DeviceOf(r), surface.DevicePlatform(said)} {
			if !utf8.ValidString(name) || utf8.RuneCountInString(name) > 64 || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Errorf("%q, %q: shown as %q", said, agent, name)
			}
		}
	})
}
