package bff_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

const (
	claimed  = "https://app.example.com/signed-in" // nobody but the app receives it
	scheme   = "com.example.app:/signed-in"        // any app can
	verifier = "verifier-of-an-app-0123456789-0123456789-abc"
)

// newNativeWorld is a world whose app is a native one.
func newNativeWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.app.ID, w.app.Kind, w.app.Origin, w.app.DefaultReturn = "phone", bff.KindMobile, "", ""
	w.app.RedirectURI = "https://gw.example.com/mobile/callback/phone"
	w.app.RedirectURIs = []string{claimed, scheme}
	w.app.AccessLife, w.app.Grace = 15*time.Minute, 30*time.Second
	w.app.Idle, w.app.Absolute = 14*24*time.Hour, 90*24*time.Hour
	return w
}

// apps finds the world's app, as the native surface does.
func (w *world) apps(id string) *bff.App {
	if id == w.app.ID {
		return w.app
	}
	return nil
}

// request is what the app asks for, answered at redirect.
func request(redirect string) *bff.NativeRequest {
	return &bff.NativeRequest{RedirectURI: redirect, Challenge: challengeOf(verifier), State: "state of the app"}
}

// challengeOf is the S256 challenge of a verifier.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// redemption is the one that the app of request makes.
func redemption(code bff.Root, redirect string) bff.Redemption {
	return bff.Redemption{Code: code, Verifier: verifier, RedirectURI: redirect}
}

// returned is a login that came back from the provider.
func (w *world) returned(in *instance, redirect string) *bff.NativeLogin {
	w.t.Helper()
	start, state := w.begin(in, bff.LoginRequest{Native: request(redirect)})
	l, err := in.CompleteNativeLogin(context.Background(), w.app, w.callback(start, state))
	if err != nil {
		w.t.Fatalf("completing a native login: %v", err)
	}
	return l
}

// nativeLogin signs in and redeems.
func (w *world) nativeLogin(in *instance) *bff.Session {
	w.t.Helper()
	l := w.returned(in, claimed)
	s, err := in.Redeem(context.Background(), w.app, redemption(l.Code, claimed))
	if err != nil {
		w.t.Fatalf("redeeming: %v", err)
	}
	return s
}

// pair is both handles of a session as the app holds them.
type pair struct{ access, refresh string }

func (w *world) pair(in *instance, s *bff.Session) pair {
	w.t.Helper()
	h, err := in.Handles(w.app, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return pair{h.Access.Reveal(), h.Refresh.Reveal()}
}

func (w *world) parse(s string) bff.Handle {
	w.t.Helper()
	h, err := bff.ParseHandle(s)
	if err != nil {
		w.t.Fatalf("parsing %q: %v", s, err)
	}
	return h
}

// call presents an access handle as an API call does.
func (w *world) call(in *instance, access string) (*bff.Session, error) {
	w.t.Helper()
	_, s, err := in.HandleSession(context.Background(), w.apps, w.parse(access), nil)
	return s, err
}

// rotate presents a refresh handle and returns the next pair.
func (w *world) rotate(in *instance, refresh string) (pair, error) {
	w.t.Helper()
	s, err := in.RotateHandles(context.Background(), w.app, w.parse(refresh))
	if err != nil {
		return pair{}, err
	}
	return w.pair(in, s), nil
}

func (w *world) mustRotate(in *instance, refresh string) pair {
	w.t.Helper()
	p, err := w.rotate(in, refresh)
	if err != nil {
		w.t.Fatalf("rotating: %v", err)
	}
	return p
}

// use makes an API call and waits until it is noted that the handle's turn was seen.
func (w *world) use(in *instance, access string) {
	w.t.Helper()
	if _, err := w.call(in, access); err != nil {
		w.t.Fatalf("calling: %v", err)
	}
	deadline := time.After(10 * time.Second)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		s, err := w.call(in, access)
		if err != nil {
			w.t.Fatalf("calling: %v", err)
		}
		if !s.Turn.Seen.IsZero() {
			return
		}
		select {
		case <-deadline:
			w.t.Fatal("the use of a turn was never noted")
		case <-poll.C:
		}
	}
}

// wantCode fails unless err has this code.
func wantCode(t *testing.T, doing string, err error, code bff.Code) {
	t.Helper()
	if bff.CodeOf(err) != code {
		t.Errorf("%s: %v, want %q", doing, err, code)
	}
}

// endedFor waits until the trace was told of an end for this reason.
func (in *instance) endedFor(t *testing.T, reason bff.Reason) {
	t.Helper()
	in.seen.until(t, "the end for "+string(reason), func(s *seen) bool {
		return slices.ContainsFunc(s.ended, func(e bff.SessionEvent) bool { return e.Reason == reason })
	})
}

// refusals returns the rules by which credentials were refused, joined.
func (in *instance) refusals() string {
	in.seen.mu.Lock()
	defer in.seen.mu.Unlock()
	var rules []string
	for _, e := range in.seen.refused {
		rules = append(rules, e.App+": "+e.Rule)
	}
	return strings.Join(rules, "; ")
}

// revocations drains the instance (whatever runs beside is done then) and returns whether the provider was told to revoke the token.
func (w *world) revocations(in *instance, token string) bool {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := in.Drain(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.idp.mu.Lock()
	defer w.idp.mu.Unlock()
	return w.idp.revoked[token]
}

// encoded are texts as a transaction holds them: each behind its length.
func encoded(texts []string) string {
	var b []byte
	for _, s := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return string(b)
}

// sealedByHand is the answer to a transaction that was written by the description of its form alone.
func (w *world) sealedByHand(flags byte, texts []string) bff.Callback {
	w.t.Helper()
	seed := bytes.Repeat([]byte{7, flags, byte(len(texts)), 9}, 8) // another for each
	plain := append([]byte{1, flags}, seed...)
	plain = binary.BigEndian.AppendUint64(plain, uint64(w.clock.now().UnixMilli()))
	plain = append(plain, encoded(texts)...)
	state, err := hkdf.Key(sha256.New, seed, nil, "cloakroom transaction state", 32)
	if err != nil {
		w.t.Fatal(err)
	}
	sealed := w.ring().Seal(bff.PurposeTransaction, plain, w.app.ID, w.app.Provider.Issuer, w.app.ClientID, w.app.RedirectURI)
	return bff.Callback{
		State: base64.RawURLEncoding.EncodeToString(state), Code: bff.NewSecret("code"), Issuer: "https://op.example.com",
		Sealed: base64.RawURLEncoding.EncodeToString(sealed),
	}
}

// opened is what a transaction's cookie holds.
func (w *world) opened(sealed string) string {
	w.t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		w.t.Fatal(err)
	}
	plain, err := w.ring().Open(bff.PurposeTransaction, raw, w.app.ID, w.app.Provider.Issuer, w.app.ClientID, w.app.RedirectURI)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(plain)
}
