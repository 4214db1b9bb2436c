package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// What comes to the loopback port is believed only as far as it is the answer to our own request, from our own gateway.
func TestAnswers(t *testing.T) {
	const ours = "/callback?state=mine&iss=https%3A%2F%2Fgw.example%2Fmobile"
	tests := []struct {
		name, target string
		status       int
		code, err    string // what the program takes from it; neither: it goes on waiting
	}{
		{"a code", ours + "&code=c1", 200, "c1", ""},
		{"another state", "/callback?state=guessed&iss=https%3A%2F%2Fgw.example%2Fmobile&code=c1", 404, "", ""},
		{"no state", "/callback?code=c1", 404, "", ""},
		{"another path", "/favicon.ico?state=mine", 404, "", ""},
		{"another issuer", "/callback?state=mine&iss=https%3A%2F%2Fevil.example&code=c1", 200, "", "an answer of"},
		{"no issuer", "/callback?state=mine&code=c1", 200, "", "an answer of"},
		{"a refusal", ours + "&error=access_denied&error_description=no", 200, "", "access_denied"},
		{"a refusal of another issuer", "/callback?state=mine&error=access_denied", 200, "", "an answer of"},
		{"no code", ours, 200, "", "without a code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAnswers("mine", "https://gw.example/mobile")
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.target, nil))
			if w.Code != tt.status || strings.Contains(w.Body.String(), "c1") {
				t.Errorf("answered %d: %s", w.Code, w.Body)
			}
			select {
			case got := <-a.result:
				if got.code != tt.code || (tt.err == "") != (got.err == nil) || got.err != nil && !strings.Contains(got.err.Error(), tt.err) {
					t.Errorf("took %q, %v", got.code, got.err)
				}
			default:
				if tt.status == 200 {
					t.Error("took nothing")
				}
			}
		})
	}
}

func TestTrustedGateways(t *testing.T) {
	for gateway, good := range map[string]bool{
		"https://gw.example.com": true, "http://127.0.0.1:8080": true, "http://[::1]:8080": true,
		"http://gw.example.com": false, "http://localhost:8080": false, "http://127.0.0.1.evil.com": false,
		"https://gw.example.com/path": false, "https://you@gw.example.com": false, "gw.example.com": false, "ftp://127.0.0.1": false, "": false,
	} {
		if err := trusted(gateway); (err == nil) != good {
			t.Errorf("%q: %v", gateway, err)
		}
	}
}

// tokenEndpoint answers refresh grants: each handle has one successor.
type tokenEndpoint struct {
	*httptest.Server
	asked atomic.Int32
	say   atomic.Pointer[func(w http.ResponseWriter)] // instead of an answer
}

func newEndpoint(t *testing.T) (*tokenEndpoint, *handles) {
	t.Helper()
	e := new(tokenEndpoint)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		if say := e.say.Load(); say != nil {
			(*say)(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		used := r.FormValue("refresh_token")
		fmt.Fprintf(w, `{"access_token":"clk_%[1]sx","refresh_token":"%[1]sx","token_type":"Bearer","expires_in":900}`, used)
	}))
	t.Cleanup(e.Close)
	config := &oauth2.Config{ClientID: "cli", Endpoint: oauth2.Endpoint{TokenURL: e.URL, AuthStyle: oauth2.AuthStyleInParams}}
	h := &handles{file: filepath.Join(t.TempDir(), "sub", "handles.json"), gateway: e.URL, config: config, client: e.Client()}
	if err := h.keep(&oauth2.Token{AccessToken: "clk_1", RefreshToken: "clr_1", Expiry: time.Now().Add(-time.Minute)}); err != nil {
		t.Fatal(err)
	}
	return e, h
}

// Many that find the access handle ended at once cost one renewal, and its outcome is on disk when they have it.
func TestRenewedOnce(t *testing.T) {
	e, h := newEndpoint(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			token, err := h.Token()
			if err != nil {
				t.Error(err)
				return
			}
			if kept, err := h.load(); err != nil || kept.RefreshToken != token.RefreshToken || token.RefreshToken != "clr_1x" {
				t.Errorf("got %q and kept %+v: %v", token.RefreshToken, kept, err)
			}
		})
	}
	all.Wait()
	if n := e.asked.Load(); n != 1 {
		t.Errorf("%d renewals", n)
	}
	if info, err := os.Stat(h.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v %v", info, err)
	}
	left, err := os.ReadDir(filepath.Dir(h.file))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// invalid_grant alone means that the session is over; an outage costs nothing.
func TestRefusedRenewals(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		over   bool
	}{
		{"a session that has ended", 400, `{"error":"invalid_grant"}`, true},
		{"a store that is down", 503, `{"error":"temporarily_unavailable"}`, false},
		{"a client that is refused", 401, `{"error":"invalid_client"}`, false},
		{"a proxy's page", 502, `<h1>Bad gateway</h1>`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, h := newEndpoint(t)
			say := func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body) // a client that has gone is the test's own
			}
			e.say.Store(&say)
			if _, err := h.Token(); err == nil || errors.Is(err, errSignedOut) != tt.over {
				t.Errorf("told %v", err)
			}
			if _, err := os.Stat(h.file); os.IsNotExist(err) != tt.over {
				t.Errorf("the handles: %v", err)
			}
		})
	}
}

// Handles are shown to nobody but the gateway they are of.
func TestHandlesOfAnotherGateway(t *testing.T) {
	e, h := newEndpoint(t)
	h.gateway = "https://elsewhere.example"
	if _, err := h.Token(); !errors.Is(err, errSignedOut) {
		t.Errorf("another gateway: %v", err)
	}
	h.gateway, h.config.ClientID = e.URL, "other"
	if _, err := h.Token(); !errors.Is(err, errSignedOut) {
		t.Errorf("another app: %v", err)
	}
	if n := e.asked.Load(); n != 0 {
		t.Errorf("%d renewals", n)
	}
}

// What the gateway says in a stream, as the program takes it.
func TestEventsOfAStreamWith(t *testing.T) {
	over := errors.New("over")
	for name, tt := range map[string]struct {
		text, want string
		err        error
	}{
		"all there is":         {"retry: 1500\n\nevent: session\ndata: {\"a\":1}\n\n:\n\nevent: session-extended\ndata: {}\n\n", `retry 1500|session {"a":1}|session-extended {}|`, nil},
		"an end":               {"event: session-ended\ndata: {\"reason\":\"admin\"}\n\nevent: session\ndata: 1\n\n", `session-ended {"reason":"admin"}|`, over},
		"an event cut off":     {"event: session-ended\ndata: {\"rea", "", nil},
		"no space":             {"event:session\ndata:1\n\n", "session 1|", nil},
		"a field nobody knows": {"id: 7\nnonsense\nevent: x\n\n", "x |", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, alive := "", 0
			err := events(strings.NewReader(tt.text), func() { alive++ }, func(name, data string) error {
				got += name + " " + data + "|"
				if name == "session-ended" {
					return over
				}
				return nil
			})
			if got != tt.want || !errors.Is(err, tt.err) || alive == 0 {
				t.Errorf("heard %q, %v, alive %d", got, err, alive)
			}
		})
	}
}

// gatewayOf answers for a gateway: the stream is the test's, the token endpoint says that all is over.
func gatewayOf(t *testing.T, stream http.HandlerFunc) (*app, *strings.Builder) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /mobile/events", stream)
	mux.HandleFunc("POST /mobile/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`) // a client that has gone is the test's own
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	var out strings.Builder
	a, err := newApp(s.URL, "cli", &out)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.handles.keep(&oauth2.Token{AccessToken: "clk_1", RefreshToken: "clr_1", Expiry: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	return a, &out
}

func TestASignOutElsewhereIsToldAtOnce(t *testing.T) {
	a, out := gatewayOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer clk_1" {
			t.Errorf("the stream is opened with %q", r.Header.Get("Authorization"))
		}
		_, _ = io.WriteString(w, "event: session\ndata: {}\n\nevent: session-ended\ndata: {\"reason\":\"provider_logout\"}\n\n") // as above
	})
	if err := a.follow(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "Signed out: your session at the sign-in service has ended.\n") {
		t.Errorf("said %q", out)
	}
	if _, err := a.handles.load(); !errors.Is(err, errSignedOut) {
		t.Errorf("the handles are kept: %v", err)
	}
}

// A gateway that cannot say is asked again; one that refuses the handle is asked at the token endpoint, whose word counts.
func TestABrokenStreamIsOpenedAgain(t *testing.T) {
	var asked atomic.Int32
	a, out := gatewayOf(t, func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) {
		case 1:
			_, _ = io.WriteString(w, "retry: 1\n\nevent: session\ndata: {}\n\n") // as above; and breaks off
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	if err := a.follow(t.Context()); !errors.Is(err, errSignedOut) || asked.Load() != 3 {
		t.Errorf("%v after %d streams", err, asked.Load())
	}
	if n := strings.Count(out.String(), "Following"); n != 1 {
		t.Errorf("said %d times that it follows: %q", n, out)
	}
}

func TestWatchingEndsWithTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a, _ := gatewayOf(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "event: session\ndata: {}\n\n") // as above
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	if err := a.watch(ctx); err != nil {
		t.Error(err)
	}
}
