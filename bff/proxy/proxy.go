// Package proxy forwards requests to the APIs behind the gateway. It knows routes, path rules, header rules, targets and
// streaming. It does not know how a credential arrives, how a session is kept, or how an error is written: the caller
// brings a judged session and good tokens, and gets a *bff.Error back for as long as nothing was written.
//
// The journey of a request:
//
//	CheckFraming, CloseAfter   what net/http lets through although it is ambiguous
//	CleanPath                  one path, decoded once, for matching and for forwarding
//	Table.Match                longest path first; app, method, static-looking suffix
//	Table.Forward              what the route requires, the target, then httputil.ReverseProxy:
//	    request.go, identity.go    inbound credentials, forwarding and identity fields out; ours in
//	    template.go                routes with the app's own token: words of the path, parameters, that token
//	    retry.go, prove.go         an API's 401: one renewal, one replay; proofs of tokens that are bound to a key
//	    challenge.go, stepup.go    what a 401 asks for; a sign-in that is too old or too weak, for the API or the route
//	    response.go, location.go   what would act on the gateway's origin out; no-store, nosniff, sandbox in
//	    site.go                    the same for a server-rendered app, whose own cookies and policies pass
//	    body.go, trailer.go        both bodies streamed, counted and let go of; what may follow an answer
//	    limit.go                   how large a header may be, how many requests may be under way
//	    websocket.go, tunnel.go    a handshake judged on both legs; frames both ways until an end is reached
//
// For a route that another proxy forwards, Table.Authorize judges in the same way and returns what that is to send on.
//
// What is refused is refused before the API hears of it. A token goes to its route's own upstream and nowhere else:
// redirects are never followed, and proxies of the environment are not asked.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy/upstream"
)

// DefaultPseudonym is the name in Via when Options give none. Gateways in a row need different ones.
const DefaultPseudonym = "cloakroom"

// Options are what all routes of a table share.
type Options struct {
	// ReservedCookies reports whether a name is one of the gateway's own cookies: those pass in neither direction,
	// whatever a route lists. nil reserves every name with the prefixes __Host- and __Secure- and __Http-.
	ReservedCookies func(name string) bool
	// Pseudonym names this gateway in Via (RFC 9110 section 7.6.3), a token. "" is DefaultPseudonym.
	Pseudonym string
	// OrgClaims are the claims that {org} stands for, the first non-empty one. nil is org_id, then oid.
	OrgClaims []string
	// DialContext replaces the dialer, and with it what it bounds; nil is net.Dialer.
	DialContext DialFunc
	// Upstreams say how the origins of routes are reached; one that is not among them has the defaults, and one target. Their
	// Dial and Told are not looked at.
	Upstreams []upstream.Settings
	// UpstreamTold is told of targets that come and go, and of what is sent once more; zero: nobody is.
	UpstreamTold upstream.Told
	// Through stands around the transport of a route's calls, for metrics and traces; nil: nothing does.
	Through func(route string, next http.RoundTripper) http.RoundTripper
	// Opened is told of each WebSocket that opens, and returns what is told which End closed it; nil: nobody is.
	Opened func(route string) (closed func(by string))
	// BodyStall is how long a request's body may pause, and how long an upstream may take nothing of what a WebSocket sends
	// it. 0 is half a minute.
	BodyStall time.Duration
	// Now is the clock that ages of sign-ins are judged by; nil: the system's.
	Now func() time.Time
	// Prove makes the proof for one call with tokens that are bound to a key (RFC 9449): t is what Call.Tokens, Renew or Own
	// gave, address the API's own, nonce what that API gave last. The error is handed on as it is. nil: no tokens are bound, and
	// one that is fails the call.
	Prove func(app *bff.App, t bff.TokenSet, method, address, nonce string) (string, error)
	// Log gets what goes wrong once an answer is on its way. nil: nowhere.
	Log *slog.Logger
}

// Call is what the caller knows of one request.
type Call struct {
	App     *bff.App
	Session *bff.Session // nil: anonymous
	// Bare says that the request did not show that it comes from the app's own pages: on a route of KindSite no cookie
	// passes then, in either direction, for the site would take it for its user's.
	Bare   bool
	Tokens bff.TokenSet // good ones, for routes that take a token
	// Renew refreshes after the API refused the access token; nil: never. The error is handed on as it is.
	Renew func(context.Context) (bff.TokenSet, error)
	// Own gets the app's own token, for routes with TokenClient; refused is one that the API refused, zero at first. The error
	// is handed on as it is. Tokens and Renew are not looked at there.
	Own func(ctx context.Context, refused bff.Secret) (bff.TokenSet, error)
	// Exchange gets what Tokens are exchanged for, for routes with TokenExchange, in the same way; Renew is not looked at there.
	// It is called once everything else about the request is known to be right.
	Exchange func(ctx context.Context, refused bff.Secret) (bff.TokenSet, error)

	// Active is told, often, that the user sent something over a WebSocket; nil: nobody is.
	Active func()

	ClientIP string // of the frontend, by trusted hops only; "" sends none
	Scheme   string // of the frontend's request: http or https
	Host     string // of the frontend's request

	RequestID string
}

// Table is all routes, ready to forward. Use it from as many goroutines as you like.
type Table struct {
	routes    []*compiled // longest path first
	dropped   droppedFields
	buffers   *buffers // for ReverseProxy
	hauls     *buffers // for long answers
	reserved  func(string) bool
	pseudonym string
	hop       string // the pseudonym, as Via has it for a request by HTTP/1.1
	orgClaims []string
	bodyStall time.Duration
	settings  map[string]upstream.Settings // by origin
	upstreams map[upstreamKey]*upstream.Upstream
	through   func(string, http.RoundTripper) http.RoundTripper
	sockets   *sockets
	nonces    map[string]*nonce // of APIs, by origin
	prove     func(*bff.App, bff.TokenSet, string, string, string) (string, error)
	opened    func(string) func(string)
	now       func() time.Time
	log       *slog.Logger
}

// NewTable checks and compiles routes. It reports every problem of every route at once.
func NewTable(routes []Route, o Options) (*Table, error) {
	t := &Table{
		reserved: o.ReservedCookies, pseudonym: o.Pseudonym, orgClaims: o.OrgClaims, log: o.Log,
		bodyStall: cmp.Or(o.BodyStall, bodyStall),
		upstreams: make(map[upstreamKey]*upstream.Upstream), buffers: &buffers{size: bufferBytes}, hauls: &buffers{size: haulBytes},
		through: o.Through,
		sockets: newSockets(), opened: o.Opened, now: o.Now, prove: o.Prove,
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.opened == nil {
		t.opened = func(string) func(string) { return func(string) {} }
	}
	if t.through == nil {
		t.through = func(_ string, next http.RoundTripper) http.RoundTripper { return next }
	}
	if t.reserved == nil {
		t.reserved = reservedByPrefix
	}
	if t.pseudonym == "" {
		t.pseudonym = DefaultPseudonym
	}
	t.hop = "1.1 " + t.pseudonym
	if t.orgClaims == nil {
		t.orgClaims = []string{"org_id", "oid"}
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.dropped = droppedFieldsOf(routes)
	var problems []error
	var err error
	t.settings, err = upstreamSettings(o)
	problems = append(problems, err)
	for _, r := range routes {
		c, err := t.compile(r, o)
		problems = append(problems, err)
		t.routes = append(t.routes, c)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	t.order()
	return t, t.overlaps()
}

// Forward sends r to the route's upstream and streams the answer to w. r's context ends both directions: hang it on
// bff.Engine.Watch, so that a stream ends with its session.
//
// An error means that nothing was written: a *bff.Error with CodeSessionRequired, CodeClaimRequired, CodeForbidden,
// CodeBadRequest, CodeTooLarge, CodeHeaderTooLarge, CodeLoopDetected, CodeUpstreamBusy, CodeUpstreamUnavailable,
// CodeUpstreamTimeout, CodeUpstreamRefused, CodeInsufficientAuth or CodeStepUpFinal (both of the API's word or the route's),
// CodeClientGone, the end of the session that the context's cause names, or what Call.Renew, Call.Own and Call.Exchange
// returned. Once something was written, what breaks is a panic with http.ErrAbortHandler, as in httputil.ReverseProxy: the
// frontend must see a broken answer, not a short one.
func (t *Table) Forward(w http.ResponseWriter, r *http.Request, m *Match, c Call) error {
	rt := m.route
	if rt.External { // its token is for whoever has the credential of external authorization, and for nobody who comes here
		return notFound("a route that another proxy forwards")
	}
	if r.Method == http.MethodOptions && r.Header["Max-Forwards"] != nil {
		if answered, err := t.lastHop(w, r, m); answered || err != nil {
			return err
		}
	}
	if err := rt.refuse(r, t.pseudonym); err != nil {
		return rt.orVersion(w, r, err)
	}
	x := &exchange{ResponseWriter: w, table: t, route: rt, path: m.path, words: m.words, call: c, in: r}
	if err := x.prepare(); err != nil {
		return err
	}
	leave, err := rt.enter()
	if err != nil {
		return err
	}
	defer leave()
	if x.handshake = AsksForWebSocket(r); x.handshake {
		free, err := t.sockets.reserve(x.call.Session)
		if err != nil {
			return err
		}
		defer free()
	}
	ctx, cancel := rt.deadline(r.Context())
	defer cancel()
	in := r.WithContext(context.WithValue(ctx, exchangeKey{}, x))
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		x.carryBody(in)
		defer x.letGoOfBody()
		defer context.AfterFunc(ctx, x.body.interrupt)()
	}
	rt.proxy.ServeHTTP(x, in)
	if x.socket != nil {
		x.converse(ctx)
	}
	return x.err
}

// exchange is one request on its way: what the hooks of the route's ReverseProxy share, and the writer it answers to.
type exchange struct {
	http.ResponseWriter
	table *Table
	route *compiled
	path  string
	call  Call
	in    *http.Request

	claims   claims
	base     string            // the upstream's base path for this session, escaped
	words    map[string]string // of the matched path, by name
	query    string            // what of the frontend's passes, on a route with TokenClient
	cookie   string            // what of the request's cookies passes
	token    bff.Secret
	tokenTyp string
	bound    *bff.TokenSet // the token's, where it is bound to a key; else nil
	proved   string        // the nonce in the proof that was sent last

	challengedOnce bool // the API wanted a nonce, and got it

	body     *body     // nil: the request has none
	trailing *trailing // the answer's, where its trailers pass; else nil

	handshake bool               // of a WebSocket
	socket    io.ReadWriteCloser // the upstream's connection, once it accepted that

	answer   http.Response // the upstream's, apart from the transport's own copy: see retry.go
	prompt   prompt        // its body, where that is passed on as it comes
	answered bool          // its final head is known: from here on Header is the frontend's
	interim  http.Header   // where heads of 1xx answers end
	interims int           // how many of them came
	err      error         // why nothing was written
}

// exchangeKey finds the exchange in a request's context.
type exchangeKey struct{}

// exchangeOf returns the exchange of a request that Forward sent through the ReverseProxy.
func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// prepare works out everything about the request that can be refused.
func (x *exchange) prepare() error {
	if err := x.authorize(); err != nil {
		return err
	}
	if err := x.expandBase(); err != nil {
		return err
	}
	if x.route.Kind == KindSite {
		x.cookie = x.siteCookies()
		return x.takeExchanged()
	}
	if len(x.route.RequestCookies) > 0 {
		if err := x.pickCookies(); err != nil {
			return err
		}
	}
	if x.route.own() {
		return x.prepareOwn()
	}
	return x.takeExchanged()
}

// Header returns the frontend's fields once the final answer is there. Until then it is a place for those of interim
// answers, which are not forwarded: 103 Early Hints would have the browser load what the API names.
func (x *exchange) Header() http.Header {
	if x.answered {
		return x.ResponseWriter.Header()
	}
	if x.interim == nil {
		x.interim = make(http.Header)
	}
	return x.interim
}

// maxInterims is how many interim answers an upstream may send: 100 Continue, 103, 102 every few seconds. With a hook for them,
// which the ReverseProxy sets, net/http bounds only their time.
const maxInterims = 100

// WriteHeader drops interim answers and passes the final one.
func (x *exchange) WriteHeader(status int) {
	if x.answered {
		x.ResponseWriter.WriteHeader(status)
		return
	}
	x.interims++
}

// Unwrap lets http.ResponseController reach the writer of the server.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// fail is the ReverseProxy's ErrorHandler: it keeps the reason for Forward and writes nothing.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	x := w.(*exchange)
	if errors.Is(err, errSwitched) {
		return
	}
	x.err = x.judge(r.Context(), err)
	if x.body != nil && x.in.ProtoMajor == 1 && !x.body.complete() {
		// RFC 9112 section 9.3: what is left of the body must not be read as the next request.
		x.ResponseWriter.Header().Set("Connection", "close")
	}
}

// discard reads a little of a body that nobody wants, so that its connection can be used again, and closes it.
func discard(body io.ReadCloser) {
	const most = 4 << 10 // an error page; to read more costs more than a new connection
	_, _ = io.CopyN(io.Discard, body, most)
	_ = body.Close()
}
