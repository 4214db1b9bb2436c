//go:build integration

package native_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"cloakroom/test/prover"
)

// A handle that is bound to the device's key, and tokens that are bound to the gateway's: two keys, two proofs, and neither
// side sees the other's. The instances that the sign-in goes through bind tokens; the two that do not serve the session as well.
//
// shows DPOP-OUT-RS, DPOP-OUT-AS, NAT-BIND
func TestABoundHandleWithBoundTokens(t *testing.T) {
	t.Parallel()
	n := newWorld(t, boundApp{"vault", "{dpop: required}"})
	n.allowBound()
	binding := n.Start(2, "CLOAKROOM_PUBLIC__URL="+n.front.URL, "CLOAKROOM_PROVIDERS__MAIN__DPOP=required")[2:]
	for _, in := range binding {
		n.clients[in] = in.Client()
	}
	n.front.mu.Lock()
	n.front.to = binding
	n.front.mu.Unlock()
	one, other := n.signedIn(t, "vault"), n.signedIn(t, "vault")
	keys := map[string]bool{one.key.Thumbprint(): true, other.key.Thumbprint(): true}
	var gateways []string
	for _, d := range []*device{one, other} {
		d.wants(t, "a bound handle over bound tokens", http.StatusOK)
		gateways = append(gateways, n.lastKey(t))
	}
	if gateways[0] == gateways[1] || keys[gateways[0]] || keys[gateways[1]] {
		t.Errorf("the API saw keys %v, those of the devices are %v", gateways, keys)
	}
	hits := n.API.Hits()
	n.API.WantNonce("a-nonce-of-the-api")
	for _, in := range n.All {
		resp := n.call(t, in, http.MethodGet, "/api/orders", one.presents("GET", "/api/orders")...)
		if resp.StatusCode != http.StatusOK || resp.Header["Dpop-Nonce"] != nil {
			t.Errorf("a call that the API challenged: %d %v", resp.StatusCode, resp.Header)
		}
	}
	if got := n.API.Hits() - hits; got != 2*len(n.All) {
		t.Errorf("%d requests to the API, want two for each instance, which knew no nonce", got)
	}
	// A stolen handle is worth nothing with a proof by another key, whatever the tokens behind it are bound to.
	thief := &device{n: n, app: "vault", key: prover.New("ES256"), handle: one.handle}
	hits = n.API.Hits()
	thief.wants(t, "a thief's proof", http.StatusUnauthorized)
	if n.API.Hits() != hits {
		t.Error("the API was asked for a thief")
	}
	n.finish(t)
}

// lastKey is the key of the proof in the last request that reached the API, which has checked it.
func (n *nativeWorld) lastKey(t *testing.T) string {
	t.Helper()
	all := n.API.Recorded()
	h := all[len(all)-1].Header
	if scheme, _, _ := strings.Cut(h.Get("Authorization"), " "); scheme != "DPoP" || len(h["Dpop"]) != 1 {
		t.Fatalf("the API got %v", h)
	}
	part, _, _ := strings.Cut(h.Get("DPoP"), ".")
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var head struct{ JWK map[string]string }
	if err := json.Unmarshal(raw, &head); err != nil {
		t.Fatal(err)
	}
	n.Scan.Secret("outbound_proof", h.Get("DPoP"))
	canonical, _ := json.Marshal(head.JWK) // in the order of names: RFC 7638 section 3
	sum := sha256.Sum256(canonical)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
