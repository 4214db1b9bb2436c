package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// apiError is an answer that is not what was asked for.
type apiError struct {
	Status int    // of HTTP
	Code   string `json:"code"`   // the gateway's problem (RFC 9457), such as session_ended; "" where the API itself refused
	Detail string `json:"detail"` // for people
}

// Error says what the answer said.
func (e *apiError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", e.Status, e.Code, e.Detail))
}

// call sends a request with the access handle and reads the answer into out.
func (a *app) call(ctx context.Context, method, path string, in, out any) error {
	token, err := a.handles.token(ctx)
	if err != nil {
		return err
	}
	err = a.send(ctx, token, method, path, in, out)
	if refused, ok := errors.AsType[*apiError](err); !ok || refused.Status != http.StatusUnauthorized ||
		refused.Code == "upstream_unauthorized" {
		return err
	}
	// An access handle is refused once it is replaced, and another run of this program may just have done that. Only the
	// refresh handle tells whether the session has ended.
	if token, err = a.handles.renew(ctx, token); err != nil {
		return err
	}
	return a.send(ctx, token, method, path, in, out)
}

// send is one request. No CSRF header, no cookie: the handle in Authorization is all there is (RFC 6750 section 2.1).
func (a *app) send(ctx context.Context, token *oauth2.Token, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.gateway+path, body)
	if err != nil {
		return err
	}
	token.SetAuthHeader(req)
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return read(resp, out)
}

// read takes an answer apart.
func read(resp *http.Response, out any) error {
	body := io.LimitReader(resp.Body, 1<<20) // orders are small
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		refused := &apiError{Status: resp.StatusCode}
		_ = json.NewDecoder(body).Decode(refused) // what is no problem document has its status alone
		refused.Status = resp.StatusCode
		return refused
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", resp.Request.URL.Path, err)
	}
	return nil
}

// orders lists what the person has ordered. The gateway adds the person's access token on the way to the API.
func (a *app) orders(ctx context.Context) error {
	var list struct {
		Orders []struct {
			ID       string `json:"id"`
			Item     string `json:"item"`
			Quantity int    `json:"quantity"`
		} `json:"orders"`
	}
	if err := a.call(ctx, http.MethodGet, "/api/orders", nil, &list); err != nil {
		return err
	}
	a.say("%d order(s)", len(list.Orders))
	for _, o := range list.Orders {
		a.say("  %s  %d × %s", o.ID, o.Quantity, o.Item)
	}
	return nil
}

// order places one.
func (a *app) order(ctx context.Context, item string, quantity int) error {
	var placed struct {
		ID string `json:"id"`
	}
	in := map[string]any{"item": item, "quantity": quantity}
	if err := a.call(ctx, http.MethodPost, "/api/orders", in, &placed); err != nil {
		return err
	}
	a.say("Placed %s: %d × %s", placed.ID, quantity, item)
	return nil
}

// whoami shows the session as the gateway tells it: claims and times, never a token.
func (a *app) whoami(ctx context.Context) error {
	var session any
	if err := a.call(ctx, http.MethodGet, "/mobile/session", nil, &session); err != nil {
		return err
	}
	text, err := json.MarshalIndent(session, "  ", "  ")
	if err != nil {
		return err
	}
	a.say("  %s", text)
	return nil
}

// devices lists where the person is signed in: in this app and others of the same gateway, on this device and others.
func (a *app) devices(ctx context.Context) error {
	var list struct {
		Sessions []struct {
			App      string    `json:"app"`
			Device   string    `json:"device"`
			Platform string    `json:"platform"`
			Used     time.Time `json:"last_active_at"`
			Current  bool      `json:"current"`
		} `json:"sessions"`
	}
	if err := a.call(ctx, http.MethodGet, "/mobile/sessions", nil, &list); err != nil {
		return err
	}
	for _, s := range list.Sessions {
		when := "this one"
		if !s.Current {
			when = "last used " + s.Used.Local().Format(time.DateTime)
		}
		a.say("  %s, %s (%s): %s", s.Device, s.Platform, s.App, when)
	}
	return nil
}
