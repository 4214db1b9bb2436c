package bff_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"

	"github.com/google/go-cmp/cmp"
)

// phoneApp and tabletApp are two apps of one gateway.
var (
	phoneApp  = &bff.App{ID: "phone", Kind: bff.KindMobile}
	tabletApp = &bff.App{ID: "tablet", Kind: bff.KindMobile}
)

const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

// push pushes a request of phoneApp.
func push(t *testing.T, e *bff.Engine, request url.Values) string {
	t.Helper()
	uri, err := e.PushRequest(phoneApp, request)
	if err != nil {
		t.Fatal(err)
	}
	return uri
}

// The request is in its name alone, so that any instance takes it, and nobody who sees it reads it.
func TestAPushedRequestComesBackAsItWasPushed(t *testing.T) {
	clock := onTheSecond()
	request := url.Values{
		"state": {"of the app & more=;"}, "redirect_uri": {claimed}, "dpop_jkt": {ownKey}, "empty": {""}, "twice": {"a", "b"},
	}
	uri := push(t, ringed(t, clock, "k1"), request)
	got, err := ringed(t, clock, "k1").PushedRequest(t.Context(), phoneApp, uri)
	if diff := cmp.Diff(request, got); diff != "" || err != nil {
		t.Errorf("%v (-pushed +started):\n%s", err, diff)
	}
	if !strings.HasPrefix(uri, pushedPrefix) || strings.ContainsAny(uri[len(pushedPrefix):], "+/=&? ") {
		t.Errorf("a request_uri %q: want RFC 9126's, of unreserved characters", uri)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(uri[len(pushedPrefix):])
	if err != nil || strings.Contains(string(sealed), ownKey) || strings.Contains(string(sealed), "state") {
		t.Errorf("it can be read by anybody: %q, %v", sealed, err)
	}
	if again := push(t, ringed(t, clock, "k1"), request); again == uri {
		t.Error("the same request has the same name: one could tell that it was pushed again")
	}
}

func TestAPushedRequestIsGoodForItsLife(t *testing.T) {
	for name, c := range map[string]struct {
		later time.Duration
		want  bff.Code
	}{
		"at once":                    {0, ""},
		"a moment before its end":    {bff.PushedLife - time.Millisecond, ""},
		"at its end":                 {bff.PushedLife, bff.CodeBadRequest},
		"after it":                   {bff.PushedLife + time.Second, bff.CodeBadRequest},
		"by a clock that is behind":  {-time.Minute, ""},
		"the day after":              {24 * time.Hour, bff.CodeBadRequest},
		"a millisecond after itself": {time.Millisecond, ""},
	} {
		clock := onTheSecond()
		e := ringed(t, clock, "k1")
		uri := push(t, e, url.Values{"state": {"s"}})
		clock.move(c.later)
		_, err := e.PushedRequest(t.Context(), phoneApp, uri)
		wantCode(t, "a pushed request "+name, err, c.want)
	}
}

func TestARequestURIThatIsNotOursIsRefused(t *testing.T) {
	clock := onTheSecond()
	e := ringed(t, clock, "k1")
	uri := push(t, e, url.Values{"state": {"s"}, "redirect_uri": {claimed}})
	text := uri[len(pushedPrefix):]
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	bent := func(at int) string {
		b := append([]byte(nil), sealed...)
		b[at] ^= 1
		return pushedPrefix + base64.RawURLEncoding.EncodeToString(b)
	}
	for name, other := range map[string]string{
		"nothing":                        "",
		"the prefix alone":               pushedPrefix,
		"a name without the prefix":      text,
		"a prefix in capitals":           strings.ToUpper(pushedPrefix) + text,
		"an address":                     "https://evil.example.com/request.jwt",
		"an address behind the prefix":   pushedPrefix + "https://evil.example.com/",
		"one cut":                        uri[:len(uri)-4],
		"one with another byte in front": bent(len("k1") + 1),
		"nothing but zeros":              pushedPrefix + strings.Repeat("A", len(text)),
		"one with another last byte":     bent(len(sealed) - 1),
		"one in padding":                 uri + "=",
		"one with more behind":           uri + "AAAA",
		"one that is too long":           uri + strings.Repeat("A", 4096),
		"a transaction of ours":          pushedPrefix + base64.RawURLEncoding.EncodeToString(transactionOf(t, clock)),
	} {
		_, err := e.PushedRequest(t.Context(), phoneApp, other)
		wantCode(t, name, err, bff.CodeBadRequest)
	}
	_, err = e.PushedRequest(t.Context(), phoneApp, bent(1)) // the id itself: another instance may know that one
	wantCode(t, "one that names another key", err, bff.CodeKeyUnknown)
	_, err = e.PushedRequest(t.Context(), tabletApp, uri) // RFC 9126 section 2.2: it is bound to the client that pushed it
	wantCode(t, "another app's", err, bff.CodeBadRequest)
	if _, err := e.PushedRequest(t.Context(), phoneApp, uri); err != nil {
		t.Errorf("the one that was pushed: %v", err)
	}
}

// transactionOf is something else that is sealed for the same app.
func transactionOf(t *testing.T, clock *fakeClock) []byte {
	t.Helper()
	ring, err := bff.NewKeyring(
		[]bff.Key{{ID: "k1", Bytes: bff.NewSecret(strings.Repeat("k1.", bff.KeyBytes)[:bff.KeyBytes])}}, nil,
		[]bff.Key{{ID: "i1", Bytes: bff.NewSecret(strings.Repeat("i", bff.KeyBytes))}})
	if err != nil {
		t.Fatal(err)
	}
	return ring.Seal(bff.PurposeTransaction, []byte("\x00\x00\x7f\x00\x00\x00\x00\x00state=s"), phoneApp.ID)
}

// RFC 9126 section 2.3: what is too long is refused where it is pushed, so that the app is told, not a person.
func TestAPushedRequestHasALongestName(t *testing.T) {
	e := ringed(t, onTheSecond(), "k1")
	longest := 0
	for n := 2800; n < 3200; n++ {
		uri, err := e.PushRequest(phoneApp, url.Values{"state": {strings.Repeat("s", n)}})
		if err != nil {
			wantCode(t, "a longer one", err, bff.CodeBadRequest)
			break
		}
		if longest = len(uri); longest > 4096 {
			t.Fatalf("a request_uri of %d bytes", longest)
		}
		if _, err := e.PushedRequest(t.Context(), phoneApp, uri); err != nil {
			t.Fatalf("what was pushed is not taken: %v", err)
		}
	}
	if longest < 4090 {
		t.Errorf("the longest has %d bytes, want almost 4 KiB", longest)
	}
}

// shows KEY-RING
func TestPushedRequestsPassWhileSealingKeysRotate(t *testing.T) {
	clock := onTheSecond()
	for name, c := range map[string]struct {
		made, asked []string
		want        bff.Code
	}{
		"of the old front at one that moved":            {[]string{"k1"}, []string{"k2", "k1"}, ""},
		"of the new front at one that has it behind":    {[]string{"k2", "k1"}, []string{"k1", "k2"}, ""},
		"of the new front at one that does not know it": {[]string{"k2", "k1"}, []string{"k1"}, bff.CodeKeyUnknown},
	} {
		uri := push(t, ringed(t, clock, c.made...), url.Values{"state": {"s"}})
		_, err := ringed(t, clock, c.asked...).PushedRequest(t.Context(), phoneApp, uri)
		wantCode(t, "a pushed request "+name, err, c.want)
	}
	key := func(id string) bff.Key {
		return bff.Key{ID: id, Bytes: bff.NewSecret(strings.Repeat(id+".", bff.KeyBytes)[:bff.KeyBytes])}
	}
	ring, err := bff.NewKeyring([]bff.Key{key("k2")}, []string{"k1"}, []bff.Key{key("i1")})
	if err != nil {
		t.Fatal(err)
	}
	retired := bff.NewEngine(bff.Ports{}, ring, clock.now, &bff.Trace{}, bff.Limits{})
	_, err = retired.PushedRequest(t.Context(), phoneApp, push(t, ringed(t, clock, "k1"), url.Values{"state": {"s"}}))
	wantCode(t, "one under a key that was retired", err, bff.CodeBadRequest)
	if !errors.Is(err, bff.ErrKeyRetired) {
		t.Errorf("its cause: %v", err)
	}
}
