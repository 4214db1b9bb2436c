package proxy

import (
	"crypto/rand"
	"encoding/binary"
)

// frames follows the frames of one direction of a WebSocket (RFC 6455 section 5.2) as their bytes pass, and keeps none of
// them. It judges nothing: both ends do, and whatever an end makes of its frames is its own WebSocket. All it is for is to
// know where one frame ends, for only there another may be put in, and what kind of frame passes.
type frames struct {
	head   [maxFrameHead]byte // of the frame that begins, as far as it has come
	have   int                // bytes of head
	rest   uint64             // bytes of payload that have not passed
	opcode byte               // of the frame whose payload passes
	closed bool               // a whole close frame has passed: nothing follows it (section 5.5.1)
}

const maxFrameHead = 2 + 8 + 4 // bytes: fixed, the longest length, a mask

// The opcodes of section 5.2 that matter here. From 8 on they are of control frames.
const (
	opClose   = 0x8
	opControl = 0x8
)

// take follows p. It reports whether any of it belongs to a message, and not to control frames alone.
func (f *frames) take(p []byte) (message bool) {
	for len(p) > 0 {
		if f.rest > 0 {
			n := min(f.rest, uint64(len(p)))
			f.rest, p = f.rest-n, p[n:]
		} else if f.head[f.have], p = p[0], p[1:]; !f.begin() {
			continue
		}
		message = message || f.opcode < opControl
		f.closed = f.closed || f.opcode == opClose && f.rest == 0
	}
	return message
}

// begin counts one byte of a head, and reads the head once it is whole.
func (f *frames) begin() bool {
	f.have++
	if f.have < 2 || f.have < f.size() {
		return false
	}
	switch length := f.head[1] & 0x7f; length {
	case 126:
		f.rest = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127: // the highest bit must be 0; where it is not, the frame never ends, and neither does any other begin
		f.rest = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.rest = uint64(length)
	}
	f.opcode, f.have = f.head[0]&0x0f, 0
	return true
}

// size is the length of a head whose first two bytes are there.
func (f *frames) size() int {
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// between reports whether another frame may be put in here. Between the parts of one message it may, if it is a control
// frame (section 5.4).
func (f *frames) between() bool { return f.have == 0 && f.rest == 0 && !f.closed }

// The close codes of section 7.4.1 that the gateway itself sends.
const (
	closeGoingAway = 1001 // this instance drains, or the route's stream_timeout has passed
	closePolicy    = 1008 // the session ended
	closeBroken    = 1011 // the upstream is gone without a word
)

// closeFrame is a close frame (section 5.5.1) with a code and a text of at most 123 bytes: towards a frontend as a server
// sends it, towards an upstream masked, as a client must (section 5.3: by what nobody can foretell).
func closeFrame(code uint16, text string, masked bool) []byte {
	payload := append(binary.BigEndian.AppendUint16(nil, code), text...)
	head := []byte{0x80 | opClose, byte(len(payload))}
	if masked {
		var mask [4]byte
		_, _ = rand.Read(mask[:]) // it never fails: see crypto/rand
		head[1] |= 0x80
		head = append(head, mask[:]...)
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
	}
	return append(head, payload...)
}
