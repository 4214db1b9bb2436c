package wire

import (
	"bytes"
	"strconv"
	"strings"
)

// maxLine bounds what is kept of a line that never ends: no RESP length is longer, so the stream is something else.
const maxLine = 32

// resp reads the client's half of a Redis connection, RESP2 or RESP3 (requests are the same), in any cut of chunks, and
// tells each command's name. Anything else on the wire makes it stop looking.
type resp struct {
	line    []byte // a header line so far
	items   int    // bulk strings still to come in this command
	skip    int    // bytes of a bulk string and its line end still to come
	name    []byte // the first bulk string of the command
	naming  bool
	foreign bool
}

// feed reads a chunk and calls command for every name that became complete.
func (r *resp) feed(b []byte, command func(string)) {
	for len(b) > 0 && !r.foreign {
		if r.skip > 0 {
			b = r.bulk(b, command)
			continue
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			r.line = append(r.line, b...)
			r.foreign = len(r.line) > maxLine
			return
		}
		r.line = append(r.line, b[:end]...)
		b = b[end+1:]
		r.header(strings.TrimSuffix(string(r.line), "\r"))
		r.line = r.line[:0]
	}
}

// header reads *n, which begins a command, or $n, which begins one of its strings.
func (r *resp) header(line string) {
	begins := r.items == 0
	if len(line) < 2 || begins != (line[0] == '*') || !begins && line[0] != '$' {
		r.foreign = true
		return
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		r.foreign = true
		return
	}
	if begins {
		r.items, r.naming, r.name = n, n > 0, r.name[:0]
		return
	}
	r.skip = n + len("\r\n")
}

// bulk consumes a string's bytes and returns the rest of the chunk.
func (r *resp) bulk(b []byte, command func(string)) []byte {
	n := min(r.skip, len(b))
	if r.naming {
		r.name = append(r.name, b[:n]...)
	}
	r.skip -= n
	if r.skip > 0 {
		return b[n:]
	}
	r.items--
	if r.naming {
		r.naming = false
		command(strings.ToUpper(strings.TrimSuffix(string(r.name), "\r\n")))
	}
	return b[n:]
}
