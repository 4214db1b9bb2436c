//go:build integration

package faults_test

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// isRefresh tells refreshes from other requests to the token endpoint.
func isRefresh(_ *http.Request, form url.Values) bool {
	return form.Get("grant_type") == "refresh_token"
}

// request is a fetch of the orders with the browser's cookie, to be sent to any instance, any number of times.
func request(t *testing.T, w *world.World, b *browser.Browser) *http.Request {
	t.Helper()
	h, err := b.RequestHeader(browser.At(world.Origin+"/"), browser.Request{
		URL: world.Origin + "/api/orders", Header: http.Header{"X-Csrf": {"1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("GET", world.Origin+"/api/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	return r
}

// send sends a copy of r to an instance and returns the status; 0 if there was no answer.
func send(in *gateway.Instance, r *http.Request) int {
	resp, err := in.Client().Do(r.Clone(r.Context()))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// newest returns the last secret of a kind that the provider issued.
func newest(w *world.World, kind provider.Kind) (value string) {
	for _, s := range w.Dev.Issued() {
		if s.Kind == kind {
			value = s.Value
		}
	}
	return value
}

// revokedAt reports whether the provider was asked to revoke a token.
func revokedAt(w *world.World, token string) bool {
	for _, r := range w.Dev.RequestsTo(provider.Revoke) {
		if r.Form.Get("token") == token {
			return true
		}
	}
	return false
}
