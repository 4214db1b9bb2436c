package dev_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"cloakroom/dev"
	"cloakroom/dev/provider"
)

// notebook is the notes behind a socket, and a browser's cookie.
type notebook struct {
	*world
	at     string
	cookie string
}

func openNotes(t *testing.T) *notebook {
	t.Helper()
	w := start(t)
	n, err := dev.NewNotes(dev.APIConfig{Issuer: w.idp.Issuer(), JWKSURL: w.idp.URL("/keys"), Audiences: []string{"webc_1"}, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(n)
	t.Cleanup(s.Close)
	return &notebook{world: w, at: s.URL}
}

// ask sends a request as the gateway would, follows nothing, and keeps the cookie.
func (n *notebook) ask(method, path, token, form string, fields ...string) (*http.Response, string) {
	n.t.Helper()
	r, err := http.NewRequest(method, n.at+path, strings.NewReader(form))
	if err != nil {
		n.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if n.cookie != "" {
		r.Header.Set("Cookie", n.cookie)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		n.cookie = c.Name + "=" + c.Value
	}
	return res, string(body)
}

var csrfToken = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

func TestNotes(t *testing.T) {
	n := openNotes(t)
	ada := n.token(provider.Signing{}, nil)
	res, page := n.ask("GET", "/", ada, "", dev.NotesName, "Ada %3Cb%3E %C3%A9", dev.NotesEmail, "ada@example.com")
	if res.StatusCode != 200 || !strings.Contains(page, "Ada &lt;b&gt; é") || !strings.Contains(page, "no notes yet") || !strings.Contains(page, `action="/bff/logout"`) || n.cookie == "" {
		t.Fatalf("%d %s", res.StatusCode, page)
	}
	_, page = n.ask("GET", "/new", ada, "")
	form := url.Values{"csrf_token": {html.UnescapeString(csrfToken.FindStringSubmatch(page)[1])}, "title": {"Tea <3"}, "text": {"two\r\nlines"}}.Encode()
	if res, page = n.ask("POST", "/notes", ada, form); res.StatusCode != 303 || res.Header.Get("Location") != "/?saved" {
		t.Fatalf("%d %s", res.StatusCode, page)
	}
	if _, page = n.ask("GET", "/?saved", ada, ""); !strings.Contains(page, "Tea &lt;3") || !strings.Contains(page, "two\r\nlines") || !strings.Contains(page, "is saved") {
		t.Fatalf("%s", page)
	}
	// The same form once more, by somebody else in the same browser: shown, and not taken.
	grace := n.token(provider.Signing{}, map[string]any{"sub": "usr_1002"})
	if res, page = n.ask("POST", "/notes", grace, form); res.StatusCode != 403 || !strings.Contains(page, "another sign-in") || !strings.Contains(page, `value="Tea &lt;3"`) {
		t.Errorf("somebody else's form: %d %s", res.StatusCode, page)
	}
	if _, page = n.ask("GET", "/", grace, ""); strings.Contains(page, "Tea") {
		t.Errorf("somebody else's notes: %s", page)
	}
}

func TestWhatNotesRefuse(t *testing.T) {
	n := openNotes(t)
	ada := n.token(provider.Signing{}, nil)
	for _, row := range []struct {
		with, method, path, token, form string
		status                          int
	}{
		{"no token", "GET", "/", "", "", 401},
		{"another's token", "GET", "/", n.token(provider.Signing{}, map[string]any{"aud": "webc_2"}), "", 401},
		{"no token of the form's", "POST", "/notes", ada, "title=x", 403},
		{"a page that is not there", "GET", "/secret", ada, "", 404},
	} {
		res, page := n.ask(row.method, row.path, row.token, row.form)
		if res.StatusCode != row.status || (row.status == 401) != strings.Contains(res.Header.Get("Www-Authenticate"), "invalid_token") {
			t.Errorf("with %s: %d %v %s", row.with, res.StatusCode, res.Header, page)
		}
	}
	_, page := n.ask("GET", "/new", ada, "")
	token := csrfToken.FindStringSubmatch(page)[1]
	for _, title := range []string{"", "%20", strings.Repeat("a", 401)} {
		if res, page := n.ask("POST", "/notes", ada, "csrf_token="+token+"&text=kept&title="+title); res.StatusCode != 422 || !strings.Contains(page, "kept") {
			t.Errorf("a title %.10q: %d", title, res.StatusCode)
		}
	}
	if res, page := n.ask("GET", "/notes.css", "", ""); res.StatusCode != 200 || !strings.Contains(page, "prefers-color-scheme") {
		t.Errorf("the style: %d", res.StatusCode)
	}
	n.idp.Close()
	m, err := dev.NewNotes(dev.APIConfig{Issuer: n.idp.Issuer(), JWKSURL: n.idp.URL("/keys")})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+ada)
	if m.ServeHTTP(rec, r); rec.Code != 503 {
		t.Errorf("without the provider's keys: %d", rec.Code)
	}
	if _, err := dev.NewNotes(dev.APIConfig{}); err == nil {
		t.Error("notes without an issuer")
	}
}
