package static

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

// devServer passes requests on to a development server on this machine. Its documents keep their own policy, for such
// servers put inline scripts into them; what passes is only kept from touching the gateway's credentials.
type devServer struct {
	target    *url.URL
	app       *url.URL // the app's origin
	origin    string   // the same, as it was given
	asApp     bool     // asked by the app's name in place of its own
	protected bool
	reserved  func(name string) bool
	log       *slog.Logger
	transport *http.Transport
}

func newDevServer(o Options) (*devServer, error) {
	target, err := url.Parse(o.URL)
	switch {
	case err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Host == "":
		return nil, fmt.Errorf("development server %s: no address like http://127.0.0.1:5173", o.URL)
	case !isLoopback(target.Hostname()):
		// Another machine would see every request of the app's users, over plain http.
		return nil, fmt.Errorf("development server %s: not on loopback", o.URL)
	case o.Origin == "" || o.ReservedCookie == nil:
		return nil, errors.New("development server: want the app's origin and the names of the gateway's cookies")
	}
	app, err := url.Parse(o.Origin)
	if err != nil {
		return nil, fmt.Errorf("development server: the app's origin: %w", err)
	}
	return &devServer{
		target: &url.URL{Scheme: target.Scheme, Host: target.Host}, app: app, origin: o.Origin, asApp: mayStandForApp(target, app),
		protected: o.Protected, reserved: o.ReservedCookie, log: o.Log,
		// No proxy of the environment, and no compression of ours: bodies pass as they are.
		transport: &http.Transport{
			DialContext: dialLoopback, DisableCompression: true, MaxIdleConnsPerHost: 64, // a page loads hundreds of modules
			// Whatever certificate it made for itself: the address is on loopback, where plain http is taken as well, and no
			// credential of the gateway's goes there either way.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
	}, nil
}

// mayStandForApp reports whether a server may be asked by the app's name. Then the addresses that it makes of the name are the
// app's, and a form's Origin is its own. It is so where the app's name is one of this machine: development servers take
// those, and refuse all others, for any site may have its name resolve to here. A server that is looked for by a name of
// its own may be one of several at its port, told apart by that name.
func mayStandForApp(target, app *url.URL) bool {
	return app.Scheme == target.Scheme && isLoopback(app.Hostname()) && !strings.HasSuffix(target.Hostname(), ".localhost")
}

// serve passes one request on, and its answer back as it comes.
func (d *devServer) serve(w http.ResponseWriter, r *http.Request) error {
	if isWebSocket(r) && surface.Field(r, "Origin") != d.origin {
		// RFC 6455 section 10.2: any site's page may open a socket to here, and would read the app's source by it.
		return &bff.Error{Code: bff.CodeCSRFFailed, Message: "This WebSocket does not come from the app itself."}
	}
	var failure error
	forward := httputil.ReverseProxy{
		Rewrite: d.rewrite, Transport: finalOnly{d.transport}, ModifyResponse: d.clean,
		ErrorLog:      slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		FlushInterval: -1, // at once: event streams, and builds that answer in pieces
		ErrorHandler:  func(_ http.ResponseWriter, _ *http.Request, err error) { failure = err },
	}
	forward.ServeHTTP(w, r)
	switch {
	case failure == nil:
		return nil
	case r.Context().Err() != nil:
		return &bff.Error{Code: bff.CodeClientGone, Message: "The connection was closed.", Err: failure}
	default:
		return d.silent(failure)
	}
}

// silent tells that the server does not answer: in development, the reader is who can start it.
func (d *devServer) silent(err error) error {
	question := "Is the development server running at " + d.target.String() + "?"
	return &surface.Offer{Err: &bff.Error{Code: bff.CodeUpstreamUnavailable, Message: question, Err: err}, Text: question}
}

// rewrite makes the request that the server gets. ReverseProxy has dropped the hop-by-hop fields and the forwarding
// fields that came.
func (d *devServer) rewrite(p *httputil.ProxyRequest) {
	p.SetURL(d.target)
	p.Out.URL.RawQuery = p.In.URL.RawQuery // unchanged: "?import&t=1" means something there
	d.introduce(p)
	h := p.Out.Header
	h.Del("Authorization") // it is the gateway's, if anybody's
	h.Del("Proxy-Authorization")
	d.dropCookies(h)
	if !isWebSocket(p.In) { // RFC 9110 section 7.8: every other upgrade is an offer that may be passed over
		h.Del("Connection")
		h.Del("Upgrade")
	}
}

// introduce says by what name the server is asked, and who asks. Name, forwarding fields and Origin always fit together: what
// protects forms in the frameworks compares one of the first two with the last.
func (d *devServer) introduce(p *httputil.ProxyRequest) {
	p.SetXForwarded()
	h := p.Out.Header
	if d.asApp {
		p.Out.Host = d.app.Host
		h.Set("X-Forwarded-Host", d.app.Host)
		h.Set("X-Forwarded-Proto", d.app.Scheme) // TLS may end before the gateway
		return
	}
	// By its own name, as a browser on this machine asks it. Its pages are the app's, so the app's origin is its own here:
	// any other stays what it is, and is refused by whoever refuses such.
	h.Del("X-Forwarded-Host")
	h.Del("X-Forwarded-Proto")
	if surface.Field(p.In, "Origin") == d.origin {
		h.Set("Origin", d.target.String())
	}
}

// dropCookies takes the gateway's cookies out of a request, and leaves the others as they are.
func (d *devServer) dropCookies(h http.Header) {
	var kept []string
	for _, line := range h["Cookie"] {
		for piece := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(piece, "=")
			if piece = textproto.TrimString(piece); piece != "" && !d.reserved(textproto.TrimString(name)) {
				kept = append(kept, piece)
			}
		}
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// clean keeps the server's answer off the gateway's credentials.
func (d *devServer) clean(res *http.Response) error {
	h := res.Header
	h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], func(line string) bool {
		pair, _, _ := strings.Cut(line, ";")
		name, _, named := strings.Cut(pair, "=")
		name = textproto.TrimString(name)
		// Without a name the value is sent as if it were one (RFC 6265bis section 5.8.3): "=__Host-Http-web=evil".
		return !named || name == "" || d.reserved(name)
	})
	for _, name := range []string{
		"Authorization", "Www-Authenticate", // neither is the server's to ask for
		"Clear-Site-Data",           // it would sign the user out
		"Strict-Transport-Security", // it would hold for everything else on this host
	} {
		h.Del(name)
	}
	if location := h.Get("Location"); location != "" {
		h.Set("Location", d.home(location))
	}
	if d.protected {
		// Whatever the server says of the files of its dependencies.
		h.Set("Cache-Control", rules{protected: true}.caching("", h.Get("Content-Type")))
		h.Add("Vary", "Cookie")
	}
	return nil
}

// home returns where a redirect leads: an address of the server's own is the app's. Whoever followed it as it came would
// leave the gateway behind, and the session with it.
func (d *devServer) home(location string) string {
	u, err := url.Parse(location)
	if err != nil || !isLoopback(u.Hostname()) || u.Port() != d.target.Port() {
		return location // relative, or somebody else's
	}
	u.Scheme, u.Host = d.app.Scheme, d.app.Host
	return u.String()
}

// finalOnly gives the final answer alone. Interim ones, 103 Early Hints above all, stay here as they do on routes: written
// to a writer that counts its answer as begun, they would be the only status there is.
type finalOnly struct{ transport *http.Transport }

// RoundTrip sends a request whose context has no hooks: net/http then passes over interim answers by itself.
func (f finalOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	return f.transport.RoundTrip(r.WithContext(hookless{r.Context()}))
}

// hookless is a context that ends as its parent does, and holds nothing.
type hookless struct{ context.Context }

// Value returns nil.
func (hookless) Value(any) any { return nil }

// isWebSocket reports whether a request is a WebSocket handshake (RFC 6455 section 4.1).
func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(surface.Field(r, "Upgrade"), "websocket")
}

func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") // RFC 6761 section 6.3
}

// dialLoopback connects to an address of this machine, and where nothing listens there, to its twin: a server told to
// listen on "localhost" listens on one of 127.0.0.1 and ::1, and which of them differs from machine to machine.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 2 * time.Second} // it is on this machine
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(host, ".localhost") {
		host = "localhost" // whatever a resolver makes of the name
	}
	conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
	if twin, ok := map[string]string{"127.0.0.1": "::1", "::1": "127.0.0.1"}[host]; err != nil && ok {
		if conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(twin, port)); err == nil {
			return conn, nil
		}
	}
	return conn, err
}
