package provider_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
)

func TestAuthorizeRefusesWithoutRedirect(t *testing.T) {
	w := start(t)
	for name, pairs := range map[string][]string{
		"an unknown client":                       {"client_id", "webc_x"},
		"no client":                               {"client_id", ""},
		"an unregistered redirect URI":            {"redirect_uri", "http://127.0.0.1:1/other"},
		"a registered redirect URI with a slash":  {"redirect_uri", callback + "/"},
		"a registered redirect URI with a query":  {"redirect_uri", callback + "?x=1"},
		"a registered redirect URI in upper case": {"redirect_uri", strings.ToUpper(callback)},
		"no redirect URI":                         {"redirect_uri", ""},
	} {
		t.Run("a request with "+name, func(t *testing.T) {
			pg := w.authorize(browser(t), pairs...)
			if pg.status != http.StatusBadRequest || pg.header.Get("Location") != "" || !strings.Contains(pg.body, "<html") {
				t.Errorf("got %d to %q", pg.status, pg.header.Get("Location"))
			}
		})
	}
}

func TestAuthorizeRefusesByRedirect(t *testing.T) {
	w := start(t)
	for name, row := range map[string]struct {
		pairs []string
		want  string
	}{
		"no challenge":              {[]string{"code_challenge", ""}, "invalid_request"},
		"a plain challenge":         {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"no challenge method":       {[]string{"code_challenge_method", ""}, "invalid_request"},
		"a short challenge":         {[]string{"code_challenge", "abc"}, "invalid_request"},
		"the implicit flow":         {[]string{"response_type", "token"}, "unsupported_response_type"},
		"fragments":                 {[]string{"response_mode", "fragment"}, "invalid_request"},
		"a request object":          {[]string{"request", "x.y.z"}, "request_not_supported"},
		"prompt none and login":     {[]string{"prompt", "none login"}, "invalid_request"},
		"max_age that is no number": {[]string{"max_age", "soon"}, "invalid_request"},
		"prompt none, signed out":   {[]string{"prompt", "none"}, "login_required"},
	} {
		t.Run("a request with "+name, func(t *testing.T) {
			got := w.authorize(browser(t), row.pairs...).location
			if got.Get("error") != row.want || got.Get("state") != "st" || got.Get("iss") != w.Issuer() || got.Has("code") {
				t.Errorf("got %v, want %s", got, row.want)
			}
		})
	}
}

func TestAuthorizeRefusesRepeatedParameters(t *testing.T) {
	w := start(t)
	res, err := browser(t).Get(w.URL("/oauth/authorize") + "?" + authParams().Encode() + "&scope=admin")
	if got := read(t, res, err).location.Get("error"); got != "invalid_request" {
		t.Errorf("got %q", got)
	}
}

func TestHintSignsInAtOnceAndSessionIsShared(t *testing.T) {
	w := start(t)
	other := web()
	other.ID = "webc_2"
	w.Register(other)
	b := browser(t)
	first := w.authorize(b)
	if first.location.Get("code") == "" || first.location.Get("iss") != w.Issuer() {
		t.Fatalf("got %v", first.location)
	}
	second := w.authorize(b, "client_id", "webc_2", "prompt", "none", "login_hint", "")
	if second.location.Get("code") == "" {
		t.Errorf("silent sign-in at a second client: %v", second.location)
	}
	one := part(t, str(w.exchange(first.location.Get("code")).json(t), "id_token"), 1)
	two := part(t, str(w.exchange(second.location.Get("code"), "client_id", "webc_2").json(t), "id_token"), 1)
	if one["sid"] != two["sid"] || !strings.HasPrefix(str(one, "sid"), "ses_") {
		t.Errorf("sids %v and %v", one["sid"], two["sid"])
	}
}

func TestSIDModes(t *testing.T) {
	for name, row := range map[string]struct {
		mode  provider.SIDs
		check func(one, two any) bool
	}{
		"a sid per client": {provider.SIDPerClient, func(one, two any) bool { return one != two && one != nil && two != nil }},
		"no sid":           {provider.NoSID, func(one, two any) bool { return one == nil && two == nil }},
	} {
		t.Run("a provider with "+name, func(t *testing.T) {
			w := start(t, func(c *provider.Config) { c.Behaviour.SIDs = row.mode })
			other := web()
			other.ID = "webc_2"
			w.Register(other)
			b := browser(t)
			one := part(t, str(w.tokens(b), "id_token"), 1)
			code := w.authorize(b, "client_id", "webc_2").location.Get("code")
			two := part(t, str(w.exchange(code, "client_id", "webc_2").json(t), "id_token"), 1)
			if !row.check(one["sid"], two["sid"]) {
				t.Errorf("sids %v and %v", one["sid"], two["sid"])
			}
		})
	}
}

func TestSilentSignInNeedsTheHintedUser(t *testing.T) {
	w := start(t)
	b := browser(t)
	w.authorize(b)
	got := w.authorize(b, "prompt", "none", "login_hint", "usr_1002").location
	if got.Get("error") != "login_required" {
		t.Errorf("got %v", got)
	}
}

func TestReauthentication(t *testing.T) {
	for name, row := range map[string]struct {
		pairs []string
		again bool
	}{
		"nothing more":           {nil, false},
		"prompt=login":           {[]string{"prompt", "login"}, true},
		"an old max_age":         {[]string{"max_age", "60"}, true},
		"max_age=0":              {[]string{"max_age", "0"}, true},
		"a max_age not exceeded": {[]string{"max_age", "600"}, false},
		"a higher acr":           {[]string{"acr_values", "mfa"}, true},
	} {
		t.Run("a second request with "+name, func(t *testing.T) {
			w := start(t)
			b := browser(t)
			first := part(t, str(w.tokens(b), "id_token"), 1)
			w.clock.Move(2 * time.Minute)
			second := part(t, str(w.tokens(b, row.pairs...), "id_token"), 1)
			if moved := second["auth_time"] != first["auth_time"]; moved != row.again {
				t.Errorf("auth_time %v then %v, want signed in anew: %v", first["auth_time"], second["auth_time"], row.again)
			}
			if first["sid"] != second["sid"] {
				t.Errorf("the same user got another sid")
			}
		})
	}
}

var flowField = regexp.MustCompile(`name="flow" value="([0-9a-f]+)"`)

func TestPageOfUsers(t *testing.T) {
	for name, row := range map[string]struct {
		prompt string
		choice url.Values
		want   string // member of the answer
	}{
		"a user chosen":      {"", url.Values{"user": {"usr_1002"}}, "code"},
		"a refusal":          {"", url.Values{"deny": {"1"}}, "error"},
		"an account created": {"create", url.Values{"name": {"New One"}, "email": {"new@example.com"}}, "code"},
	} {
		t.Run("a page with "+name, func(t *testing.T) {
			w := start(t)
			b := browser(t)
			pg := w.authorize(b, "login_hint", "", "prompt", row.prompt)
			flow := flowField.FindStringSubmatch(pg.body)
			if pg.status != http.StatusOK || flow == nil {
				t.Fatalf("no form: %d %s", pg.status, pg.body)
			}
			row.choice.Set("flow", flow[1])
			res, err := b.PostForm(w.URL("/sign-in"), row.choice)
			got := read(t, res, err)
			if got.status != http.StatusSeeOther || got.location.Get(row.want) == "" || got.location.Get("state") != "st" {
				t.Errorf("got %d %v", got.status, got.location)
			}
			res, err = b.PostForm(w.URL("/sign-in"), row.choice)
			if again := read(t, res, err); again.status != http.StatusBadRequest {
				t.Errorf("a page used twice: %d", again.status)
			}
		})
	}
}

func TestPageEscapesWhatItShows(t *testing.T) {
	w := start(t)
	pg := w.authorize(browser(t), "prompt", "create", "login_hint", `"><script>x</script>`)
	if strings.Contains(pg.body, "<script>") || !strings.Contains(pg.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("page %s", pg.body)
	}
}

func TestAuthorizationAnswerOnPurpose(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*provider.Behaviour)
		check  func(issuer string, q url.Values) bool
	}{
		"no iss":      {func(b *provider.Behaviour) { b.OmitIss = true }, func(_ string, q url.Values) bool { return !q.Has("iss") }},
		"another iss": {func(b *provider.Behaviour) { b.AnswerIss = "http://evil" }, func(_ string, q url.Values) bool { return q.Get("iss") == "http://evil" }},
		"an error": {func(b *provider.Behaviour) { b.AuthorizeError = "domain_not_found" }, func(iss string, q url.Values) bool {
			return q.Get("error") == "domain_not_found" && q.Get("iss") == iss && !q.Has("code")
		}},
		"two states": {
			func(b *provider.Behaviour) { b.EditAnswer = func(q url.Values) { q.Add("state", "2") } },
			func(_ string, q url.Values) bool { return len(q["state"]) == 2 },
		},
	} {
		t.Run("an answer with "+name, func(t *testing.T) {
			w := start(t, func(c *provider.Config) { row.change(&c.Behaviour) })
			if got := w.authorize(browser(t)).location; !row.check(w.Issuer(), got) {
				t.Errorf("got %v", got)
			}
		})
	}
}
