package dev

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrNoIssuer is returned by NewAPI and NewNotes for a configuration without an issuer or a key set address.
var ErrNoIssuer = errors.New("demo API needs an issuer and the address of its keys")

// APIConfig is what the demo API is made from.
type APIConfig struct {
	Issuer     string   // iss of the access tokens, compared byte for byte
	JWKSURL    string   // where the issuer's keys are; fetched at the first token and when an unknown key shows up
	Audiences  []string // aud must hold one of them; nil takes any
	Now        func() time.Time
	HTTP       *http.Client // fetches keys; nil means a client with a ten-second limit
	Samples    bool         // a user's first look at the orders finds three
	EchoTokens bool         // whoami shows the Authorization header whole instead of its scheme: never where a browser listens
}

// API is the demo API: an http.Handler that answers nobody without a good access token, except at /api/public.
type API struct {
	mux       *http.ServeMux
	bearer    *bearer
	recorder  recorder
	orders    *orderBook
	exports   exports
	sightings sightings
	now       func() time.Time
	echo      bool
}

// complete sets what was left out, or says that it cannot be.
func (cfg *APIConfig) complete() error {
	if cfg.Issuer == "" || cfg.JWKSURL == "" {
		return ErrNoIssuer
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 10 * time.Second} // a key set is small and near
	}
	return nil
}

// NewAPI makes the demo API. It asks the provider for nothing yet, so the provider may start later.
func NewAPI(cfg APIConfig) (*API, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	a := &API{mux: http.NewServeMux(), bearer: newBearer(cfg), now: cfg.Now, echo: cfg.EchoTokens}
	a.orders = newOrderBook(cfg.Samples)
	a.sightings.all = map[signIn]*seen{}
	a.mount()
	return a, nil
}

// answer is an endpoint that knows who asks.
type answer func(w http.ResponseWriter, r *http.Request, c claims)

func (a *API) mount() {
	a.mux.HandleFunc("GET /api/public", a.public)
	for pattern, do := range map[string]answer{
		"GET /api/orders":               a.listOrders,
		"POST /api/orders":              a.placeOrder,
		"POST /api/orders/{id}/refund":  a.refundOrder,
		"GET /api/orders/feed":          a.orderFeed,
		"GET /api/orders/export":        a.exportOrders,
		"GET /api/orders/export/{file}": a.exportedFile,
		"/api/whoami":                   a.whoami,
		"GET /api/slow":                 a.slow,
		"GET /api/stream":               a.stream,
		"GET /api/live":                 a.live,
		"GET /api/status/{code}":        a.status,
		"POST /api/status/{code}":       a.status,
		"POST /api/echo":                a.echoBody,
	} {
		a.mux.HandleFunc(pattern, a.guarded(do))
	}
}

// ServeHTTP records the request and answers it.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.recorder.add(r, a.now())
	a.mux.ServeHTTP(w, r)
}

// guarded lets only requests with a good bearer token pass. RFC 6750 section 3: the challenge names an error only to who sent a token.
func (a *API) guarded(do answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := a.bearer.verify(r)
		switch {
		case errors.Is(err, errKeysUnreachable):
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "keys_unreachable"})
			return
		case err != nil:
			a.bearer.challenge(w.Header(), err)
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
			return
		}
		do(w, r, c)
	}
}

func (a *API) public(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"message": "Anyone may read this."})
}

// Whoami is the answer of /api/whoami: the request as it arrived.
type Whoami struct {
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Query   string      `json:"query"` // raw
	Host    string      `json:"host"`
	Headers http.Header `json:"headers"` // Authorization is cut to its scheme, unless EchoTokens
	Sub     string      `json:"sub"`
	Scope   string      `json:"scope"`
	Token   Sighting    `json:"token"`
}

func (a *API) whoami(w http.ResponseWriter, r *http.Request, c claims) {
	headers := r.Header.Clone()
	if scheme, _, _ := strings.Cut(headers.Get("Authorization"), " "); !a.echo {
		headers.Set("Authorization", scheme)
		headers.Del("DPoP") // a proof is between gateway and API
	}
	writeJSON(w, http.StatusOK, Whoami{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Host: r.Host,
		Headers: headers, Sub: c.Sub, Scope: c.Scope, Token: a.see(c),
	})
}

// status answers with the code of its path, between 200 and 599.
func (a *API) status(w http.ResponseWriter, r *http.Request, _ claims) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil || code < 200 || code > 599 { // below 200 is no final answer
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_status"})
		return
	}
	if code == http.StatusNoContent || code == http.StatusNotModified { // these have no body: RFC 9110 sections 15.3.5, 15.4.5
		w.WriteHeader(code)
		return
	}
	writeJSON(w, code, map[string]int{"status": code})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that has gone is no concern of the API
}
