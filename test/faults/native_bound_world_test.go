//go:build integration

package faults_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/test/leak"
	"cloakroom/test/prover"
	"cloakroom/test/world"
)

const (
	vaultSecret = "the-secret-of-the-vault-at-the-provider"
	vaultURI    = "https://app.example.com/vault"
)

// newBound is newNative with one app more, vault, whose handles must be bound.
func newBound(t *testing.T, o world.Options, env ...string) *nativeWorld {
	t.Helper()
	o.Apps += vaultYAML
	n := newNative(t, o, env...)
	n.addVault()
	return n
}

// readyBound is newBound, rehearsed, with a device whose proofs are taken.
func readyBound(t *testing.T) (*nativeWorld, *device) {
	t.Helper()
	n := newBound(t, world.Options{})
	n.rehearseBound(t)
	d := n.boundDevice(t)
	d.lives(t, "a fresh proof", 200)
	return n, d
}

// vaultYAML is the app vault.
const vaultYAML = `
  vault:
    kind: mobile
    provider: main
    client_id: nativec_2
    client_secret: ` + vaultSecret + `
    redirect_uris: ["` + vaultURI + `"]
    handle: {dpop: required}
`

// addVault tells the provider and the scanner of it.
func (n *nativeWorld) addVault() {
	n.Scan.Secret("client_secret", vaultSecret)
	n.Scan.Allow(leak.Rule{Kinds: []string{"access-handle"}, Place: "POST /mobile/token", Field: "body"})
	n.Dev.Register(provider.Client{ID: "nativec_2", Secret: vaultSecret, RedirectURIs: []string{publicURL + "/mobile/callback/vault"}})
}

// device is a device with a key, and the handle that is bound to it.
type device struct {
	n      *nativeWorld
	key    *prover.Prover
	handle string
}

// device makes a key. Neither it nor any proof by it may be seen anywhere but in requests.
func (n *nativeWorld) device() *device {
	d := &device{n: n, key: prover.New("ES256")}
	n.Scan.Secret("device-key", fmt.Sprint(d.key.PrivateJWK()["d"]))
	return d
}

// boundDevice is a device that went the whole way, at the first instance.
func (n *nativeWorld) boundDevice(t *testing.T) *device {
	t.Helper()
	d := n.device()
	return d.keeps(t, d.redeem(0, d.code(t)))
}

// code signs in, with the key announced, up to the form that redeems the code.
func (d *device) code(t *testing.T) url.Values {
	t.Helper()
	return d.n.codeOf(t, d.n.phone(), "vault", vaultURI, d.key.Thumbprint())
}

// keeps fails unless an answer gives a bound handle, and keeps that.
func (d *device) keeps(t *testing.T, h handles) *device {
	t.Helper()
	if h.Status != 200 || h.Access == "" || h.Refresh != "" {
		t.Fatalf("token: %d %q, want one handle", h.Status, h.Error)
	}
	d.handle = h.Access
	return d
}

// redeem presents a code with a proof. It is safe for concurrent use.
func (d *device) redeem(at int, form url.Values) (h handles) {
	r, err := http.NewRequest("POST", publicURL+"/mobile/token", strings.NewReader(form.Encode()))
	if err != nil {
		return h
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	d.key.Announce(r)
	status, body := d.n.sendAs(at, r)
	_ = json.Unmarshal(body, &h) // what is no JSON leaves it empty, and the status tells
	h.Status = status
	d.n.Scan.Secret("access-handle", h.Access)
	return h
}

// request is a call of the API with a fresh proof, to be sent any number of times.
func (d *device) request(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", publicURL+"/api/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	d.key.Present(r, d.handle)
	d.n.Scan.Secret("proof", r.Header.Get("DPoP"))
	return r
}

// sendAs sends a copy of a request to an instance; status 0 if there was no answer. It is safe for concurrent use.
func (n *nativeWorld) sendAs(at int, r *http.Request) (status int, body []byte) {
	q := r.Clone(r.Context())
	if r.GetBody != nil {
		q.Body, _ = r.GetBody() // of a string: never fails
	}
	resp, err := n.clients[at].Do(q)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	n.Scan.Observe(r.Method+" "+r.URL.Path, "body", body)
	return resp.StatusCode, body
}

// sending sends a request and goes on; its status comes.
func (n *nativeWorld) sending(at int, r *http.Request) <-chan int {
	answer := make(chan int, 1)
	go func() {
		status, _ := n.sendAs(at, r)
		answer <- status
	}()
	return answer
}

// answers fails unless an instance answers a request with a status.
func (n *nativeWorld) answers(t *testing.T, what string, at int, r *http.Request, want int) string {
	t.Helper()
	got, body := n.sendAs(at, r)
	if got != want {
		t.Errorf("%s, at instance %d: %d, want %d\n%.300s", what, at, got, want, body)
	}
	return string(body)
}

// lives fails unless the first two instances answer the handle, with a fresh proof each, with a status.
func (d *device) lives(t *testing.T, what string, want int) {
	t.Helper()
	for at := range 2 {
		d.n.answers(t, what, at, d.request(t), want)
	}
}

// rehearseBound is rehearse with the scripts that bound handles need.
func (n *nativeWorld) rehearseBound(t *testing.T) {
	t.Helper()
	n.rehearse(t)
	d := n.boundDevice(t)
	d.lives(t, "the rehearsal", 200)
	r, err := http.NewRequest("POST", publicURL+"/mobile/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	d.key.Present(r, d.handle)
	n.answers(t, "the rehearsal's sign-out", 1, r, 200)
	await(t, "the rehearsal leaves nothing", healTime, func() bool { return len(records(n.World)) == 0 })
}
