package static

import (
	"context"
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
	origin    string
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
	return &devServer{
		target: &url.URL{Scheme: target.Scheme, Host: target.Host}, origin: o.Origin, protected: o.Protected,
		reserved: o.ReservedCookie, log: o.Log,
		// No proxy of the environment, and no compression of ours: bodies pass as they are.
		transport: &http.Transport{DialContext: dialLoopback, DisableCompression: true, MaxIdleConnsPerHost: 64}, // a page loads hundreds of modules
	}, nil
}

// serve passes one request on, and its answer back as it comes.
func (d *devServer) serve(w http.ResponseWriter, r *http.Request) error {
	if isWebSocket(r) && surface.Field(r, "Origin") != d.origin {
		// RFC 6455 section 10.2: any site's page may open a socket to here, and would read the app's source by it.
		return &bff.Error{Code: bff.CodeCSRFFailed, Message: "This WebSocket does not come from the app itself."}
	}
	var failure error
	forward := httputil.ReverseProxy{
		Rewrite: d.rewrite, Transport: d.transport, ModifyResponse: d.clean, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
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
	p.SetURL(d.target)                     // and with it the Host that the server expects: others it refuses
	p.Out.URL.RawQuery = p.In.URL.RawQuery // unchanged: "?import&t=1" means something there
	p.SetXForwarded()
	h := p.Out.Header
	h.Del("Authorization") // it is the gateway's, if anybody's
	h.Del("Proxy-Authorization")
	d.dropCookies(h)
	if !isWebSocket(p.In) { // RFC 9110 section 7.8: every other upgrade is an offer that may be passed over
		h.Del("Connection")
		h.Del("Upgrade")
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
	if d.protected {
		// Whatever the server says of the files of its dependencies.
		h.Set("Cache-Control", rules{protected: true}.caching("", h.Get("Content-Type")))
		h.Add("Vary", "Cookie")
	}
	return nil
}

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
