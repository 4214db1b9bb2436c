package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"
)

// certificate makes a certificate that signs itself, with its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// What looks unusual and is right must not be refused.
func TestWhatIsRightIsAccepted(t *testing.T) {
	tests := []struct{ name, old, new string }{
		{"a list in block form", "methods: [GET, POST]", "methods:\n      - GET\n      - POST"},
		{"a number for a client id", "client_id: webc_1", "client_id: 4711"},
		{"a browser app alone on the gateway's origin", base[len("public"):], `: {url: https://app.example.com}
redis: {addrs: [redis:6379]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {main: {issuer: https://id.example.com/}}
apps: {web: {kind: spa, origin: https://app.example.com, provider: main, client_id: c, client_secret_file: web}}
`},
		{"Sentinel", "redis: {addrs: [redis:6379]}", `redis: {addrs: ["a:26379", "b:26379"], master_name: m, sentinel_password: abcdef}`},
		{"a Cluster", "redis: {addrs: [redis:6379]}", `redis: {addrs: ["a:6379", "[::1]:6379"], cluster: true}`},
		{"Redis over TLS with certificates", "redis: {", "redis: {tls: {enabled: true, ca_file: cert.pem, cert_file: cert.pem, key_file: key.pem}, "},
		{"a served certificate", "{url: https://gw.example.com}", "{url: https://gw.example.com, tls: {cert_file: cert.pem, key_file: key.pem}}"},
		{"an admin listener", "redis: {", "admin: {listen: '127.0.0.1:9091', token: 0123456789abcdef0123456789abcdef}\nredis: {"},
		{"free ports on loopback", "{url: https://gw.example.com}", "{url: https://gw.example.com, listen: '127.0.0.1:0'}\nops: {listen: '127.0.0.1:0'}"},
		{"an issuer on loopback", "https://acme.scalekit.com", "http://127.0.0.1:8090"},
		{"an http issuer by setting", "issuer: https://acme.scalekit.com", "issuer: http://idp:8090\n    insecure_http: true"},
		{"an issuer with a slash", "preset: scalekit\n    issuer: https://acme.scalekit.com", "preset: generic\n    issuer: https://id.example.com/x/"},
		{"every kind of redirect", `["com.example.app:/signed-in"]`, `["com.example.app://cb", "https://app.example.com/signed-in?x=1", "http://127.0.0.1/cb", "http://127.0.0.1:0815/cb", "http://[::1]/cb"]`},
		{"an upstream with placeholders", "https://orders.internal", "https://orders.internal/{org}/{sub}/{claim:https%3A-role}/"},
		{"an http upstream by setting", "https://orders.internal", "http://orders:8080\n    insecure_http: true"},
		{"an http upstream on loopback", "https://orders.internal", "http://127.0.0.1:8081/base/"},
		{"the route of all paths", "path: /api/orders/", "path: /"},
		{"an upstream with all there is", "routes:", upstreams("origin: 'https://Orders.internal:443', targets: ['10.0.0.1:1', 'b:2'], protocol: http2, health: {path: '/healthz?deep=1'}, attempts: 1, connections: 10, ca_file: cert.pem, cert_file: cert.pem, key_file: key.pem, server_name: orders")},
		{"targets elsewhere by setting", "    upstream: https://orders.internal\n    methods: [GET, POST]\n", "    upstream: http://orders:8080\n    methods: [GET]\n    insecure_http: true\nupstreams:\n  - {origin: 'http://orders:8080', targets: ['10.0.0.1:8080'], protocol: h2c}\n"},
		{"a path that only begins like the gateway's", "path: /api/orders/", "path: /bffalo/"},
		{"one path by method and by app", "    methods: [GET, POST]\n", `    methods: [GET, POST]
    apps: [web]
  - {path: /api/orders/, upstream: https://b.internal, methods: [PUT], apps: [web]}
  - {path: /api/orders/, upstream: https://b.internal, methods: [GET], apps: [phone]}
`},
		{"demands and identity", "methods: [GET, POST]", `methods: [GET, POST]
    require: {scopes: [orders], claims: {role: [admin, clerk]}}
    identity_headers: {X-Forwarded-User: sub}
    cookies: [theme]
    set_cookies: [theme]
    body_bytes: 1GiB`},
		{"claims inside objects", "methods: [GET, POST]", `methods: [GET, POST]
    require: {claims: {resource_access.web.roles: [clerk], "https://example.com/roles": [clerk], a.b.c.d.e.f.g.h: [x]}}
    identity_headers: {X-Roles: realm_access.roles}`},
		{"a sign-in of a second ago", "methods: [GET, POST]", "methods: [GET, POST]\n    require: {max_age: 1s}"},
		{"a sign-in of a year ago", "methods: [GET, POST]", "methods: [GET, POST]\n    require: {max_age: 8760h}"},
		{"eight classes of sign-in", "methods: [GET, POST]", "methods: [GET, POST]\n    require: {acr: [\"urn:mace:incommon:iap:silver\", \"2\", c, d, e, f, g, h], max_age: 10m}"},
		{"a sign-in for an exchanged token", "methods: [GET, POST]", "methods: [GET, POST]\n    token: exchange\n    exchange: {audience: orders}\n    require: {acr: [gold]}"},
		{"a resource by its address", "methods: [GET, POST]", "methods: [GET, POST]\n    resource: https://orders.example.com/v1?tenant=a"},
		{"a resource by its name", "methods: [GET, POST]", "methods: [GET, POST]\n    resource: urn:example:orders"},
		{"a resource of who is signed in", "methods: [GET, POST]", "methods: [GET, POST]\n    token: user-or-none\n    resource: api://orders"},
		{"the origin guard on GET", "methods: [GET, POST]", "methods: [GET, HEAD]\n    guard: origin"},
		{"a folder of files", "kind: spa", "kind: spa\n    static: {dir: .}"},
		{"a development server", "kind: spa", "kind: spa\n    static: {url: 'http://localhost:5173/'}"},
		{"other origins", "kind: spa", "kind: spa\n    allowed_origins: ['https://www.example.com']\n    login: {start_origins: ['https://shop.example']}"},
		{"other origins to return to", "kind: spa", "kind: spa\n    allowed_origins: ['https://www.example.com', 'https://example.com:8443']\n    post_logout: https://www.example.com/bye\n    login: {default_return: 'https://example.com:8443'}"},
		{"few sessions, and a short memory for sign-ins", "kind: spa", "kind: spa\n    session: {recent: 1s, most: 100}"},
		{"sessions of seconds", "kind: spa", "kind: spa\n    session: {idle: 1s, absolute: 1s}"},
	}
	cert, key := certificate(t)
	dir := folder(t, map[string]string{"cert.pem": cert, "key.pem": key})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good(t, dir, edit(t, base, tt.old, tt.new))
		})
	}
}

func TestFileNamesStartAtTheFilesFolder(t *testing.T) {
	cert, key := certificate(t)
	dir := folder(t, map[string]string{"cert.pem": cert, "key.pem": key})
	text := edit(t, base, "{url: https://gw.example.com}", "{url: https://gw.example.com, tls: {cert_file: cert.pem, key_file: "+dir+"/key.pem}}")
	c := good(t, dir, text)
	if c.Public.TLS.CertFile != filepath.Join(dir, "cert.pem") || c.Public.TLS.KeyFile != filepath.Join(dir, "key.pem") {
		t.Errorf("tls = %+v, want both in %s", c.Public.TLS, dir)
	}
}
