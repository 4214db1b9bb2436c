package mobileapi_test

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"cloakroom/bff"
)

// shows NAT-7.1, SCALEKIT-T4
func TestWhereAnAppMayBeAnswered(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		app, redirect string // a start with …
		status        int
	}{
		{"phone", scheme, 303},
		{"phone", claimed, 303},
		{"cli", loopback, 303},
		{"cli", listened, 303},
		{"cli", "http://127.0.0.1:1/callback", 303},
		{"cli", "http://127.0.0.1:65535/callback", 303},
		{"cli", "http://[::1]/six", 303},
		{"cli", "http://[::1]:51004/six", 303},
		{"cli", "http://[::1]:51004/callback", 400},
		{"cli", "http://127.0.0.1:51004/six", 400},
		{"cli", "http://127.0.0.1:65536/callback", 400},
		{"cli", "http://127.0.0.1:0/callback", 400},
		{"cli", "http://127.0.0.1:080/callback", 400},
		{"cli", "http://127.0.0.1:/callback", 400},
		{"cli", "http://127.0.0.1:8a/callback", 400},
		{"cli", "http://127.0.0.1:+80/callback", 400},
		{"cli", "http://127.0.0.1:80", 400},
		{"cli", "http://127.0.0.1:80/callback/", 400},
		{"cli", "http://127.0.0.1:80/callback?x=1", 400},
		{"cli", "http://127.0.0.1:80/callback#x", 400},
		{"cli", "http://127.0.0.1:80/Callback", 400},
		{"cli", "http://127.0.0.1:80/x/../callback", 400},
		{"cli", "http://127.0.0.1:80/./callback", 400},
		{"cli", "http://127.0.0.1:80//callback", 400},
		{"cli", "http://127.0.0.1:80/%63allback", 400},
		{"cli", "http://127.0.0.1:80@evil.example/callback", 400},
		{"cli", "http://127.0.0.1@evil.example/callback", 400},
		{"cli", "http://user@127.0.0.1/callback", 400},
		{"cli", "http://127.0.0.1.evil.example/callback", 400},
		{"cli", "http://127.0.0.1evil/callback", 400},
		{"cli", "http://127.0.0.2:80/callback", 400},
		{"cli", "http://127.1:80/callback", 400},
		{"cli", "http://2130706433/callback", 400},
		{"cli", "http://[::ffff:127.0.0.1]:80/callback", 400},
		{"cli", "http://localhost:80/callback", 400},
		{"cli", "http://10.0.0.1:80/callback", 400},
		{"cli", "HTTP://127.0.0.1:80/callback", 400},
		{"cli", "https://127.0.0.1:80/callback", 400},
		{"cli", " http://127.0.0.1:80/callback", 400},
		{"cli", "http://127.0.0.1:80/callback\r\nX: y", 400},
		{"cli", scheme, 400},
		{"phone", listened, 400},
		{"phone", scheme + "/", 400},
		{"phone", scheme + "?x=1", 400},
		{"phone", scheme + "#x", 400},
		{"phone", "com.example.app:/signed-in%2F", 400},
		{"phone", "COM.example.app:/signed-in", 400},
		{"phone", "com.example.app://signed-in", 400},
		{"phone", "com.example.other:/signed-in", 400},
		{"phone", claimed + "/../signed-in", 400},
		{"phone", "https://links.example:443/app/signed-in", 400},
		{"phone", "http://links.example/app/signed-in", 400},
		{"phone", "https://links.example.evil/app/signed-in", 400},
		{"phone", "", 400},
		{"tablet", scheme, 400},
		{"", scheme, 400},
	} {
		a := w.browser().open("/mobile/authorize?"+asked(row.app, row.redirect).Encode(), "none")
		a.is(t, row.app+" at "+row.redirect, row.status)
		if toProvider := strings.HasPrefix(a.location(), issuer+"/authorize?"); toProvider != (row.status == 303) {
			t.Errorf("%s at %q: sent to %q", row.app, row.redirect, a.location())
		}
		if row.status == 400 && (a.location() != "" || len(a.header.Values("Set-Cookie")) > 0 || strings.Contains(a.body, "evil") || !strings.Contains(a.body, "<h1>")) {
			t.Errorf("%s at %q: no bare page: %v %s", row.app, row.redirect, a.header, a.body)
		}
	}
}

// http is refused even where it was registered: whoever is on the way reads the code.
//
// shows NAT-7.1
func TestRegisteredHTTP(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.apps["cli"].RedirectURIs = []string{"http://app.example/callback", "http://localhost/callback", "http://127.0.0.1.app.example/x", "Http://app.example/x"}
	})
	for _, uri := range w.apps["cli"].RedirectURIs {
		w.browser().open("/mobile/authorize?"+asked("cli", uri).Encode(), "none").is(t, uri, 400)
	}
}

// shows NAT-8.1, NAT-8.9 (a state that is too long)
func TestStartsThatAreToldToThePersonAlone(t *testing.T) {
	w := newWorld(t)
	good := asked("phone", claimed)
	for _, row := range []struct{ with, query string }{
		{"no challenge", asked("phone", claimed, "code_challenge", "").Encode()},
		{"no method, which means plain", asked("phone", claimed, "code_challenge_method", "").Encode()},
		{"plain", asked("phone", claimed, "code_challenge_method", "plain").Encode()},
		{"a method in other letters", asked("phone", claimed, "code_challenge_method", "s256").Encode()},
		{"a challenge that is too short", asked("phone", claimed, "code_challenge", strings.Repeat("a", 42)).Encode()},
		{"a challenge that is too long", asked("phone", claimed, "code_challenge", strings.Repeat("a", 44)).Encode()},
		{"a challenge of other characters", asked("phone", claimed, "code_challenge", strings.Repeat("a", 42)+"=").Encode()},
		{"a state of 513 bytes", asked("phone", claimed, "state", strings.Repeat("s", 513)).Encode()},
		{"a state of 1 KiB", asked("phone", claimed, "state", strings.Repeat("s", 1024)).Encode()},
		{"a redirect URI twice", good.Encode() + "&redirect_uri=" + url.QueryEscape(scheme)},
		{"a state twice", good.Encode() + "&state=x"},
		{"a parameter that nobody knows twice", good.Encode() + "&x=1&x=1"},
		{"a query that does not parse", good.Encode() + "&x=%zz"},
		{"a semicolon", good.Encode() + ";state=x"},
	} {
		a := w.browser().open("/mobile/authorize?"+row.query, "none").is(t, "a start with "+row.with, 400)
		if a.location() != "" || len(a.header.Values("Set-Cookie")) > 0 || !strings.Contains(a.body, "<h1>") {
			t.Errorf("a start with %s: %v %s", row.with, a.header, a.body)
		}
	}
	w.browser().begin(asked("phone", claimed, "state", strings.Repeat("s", 512)))
	w.browser().begin(asked("phone", claimed, "state", ""))
}

// shows NAT-8.9 (errors go to the app, with its state and our issuer)
func TestStartsThatTheAppIsToldOf(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		with     string
		redirect string
		change   []string
		code     string
	}{
		{"another response type", claimed, []string{"response_type", "token"}, "unsupported_response_type"},
		{"two response types", claimed, []string{"response_type", "code id_token"}, "unsupported_response_type"},
		{"no response type", claimed, []string{"response_type", ""}, "invalid_request"},
		{"another response mode", claimed, []string{"response_mode", "fragment"}, "invalid_request"},
		{"a request object", claimed, []string{"request", "x.y.z"}, "request_not_supported"},
		{"a request by reference", claimed, []string{"request_uri", "https://evil.example/"}, "request_uri_not_supported"},
		{"a DPoP key", claimed, []string{"dpop_jkt", challengeOf("key")}, "invalid_request"},
		{"a prompt that is not allowed", claimed, []string{"prompt", "consent"}, "invalid_request"},
		{"a contradicting prompt", claimed, []string{"prompt", "none login"}, "invalid_request"},
		{"a max_age that is none", claimed, []string{"max_age", "soon"}, "invalid_request"},
		{"a silent sign-in where a person must confirm", scheme, []string{"prompt", "none"}, "interaction_required"},
	} {
		a := w.browser().open("/mobile/authorize?"+asked("phone", row.redirect, row.change...).Encode(), "none").is(t, "a start with "+row.with, 303)
		toldApp(t, "a start with "+row.with, a, row.redirect, row.code)
		if len(a.header.Values("Set-Cookie")) > 0 {
			t.Errorf("a start with %s: cookies %v", row.with, a.header.Values("Set-Cookie"))
		}
	}
	w.provider.set(func(p *provider) { p.down = true })
	a := w.browser().open("/mobile/authorize?"+asked("phone", scheme).Encode(), "none").is(t, "a provider that is down", 303)
	toldApp(t, "a provider that is down", a, scheme, "temporarily_unavailable")
}

// toldApp checks an error that goes to the app.
func toldApp(t *testing.T, what string, a *answer, redirect, code string) {
	t.Helper()
	if !strings.HasPrefix(a.location(), redirect+"?") || a.param(t, "error") != code || a.param(t, "state") != appState || a.param(t, "iss") != gateway+"/mobile" || a.param(t, "code") != "" {
		t.Errorf("%s: %s, want %s", what, a.location(), code)
	}
	if strings.Contains(a.location(), "+") || a.param(t, "error_description") == "" && code != "login_required" {
		t.Errorf("%s: %s", what, a.location())
	}
}

// What an app may ask of the provider is what its policy lists; all else is dropped without a word.
func TestLoginParametersOfAnApp(t *testing.T) {
	w := newWorld(t)
	w.browser().begin(asked("phone", claimed, "prompt", "login", "login_hint", "ann@example.com", "max_age", "60",
		"scope", "admin", "nonce", "n", "ui_locales", "de", "acr_values", "", "audience", "x"))
	got := w.provider.asked[0]
	if got.MaxAge == nil || *got.MaxAge != 60 || got.Extra.Encode() != "login_hint=ann%40example.com&prompt=login" || got.State == appState {
		t.Errorf("asked for %v %v", got.MaxAge, got.Extra)
	}
	w.browser().begin(asked("phone", claimed, "prompt", "none"))
	if w.provider.asked[1].Extra.Get("prompt") != "none" {
		t.Errorf("a silent sign-in asked for %v", w.provider.asked[1].Extra)
	}
	w.browser().begin(asked("cli", listened, "login_hint", "ann")) // no policy: nothing is passed on
	if len(w.provider.asked[2].Extra) != 0 {
		t.Errorf("an app without a policy asked for %v", w.provider.asked[2].Extra)
	}
}

// shows NAT-8.12 (the system's browser, and nothing a page embeds)
func TestHowAStartMayBeOpened(t *testing.T) {
	w := newWorld(t)
	path := "/mobile/authorize?" + asked("phone", claimed).Encode()
	for _, row := range []struct {
		as     string
		method string
		fields []string
		status int
	}{
		{"typed or opened by an app", "GET", nav("none"), 303},
		{"opened from another site", "GET", nav("cross-site"), 303},
		{"opened by an old browser", "GET", nil, 303},
		{"HEAD", "HEAD", nav("none"), 405},
		{"a form", "POST", nav("cross-site"), 405},
		{"a frame", "GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"an image", "GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403},
		{"a fetch", "GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, 403},
		{"a prefetch", "GET", append(nav("none"), "Sec-Purpose", "prefetch"), 403},
	} {
		if a := w.browser().do(row.method, path, "", row.fields...).is(t, row.as, row.status); row.status != 303 && len(a.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: cookies", row.as)
		}
	}
	w.limit("login", &bff.Error{Code: bff.CodeRateLimited, RetryAfter: 1, Err: errors.New("too many")})
	w.browser().open(path, "none").is(t, "too often", 429)
}

// All native apps share the cookies of a start, so that a browser's header never grows beyond what servers read.
func TestManyStarts(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for range 4 {
		b.begin(asked("phone", claimed))
		b.begin(asked("cli", listened))
	}
	if n := b.count(".tx."); n != 5 {
		t.Errorf("%d transaction cookies", n)
	}
	// The newest of them still comes back.
	b.come("cli", "code=c&state="+b.begin(asked("cli", listened))).check(t)
}

// FuzzRedirectURI looks for a redirect URI that is taken and is not the app's.
func FuzzRedirectURI(f *testing.F) {
	for _, seed := range []string{scheme, claimed, listened, loopback, "http://127.0.0.1:80@evil/callback", "http://[::1]:1/callback", "http://127.0.0.1:080/callback"} {
		f.Add(seed)
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, uri string) {
		a := httptest.NewRecorder()
		w.handler.ServeHTTP(a, httptest.NewRequest("GET", "/mobile/authorize?"+asked("cli", uri).Encode(), nil))
		if a.Code == 400 && a.Header().Get("Location") == "" {
			return
		}
		u, err := url.Parse(uri)
		if a.Code != 303 || err != nil || u.Scheme != "http" || u.Hostname()+u.EscapedPath() != "127.0.0.1/callback" && u.Hostname()+u.EscapedPath() != "::1/six" ||
			u.User != nil || u.RawQuery != "" || strings.Contains(uri, "#") {
			t.Errorf("%q was taken: %d %s", uri, a.Code, a.Header())
		}
	})
}

// shows NAT-7.1 (a port that wraps round)
func TestPortsOfManyDigits(t *testing.T) {
	w := newWorld(t)
	for _, port := range []string{"18446744073709551696", "4294967376", "100000", "000080", "65536"} { // 80 beyond 64, and 32, bits
		w.browser().open("/mobile/authorize?"+asked("cli", "http://127.0.0.1:"+port+"/callback").Encode(), "none").is(t, port, 400)
	}
}

// shows NAT-8.6 (a silent sign-in), NAT-8.9
func TestSilentSignInsByLoopback(t *testing.T) {
	w := newWorld(t, func(w *world) { w.policies["cli"] = w.policies["phone"] })
	for _, to := range []string{listened, loopback, "http://[::1]:51004/six"} {
		a := w.browser().open("/mobile/authorize?"+asked("cli", to, "prompt", "none").Encode(), "none").is(t, to, 303)
		toldApp(t, to, a, to, "interaction_required")
	}
	if w.browser().begin(asked("cli", listened, "response_mode", "query")); len(w.provider.asked) != 1 {
		t.Errorf("asked %d times", len(w.provider.asked))
	}
}
