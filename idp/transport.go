package idp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// bodyCap is more than any metadata, key set or token answer needs.
const bodyCap = 1 << 20

// ErrTooLarge says that an answer was larger than any honest one.
var ErrTooLarge = errors.New("answer is too large")

// ErrEndpoint says that an endpoint's URL may not be used: not https, or not a plain absolute URL.
var ErrEndpoint = errors.New("endpoint may not be used")

func transport(set Settings) *http.Transport {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         set.DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: set.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: set.HTTPTimeout,
		DisableCompression:  true, // a small answer that unpacks to a large one is not wanted
		IdleConnTimeout:     30 * time.Second,

		MaxResponseHeaderBytes: 64 << 10, // of the final answer and all that came before it (103, 100)
	}
	if t.DialContext == nil {
		t.DialContext = (&net.Dialer{Timeout: set.HTTPTimeout}).DialContext
	}
	return t
}

// endpointKey is where the context of a call names the endpoint.
type endpointKey struct{}

// asking returns the context of a call to an endpoint.
func asking(ctx context.Context, endpoint string) context.Context {
	return context.WithValue(ctx, endpointKey{}, endpoint)
}

// EndpointOf names the endpoint that a call seen by Settings.Through asks, by the context of its request: metadata, keys,
// token, userinfo, revocation or session_api. Its URL may hold what nobody should read, and differs from provider to provider.
func EndpointOf(ctx context.Context) string {
	name, _ := ctx.Value(endpointKey{}).(string)
	return name
}

// through has every call pass what the settings put around the transport.
func (set Settings) through(t *http.Transport) http.RoundTripper {
	if set.Through == nil {
		return t
	}
	return set.Through(t)
}

func plainClient(set Settings) *http.Client {
	return &http.Client{Transport: set.through(transport(set)), CheckRedirect: noRedirect}
}

// grantClient makes the client for the token endpoint. HTTP/1.1 only, so that "nothing was written yet" is a fact
// about one connection; idle connections live shortly, as one that the provider has closed meanwhile turns a refresh into
// an unknown one.
func grantClient(set Settings) *http.Client {
	t := transport(set)
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.IdleConnTimeout = 5 * time.Second // well below what servers keep theirs
	t.MaxIdleConnsPerHost = 16          // the default of 2 makes a handshake of nearly every refresh under load
	return &http.Client{Transport: set.through(t), CheckRedirect: noRedirect}
}

// noRedirect makes a redirect an answer like any other: a code, a secret or a token must not follow one to another place
// (RFC 9700 section 4.12).
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// media returns the media type in lower case, without parameters.
func (a *answer) media() string {
	m, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return m
}

// isJSON reports whether the answer says that it is JSON.
func (a *answer) isJSON() bool {
	m := a.media()
	return m == "application/json" || strings.HasSuffix(m, "+json")
}

// send sends a request and reads the answer. Errors carry no URL: it might hold what nobody should read.
func send(c *http.Client, req *http.Request) (*answer, error) {
	resp, err := c.Do(req)
	if err != nil {
		return nil, bare(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// What net/http gives as its body is the bare connection, whose reading no context ends: it would hold a place for ever.
		return &answer{status: resp.StatusCode, header: resp.Header}, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyCap+1))
	if err != nil {
		return nil, fmt.Errorf("reading an answer with status %d: %w", resp.StatusCode, bare(err))
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body}
	if len(body) > bodyCap {
		return a, ErrTooLarge
	}
	return a, nil
}

// bare takes the URL off an error of net/http.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// get fetches a document that must be there, as JSON.
func (is *Issuer) get(ctx context.Context, rawURL string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, is.set.HTTPTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, ErrEndpoint
	}
	req.Header.Set("Accept", "application/json")
	a, err := send(is.plain, req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("answer with status %d", a.status)
	}
	return a.body, nil
}

// checkEndpoint reports whether a URL may be asked: absolute, https, without user, password or fragment. Plain http is
// good for loopback names only, unless the settings say otherwise.
func (is *Issuer) checkEndpoint(name, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "":
		return fmt.Errorf("%w: %s is no plain absolute URL", ErrEndpoint, name)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (is.set.InsecureHTTP || loopback(u.Hostname())):
		return nil
	default:
		return fmt.Errorf("%w: %s is not https", ErrEndpoint, name)
	}
}

// loopback reports whether a host name can only mean this machine (RFC 6761 section 6.3 for localhost).
func loopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
