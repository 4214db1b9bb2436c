package proxy

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"

	"cloakroom/bff"
)

// The opening handshake of a WebSocket (RFC 6455 section 4) on its way to an upstream and back. It is a GET like any
// other, with one field more to be judged on each leg; what follows it is in tunnel.go.

// webSocketsPerSession is how many WebSockets one session may have open at one instance: more than all tabs of a user who
// never closes any, far less than a process can hold (ASVS 13.1.3: one user must not use up what is there for all).
const webSocketsPerSession = 50

// acceptGUID is fixed by RFC 6455 section 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// AsksForWebSocket reports whether a request wants its connection to become a WebSocket, well formed or not. Such a
// request is guarded as a handshake, and forwarded as a handshake or not at all: no guard is weakened by asking.
func AsksForWebSocket(r *http.Request) bool {
	return listed(r.Header["Upgrade"], "websocket")
}

// listed reports whether a comma-separated list holds a word, without case (RFC 9110 section 5.6.1).
func listed(lines []string, word string) bool {
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(member), word) {
				return true
			}
		}
	}
	return false
}

// checkUpgrade refuses a WebSocket on a route that does not take any, and one whose handshake is not exactly that of RFC
// 6455 section 4.2.1: what the gateway takes for a handshake and the upstream for a plain request, or the other way round,
// would smuggle. Every other upgrade, h2c above all, is an offer that RFC 9110 section 7.8 lets a server ignore: it is
// dropped.
func (c *compiled) checkUpgrade(r *http.Request) error {
	h := r.Header
	switch {
	case !AsksForWebSocket(r):
		return nil
	case !c.WebSocket:
		return badRequest("WebSocket on a route without")
	case r.Method != http.MethodGet || r.ProtoMajor != 1 || r.ProtoMinor != 1:
		return badRequest("WebSocket by another method or version than GET and HTTP/1.1")
	case !is(h["Upgrade"], "websocket") || !listed(h["Connection"], "upgrade"):
		return badRequest("WebSocket among other upgrades, or not for this connection")
	case r.ContentLength != 0:
		return badRequest("WebSocket handshake with a body") // chunked: -1
	case !is(h["Sec-Websocket-Version"], "13"):
		return badRequest("WebSocket of another version")
	case !isKey(h["Sec-Websocket-Key"]):
		return badRequest("WebSocket without one key of 16 bytes")
	default:
		return nil
	}
}

// orVersion adds to a refused handshake which version is known (RFC 6455 section 4.4).
func (c *compiled) orVersion(w http.ResponseWriter, r *http.Request, err error) error {
	if c.WebSocket && AsksForWebSocket(r) {
		w.Header()["Sec-Websocket-Version"] = []string{"13"}
	}
	return err
}

// is reports whether a field stands once, with this value, without case.
func is(values []string, want string) bool {
	return len(values) == 1 && strings.EqualFold(values[0], want)
}

// isKey reports whether a handshake's key is 16 bytes of base64 (RFC 6455 section 4.1).
func isKey(values []string) bool {
	if len(values) != 1 || len(values[0]) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	key, err := base64.StdEncoding.Strict().DecodeString(values[0])
	return err == nil && len(key) == 16
}

// acceptOf is the answer to a key (RFC 6455 section 4.2.2). SHA-1 is the protocol's: it shows that the upstream knows it
// speaks WebSocket, and keeps no secret.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// upgrade makes a request that was judged a handshake again, for rewrite takes out what is hop by hop. An API gets no
// Origin: it guards against pages that use a browser's cookies, the gateway has asked for it, and there is neither page nor
// cookie on this leg; many APIs would refuse one that is not their own. A site sees it, as on any request.
func (x *exchange) upgrade(h http.Header) {
	if !x.handshake {
		return
	}
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	if x.route.Kind != KindSite {
		delete(h, "Origin")
	}
}

// errSwitched ends the ReverseProxy's part in a handshake that was accepted: what follows is no HTTP.
var errSwitched = errors.New("protocol switched")

// checkSwitch judges a 101: it must be the answer to this very handshake (RFC 6455 section 4.1, for clients), by an
// upstream that means it, in words that were offered. Nothing of it has reached the frontend.
func (x *exchange) checkSwitch(res *http.Response) error {
	h, asked := res.Header, x.in.Header
	_, writable := res.Body.(io.ReadWriteCloser)
	protocol := h["Sec-Websocket-Protocol"]
	switch {
	case !x.handshake: // RFC 9110 section 15.2.2
		return errors.New("upstream switched protocols unasked")
	case !is(h["Upgrade"], "websocket") || !listed(h["Connection"], "upgrade") || !writable:
		return errors.New("upstream switched to another protocol")
	case len(h["Sec-Websocket-Accept"]) != 1 || h["Sec-Websocket-Accept"][0] != acceptOf(asked["Sec-Websocket-Key"][0]):
		return errors.New("upstream answered another handshake")
	case len(protocol) > 1 || len(protocol) == 1 && !slices.Contains(membersOf(asked["Sec-Websocket-Protocol"]), protocol[0]):
		return errors.New("upstream chose a subprotocol that was not offered")
	case !subset(extensionsOf(h), extensionsOf(asked)):
		return errors.New("upstream chose an extension that was not offered")
	default:
		return nil
	}
}

func membersOf(lines []string) (members []string) {
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			members = append(members, textproto.TrimString(member))
		}
	}
	return members
}

// extensionsOf returns the names of a handshake's extensions. Parameters pass as they are, and so do the names: what an
// extension does to frames is between the two ends.
func extensionsOf(h http.Header) (names []string) {
	for _, member := range membersOf(h["Sec-Websocket-Extensions"]) {
		name, _, _ := strings.Cut(member, ";")
		names = append(names, textproto.TrimString(name))
	}
	return names
}

func subset(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// switchTo takes the upstream's connection out of an answer whose fields were cleaned, and puts the head of the
// frontend's together.
func (x *exchange) switchTo(res *http.Response) error {
	x.socket, _ = res.Body.(io.ReadWriteCloser)
	res.Body = http.NoBody // the ReverseProxy closes it
	h := res.Header
	for _, name := range membersOf(h["Connection"]) {
		h.Del(name)
	}
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Transfer-Encoding", "Content-Length", "Content-Type",
	} {
		delete(h, name) // RFC 9110 sections 7.6.1 and 8.6: it is hop by hop, or tells of a content that there is none of
	}
	own := x.ResponseWriter.Header()
	for name, values := range h {
		own[name] = append(own[name], values...)
	}
	own["Connection"], own["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	own["Sec-Websocket-Accept"] = []string{acceptOf(x.in.Header["Sec-Websocket-Key"][0])}
	return errSwitched
}

// converse takes the frontend's connection over and carries bytes both ways until an end is reached.
func (x *exchange) converse(ctx context.Context) {
	x.ResponseWriter.WriteHeader(http.StatusSwitchingProtocols)
	front, rw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil { // a writer that cannot: the 101 is out, and nothing can follow it
		_ = x.socket.Close()
		panic(http.ErrAbortHandler)
	}
	told := x.table.opened(x.route.Name)
	t := newTunnel(front, rw.Reader, x.socket, x.table.bodyStall, x.call.Active)
	told(t.run(ctx, x.table.sockets.leaving))
}

// sockets are the WebSockets that are open, or about to.
type sockets struct {
	leaving chan struct{} // closed when the instance drains
	empty   chan struct{} // closed when it does, and none is left

	mu   sync.Mutex
	open int
	of   map[bff.Lookup]int // by session
	gone bool               // leaving is closed
}

func newSockets() *sockets {
	return &sockets{leaving: make(chan struct{}), empty: make(chan struct{}), of: make(map[bff.Lookup]int)}
}

// reserve makes room for one more of a session's; nil is nobody's. Call free when it is over.
func (s *sockets) reserve(session *bff.Session) (free func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, &bff.Error{Code: bff.CodeDraining, Message: "This instance is shutting down. Try again.", RetryAfter: time.Second}
	}
	s.open++
	if session == nil {
		return func() { s.free(nil) }, nil
	}
	if s.of[session.Lookup] == webSocketsPerSession {
		s.open--
		return nil, &bff.Error{
			Code: bff.CodeRateLimited, Message: "Too many connections of one session are open.",
			RetryAfter: 10 * time.Second, // one has to be closed first, by a person
		}
	}
	s.of[session.Lookup]++
	return func() { s.free(&session.Lookup) }, nil
}

func (s *sockets) free(of *bff.Lookup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of != nil {
		if s.of[*of]--; s.of[*of] == 0 {
			delete(s.of, *of)
		}
	}
	if s.open--; s.open == 0 && s.gone {
		close(s.empty)
	}
}

// Drain closes every WebSocket with "going away", refuses new ones, and waits until all are closed or ctx ends, whose
// error it returns. net/http's Shutdown knows nothing of them. Call it once.
func (t *Table) Drain(ctx context.Context) error {
	s := t.sockets
	s.mu.Lock()
	if s.gone = true; s.open == 0 {
		close(s.empty)
	}
	close(s.leaving)
	s.mu.Unlock()
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
