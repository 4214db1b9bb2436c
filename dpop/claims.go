package dpop

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

const (
	back  = 60 * time.Second // a proof is made for one request: the minute is for slow networks and clocks that are behind
	ahead = 10 * time.Second // a phone's clock may be a little fast; what is made for later can be used later, by whoever has it
	slow  = ahead            // how far our own instances' clocks may be apart

	maxID = 256 // bytes of a jti: a UUID has 36, and libraries use hashes at most
)

// latest is the last second of the year 9999: no clock says more, and sums of times overflow beyond.
const latest = 253402300799

// claims is the payload of a proof. A time that is not claimed is the zero time, which for an iat is too old.
type claims struct {
	id, method, url, ath, nonce string
	issued                      time.Time
	notBefore, expires          time.Time
}

// claims reads the payload. RFC 9449 section 4.3, item 3: jti, htm, htu and iat must be there.
func (f *form) claims() (*claims, error) {
	var c claims
	for _, m := range []struct {
		name string
		into *string
		must bool
	}{
		{"jti", &c.id, true},
		{"htm", &c.method, true},
		{"htu", &c.url, true},
		{"ath", &c.ath, false},
		{"nonce", &c.nonce, false},
	} {
		s, ok := f.payload.optional(m.name)
		if !ok || m.must && s == "" {
			return nil, refuse(m.name)
		}
		*m.into = s
	}
	for _, m := range []struct {
		name string
		into *time.Time
	}{{"iat", &c.issued}, {"nbf", &c.notBefore}, {"exp", &c.expires}} {
		t, ok := f.payload.date(m.name)
		if !ok {
			return nil, refuse(m.name)
		}
		*m.into = t
	}
	return &c, nil
}

// date returns a member that must be a NumericDate (RFC 7519 section 2): a number, which may have a fraction, of seconds. Not
// there is the zero time and good.
func (o object) date(name string) (time.Time, bool) {
	v, there := o[name]
	if !there {
		return time.Time{}, true
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	s, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || s < 1 || s > latest {
		return time.Time{}, false
	}
	whole, part := math.Modf(s)
	return time.Unix(int64(whole), int64(part*1e9)), true
}

// judge asks whether the claims are this request. The comparisons may tell by their time where texts begin to differ: who
// sent the one sent the other too.
func (c *claims) judge(r Request) error {
	switch {
	case len(c.id) > maxID: // RFC 9449 section 11.1: an unbounded jti is a way to exhaust who reads it
		return refuse("jti")
	case c.method != r.Method: // RFC 9449 section 4.3, item 8; RFC 9110 section 9.1: methods have a case
		return refuse("htm")
	case !sameTarget(c.url, r.URL): // RFC 9449 section 4.3, item 9
		return refuse("htu")
	case r.Handle != "" && c.ath != hash(r.Handle): // RFC 9449 section 4.3, item 12
		return refuse("ath")
	default:
		return c.judgeTime(r.Now)
	}
}

// judgeTime asks whether the proof is of this moment: RFC 9449 section 4.3, item 11, and RFC 7519 sections 4.1.4 and 4.1.5 for
// what a proof need not claim and must keep to if it does.
func (c *claims) judgeTime(now time.Time) error {
	switch {
	case !now.Before(c.issued.Add(back)), c.issued.After(now.Add(ahead)):
		return refuse("iat")
	case c.notBefore.After(now.Add(ahead)):
		return refuse("nbf")
	case !c.expires.IsZero() && !now.Add(-ahead).Before(c.expires):
		return refuse("exp")
	default:
		return nil
	}
}

// hash is what ath must be for a handle: RFC 9449 section 4.2, SHA-256, base64url.
func hash(handle string) string {
	sum := sha256.Sum256([]byte(handle))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
