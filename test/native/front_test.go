//go:build integration

package native_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"cloakroom/test/gateway"
	"cloakroom/test/leak"
)

// front is what stands before several instances: it owns the gateway's address and sends each request to the next one. It
// shows every answer to the leak scanner, learns from the answers what must be found nowhere else, and can lose one.
type front struct {
	URL string

	scan *leak.Scanner
	mu   sync.Mutex
	to   []*gateway.Instance
	turn int
	lose func(*http.Request) bool
}

// errLost cuts the connection instead of answering.
var errLost = errors.New("an answer lost on its way")

func newFront(t *testing.T, scan *leak.Scanner) *front {
	f := &front{scan: scan}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        f.route,
		ModifyResponse: f.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

// route picks the next instance; the Host stays as it came.
func (f *front) route(r *httputil.ProxyRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	r.Out.URL.Scheme, r.Out.URL.Host = "http", f.to[f.turn%len(f.to)].Addr
}

// loseNext loses the answer of the next request to a path.
func (f *front) loseNext(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose = func(r *http.Request) bool { return r.URL.Path == path }
}

func (f *front) answered(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	f.saw(resp, body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lose != nil && f.lose(resp.Request) {
		f.lose = nil
		return errLost
	}
	return nil
}

// saw shows an answer to the scanner.
func (f *front) saw(resp *http.Response, body []byte) {
	place := resp.Request.Method + " " + resp.Request.URL.Path
	f.scan.Observe(place, "body", body)
	for name, values := range resp.Header {
		f.scan.Observe(place, "header "+name, []byte(strings.Join(values, "\n")))
	}
	f.learn(resp, body)
}

// learn declares what an answer hands out.
func (f *front) learn(resp *http.Response, body []byte) {
	var told struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Logout  string `json:"logout_url"`
	}
	if strings.HasPrefix(resp.Request.URL.Path, "/mobile/") && json.Unmarshal(body, &told) == nil {
		f.scan.Secret("access-handle", told.Access)
		f.scan.Secret("refresh-handle", told.Refresh)
		if told.Logout != "" {
			f.scan.Secret("logout-ticket", path.Base(told.Logout))
		}
	}
	if to, err := url.Parse(resp.Header.Get("Location")); err == nil {
		f.scan.Secret("exchange-code", to.Query().Get("code"))
	}
	for _, c := range resp.Cookies() {
		f.scan.Secret("cookie", c.Value)
		if strings.HasPrefix(resp.Request.URL.Path, "/mobile/logout/") {
			f.scan.Secret("logout-state", c.Value)
		}
	}
}

// allow names the fields whose purpose it is to carry a secret.
func (f *front) allow() {
	for _, r := range []leak.Rule{
		{Kinds: []string{"access-handle", "refresh-handle"}, Place: "POST /mobile/token", Field: "body"},
		{Kinds: []string{"exchange-code"}, Place: "POST /mobile/callback/*", Field: "header Location"},
		{Kinds: []string{"exchange-code"}, Place: "GET /mobile/callback/*", Field: "header Location"}, // to a claimed https address
		{Kinds: []string{"logout-ticket"}, Place: "POST /mobile/logout", Field: "body"},
		{Kinds: []string{"logout-ticket"}, Place: "GET /mobile/logout/*", Field: "body"}, // the form that posts to its own address
		{Kinds: []string{"logout-ticket"}, Place: "example", Field: "stdout"},            // --no-browser prints the address
		{Kinds: []string{"id_token"}, Place: "POST /mobile/logout/*", Field: "body"},     // the form that goes on to the provider
		// The state of the way to the provider and back: compared with the cookie at /mobile/logged-out.
		{Kinds: []string{"logout-state"}, Place: "POST /mobile/logout/*", Field: "body"},
		{Kinds: []string{"cookie"}, Place: "*", Field: "header Set-Cookie"},
	} {
		f.scan.Allow(r)
	}
}
