package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"cloakroom/bff"
	"cloakroom/dev"
	"cloakroom/dev/provider"
	"cloakroom/server"
	"cloakroom/server/config"
	"cloakroom/server/telemetry"
	"cloakroom/test/browser"
	"cloakroom/test/collector"
	"cloakroom/test/leak"
)

const webOrigin = "http://web.localhost"

// observed is a running gateway that is looked at from outside: its log, its metrics, its traces.
type observed struct {
	*phones
	ops      string
	admin    string
	redis    *miniredis.Miniredis
	issuer   *provider.Provider
	scan     *leak.Scanner
	traces   *collector.Collector
	stop     func()
	families map[string]map[string]*dto.Metric // by name, then labels: the largest that was seen
	kinds    map[string]dto.MetricType
}

// newObserved starts a gateway of a browser app and a native app, with traces on, Redis, provider and API.
func newObserved(t *testing.T) *observed {
	t.Helper()
	issuer, err := provider.New(provider.Config{
		Behaviour: provider.Behaviour{AccessLife: time.Second}, // the shortest there is: every test here waits for its end
		Clients: []provider.Client{nativeClient("phone"), {
			ID: "web", Secret: "secret-of-web-at-the-provider", Auth: provider.SecretPost,
			RedirectURIs: []string{webOrigin + "/bff/callback"}, PostLogoutRedirectURIs: []string{webOrigin + "/bff/logged-out"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := issuer.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(issuer.Close)
	api, err := dev.NewAPI(dev.APIConfig{Issuer: issuer.Issuer(), JWKSURL: issuer.URL("/keys")})
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(api)
	t.Cleanup(up.Close)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	o := &observed{
		redis: miniredis.RunT(t), issuer: issuer, scan: leak.New(), traces: collector.Start(t),
		families: make(map[string]map[string]*dto.Metric), kinds: make(map[string]dto.MetricType),
	}
	o.redis.SetTime(time.Now().Add(2 * time.Second)) // so that there is a drift to see
	o.run(t, fmt.Sprintf(`
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", token: %s}
redis: {addrs: [%q], pool_size: 1, timeouts: {dial: 10s, read: 10s, write: 10s, pool_wait: 10s}}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: %q, token_auth: client_secret_post, userinfo: true, sid: required, logout: both}
apps:
  web: {kind: spa, origin: %q, provider: main, client_id: web, client_secret: secret-of-web-at-the-provider, claims: [sub, email]}
  phone: {kind: mobile, provider: main, client_id: phone, client_secret: secret-of-phone-at-the-provider, redirect_uris: [%q]}
routes:
  - {path: /api/, upstream: %q, methods: [GET, POST], token: user}
  - {path: /api/live, upstream: %q, methods: [GET], token: user, websocket: true}
  - {path: /management/me, upstream: "%s/api/v1/users/{sub}", methods: [GET], token: client, apps: [web]}
  - {path: /exchanged/, upstream: "%s/api", strip_prefix: true, methods: [GET], token: exchange, exchange: {audience: orders}, apps: [web]}
  - {path: /dead/, upstream: "http://127.0.0.1:1", methods: [GET], token: user, limits: [{by: route, count: 1, per: 1h}]}
  - {path: /halved/, upstream: "http://halved.localhost/api", strip_prefix: true, methods: [GET], token: user}
upstreams:
  - {origin: "http://halved.localhost", targets: ["127.0.0.1:1", %q], breaker: {failures: 1}}
`, adminToken, o.redis.Addr(), issuer.Issuer(), webOrigin, signedIn, up.URL, up.URL, issuer.Issuer(), up.URL, up.Listener.Addr().String()))
	return o
}

// run starts the gateway on a configuration, with the traces that the environment asks for.
func (o *observed) run(t *testing.T, yaml string) {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(keyed(t), "cloakroom.yaml"), []byte(yaml), nil)
	if err != nil {
		t.Fatal(err)
	}
	traces, err := telemetry.NewTraces(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	log, addrs := new(lines), make(chan [2]string, 3)
	s, err := server.New(cfg, server.Options{
		Log: slog.New(slog.NewJSONHandler(log, nil)), Traces: traces,
		Limits:   bff.Limits{Suspicion: 50 * time.Millisecond},
		OnListen: func(name string, a net.Addr) { addrs <- [2]string{name, a.String()} },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	o.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
		_ = s.Close()
	})
	t.Cleanup(o.stop)
	o.phones = &phones{front: &front{t: t, log: log}}
	at := map[string]*string{"public": &o.addr, "ops": &o.ops, "admin": &o.admin}
	for range at {
		select {
		case a := <-addrs:
			*at[a[0]] = a[1]
		case <-time.After(patience):
			t.Fatal("not running")
		}
	}
}

// user is a browser whose cookies and answers are watched.
func (o *observed) user() *browser.Browser {
	b := browser.New(browser.Options{Resolve: func(hostport string) string {
		if strings.HasSuffix(hostport, ".localhost:80") {
			return o.addr
		}
		return ""
	}})
	o.t.Cleanup(b.Close)
	return b
}

// signInBrowser signs a new browser in.
func (o *observed) signInBrowser() *browser.Browser {
	o.t.Helper()
	b := o.user()
	p, err := b.Click(browser.At(webOrigin+"/"), webOrigin+"/bff/login?return_to=/&login_hint=ada@example.com")
	if err != nil {
		o.t.Fatal(err)
	}
	for _, c := range b.Cookies() {
		o.scan.Secret("cookie", c.Value)
	}
	if _, ok := b.Cookie(webOrigin, "__Host-Http-web"); !ok {
		o.t.Fatalf("not signed in: %d %s\n%s", p.Status, p.URL, p.Text())
	}
	return b
}

// fetch calls as the app's script does, and returns the status.
func (o *observed) fetch(b *browser.Browser, method, path string, fields ...string) int {
	o.t.Helper()
	h := http.Header{"X-Csrf": {"1"}}
	for i := 0; i+1 < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	p, err := b.Fetch(browser.At(webOrigin+"/"), browser.Request{Method: method, URL: webOrigin + path, Header: h})
	if err != nil {
		o.t.Fatal(err)
	}
	return p.Status
}

// until waits until something holds.
func (o *observed) until(what string, holds func() bool) {
	o.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			o.t.Fatalf("still not so: %s\n%s", what, o.log)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// scrape reads the metrics and keeps the largest value of each series.
func (o *observed) scrape() {
	o.t.Helper()
	resp, err := http.Get("http://" + o.ops + "/metrics")
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	o.scan.Observe("metrics", "text", text)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		o.t.Fatal(err)
	}
	for name, f := range families {
		if !strings.HasPrefix(name, "bff_") {
			continue
		}
		o.kinds[name] = f.GetType()
		if o.families[name] == nil {
			o.families[name] = make(map[string]*dto.Metric)
		}
		for _, m := range f.Metric {
			if old := o.families[name][labelsOf(m)]; old == nil || valueOf(m) > valueOf(old) {
				o.families[name][labelsOf(m)] = m
			}
		}
	}
}

// labelsOf writes a series' labels as PromQL does.
func labelsOf(m *dto.Metric) string {
	var all []string
	for _, l := range m.Label {
		all = append(all, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	return strings.Join(all, ",")
}

// valueOf is a series' value, of a histogram its count.
func valueOf(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
}

// now is the value of a series at this moment.
func (o *observed) now(name, labels string) float64 {
	o.t.Helper()
	delete(o.families, name)
	o.scrape()
	if m := o.families[name][labels]; m != nil {
		return valueOf(m)
	}
	return 0
}

// secrets tells the scanner everything that nobody is to see.
func (o *observed) secrets() {
	for _, s := range o.issuer.Issued() {
		o.scan.Secret(string(s.Kind), s.Value)
	}
	for _, app := range []string{"web", "phone"} {
		o.scan.Secret("client secret", "secret-of-"+app+"-at-the-provider")
	}
	o.scan.Secret("verifier", verifier)
	o.scan.Secret("e-mail", "ada@example.com")
}

// entry is a line of the log.
type entry struct {
	Msg, Event, Kind, Name, Route, Outcome, Means, What, Level, Error string
	TraceID                                                           string `json:"trace_id"`
	RequestID                                                         string `json:"request_id"`
	Later                                                             bool
}

func (o *observed) entries(holds func(entry) bool) (found []entry) {
	for line := range strings.Lines(o.log.String()) {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && holds(e) {
			found = append(found, e)
		}
	}
	return found
}

// refused is a fault of one answer to a refresh.
func refused(status int, word string) provider.Fault {
	return provider.Fault{
		Match:  func(_ *http.Request, form url.Values) bool { return form.Get("grant_type") == "refresh_token" },
		Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: fmt.Sprintf(`{"error":%q}`, word),
	}
}
