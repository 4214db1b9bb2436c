package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff/proxy"
)

// withTrailers is a route that takes trailers.
func withTrailers(r *proxy.Route) { r.Trailers = true }

// refusedTrailers would act as header fields in a library that puts both together (RFC 9110 section 6.5.1).
var refusedTrailers = []string{
	"Set-Cookie", "Content-Type", "Content-Encoding", "Content-Range", "Content-Security-Policy", "Cache-Control", "Location",
	"Authorization", "Www-Authenticate", "Proxy-Authenticate", "Dpop-Nonce", "Host", "Te", "Connection", "Keep-Alive", "Upgrade",
	"Access-Control-Allow-Origin", "Clear-Site-Data", "Strict-Transport-Security", "Alt-Svc", "Refresh", "Retry-After", "Vary",
	"Age", "Expires", "Date", "Link", "Via", "Server", "X-Request-Id", "X-Accel-Redirect", "If-Match", "Sec-Fetch-Site", "Cookie",
	"X-Named-Away", "X-Content-Type-Options", "X-Set-By-Gateway",
}

// trailed is an API that ends its answer with trailers, announced and not.
func trailed(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Trailer", "Grpc-Status")
	h.Set("Connection", "X-Named-Away")
	_, _ = io.WriteString(w, "ok")
	h.Set("Grpc-Status", "0")
	h.Set(http.TrailerPrefix+"Grpc-Message", "fine")
	for _, name := range refusedTrailers {
		h.Set(http.TrailerPrefix+name, "evil")
	}
}

func TestTrailers(t *testing.T) {
	// shows PRX-SMUG, PRX-RESP, PRX-HOP
	a := newAPI(t, trailed)
	routes := []proxy.Route{
		route(a, "/plain/"), route(a, "/calls/", withTrailers),
		route(a, "/pages/", withTrailers, func(r *proxy.Route) { r.Kind = proxy.KindSite }),
	}
	all := http.Header{"Grpc-Status": {"0"}, "Grpc-Message": {"fine"}}
	for _, c := range []struct {
		with, path, te string
		want           http.Header
		announced      string
	}{
		{"TE on a route that takes them", "/calls/x", "trailers", all, "Grpc-Status"},
		{"TE among others", "/calls/x", "gzip;q=0.5, Trailers", all, "Grpc-Status"},
		{"TE at a site that takes them", "/pages/x", "trailers", all, "Grpc-Status"},
		{"no TE on a route that takes them", "/calls/x", "", nil, ""},
		{"another TE", "/calls/x", "gzip", nil, ""},
		{"TE on a route that takes none", "/plain/x", "trailers", nil, ""},
	} {
		for _, http2 := range []bool{false, true} {
			g := newGateway(t, setting{http2: http2}, routes...)
			inner := g.Config.Handler
			g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Set-By-Gateway", "good")
				inner.ServeHTTP(w, r)
			})
			req, err := http.NewRequest("GET", g.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.te != "" && (!http2 || c.te == "trailers") { // RFC 9113 section 8.2.2: nothing else there
				req.Header.Set("Te", c.te)
			}
			if http2 && c.te != "" && c.te != "trailers" {
				continue
			}
			res, err := g.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || string(body) != "ok" || res.StatusCode != 200 {
				t.Fatalf("%d %q, %v", res.StatusCode, body, err)
			}
			if diff := cmp.Diff(c.want, res.Trailer); diff != "" && len(c.want)+len(res.Trailer) > 0 {
				t.Errorf("a request with %s, HTTP/2 %v: trailers (-want +got):\n%s", c.with, http2, diff)
			}
			if got := res.Header.Get("X-Set-By-Gateway"); got != "good" {
				t.Errorf("a request with %s: a trailer reached the header: %q", c.with, got)
			}
		}
		g := newGateway(t, setting{}, routes...)
		te := ""
		if c.te != "" {
			te = "TE: " + c.te + "\r\nConnection: TE\r\n"
		}
		head, _, _ := strings.Cut(g.raw(t, "GET "+c.path+" HTTP/1.1\r\nHost: x\r\n"+te+"Connection: close\r\n\r\n"), "\r\n\r\n")
		if got := strings.Contains(head, "\r\nTrailer: "); got != (c.announced != "") || got && !strings.Contains(head, "\r\nTrailer: "+c.announced+"\r\n") {
			t.Errorf("a request with %s is announced:\n%s", c.with, head)
		}
	}
	for _, got := range a.requests() {
		asked := !strings.HasPrefix(got.Target, "/plain/") && got.Header.Get("Te") == "trailers"
		if te := got.Header.Get("Te"); te != "" && !asked {
			t.Errorf("the API of %s got TE: %s", got.Target, te)
		}
	}
}

// An API hears of TE where it may send trailers, and of the connection option that belongs to it.
func TestAPIHearsOfTE(t *testing.T) {
	// shows PRX-HOP
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/plain/"), route(a, "/calls/", withTrailers))
	for _, c := range []struct{ path, te, want string }{
		{"/plain/x", "trailers", ""},
		{"/calls/x", "trailers", "trailers"},
		{"/calls/x", "gzip, trailers", "trailers"},
		{"/calls/x", "gzip", ""},
		{"/calls/x", "", ""},
	} {
		fields := http.Header{}
		if c.te != "" {
			fields.Set("Te", c.te)
		}
		g.do(t, "GET", c.path, fields, nil)
		got := a.requests()[len(a.requests())-1].Header
		connection := ""
		if c.want != "" {
			connection = "TE" // RFC 9110 section 10.1.4
		}
		if got.Get("Te") != c.want || got.Get("Connection") != connection {
			t.Errorf("TE %q at %s: the API got TE %q and Connection %q", c.te, c.path, got["Te"], got["Connection"])
		}
	}
}

// A request's trailers never reach an API, whatever the route takes of answers.
func TestTrailersOfARequest(t *testing.T) {
	// shows PRX-SMUG
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/calls/", withTrailers))
	g.raw(t, "POST /calls/x HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-User\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"2\r\nok\r\n0\r\nX-User: mallory\r\nX-Forwarded-User: mallory\r\n\r\n")
	got := a.only(t)
	if got.Body != "ok" || len(got.Trailer) > 0 || got.Header["Trailer"] != nil || got.Header["X-User"] != nil {
		t.Errorf("the API got %+v", got)
	}
}

// A call that streams both ways over HTTP/2 may be silent once its answer has begun. Before that, and on routes without
// trailers, a body that pauses is a stalled upload.
func TestCallsThatStreamBothWaysMayBeSilent(t *testing.T) {
	// shows PRX-LIVE, PRX-LIMIT
	const stall = 200 * time.Millisecond
	a := upstream(t, echo)
	for path, want := range map[string]string{"/calls/x": "one.two.", "/plain/x": "one."} {
		g := newGateway(t, setting{http2: true, options: proxy.Options{BodyStall: stall}}, route(a, "/plain/"), route(a, "/calls/", withTrailers))
		in, out := io.Pipe()
		req, err := http.NewRequest("POST", g.URL+path, in)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Te", "trailers")
		res, err := g.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(out, "one.")
		got := make([]byte, 4)
		if _, err := io.ReadFull(res.Body, got); err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * stall) // it is the pause that is shown
		_, _ = io.WriteString(out, "two.")
		_ = out.Close()
		rest, err := io.ReadAll(res.Body)
		if all := string(got) + string(rest); all != want || (err == nil) != (want == "one.two.") {
			t.Errorf("%s: %q, %v", path, all, err)
		}
		_ = res.Body.Close()
	}
}
