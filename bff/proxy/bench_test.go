package proxy_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/dpop"
)

// BenchmarkForward compares Forward, for a signed-in user, with a bare ReverseProxy of the same transport settings: both
// in front of the same API, over sockets. The ratio of the two is the cost of what this package adds. A call with a token that
// is bound to a key costs a proof besides.
func BenchmarkForward(b *testing.B) {
	body := strings.Repeat("x", 1000) // an API's usual answer
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	defer a.Close()
	target, err := url.Parse(a.URL)
	if err != nil {
		b.Fatal(err)
	}
	bare := &httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target); pr.SetXForwarded() },
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	table, err := proxy.NewTable([]proxy.Route{
		{Path: "/api/", Methods: []string{"GET"}, Upstream: a.URL},
		{Path: "/other/", Methods: []string{"GET"}, Upstream: a.URL},
	}, proxy.Options{Prove: made})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("bare", func(b *testing.B) { benchmark(b, bare) })
	b.Run("forward", func(b *testing.B) { benchmark(b, forwarding(b, table, signedIn())) })
	b.Run("bound", func(b *testing.B) { benchmark(b, forwarding(b, table, boundCall())) })
}

// made makes a key and a proof as the gateway does, for each call.
func made(_ *bff.App, t bff.TokenSet, method, address, nonce string) (string, error) {
	k, err := dpop.NewKey([]byte(strings.Repeat("k", dpop.KeyBytes)))
	if err != nil {
		return "", err
	}
	return k.Proof(dpop.Request{Method: method, URL: address, Handle: t.Access.Reveal(), Now: time.Now()}, nonce)
}

// forwarding takes the journey that the package comment tells, with the same call for each request.
func forwarding(b *testing.B, table *proxy.Table, call proxy.Call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.CloseAfter(w, r)
		err := proxy.CheckFraming(r)
		if err != nil {
			b.Error(err)
			return
		}
		path, err := proxy.CleanPath(r.URL.EscapedPath())
		if err != nil {
			b.Error(err)
			return
		}
		m, err := table.Match(r.Method, path, "web")
		if err != nil {
			b.Error(err)
			return
		}
		if err := table.Forward(w, r, m, call); err != nil {
			b.Error(err)
		}
	})
}

func benchmark(b *testing.B, h http.Handler) {
	g := httptest.NewServer(h)
	defer g.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequest("GET", g.URL+"/api/orders/7?expand=lines", nil)
		if err != nil {
			b.Fatal(err)
		}
		for k, v := range browserFields {
			req.Header[k] = v
		}
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != 1000 || err != nil || res.StatusCode != 200 {
			b.Fatalf("got %d, %d bytes, %v", res.StatusCode, n, err)
		}
		_ = res.Body.Close()
	}
}

// browserFields are what a browser sends with a fetch.
var browserFields = http.Header{
	"Accept": {"*/*"}, "Accept-Encoding": {"gzip, deflate, br, zstd"}, "Accept-Language": {"en-GB,en;q=0.9"},
	"Cookie":             {"__Host-Http-web=Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmE"},
	"Referer":            {"https://app.example.com/orders"},
	"Sec-Ch-Ua":          {`"Chromium";v="156", "Not.A/Brand";v="24"`},
	"Sec-Ch-Ua-Mobile":   {"?0"},
	"Sec-Ch-Ua-Platform": {`"Linux"`},
	"Sec-Fetch-Dest":     {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"},
	"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"},
	"X-Csrf":     {"1"},
}
