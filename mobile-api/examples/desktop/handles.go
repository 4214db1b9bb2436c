package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/oauth2"
)

// errSignedOut says that there is no session, or none any more.
var errSignedOut = errors.New("not signed in; run: desktop login")

// handles is the oauth2.TokenSource of this program. x/oauth2's own one keeps a renewed token in memory, and many programs
// lose it there: the refresh handle is replaced each time it is used, and one that was used before ends the session, for it
// may have been stolen. So this one writes the successors down before anybody gets to use them, and renews one at a time.
//
// A program that dies between the gateway's answer and its own writing loses nothing: as long as the successors have not
// been used, the old refresh handle gets the very same ones again.
type handles struct {
	file    string
	gateway string
	config  *oauth2.Config
	client  *http.Client

	mu sync.Mutex // one renewal at a time, in this process
}

var _ oauth2.TokenSource = (*handles)(nil)

// record is what the file holds. oauth2.Token has the access handle, the refresh handle and when the first one ends.
type record struct {
	Gateway string        `json:"gateway"`
	App     string        `json:"app"`
	Token   *oauth2.Token `json:"token"`
}

// handleFile is where the handles are kept between two runs.
//
// A program that is shipped keeps them in the platform's keychain (Keychain, Credential Manager, Secret Service), where
// other programs of the same person cannot read them as they can read this file.
func handleFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for the handles: %w", err)
	}
	return filepath.Join(dir, "cloakroom-desktop-example", "handles.json"), nil
}

// with gives x/oauth2 our HTTP client.
func (h *handles) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, h.client)
}

// Token returns handles that can be used now, renewed if need be.
func (h *handles) Token() (*oauth2.Token, error) { return h.token(context.Background()) }

func (h *handles) token(ctx context.Context) (*oauth2.Token, error) {
	token, err := h.load()
	if err != nil || token.Valid() {
		return token, err
	}
	return h.renew(ctx, token)
}

// renew trades handles for their successors and writes those down. If somebody has done it since used was read, that
// counts.
func (h *handles) renew(ctx context.Context, used *oauth2.Token) (*oauth2.Token, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, err := h.load()
	if err != nil || now.AccessToken != used.AccessToken {
		return now, err
	}
	// Without an access handle there is nothing to reuse: x/oauth2 asks for the refresh grant at once.
	next, err := h.config.TokenSource(h.with(ctx), &oauth2.Token{RefreshToken: now.RefreshToken}).Token()
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		return nil, errors.Join(errSignedOut, h.forget()) // the session has ended; nothing else means that
	}
	if err != nil {
		return nil, fmt.Errorf("renewing the handles (they are kept; try again): %w", err)
	}
	return next, h.keep(next)
}

// load reads the handles. Those of another gateway or app are none of ours: a handle is shown to nobody but its gateway.
func (h *handles) load() (*oauth2.Token, error) {
	text, err := os.ReadFile(h.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errSignedOut
	}
	var r record
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the handles: %w", err)
	}
	if r.Gateway != h.gateway || r.App != h.config.ClientID || r.Token == nil {
		return nil, errSignedOut
	}
	return r.Token, nil
}

// keep writes the handles down, whole or not at all, for nobody else to read.
func (h *handles) keep(token *oauth2.Token) error {
	text, err := json.Marshal(record{h.gateway, h.config.ClientID, token})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o700); err != nil {
		return fmt.Errorf("keeping the handles: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(h.file), "handles-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("keeping the handles: %w", err)
	}
	_, errWrite := file.Write(text)
	err = errors.Join(errWrite, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), h.file)
	}
	if err != nil {
		return fmt.Errorf("keeping the handles: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// forget drops the handles.
func (h *handles) forget() error {
	if err := os.Remove(h.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forgetting the handles: %w", err)
	}
	return nil
}
