package surface

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"cloakroom/bff"
)

// typePrefix makes a problem's type of its code: a name that stays, whatever host answers (RFC 9457 section 3.1.1).
const typePrefix = "urn:cloakroom:problem:"

// requestPrefix makes a problem's instance of the request's id (RFC 9457 section 3.1.5).
const requestPrefix = "urn:cloakroom:request:"

// Info is what the writer of an error knows of the request beside the error.
type Info struct {
	RequestID string // what the log calls this request; "" = unknown
	LoginURL  string // where a sign-in starts; "" = nowhere here
	HomeURL   string // where a page may lead when nothing else helps; "" = nowhere
}

// Offer is an error with what only its surface knows: a better place to sign in, more to say, other ways on. Status,
// code and log are those of Err.
type Offer struct {
	Err      error
	LoginURL string // replaces Info.LoginURL; "" leaves it
	Text     string // one more paragraph on a page; never a text of anybody else
	Actions  []Action
	Ticket   string // of a step-up, for a native app: what its next sign-in gives as step_up; "" = none
	Spent    bool   // the address itself is used up: a page offers the sign-in in place of opening it again
}

// Error returns the cause's text, for the log.
func (o *Offer) Error() string { return o.Err.Error() }

// Unwrap returns the cause.
func (o *Offer) Unwrap() error { return o.Err }

// problem is an error as a program reads it: RFC 9457 section 3.1, and our own members (section 3.2).
type problem struct {
	Type       string   `json:"type"`
	Title      string   `json:"title"`
	Status     int      `json:"status"`
	Detail     string   `json:"detail,omitempty"`
	Instance   string   `json:"instance,omitempty"`
	Code       bff.Code `json:"code"`
	RequestID  string   `json:"request_id,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	LoginURL   string   `json:"login_url,omitempty"`
	RetryAfter int      `json:"retry_after,omitempty"` // seconds
	MaxAge     *int     `json:"max_age,omitempty"`     // seconds
	ACRValues  []string `json:"acr_values,omitempty"`
	StepUp     string   `json:"step_up,omitempty"`
}

// problemOf tells err. What is not a *bff.Error is internal, and none of its text is shown (RFC 9457 section 5).
func problemOf(err error, info Info) problem {
	e, info := told(err, info)
	a := answerOf(e.Code)
	p := problem{
		Type: typePrefix + string(e.Code), Title: a.title, Status: a.status, Detail: e.Message,
		Code: e.Code, RequestID: info.RequestID, Reason: e.Reason, RetryAfter: seconds(e.RetryAfter),
	}
	if age := seconds(e.MaxAge); age > 0 {
		p.MaxAge = &age
	}
	if e.StepUp != nil { // RFC 9470 section 3
		p.ACRValues, p.MaxAge = e.StepUp.ACRValues, e.StepUp.MaxAge
	}
	if o, ok := errors.AsType[*Offer](err); ok {
		p.StepUp = o.Ticket
	}
	if info.RequestID != "" {
		p.Instance = requestPrefix + info.RequestID
	}
	if a.asksForSignIn(e.Code) {
		p.LoginURL = info.LoginURL
	}
	return p
}

// writeProblem answers with err as application/problem+json. There is no WWW-Authenticate but for a ChallengeError: a
// cookie has no challenge, and a made-up scheme would help nobody.
func writeProblem(w http.ResponseWriter, r *http.Request, err error, info Info) {
	p := problemOf(err, info)
	body, err := json.Marshal(p)
	if err != nil { // texts and numbers alone: it cannot fail; fail closed nonetheless
		p, body = problem{Status: http.StatusInternalServerError}, []byte(`{}`)
	}
	Private(w.Header())
	setRetryAfter(w.Header(), p.RetryAfter)
	write(w, r, p.Status, "application/problem+json", body)
}

// told reduces err to what may be told, and fills in what an Offer knows better. A code without a row counts as
// internal, so that code and status never contradict each other.
func told(err error, info Info) (*bff.Error, Info) {
	if o, ok := errors.AsType[*Offer](err); ok && o.LoginURL != "" {
		info.LoginURL = o.LoginURL
	}
	if e, ok := errors.AsType[*bff.Error](err); ok {
		if _, known := answers[e.Code]; known {
			return because(e), info
		}
	}
	return &bff.Error{Code: bff.CodeInternal, Message: "Something went wrong here."}, info
}

// seconds rounds up: trying again a moment too early would be refused again.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// setRetryAfter sets the header field of RFC 9110 section 10.2.3 when there is something to say.
func setRetryAfter(h http.Header, seconds int) {
	if seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
}
