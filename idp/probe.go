package idp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Grade says how a finding stands.
type Grade int

// The grades of findings.
const (
	Good  Grade = iota // as it should be
	Note               // it may be meant so, or it could not be told
	Wrong              // it keeps users from signing in, or will
)

// Finding is one thing that a probe found out, in words for an operator. It holds no secret, and nothing of the provider's
// but its URLs, statuses and error codes.
type Finding struct {
	Grade Grade
	Text  string
}

// Survey is what a probe of a provider found.
type Survey struct {
	Findings []Finding
	Usable   bool // the metadata may be used: without it no client can be probed

	BackchannelLogout bool     // backchannel_logout_supported (Back-Channel Logout 1.0 section 2.1)
	BackchannelSID    bool     // backchannel_logout_session_supported
	EndSession        bool     // there is an end_session endpoint, in the metadata or in the settings
	Claims            []string // claims_supported (OpenID Connect Discovery section 3); nil where nothing is said
	Grants            []string // grant_types_supported (RFC 8414 section 2); nil where nothing is said
}

func (s *Survey) add(g Grade, format string, args ...any) {
	s.Findings = append(s.Findings, Finding{g, fmt.Sprintf(format, args...)})
}

// probed is what a probe reads of the metadata beside what the gateway works by.
type probed struct {
	metadata
	IDTokenAlgs       []string `json:"id_token_signing_alg_values_supported"`
	Claims            []string `json:"claims_supported"`
	Grants            []string `json:"grant_types_supported"`
	BackchannelLogout bool     `json:"backchannel_logout_supported"`
	BackchannelSID    bool     `json:"backchannel_logout_session_supported"`
}

// Probe asks for the metadata and the keys, and tells all that is wrong with them: for an operator at the start, not for a
// request. It asks anew, whatever is remembered.
func (is *Issuer) Probe(ctx context.Context) *Survey {
	s := new(Survey)
	// OpenID Connect Discovery section 4.1: where the metadata is.
	at := strings.TrimSuffix(is.set.Issuer, "/") + "/.well-known/openid-configuration"
	a, err := is.ask(asking(ctx, "metadata"), at)
	doc := new(probed)
	switch {
	case err != nil:
		s.add(Wrong, "metadata: %s: %s", at, is.whyNone(err))
	case a.status != http.StatusOK:
		s.add(Wrong, "metadata: %s answers with status %d: is issuer (%s) what the provider calls itself, its path included?",
			at, a.status, is.set.Issuer)
	case json.Unmarshal(a.body, doc) != nil:
		s.add(Wrong, "metadata: %s answers with %s that is not the JSON it should be: issuer (%s) leads elsewhere, or something in "+
			"between answers",
			at, orWord(a.media(), "something"), is.set.Issuer)
	// OpenID Connect Discovery section 4.3, RFC 8414 section 3.3: exactly equal, or nothing of it may be used.
	case doc.Issuer != is.set.Issuer:
		s.add(Wrong, "metadata: the provider calls itself %.200q, issuer is %q: %s",
			doc.Issuer, is.set.Issuer, howNear(doc.Issuer, is.set.Issuer))
	default:
		doc.override(is.set.Endpoints)
		is.judge(ctx, s, doc)
		is.judgeClock(s, a.header)
	}
	return s
}

// judge tells what of good JSON with the right issuer cannot be worked with.
func (is *Issuer) judge(ctx context.Context, s *Survey, doc *probed) {
	s.BackchannelLogout, s.BackchannelSID, s.Claims, s.Grants = doc.BackchannelLogout, doc.BackchannelSID, doc.Claims, doc.Grants
	s.EndSession = doc.EndSession != ""
	if err := is.checkMetadata(&doc.metadata); err != nil {
		s.add(Wrong, "metadata: %v", err)
		return
	}
	s.Usable = true
	s.add(Good, "answers as %s", doc.Issuer)
	// RFC 7636 section 7.2: no downgrade.
	if !slices.Contains(doc.Challenges, "S256") && !is.set.PKCEKnown {
		s.add(Wrong, "metadata: S256 is not among code_challenge_methods_supported, so nobody is sent there to sign in: "+
			"have PKCE switched on; where it is known to work, set pkce: known")
	}
	if is.set.DPoP && !slices.Contains(doc.DPoPAlgs, "ES256") { // RFC 9449 section 5.1
		s.add(Wrong, "metadata: ES256 is not among dpop_signing_alg_values_supported, so nobody is sent there to sign in: "+
			"have DPoP switched on, or set dpop: off")
	}
	if len(doc.IDTokenAlgs) > 0 && !overlap(doc.IDTokenAlgs, is.set.SigningAlgs) {
		s.add(Wrong, "metadata: ID tokens are signed by %s, accepted are %s: change signing_algs, or what the provider signs by",
			strings.Join(doc.IDTokenAlgs, ", "), strings.Join(is.set.SigningAlgs, ", "))
	}
	is.judgeKeys(ctx, s, doc.JWKS)
}

// judgeKeys asks for the signing keys.
func (is *Issuer) judgeKeys(ctx context.Context, s *Survey, at string) {
	a, err := is.ask(asking(ctx, "keys"), at)
	switch {
	case err != nil:
		s.add(Wrong, "keys: %s: %s", at, is.whyNone(err))
		return
	case a.status != http.StatusOK:
		s.add(Wrong, "keys: %s answers with status %d: no token can be checked", at, a.status)
		return
	}
	keys, err := parseKeys(a.body)
	if err != nil {
		s.add(Wrong, "keys: %s: %v: no token can be checked", at, err)
		return
	}
	if !slices.ContainsFunc(keys, func(k key) bool { return overlap(k.algs, is.set.SigningAlgs) }) {
		s.add(Wrong, "keys: %s has no key for %s: change signing_algs", at, strings.Join(is.set.SigningAlgs, ", "))
	}
}

const clockTold = 5 * time.Second // off by more is told: what comes late by the network alone is less

// judgeClock compares the provider's clock, by its Date (RFC 9110 section 6.6.1), with ours. What a cache answers is as old
// as its Age says (RFC 9111 section 5.1).
func (is *Issuer) judgeClock(s *Survey, h http.Header) {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return // a provider need not say
	}
	if age, err := strconv.Atoi(h.Get("Age")); err == nil {
		at = at.Add(time.Duration(min(max(age, 0), 1<<31)) * time.Second) // 68 years: no overflow
	}
	off, way, grade := at.Sub(is.now()).Round(time.Second), "ahead of", Note
	if off < 0 {
		off, way = -off, "behind"
	}
	if off > is.set.ClockSkew {
		grade = Wrong
	}
	if off > clockTold {
		s.add(grade, "clock: the provider's is %v %s this machine's, and %v is what tokens may be off by (clock_skew): set the clocks by NTP",
			off, way, is.set.ClockSkew)
	}
}

// ask sends a GET and takes whatever answer comes.
func (is *Issuer) ask(ctx context.Context, rawURL string) (*answer, error) {
	if err := is.checkEndpoint("issuer or endpoint", rawURL); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, is.set.HTTPTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, ErrEndpoint
	}
	req.Header.Set("Accept", "application/json, text/html;q=0.9") // as what asks it each time: a program, or a browser
	return send(is.plain, req)
}

// whyNone says why there was no answer.
func (is *Issuer) whyNone(err error) string {
	late, _ := errors.AsType[net.Error](err)
	if errors.Is(err, context.DeadlineExceeded) || late != nil && late.Timeout() {
		return fmt.Sprintf("no answer within %v (http_timeout)", is.set.HTTPTimeout)
	}
	return err.Error()
}

// howNear says what is to be done about two issuers that differ, and names the difference where it is one that people
// overlook.
func howNear(said, want string) string {
	s, errS := url.Parse(said)
	w, errW := url.Parse(want)
	switch {
	case strings.TrimSuffix(said, "/") == strings.TrimSuffix(want, "/"):
		return "they differ in the slash at the end; write it as the provider does"
	case errS == nil && errW == nil && s.Scheme != w.Scheme && s.Host == w.Host && s.Path == w.Path:
		return "they differ in http and https; write it as the provider does"
	case strings.EqualFold(said, want):
		return "they differ in capital letters; write it as the provider does"
	case errS == nil && errW == nil && s.Host != w.Host:
		return "it goes by another name, as behind a custom domain, or another environment answers; write it as the provider does"
	default:
		return "write it as the provider does"
	}
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

func orWord(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
