package provider

import (
	"encoding/json"
	"errors"
	"net/http"
)

// work is what an endpoint does, under the provider's lock. What it returns is sent, or lost, afterwards.
type work func(*http.Request) reply

// reply is an answer that is ready but not sent.
type reply struct {
	status int
	header http.Header
	body   []byte
	after  func() // runs without the lock, before the answer is sent
}

func (re reply) write(w http.ResponseWriter) {
	for name, values := range re.header {
		w.Header()[name] = values
	}
	w.WriteHeader(re.status)
	_, _ = w.Write(re.body) // a client that has gone is no concern of the provider
}

func newReply(status int, contentType string, body []byte) reply {
	h := http.Header{"Cache-Control": {"no-store"}} // RFC 6749 section 5.1
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return reply{status: status, header: h, body: body}
}

func jsonReply(status int, v any) reply {
	body, err := json.Marshal(v)
	if err != nil { // a hook put something into an answer that JSON cannot say
		return newReply(http.StatusInternalServerError, "text/plain; charset=utf-8", []byte(err.Error()))
	}
	return newReply(status, "application/json", body)
}

func redirectReply(r *http.Request, target string) reply {
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther // a form's fields must not travel on: RFC 9700 section 4.12
	}
	re := newReply(status, "", nil)
	re.header.Set("Location", target)
	re.header.Set("Referrer-Policy", "no-referrer")
	return re
}

// refusal is an OAuth error answer (RFC 6749 section 5.2). Its texts follow the engine that Scalekit seems to run on.
type refusal struct {
	status      int
	code        string
	description string
	basic       bool // challenge by Basic
}

// Error is the code and its description.
func (e refusal) Error() string { return e.code + ": " + e.description }

func badRequest(text string) error {
	return refusal{status: http.StatusBadRequest, code: "invalid_request", description: text}
}

func badGrant(text string) error {
	return refusal{status: http.StatusBadRequest, code: "invalid_grant", description: text}
}

func refuse(code, text string) error {
	return refusal{status: http.StatusBadRequest, code: code, description: text}
}

func invalidClient(method AuthMethod) error {
	return refusal{
		status: http.StatusUnauthorized, code: "invalid_client",
		description: "invalid client_id / client_secret", basic: method == SecretBasic,
	}
}

// errorReply turns what went wrong into an answer; anything but a refusal is a server_error.
func errorReply(err error) reply {
	var e refusal
	if !errors.As(err, &e) {
		e = refusal{status: http.StatusInternalServerError, code: "server_error", description: err.Error()}
	}
	re := jsonReply(e.status, map[string]string{"error": e.code, "error_description": e.description})
	if e.basic {
		// RFC 6749 section 5.2: who tried the Authorization header is answered with its challenge.
		re.header.Set("WWW-Authenticate", `Basic realm="token"`)
	}
	return re
}
