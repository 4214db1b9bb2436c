package bff_test

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

// ringed is an engine of nothing but a ring of these keys and a clock: one more instance, for what is not stored.
func ringed(t *testing.T, clock *fakeClock, keys ...string) *bff.Engine {
	t.Helper()
	var sealing []bff.Key
	for _, id := range keys {
		text := strings.Repeat(id+".", bff.KeyBytes)[:bff.KeyBytes]
		sealing = append(sealing, bff.Key{ID: id, Bytes: bff.NewSecret(text)})
	}
	ring, err := bff.NewKeyring(sealing, nil, []bff.Key{{ID: "i1", Bytes: bff.NewSecret(strings.Repeat("i", bff.KeyBytes))}})
	if err != nil {
		t.Fatal(err)
	}
	return bff.NewEngine(bff.Ports{}, ring, clock.now, &bff.Trace{}, bff.Limits{})
}

// onTheSecond is a clock that begins with a second.
func onTheSecond() *fakeClock { return &fakeClock{at: time.Unix(1_900_000_000, 0)} }

// Each row is a nonce of one instance that another takes or does not, some time later by the other's clock.
//
// shows DPOP-4.3-10
func TestANonceIsGoodForItsLife(t *testing.T) {
	for name, c := range map[string]struct {
		made  time.Duration // after the full second
		later time.Duration
		good  bool
	}{
		"at once":                              {0, 0, true},
		"a second before its end":              {0, 5*time.Minute - time.Second, true},
		"a moment before its end":              {0, 5*time.Minute - time.Nanosecond, true},
		"at its end":                           {0, 5 * time.Minute, false},
		"a second after its end":               {0, 5*time.Minute + time.Second, false},
		"a day later":                          {0, 24 * time.Hour, false},
		"made late in its second":              {999 * time.Millisecond, 5*time.Minute - time.Second, true},
		"from a clock that is 9 s ahead":       {0, -9 * time.Second, true},
		"from a clock that is almost 10 ahead": {0, -10*time.Second + time.Nanosecond, true},
		"from a clock that is 10 s ahead":      {0, -10 * time.Second, false},
		"from a clock that is 11 s ahead":      {0, -11 * time.Second, false},
		"from the far future":                  {0, -1000 * time.Hour, false},
	} {
		t.Run("a nonce "+name, func(t *testing.T) {
			mine, theirs := onTheSecond(), onTheSecond()
			mine.move(c.made)
			theirs.move(c.made + c.later)
			nonce := ringed(t, mine, "k1").Nonce()
			if got := ringed(t, theirs, "k1").NonceGood(nonce); got != c.good {
				t.Errorf("good: %v, want %v", got, c.good)
			}
		})
	}
}

// shows DPOP-4.3-10
func TestANonceCannotBeMadeUp(t *testing.T) {
	clock := onTheSecond()
	e := ringed(t, clock, "k1")
	nonce := e.Nonce()
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(raw) != 24 || len(nonce) != 32 {
		t.Fatalf("a nonce of %d bytes: %v", len(raw), err)
	}
	for i := range raw {
		bent := append([]byte(nil), raw...)
		bent[i] ^= 1
		if e.NonceGood(base64.RawURLEncoding.EncodeToString(bent)) {
			t.Errorf("one with another byte %d is taken", i)
		}
	}
	later := binary.BigEndian.AppendUint64(nil, uint64(clock.now().Unix())+1)
	for name, text := range map[string]string{
		"nothing":             "",
		"one cut by a letter": nonce[:31],
		"one cut by a byte":   base64.RawURLEncoding.EncodeToString(raw[:23]),
		"the time alone":      base64.RawURLEncoding.EncodeToString(raw[:8]),
		"one with more":       base64.RawURLEncoding.EncodeToString(append(append([]byte(nil), raw...), 0)),
		"one of a later time": base64.RawURLEncoding.EncodeToString(append(later, raw[8:]...)),
		"one with a newline":  nonce[:8] + "\n" + nonce[8:31],
		"one in padding":      nonce + "=",
		"one twice":           nonce + nonce,
		"one with blanks":     " " + nonce,
		"noise":               strings.Repeat("ä", 16),
		"zeros":               strings.Repeat("A", 32),
	} {
		if e.NonceGood(text) {
			t.Errorf("%s is taken", name)
		}
	}
	if !e.NonceGood(nonce) {
		t.Error("the nonce itself is not")
	}
	if again := e.Nonce(); again != nonce {
		t.Error("two of one second differ")
	}
	clock.move(time.Second)
	if next := e.Nonce(); next == nonce || next[11:] == nonce[11:] {
		t.Error("the next is the same")
	}
}

// A key is appended on every instance and then moved to the front, one instance after the other: an app that is sent from
// one to another is asked for no new nonce. Only one that does not know the key asks.
//
// shows DPOP-4.3-10, KEY-RING
func TestNoncesPassWhileSealingKeysRotate(t *testing.T) {
	clock := onTheSecond()
	for name, c := range map[string]struct {
		made, asked []string
		good        bool
	}{
		"of the old front at one that has the new":        {[]string{"k1"}, []string{"k1", "k2"}, true},
		"of the old front at one that moved":              {[]string{"k1"}, []string{"k2", "k1"}, true},
		"of the new front at one that has it behind":      {[]string{"k2", "k1"}, []string{"k1", "k2"}, true},
		"of one with two keys at one with the old":        {[]string{"k1", "k2"}, []string{"k1"}, true},
		"of the new front at one that dropped the old":    {[]string{"k2", "k1"}, []string{"k2"}, true},
		"of the new front at one that does not know it":   {[]string{"k2", "k1"}, []string{"k1"}, false},
		"of the old front at one that dropped it":         {[]string{"k1"}, []string{"k2"}, false},
		"of another gateway, under keys of the same name": {[]string{"k1"}, []string{"k3", "k2"}, false},
	} {
		if got := ringed(t, clock, c.asked...).NonceGood(ringed(t, clock, c.made...).Nonce()); got != c.good {
			t.Errorf("a nonce %s: good %v, want %v", name, got, c.good)
		}
	}
}
