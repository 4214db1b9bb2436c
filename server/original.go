package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// dialect is how another proxy asks.
type dialect int

// The dialects, by the path that is asked for. The words in each are the proxy's own.
const (
	dialectNginx   dialect = iota + 1 // /nginx     X-Original-Method; X-Original-URL, or X-Original-URI, Host and X-Forwarded-Proto
	dialectTraefik                    // /traefik   X-Forwarded-Method, -Proto, -Host, -Uri
	dialectEnvoy                      // /envoy/…   the request's own method, host, and path behind the prefix; X-Forwarded-Proto
)

// prefixEnvoy is Envoy's path_prefix.
const prefixEnvoy = "/envoy"

// asked is one question: the request that another proxy is about to forward, and where the answer is made.
type asked struct {
	request *http.Request
	verdict *verdict
}

// target is what the original request asks for, as the asking proxy tells it.
type target struct{ method, scheme, host, uri string }

// errDialect says that a question is in no dialect.
var errDialect = errors.New("the path is none of /nginx, /traefik and /envoy/")

// originalOf reads the original request. An error is about the asking proxy's configuration, or about a request that it should
// have refused itself: nothing that is missing is filled in.
func (s *Server) originalOf(r *http.Request) (*asked, error) {
	if r.ContentLength != 0 {
		return nil, errors.New("the question has a body; the original request's is not to be sent along")
	}
	speaks, to, err := readTarget(r)
	if err != nil {
		return nil, err
	}
	hops, err := once(r.Header, "X-Forwarded-For") // without it every frontend would have one and the same rate limit
	if err != nil {
		return nil, err
	}
	from, err := s.frontendOf(hops)
	if err != nil {
		return nil, err
	}
	if to.scheme != "http" && to.scheme != "https" {
		return nil, errors.New("the original request's scheme is neither http nor https")
	}
	at, fault := addressOf(to.uri)
	v := &verdict{speaks: speaks, scheme: to.scheme, fault: fault}
	ctx := context.WithValue(r.Context(), verdictKey{}, v)
	original := (&http.Request{
		Method: to.method, URL: at, Host: to.host, RequestURI: to.uri, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: originalHeader(r.Header), Body: http.NoBody, RemoteAddr: from,
	}).WithContext(ctx)
	return &asked{original, v}, nil
}

// readTarget reads what is asked for in the dialect of the path.
func readTarget(r *http.Request) (d dialect, to target, err error) {
	switch {
	case r.RequestURI == "/nginx":
		to, err = nginxTarget(r)
		return dialectNginx, to, err
	case r.RequestURI == "/traefik":
		// Of a WebSocket's handshake Traefik says ws or wss, which are http and https (RFC 6455 section 3).
		to.method, to.scheme, to.host, to.uri, err = four(r.Header, "X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host",
			"X-Forwarded-Uri")
		to.scheme = strings.Replace(to.scheme, "ws", "http", 1)
		return dialectTraefik, to, err
	case strings.HasPrefix(r.RequestURI, prefixEnvoy+"/"):
		to.scheme, err = once(r.Header, "X-Forwarded-Proto")
		to.method, to.host, to.uri = r.Method, r.Host, strings.TrimPrefix(r.RequestURI, prefixEnvoy)
		return dialectEnvoy, to, err
	default:
		return 0, target{}, errDialect
	}
}

// nginxTarget reads X-Original-URL, or X-Original-URI with Host and X-Forwarded-Proto: never both, for nobody knows which of
// them would be believed elsewhere.
func nginxTarget(r *http.Request) (to target, err error) {
	if to.method, err = once(r.Header, "X-Original-Method"); err != nil {
		return to, err
	}
	if len(r.Header.Values("X-Original-Url")) == 0 {
		to.host = r.Host
		if to.scheme, err = once(r.Header, "X-Forwarded-Proto"); err == nil {
			to.uri, err = once(r.Header, "X-Original-Uri")
		}
		return to, err
	}
	whole, err := once(r.Header, "X-Original-Url")
	if err == nil && len(r.Header.Values("X-Original-Uri")) > 0 {
		err = errors.New("both X-Original-URL and X-Original-URI")
	}
	scheme, rest, _ := strings.Cut(whole, "://")
	i := strings.IndexByte(rest, '/')
	if i < 1 {
		return to, errors.Join(err, errors.New("X-Original-URL is no address with a path"))
	}
	to.scheme, to.host, to.uri = scheme, rest[:i], rest[i:]
	return to, err
}

// four reads fields that stand once each.
func four(h http.Header, names ...string) (a, b, c, d string, err error) {
	var values [4]string
	for i, name := range names {
		value, wrong := once(h, name)
		values[i], err = value, errors.Join(err, wrong)
	}
	return values[0], values[1], values[2], values[3], err
}

// once reads a field that stands once and is not empty.
func once(h http.Header, name string) (string, error) {
	if values := h.Values(name); len(values) == 1 && values[0] != "" {
		return values[0], nil
	}
	return "", errors.New(name + " is missing, empty or there twice")
}

// addressOf reads the target of a request as it came over the wire. The path is judged before anybody decodes it, so that what
// was judged is, byte for byte, what the other proxy forwards; and a fragment, which net/url would put aside, has no place in
// a target (RFC 9112 section 3.2).
func addressOf(uri string) (*url.URL, error) {
	path, query, _ := strings.Cut(uri, "?")
	nowhere := &url.URL{Path: "/"}
	clean, err := proxy.CleanPath(path)
	if err != nil {
		return nowhere, err
	}
	for i := range len(query) {
		if query[i] <= ' ' || query[i] > '~' || query[i] == '#' {
			return nowhere, &bff.Error{
				Code: bff.CodeBadRequest, Message: "The address is malformed.",
				Err: errors.New("character in query that needs an escape"),
			}
		}
	}
	plain, err := url.PathUnescape(clean)
	if err != nil {
		return nowhere, err
	}
	return &url.URL{Path: plain, RawPath: clean, RawQuery: query}, nil
}

// originalHeader is the header of the original request: without the credential, and what the asking proxy told of it.
func originalHeader(asked http.Header) http.Header {
	h := asked.Clone()
	for name := range h {
		if strings.HasPrefix(name, "X-Original-") || strings.HasPrefix(name, "X-Forwarded-") {
			delete(h, name)
		}
	}
	for _, name := range []string{fieldCredential, "Connection", "Upgrade", "Content-Length", "Te", "Trailer"} {
		delete(h, name)
	}
	// RFC 6455 section 4.1: every handshake has a key, and no page can set one (a forbidden name of Fetch, section 2.2.2). What
	// makes it one is hop by hop (RFC 9110 section 7.6.1), and does not come here.
	if len(h["Sec-Websocket-Key"]) > 0 {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	}
	return h
}
