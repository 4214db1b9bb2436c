//go:build integration

package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is one end of an HTTP/2 connection, which writes and reads whatever it is told.
type frames struct {
	*http2.Framer
	conn  net.Conn
	block bytes.Buffer
	enc   *hpack.Encoder
	dec   *hpack.Decoder
}

func newFrames(c net.Conn) *frames {
	f := &frames{Framer: http2.NewFramer(c, c), conn: c, dec: hpack.NewDecoder(4096, nil)}
	f.AllowIllegalWrites = true
	f.enc = hpack.NewEncoder(&f.block)
	return f
}

// head writes fields, names and values as they are given, in as many frames as they take.
func (f *frames) head(stream uint32, end bool, fields ...hpack.HeaderField) error {
	f.block.Reset()
	for _, h := range fields {
		if err := f.enc.WriteField(h); err != nil {
			return err
		}
	}
	const most = 16 << 10 // RFC 9113 section 4.2
	block := f.block.Bytes()
	part := block[:min(most, len(block))]
	block = block[len(part):]
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: part, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part = block[:min(most, len(block))]
		block = block[len(part):]
		err = f.WriteContinuation(stream, len(block) == 0, part)
	}
	return err
}

// pairs are "name: value" as fields of HTTP/2, the names in lower case.
func pairs(lines ...string) (fields []hpack.HeaderField) {
	for _, l := range lines {
		name, value, _ := strings.Cut(l[1:], ":") // :path has a colon at its start
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(l[:1] + name), Value: strings.TrimPrefix(value, " ")})
	}
	return fields
}

// event is what a frame says of a stream.
type event struct {
	stream uint32
	fields []string // "name: value", of a HEADERS frame with what continues it
	data   string
	end    bool
	broken string // a reset, or the end of the connection
}

// read returns the next event, having answered what is to be answered at once.
func (f *frames) read() (event, error) {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return event{}, err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = f.WritePing(true, frame.Data)
			}
		case *http2.HeadersFrame:
			ev := event{stream: frame.StreamID, end: frame.StreamEnded()}
			ev.fields, err = f.rest(frame)
			return ev, err
		case *http2.DataFrame:
			if n := uint32(frame.Length); n > 0 {
				err = f.WriteWindowUpdate(0, n)
			}
			return event{stream: frame.StreamID, data: string(frame.Data()), end: frame.StreamEnded()}, err
		case *http2.RSTStreamFrame:
			return event{stream: frame.StreamID, end: true, broken: "RST_STREAM " + frame.ErrCode.String()}, nil
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return event{end: true, broken: "GOAWAY " + frame.ErrCode.String()}, nil
			}
		}
		if err != nil {
			return event{}, err
		}
	}
}

// rest decodes a head, with the frames that continue it.
func (f *frames) rest(h *http2.HeadersFrame) (lines []string, err error) {
	block := slices.Clone(h.HeaderBlockFragment())
	for done := h.HeadersEnded(); !done; {
		frame, err := f.ReadFrame()
		if err != nil {
			return nil, err
		}
		more, ok := frame.(*http2.ContinuationFrame)
		if !ok {
			return nil, fmt.Errorf("%v within a head", frame.Header())
		}
		block = append(block, more.HeaderBlockFragment()...)
		done = more.HeadersEnded()
	}
	fields, err := f.dec.DecodeFull(block)
	for _, h := range fields {
		lines = append(lines, h.Name+": "+h.Value)
	}
	return lines, err
}

// spelledPairs are "name: value" as fields of HTTP/2, in the case they are written in.
func spelledPairs(lines []string) (fields []hpack.HeaderField) {
	for _, l := range lines {
		name, value, _ := strings.Cut(l[1:], ": ")
		fields = append(fields, hpack.HeaderField{Name: strings.TrimPrefix(l[:1]+name, " "), Value: value})
	}
	return fields
}
