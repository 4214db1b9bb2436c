//go:build integration

package native_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"cloakroom/test/gateway"
	"cloakroom/test/leak"
	"cloakroom/test/prover"
)

// boundApp is an app besides cli and other, with a claimed redirect, so that nobody has to confirm.
type boundApp struct{ name, handle string }

// secret is the app's at the provider, where each is a client of its own.
func (a boundApp) secret() string { return "the-secret-of-" + a.name + "-at-the-provider" }

// redirectOf is where the answers to such an app go. No request is sent there.
func redirectOf(app string) string { return "https://app.example.com/" + app }

// boundYAML is the configuration of the apps.
func boundYAML(apps []boundApp) string {
	var b strings.Builder
	for _, a := range apps {
		fmt.Fprintf(&b, `
  %s:
    kind: mobile
    provider: main
    client_id: boundc_%s
    client_secret: %s
    claims: [sub, name, email]
    redirect_uris: [%q, "http://127.0.0.1/callback"]
    handle: %s
`, a.name, a.name, a.secret(), redirectOf(a.name), a.handle)
	}
	return b.String()
}

// device is a device with a key, whoever holds it, and the app on it.
type device struct {
	n      *nativeWorld
	app    string
	key    *prover.Prover
	handle string // what it was given; "" before that
}

// device makes a key. Neither it nor any proof by it may be seen anywhere but in requests.
func (n *nativeWorld) device(app string) *device {
	d := &device{n: n, app: app, key: prover.New("ES256")}
	n.Scan.Secret("device-key", fmt.Sprint(d.key.PrivateJWK()["d"]))
	return d
}

// proof makes a proof for a request to a path; handle "" if none goes with it.
func (d *device) proof(method, path, handle string, bend ...prover.Option) string {
	address, _, _ := strings.Cut(d.n.front.URL+path, "?")
	d.n.Scan.Public(address)
	proof := d.key.Proof(method, address, handle, bend...)
	d.n.Scan.Secret("proof", proof)
	return proof
}

// presents are the header fields with which the device presents its handle.
func (d *device) presents(method, path string, bend ...prover.Option) []string {
	return []string{"Authorization", "DPoP " + d.handle, "DPoP", d.proof(method, path, d.handle, bend...)}
}

// status presents the handle to an instance, in good order, and tells how the API answers.
func (d *device) status(t *testing.T, in *gateway.Instance) int {
	t.Helper()
	return d.n.call(t, in, http.MethodGet, "/api/orders", d.presents("GET", "/api/orders")...).StatusCode
}

// wants fails unless every instance answers the handle with a status.
func (d *device) wants(t *testing.T, what string, want int) {
	t.Helper()
	for i, in := range d.n.All {
		if got := d.status(t, in); got != want {
			t.Errorf("%s: instance %d answers the handle with %d, want %d", what, i, got, want)
		}
	}
}

// announcing is the start of a sign-in that announces the device's key.
func (d *device) announcing() ask {
	return ask{App: d.app, Redirect: redirectOf(d.app), More: url.Values{"dpop_jkt": {d.key.Thumbprint()}}}
}

// silent is the start of one that announces nothing.
func (d *device) silent() ask { return ask{App: d.app, Redirect: redirectOf(d.app)} }

// grant signs somebody in up to the code, with the device's key announced.
func (d *device) grant(t *testing.T) grant {
	t.Helper()
	return d.n.signIn(t, d.n.browser(t), d.announcing())
}

// trade presents a grant with a proof by the device's key.
func (d *device) trade(t *testing.T, in *gateway.Instance, g grant, bend ...prover.Option) tokens {
	t.Helper()
	return d.n.post(t, in, "/mobile/token", g.form(), "DPoP", d.proof("POST", "/mobile/token", "", bend...))
}

// redeem trades a grant that must be good, and keeps the handle.
func (d *device) redeem(t *testing.T, g grant) *device {
	t.Helper()
	d.handle = d.given(t, d.trade(t, d.n.All[0], g))
	return d
}

// given checks a token answer that must give a bound handle: it alone, and to the end of the session.
func (d *device) given(t *testing.T, got tokens) string {
	t.Helper()
	if got.Status != http.StatusOK || !strings.HasPrefix(got.Access, "clk_") || got.Refresh != "" || got.Type != "DPoP" ||
		got.Expires < 24*3600 || got.User["sub"] == nil || got.Session["id"] == nil {
		t.Fatalf("token answer to a proof: %d %+v", got.Status, got)
	}
	return got.Access
}

// signedIn is a device that went the whole way.
func (n *nativeWorld) signedIn(t *testing.T, app string) *device {
	t.Helper()
	d := n.device(app)
	return d.redeem(t, d.grant(t))
}

// post sends a form to an instance, with header fields (name, value, …).
func (n *nativeWorld) post(t *testing.T, in *gateway.Instance, path string, form url.Values, fields ...string) tokens {
	t.Helper()
	return n.read(t, in, n.posting(t, path, form, fields...))
}

func (n *nativeWorld) posting(t *testing.T, path string, form url.Values, fields ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, n.front.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	return req
}

// pushed is an answer to a pushed request.
type pushed struct {
	Status  int
	URI     string `json:"request_uri"`
	Expires int    `json:"expires_in"`
	Error   string `json:"error"`
}

// push pushes what a sign-in would ask for in the address (RFC 9126).
func (n *nativeWorld) push(t *testing.T, a ask, fields ...string) (got pushed) {
	t.Helper()
	to, err := url.Parse(n.address(a))
	if err != nil {
		t.Fatal(err)
	}
	resp, body := n.do(t, n.All[0], n.posting(t, "/mobile/par", to.Query(), fields...))
	_ = json.Unmarshal(body, &got) // a page or a problem leaves it empty, and the status tells
	got.Status = resp.StatusCode
	n.Scan.Secret("request-uri", got.URI)
	return got
}

// allowBound names the fields whose purpose it is to carry what only bound apps are told.
func (n *nativeWorld) allowBound() {
	n.Scan.Allow(leak.Rule{Kinds: []string{"request-uri"}, Place: "POST /mobile/par", Field: "body"})
	n.Scan.Allow(leak.Rule{Kinds: []string{"nonce"}, Place: "*", Field: "header Dpop-Nonce"})
}

// challenges tells whether an answer has a challenge of a scheme with an error; "" for none.
func challenges(h http.Header, scheme, problem string) bool {
	return slices.ContainsFunc(h.Values("WWW-Authenticate"), func(field string) bool {
		named, rest, _ := strings.Cut(field, " ")
		if named != scheme {
			return false
		}
		if problem == "" {
			return !strings.Contains(rest, "error=")
		}
		return strings.Contains(rest, `error="`+problem+`"`)
	})
}

// said counts the security events of an instance's log so far that hold all of these texts.
func said(in *gateway.Instance, texts ...string) (count int) {
	for line := range strings.Lines(in.Log()) {
		if strings.Contains(line, `"msg":"security event"`) && !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(line, s) }) {
			count++
		}
	}
	return count
}
