// Package openapi_test holds docs/openapi.yaml against running gateways, answer by answer: each request of the tour that is of
// a described operation must be answered as it is described, status, header fields and body, and whatever is described must
// have been answered when the tour is over. The real server on real sockets, an embedded Redis, our own provider.
//
// contract makes requests (world_test.go) and judges answers (contract_test.go); the tour says what to ask for: leg by leg
// (tour_test.go), then what every operation refuses (tour_refusals_test.go), in a world that has one of everything
// (tour_world_test.go). That the paths and methods are those that are registered is shown beside the server, which knows them.
package openapi_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"cloakroom/docs"
	"cloakroom/server"
	"cloakroom/server/config"
)

// patience is how long anything may take: it finds what hangs, not what is slow.
const patience = 20 * time.Second

// The listeners and origins that the description knows, by the address of its servers.
const (
	ofApp     = "{app}"
	ofGateway = "{gateway}"
	ofOps     = "http://{ops}"
	ofAdmin   = "{scheme}://{admin}"
)

// contract holds what is answered against the description, both ways: an answer that is not described fails at once, and what
// was described and never answered is told at the end.
type contract struct {
	t    *testing.T
	d    *openapi3.T
	at   map[string]place  // by host of the addresses that the tour asks at
	seen map[string]bool   // "GET /path 200 type/subtype" that was answered as it is described
	also map[string]bool   // responses that belong to no operation, and were answered
	stop map[string]func() // of the gateways, by name
	raw  *http.Transport   // follows nothing
}

// place is where a host of the tour leads: a listener, and the server of the description that it is.
type place struct{ addr, server string }

func newContract(t *testing.T) *contract {
	t.Helper()
	text, err := docs.OpenAPI("https://gw.example.com")
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{
		t: t, d: d, at: map[string]place{}, seen: map[string]bool{}, also: map[string]bool{}, stop: map[string]func(){},
		raw: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	t.Cleanup(c.raw.CloseIdleConnections)
	for _, media := range []string{"text/html", "text/event-stream", "application/x-ndjson", "application/octet-stream"} {
		openapi3filter.RegisterBodyDecoder(media, plainText)
	}
	return c
}

// plainText takes a body for the text that it is.
func plainText(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	text, err := io.ReadAll(body)
	return string(text), err
}

// run starts a gateway whose hosts lead to it: of surfaces as they are, of the other listeners "ops.<name>", "admin.<name>".
func (c *contract) run(name, key, yaml string, hosts map[string]string) {
	c.t.Helper()
	dir := c.t.TempDir()
	for _, file := range []string{key, "i1"} {
		text := make([]byte, 32)
		_, _ = rand.Read(text)
		if err := os.WriteFile(filepath.Join(dir, file), []byte(base64.RawURLEncoding.EncodeToString(text)+"\n"), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	cfg, err := config.Parse(filepath.Join(dir, "cloakroom.yaml"), []byte(yaml), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	listening := make(chan [2]string, 3)
	s, err := server.New(cfg, server.Options{
		OnListen: func(name string, a net.Addr) { listening <- [2]string{name, a.String()} },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	c.stop[name] = stop
	c.t.Cleanup(func() {
		stop()
		if err := <-over; err != nil {
			c.t.Error(err)
		}
		_ = s.Close()
	})
	for range 3 {
		at := <-listening
		switch at[0] {
		case "ops":
			c.at["ops."+name] = place{at[1], ofOps}
		case "admin":
			c.at["admin."+name] = place{at[1], ofAdmin}
		default:
			for host, server := range hosts {
				c.at[host] = place{at[1], server}
			}
		}
	}
}

// person is somebody at a browser or an app: what they hold, and the address they come from.
type person struct {
	from    string                       // "" = this one
	cookies map[string]map[string]string // by host, then name
}

func newPerson() *person { return &person{cookies: map[string]map[string]string{}} }

// call is one request. Its address names the place by its host.
type call struct {
	method, url string
	fields      []string // header fields, in pairs
	body        string   // a form
	by          *person  // nil: somebody who holds nothing
}

func get(url string, fields ...string) call { return call{method: "GET", url: url, fields: fields} }

func post(url string, form url.Values, fields ...string) call {
	return call{method: "POST", url: url, fields: append([]string{"Content-Type", "application/x-www-form-urlencoded"}, fields...), body: form.Encode()}
}

// of has somebody make the request.
func (q call) of(p *person) call { q.by = p; return q }

// with adds header fields.
func (q call) with(fields ...string) call {
	q.fields = append(slices.Clone(q.fields), fields...)
	return q
}

// reply is an answer that was read.
type reply struct {
	*http.Response
	text string
}

// to is where the answer leads.
func (r *reply) to() *url.URL {
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil {
		return &url.URL{}
	}
	return u
}

// members reads the answer's JSON.
func (r *reply) members() (m map[string]any) {
	_ = json.Unmarshal([]byte(r.text), &m)
	return m
}

// make makes a request, with the cookies of whoever asks.
func (c *contract) make(ctx context.Context, q call) *http.Request {
	c.t.Helper()
	u, err := url.Parse(q.url)
	if err != nil {
		c.t.Fatal(err)
	}
	host, addr := u.Host, u.Host // a host that leads nowhere is one of its own: the provider
	if at, ok := c.at[u.Host]; ok {
		addr = at.addr
	}
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, strings.NewReader(q.body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.URL.Scheme, req.URL.Host, req.Host = "http", addr, host
	for i := 0; i+1 < len(q.fields); i += 2 {
		req.Header.Add(q.fields[i], q.fields[i+1])
	}
	if q.by != nil {
		for name, value := range q.by.cookies[host] {
			req.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		if q.by.from != "" {
			req.Header.Set("X-Forwarded-For", q.by.from)
		}
	}
	return req
}

// open makes a request and leaves the body of its answer unread.
func (c *contract) open(q call) *http.Response {
	res, err := c.raw.RoundTrip(c.make(c.t.Context(), q))
	if err != nil {
		c.t.Errorf("%s %s: %v", q.method, q.url, err)
		return &http.Response{Body: http.NoBody}
	}
	return res
}

// send makes a request and reads its answer.
func (c *contract) send(q call) (*http.Request, *reply) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	req := c.make(ctx, q)
	res, err := c.raw.RoundTrip(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", q.method, q.url, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", q.method, q.url, err)
	}
	if q.by != nil {
		q.by.keep(req.Host, res.Cookies())
	}
	return req, &reply{res, string(text)}
}

// nextEvent reads a stream up to the end of its next event.
func nextEvent(body io.Reader) (text []byte, err error) {
	for buf := make([]byte, 512); !bytes.Contains(text, []byte("data:")) || !bytes.HasSuffix(text, []byte("\n\n")); {
		n, err := body.Read(buf)
		if text = append(text, buf[:n]...); err != nil {
			return text, err
		}
	}
	return text, nil
}

func (p *person) keep(host string, cookies []*http.Cookie) {
	if p.cookies[host] == nil {
		p.cookies[host] = map[string]string{}
	}
	for _, k := range cookies {
		if p.cookies[host][k.Name] = k.Value; k.MaxAge < 0 {
			delete(p.cookies[host], k.Name)
		}
	}
}
