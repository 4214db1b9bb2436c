//go:build integration

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// account is what the API tells of a request it got.
type account struct {
	Proto, Method, Path string
	Length              int64 // declared; -1: none was
	Bytes               int64
	Sum                 string
	TE                  string
	Trailers            int
}

// document is what ranges are taken of.
var (
	document = strings.Repeat("0123456789abcdef", 4<<10) // 64 KiB: more than any buffer on the way
	written  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// transported is an API that answers by path.
func transported() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/account", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		_ = json.NewEncoder(w).Encode(account{
			r.Proto, r.Method, r.URL.Path, r.ContentLength, n, hex.EncodeToString(sum.Sum(nil)), r.Header.Get("TE"), len(r.Trailer),
		})
	})
	mux.HandleFunc("/document", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.ServeContent(w, r, "", written, strings.NewReader(document))
	})
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) { // an answer before the body was read
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, "no need to send that")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "<https://evil.example/x.js>; rel=preload; as=script")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "ok")
	})
	mux.HandleFunc("/trailed", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(w, "ok")
		h.Set("Grpc-Status", "0")
		h.Set(http.TrailerPrefix+"Grpc-Message", "fine")
		for _, name := range evilTrailers {
			h.Set(http.TrailerPrefix+name, "7")
		}
	})
	calls(mux)
	return mux
}

// evilTrailers must not pass on any route.
var evilTrailers = []string{"Set-Cookie", "Content-Length", "Content-Type", "Location", "Cache-Control", "Access-Control-Allow-Origin"}

// Every way in meets every way out: HTTP/1.1 and HTTP/2 of a frontend, HTTP/1.1, HTTP/2 by ALPN and HTTP/2 in clear of an API.
// What is said goes through whole; what belongs to one connection ends with it.
func TestTransports(t *testing.T) {
	// shows PRX-HOP, PRX-SMUG, PRX-RESP
	t.Parallel()
	w := newJunction(t, 1, transported(), "body_bytes: 1MiB")
	for _, front := range []bool{false, true} {
		c := w.client(w.secure[0], front)
		for _, leg := range legs {
			t.Run(fmt.Sprintf("a frontend with HTTP/2 %v, an API with %s", front, leg), func(t *testing.T) {
				m := &meeting{junction: w, t: t, c: c, leg: leg}
				m.bodies()
				m.heads()
				m.ranges()
				m.refusals()
				m.trailers()
			})
		}
	}
}

// meeting is one way in and one way out.
type meeting struct {
	*junction
	t   *testing.T
	c   *http.Client
	leg string
}

// ask sends a request on the leg's route, or on that of another prefix.
func (m *meeting) ask(method, path string, body io.Reader, fields ...string) got {
	m.t.Helper()
	return m.send(m.c, m.request(method, "/"+m.leg+path, body, fields...))
}

// bodies shows requests with and without one: length and bytes arrive as they were sent.
func (m *meeting) bodies() {
	m.t.Helper()
	payload := bytes.Repeat([]byte("cloakroom"), 30_000) // 270 KB: more than every window and buffer
	sum := sha256.Sum256(payload)
	none := sha256.Sum256(nil)
	proto := map[string]string{"http1": "HTTP/1.1", "h2": "HTTP/2.0", "h2c": "HTTP/2.0"}[m.leg]
	for _, c := range []struct {
		with, method string
		body         io.Reader
		want         account
	}{
		{"no body", "GET", nil, account{proto, "GET", "/account", 0, 0, hex.EncodeToString(none[:]), "trailers", 0}},
		{"a length", "POST", bytes.NewReader(payload), account{proto, "POST", "/account", int64(len(payload)), int64(len(payload)), hex.EncodeToString(sum[:]), "trailers", 0}},
		{"no length", "POST", io.MultiReader(bytes.NewReader(payload)), account{proto, "POST", "/account", -1, int64(len(payload)), hex.EncodeToString(sum[:]), "trailers", 0}},
		{"a length of 0", "PUT", http.NoBody, account{proto, "PUT", "/account", 0, 0, hex.EncodeToString(none[:]), "trailers", 0}},
	} {
		res := m.ask(c.method, "/account", c.body, "Te", "trailers")
		var told account
		if err := json.Unmarshal([]byte(res.Text), &told); err != nil {
			m.t.Fatalf("a request with %s: %d %.200s", c.with, res.StatusCode, res.Text)
		}
		if diff := cmp.Diff(c.want, told); diff != "" {
			m.t.Errorf("a request with %s (-want +the API got):\n%s", c.with, diff)
		}
	}
}

// heads shows answers that have no body: what they say of one stays.
func (m *meeting) heads() {
	m.t.Helper()
	res := m.ask("HEAD", "/document", nil)
	if res.StatusCode != 200 || res.ContentLength != int64(len(document)) || res.Text != "" {
		m.t.Errorf("HEAD: %d, length %d, %d bytes", res.StatusCode, res.ContentLength, len(res.Text))
	}
	res = m.ask("GET", "/nothing", nil)
	if res.StatusCode != 204 || res.Text != "" || res.Header["Content-Length"] != nil || res.Header["Transfer-Encoding"] != nil {
		m.t.Errorf("204: %d %v", res.StatusCode, res.Header)
	}
	res = m.ask("GET", "/document", nil, "If-None-Match", `"v1"`)
	if res.StatusCode != 304 || res.Text != "" || res.Header.Get("ETag") != `"v1"` {
		m.t.Errorf("304: %d %v", res.StatusCode, res.Header)
	}
	res = m.ask("GET", "/hints", nil)
	if res.StatusCode != 200 || res.Text != "ok" || res.Header["Link"] != nil {
		m.t.Errorf("early hints: %d %q %v", res.StatusCode, res.Text, res.Header)
	}
}

// ranges shows that parts of an answer are the API's to cut, and arrive as it cut them (RFC 9110 section 14).
func (m *meeting) ranges() {
	m.t.Helper()
	size := strconv.Itoa(len(document))
	for _, c := range []struct {
		with        string
		fields      []string
		status      int
		part, field string
	}{
		{"one range", []string{"Range", "bytes=16-31"}, 206, document[16:32], "bytes 16-31/" + size},
		{"a range at the end", []string{"Range", "bytes=-16"}, 206, document[len(document)-16:], "bytes 65520-65535/" + size},
		{"a range if it is still the same", []string{"Range", "bytes=0-9", "If-Range", `"v1"`}, 206, document[:10], "bytes 0-9/" + size},
		{"a range if it is still another", []string{"Range", "bytes=0-9", "If-Range", `"v0"`}, 200, document, ""},
		{"a range beyond the end", []string{"Range", "bytes=99999-"}, 416, "", "bytes */" + size},
	} {
		res := m.ask("GET", "/document", nil, c.fields...)
		if res.StatusCode != c.status || c.part != "" && res.Text != c.part || res.Header.Get("Content-Range") != c.field {
			m.t.Errorf("%s: %d, %d bytes, %q", c.with, res.StatusCode, len(res.Text), res.Header.Get("Content-Range"))
		}
		if c.part != "" && res.ContentLength != int64(len(c.part)) {
			m.t.Errorf("%s: length %d of %d", c.with, res.ContentLength, len(c.part))
		}
	}
	res := m.ask("GET", "/document", nil, "Range", "bytes=0-0,16-17")
	if parts := res.Header.Get("Content-Type"); res.StatusCode != 206 || !strings.HasPrefix(parts, "multipart/byteranges; boundary=") ||
		strings.Count(res.Text, "Content-Range: bytes ") != 2 {
		m.t.Errorf("two ranges: %d %s %q", res.StatusCode, parts, res.Text)
	}
}

// refusals shows answers that come before a body is over, and none to one that is too long.
func (m *meeting) refusals() {
	m.t.Helper()
	if res := m.ask("POST", "/early", strings.NewReader("not much")); res.StatusCode != 409 || res.Text != "no need to send that" {
		m.t.Errorf("an early answer: %d %q", res.StatusCode, res.Text)
	}
	body := io.LimitReader(zeros{}, 2<<20) // no length: the route's limit is met in the middle
	res, err := m.c.Do(m.request("POST", "/"+m.leg+"/account", body))
	if err != nil { // over HTTP/1.1 the client may see its connection go before it reads the answer
		if m.c.Transport.(*http.Transport).Protocols.HTTP2() {
			m.t.Errorf("too long a body: %v", err)
		}
		return
	}
	defer res.Body.Close()
	if res.StatusCode != 413 {
		m.t.Errorf("too long a body: %d", res.StatusCode)
	}
}

// zeros never end.
type zeros struct{}

// Read fills p.
func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// trailers shows which of them pass, and to whom.
func (m *meeting) trailers() {
	m.t.Helper()
	all := http.Header{"Grpc-Status": {"0"}, "Grpc-Message": {"fine"}}
	for _, c := range []struct {
		with, prefix string
		fields       []string
		want         http.Header
	}{
		{"TE on a route with trailers", "/", []string{"Te", "trailers"}, all},
		{"no TE on a route with trailers", "/", nil, nil},
		{"TE on a route without", "/plain-", []string{"Te", "trailers"}, nil},
	} {
		res := m.send(m.c, m.request("GET", c.prefix+m.leg+"/trailed", nil, c.fields...))
		if diff := cmp.Diff(c.want, res.Trailer); res.Text != "ok" || diff != "" && len(c.want)+len(res.Trailer) > 0 {
			m.t.Errorf("a request with %s: %d %q (-want +got):\n%s", c.with, res.StatusCode, res.Text, diff)
		}
		for _, name := range evilTrailers[:1] {
			if res.Header[name] != nil {
				m.t.Errorf("a request with %s: a trailer is in the header: %v", c.with, res.Header)
			}
		}
	}
}
