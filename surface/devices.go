package surface

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cloakroom/bff"
)

// DeviceList is the answer to "where am I signed in?": the user's own sessions over all apps (ASVS 7.5.2). Nothing in it is
// a credential, and nothing names the user.
type DeviceList struct {
	Sessions []ListedDevice `json:"sessions"`
}

// ListedDevice is one session in the list.
type ListedDevice struct {
	ID           string    `json:"id"` // the public name, as in the session answer
	App          string    `json:"app"`
	Kind         bff.Kind  `json:"kind"`     // "" of an app that is not configured here (any more)
	Device       string    `json:"device"`   // "" = not known
	Platform     string    `json:"platform"` // what a native app said of the system below it; "" = not known
	CreatedAt    time.Time `json:"created_at"`
	LastActiveAt time.Time `json:"last_active_at"` // to within a twentieth of the idle time
	Current      bool      `json:"current"`        // the session that asks
}

// ListDevices tells the sessions of a user to the one that asks. apps finds an app by its id, nil if there is none: its
// sessions are listed all the same, for they can be ended.
func ListDevices(all []bff.Device, apps func(id string) *bff.App, asking *bff.Session) DeviceList {
	list := DeviceList{Sessions: make([]ListedDevice, 0, len(all))}
	for _, d := range all {
		row := ListedDevice{
			ID: d.ID(), App: d.App, Device: d.Text, Platform: d.Platform, Current: d.Lookup == asking.Lookup,
			CreatedAt: d.CreatedAt.UTC().Truncate(time.Second), LastActiveAt: d.LastActive.UTC().Truncate(time.Second),
		}
		if app := apps(d.App); app != nil {
			row.Kind = app.Kind
		}
		list.Sessions = append(list.Sessions, row)
	}
	return list
}

// OfferRecentSignIn gives the refusal bff.CodeRecentSignIn the start of a sign-in that will do: recent, as far as the app's
// policy lets a frontend ask for that. Other errors pass unchanged. at is the login endpoint.
func OfferRecentSignIn(err error, at string, policy LoginPolicy) error {
	e, ok := errors.AsType[*bff.Error](err)
	if !ok || e.Code != bff.CodeRecentSignIn {
		return err
	}
	ask := url.Values{}
	switch {
	case policy.MaxAge: // checked when the answer is back (OpenID Connect Core section 3.1.2.1)
		ask.Set("max_age", strconv.Itoa(seconds(e.MaxAge)))
	case slices.Contains(policy.Prompts, "login"):
		ask.Set("prompt", "login")
	}
	if len(ask) > 0 {
		at += "?" + ask.Encode()
	}
	return &Offer{Err: err, LoginURL: at}
}

const (
	longestDevice   = 64  // characters of a device's name that an app gives: "Ada's very old telephone" has 24
	longestPlatform = 32  // and of its system's: "Windows 11 Enterprise 24H2" has 26
	longestAgent    = 512 // bytes of a User-Agent that are looked at: browsers send some 120, with add-ons 300
)

// clue is a word of a User-Agent and what it is told as. The first that is found counts: most browsers name others too.
type clue struct{ word, is string }

// browsers and systems are what DeviceOf knows.
var (
	browsers = [...]clue{
		{"Edg/", "Edge"},
		{"EdgA/", "Edge"},
		{"EdgiOS/", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Vivaldi/", "Vivaldi"},
		{"FxiOS/", "Firefox"},
		{"Firefox/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
	}
	systems = [...]clue{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"CrOS", "ChromeOS"},
		{"Windows", "Windows"},
		{"Macintosh", "macOS"},
		{"Darwin", "an Apple device"},
		{"Linux", "Linux"},
	}
)

// DeviceOf says in a few words of its own what a request's User-Agent claims to be: "Firefox on Linux", "Chrome", "" for
// nothing it knows. Whatever the header holds, no part of it comes out: it is neither kept nor shown.
func DeviceOf(r *http.Request) string {
	agent := r.UserAgent()
	agent = agent[:min(len(agent), longestAgent)]
	find := func(among []clue) string {
		if i := slices.IndexFunc(among, func(k clue) bool { return strings.Contains(agent, k.word) }); i >= 0 {
			return among[i].is
		}
		return ""
	}
	browser, system := find(browsers[:]), find(systems[:])
	if browser == "" || system == "" {
		return browser + system
	}
	return browser + " on " + system
}

// DeviceName is what a native app says of the device it runs on, as far as that may be shown to its user. Where it says
// nothing, its User-Agent has to do.
func DeviceName(r *http.Request, said string) string {
	if name := printable(said, longestDevice); name != "" {
		return name
	}
	return DeviceOf(r)
}

// DevicePlatform is what a native app says of the system below it ("iOS 19.1"), cleaned as DeviceName is; "" where it says
// nothing.
func DevicePlatform(said string) string { return printable(said, longestPlatform) }

// printable is what of an app's text its user is shown: nothing invisible, and no more characters than longest.
func printable(said string, longest int) string {
	text := []rune(strings.TrimSpace(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar { // also what turns the direction of writing round
			return -1
		}
		return c
	}, said)))
	return strings.TrimSpace(string(text[:min(len(text), longest)]))
}
