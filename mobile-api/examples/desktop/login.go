package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"time"

	"golang.org/x/oauth2"
)

// patience is how long a person may take to sign in: to find the password, the phone and the reading glasses.
const patience = 10 * time.Minute

// login signs a person in with the system browser (RFC 8252): the browser goes to the gateway, the gateway to the
// provider, and the answer comes to a port of this machine that nobody but this program listens at.
func (a *app) login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// RFC 8252 section 7.3: loopback, any free port; the address rather than the name localhost, which may lead elsewhere.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the browser: %w", err)
	}
	config := a.config
	config.RedirectURL = fmt.Sprintf("http://%s/callback", listener.Addr())
	// Another program on this machine may see the answer. The code in it is worth nothing without the verifier (RFC 7636),
	// which never leaves this process but for the gateway.
	verifier := oauth2.GenerateVerifier()
	answers := newAnswers(rand.Text(), a.gateway+"/mobile")
	defer serve(listener, answers)()

	if err := a.browse(ctx, config.AuthCodeURL(answers.state, oauth2.S256ChallengeOption(verifier))); err != nil {
		return err
	}
	code, err := answers.await(ctx)
	if err != nil {
		return err
	}
	token, err := config.Exchange(a.handles.with(ctx), code, oauth2.VerifierOption(verifier),
		// What the list of the person's devices is to say.
		oauth2.SetAuthURLParam("device_name", "Desktop example on "+hostName()), oauth2.SetAuthURLParam("device_platform", runtime.GOOS))
	if err != nil {
		return fmt.Errorf("redeeming the code: %w", err)
	}
	if err := a.handles.keep(token); err != nil {
		return err
	}
	a.say("Signed in as %s.", nameOf(token.Extra("user")))
	return nil
}

// hostName is how this machine calls itself.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "a machine without a name"
	}
	return name
}

// serve answers the browser until the function it returns is called.
func serve(listener net.Listener, handler http.Handler) (stop func()) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second} // slow enough for any browser
	go func() { _ = server.Serve(listener) }()                                    // its error is that it was stopped
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // for the last page to get out
		defer cancel()
		_ = server.Shutdown(ctx) // a connection that a browser holds in reserve is not waited for
		_ = server.Close()
	}
}

// nameOf says who signed in. The gateway tells the claims that its configuration lists for the app.
func nameOf(user any) string {
	claims, _ := user.(map[string]any)
	for _, claim := range []string{"name", "email", "sub"} {
		if text, ok := claims[claim].(string); ok && text != "" {
			return text
		}
	}
	return "somebody"
}

// answers receives the browser when it comes back.
type answers struct {
	state  string
	issuer string
	result chan result
}

// result is a code, or why there is none.
type result struct {
	code string
	err  error
}

func newAnswers(state, issuer string) *answers {
	return &answers{state: state, issuer: issuer, result: make(chan result, 1)}
}

// await waits for the browser.
func (s *answers) await(ctx context.Context) (string, error) {
	select {
	case r := <-s.result:
		return r.code, r.err
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for the browser: %w", context.Cause(ctx))
	}
}

// ServeHTTP takes the one answer that belongs to our request. Everything else at this port, such as a page of another
// site that guesses it, is sent away and changes nothing: we go on waiting.
func (s *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	ours := subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(s.state)) == 1
	if r.Method != http.MethodGet || r.URL.Path != "/callback" || !ours {
		page(w, http.StatusNotFound, "Nothing here", "This is not an answer that the program is waiting for.")
		return
	}
	got := s.read(query)
	select {
	case s.result <- got:
	default: // a reload: the first one counts
	}
	if got.err != nil {
		page(w, http.StatusOK, "Not signed in", "The program tells you more. You can close this window.")
		return
	}
	page(w, http.StatusOK, "Thank you", "The program goes on by itself. You can close this window.")
}

// read judges an answer with our state.
func (s *answers) read(query url.Values) result {
	// RFC 9207 section 2.4: whoever answers says who it is. A code of another server must not be sent to this one.
	if iss := query.Get("iss"); iss != s.issuer {
		return result{err: fmt.Errorf("an answer of %q, not of %q", iss, s.issuer)}
	}
	if refused := query.Get("error"); refused != "" {
		return result{err: fmt.Errorf("the sign-in was refused: %s %s", refused, query.Get("error_description"))}
	}
	if query.Get("code") == "" {
		return result{err: errors.New("an answer without a code")}
	}
	return result{code: query.Get("code")}
}
