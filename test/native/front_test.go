//go:build integration

package native_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cloakroom/test/gateway"
	"cloakroom/test/leak"
	"cloakroom/test/wire"
)

// front is what stands before several instances: it owns the gateway's address and sends each request to the next one. It
// shows every answer to the leak scanner, learns from the answers what must be found nowhere else, and writes down what was
// asked and answered. The wire before it can lose an answer.
type front struct {
	URL  string
	wire *wire.Proxy

	scan    *leak.Scanner
	mu      sync.Mutex
	to      []*gateway.Instance
	turn    int
	journal []string
}

func newFront(t *testing.T, scan *leak.Scanner) *front {
	f := &front{scan: scan}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        f.route,
		ModifyResponse: f.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
	t.Cleanup(server.Close)
	f.wire = wire.Start(t, server.Listener.Addr().String())
	f.URL = "http://" + f.wire.Addr()
	return f
}

// route picks the next instance; the Host stays as it came.
func (f *front) route(r *httputil.ProxyRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	r.Out.URL.Scheme, r.Out.URL.Host = "http", f.to[f.turn%len(f.to)].Addr
}

// loseNext loses the answer of the next request to a path: the gateway has done what it was asked by then.
func (f *front) loseNext(path string) { f.wire.LoseReply(wire.Contains(" " + path + " ")) }

func (f *front) answered(resp *http.Response) error {
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		resp.Body = &seenLater{ReadCloser: resp.Body, done: func(body []byte) { f.saw(resp, body) }}
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	f.saw(resp, body)
	f.note(resp, body)
	return nil
}

// seenLater passes a stream on as it comes, and shows it when it has ended.
type seenLater struct {
	io.ReadCloser
	all  bytes.Buffer
	done func([]byte)
}

func (s *seenLater) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.all.Write(p[:n])
	return n, err
}

func (s *seenLater) Close() error {
	s.done(s.all.Bytes())
	return s.ReadCloser.Close()
}

// errorWord is what stands in a challenge (RFC 6750 section 3).
var errorWord = regexp.MustCompile(`error="([a-z_]+)"`)

// note writes a line: method, path, "with proof" if one came along, status, and the error in body or challenge.
func (f *front) note(resp *http.Response, body []byte) {
	line := resp.Request.Method + " " + resp.Request.URL.Path
	if resp.Request.Header.Get("DPoP") != "" {
		line += " with proof"
	}
	line += " " + strconv.Itoa(resp.StatusCode)
	var told struct{ Error string }
	if json.Unmarshal(body, &told) == nil && told.Error != "" {
		line += " " + told.Error
	} else if found := errorWord.FindStringSubmatch(strings.Join(resp.Header.Values("WWW-Authenticate"), ", ")); found != nil {
		line += " " + found[1]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal = append(f.journal, line)
}

// read returns the lines since it was last called.
func (f *front) read() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := f.journal
	f.journal = nil
	return lines
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
