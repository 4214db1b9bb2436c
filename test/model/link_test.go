package model_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloakroom/bff"

	"github.com/alicebob/miniredis/v2"
)

// slowness is how late a slow answer comes: later than half a lease (so that its sender must look whether the lease is
// still its own), sooner than the store gives up.
const slowness = 3500 * time.Millisecond

// patience is how long a store waits for Redis here: long enough for a slow answer.
const patience = 4 * time.Second

// keeper is a Redis as the test sees it: through the back door, which is never out of order.
type keeper interface {
	dial() (net.Conn, error)
	hash(key string) map[string]string
	text(key string) string
	life(key string) time.Duration // 0: the key is not there, or has none
	keys() []string
	// listen calls hear for each message on the channel of events.
	listen(hear func(payload string))
	// heard returns when all that was published has been heard.
	heard()
	close()
}

// embedded is miniredis inside the bubble.
type embedded struct {
	*miniredis.Miniredis
	ear *miniredis.Subscriber
}

func newEmbedded() *embedded {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	return &embedded{Miniredis: m}
}

func (e *embedded) dial() (net.Conn, error) { return e.Dial() }

func (e *embedded) hash(key string) map[string]string {
	fields, err := e.HKeys(key)
	if err != nil {
		return nil
	}
	all := make(map[string]string, len(fields))
	for _, f := range fields {
		all[f] = e.HGet(key, f)
	}
	return all
}

func (e *embedded) text(key string) string {
	value, _ := e.Get(key) // "" for a key that is not there
	return value
}

func (e *embedded) life(key string) time.Duration { return e.TTL(key) }
func (e *embedded) keys() []string                { return e.Keys() }
func (e *embedded) heard()                        {}

func (e *embedded) listen(hear func(string)) {
	e.ear = e.NewSubscriber()
	e.ear.Subscribe(channel)
	messages := e.ear.Messages()
	go func() {
		for m := range messages {
			hear(m.Message)
		}
	}()
}

func (e *embedded) close() {
	if e.ear != nil {
		e.ear.Close()
	}
	e.Close()
}

// scripts are the store's, by the hash under which they are called.
type scripts map[string]string

// loadScripts reads them from the store and has the server know them, so that no call is made twice for that.
func loadScripts(k keeper) (scripts, error) {
	files, err := filepath.Glob("../../store/lua/*.lua")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("finding the store's scripts: %w", err)
	}
	conn, err := k.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	known := make(scripts)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		sum := sha1.Sum(text)
		known[hex.EncodeToString(sum[:])] = strings.TrimSuffix(filepath.Base(f), ".lua")
		if _, err := conn.Write(encode("SCRIPT", "LOAD", string(text))); err != nil {
			return nil, err
		}
		if _, err := readReply(r); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// encode writes a command as Redis reads it.
func encode(args ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.Bytes()
}

// readCommand reads one command.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readCount(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readCount(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func readCount(r *bufio.Reader, mark byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != mark {
		return 0, fmt.Errorf("a line %q where %c was expected", line, mark)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// readReply reads one reply, whole and as it is.
func readReply(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(line[1:]))) // a number where the type has one
	switch line[0] {
	case '$':
		if n < 0 {
			return line, nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return append(line, b...), err
	case '*':
		for range max(n, 0) {
			part, err := readReply(r)
			if err != nil {
				return nil, err
			}
			line = append(line, part...)
		}
	}
	return line, nil
}

// command is one of a flight: what an instance sends before it waits for an answer.
type command struct {
	name string   // of the script, or of the command in lower case
	keys []string // of a script; otherwise the first argument
	args []string // what follows
	raw  []string
}

// parse reads what a command does.
func (w *world) parse(raw []string) command {
	c := command{name: strings.ToLower(raw[0]), raw: raw}
	if (c.name == "evalsha") && len(raw) > 2 {
		if script, ok := w.scripts[strings.ToLower(raw[1])]; ok {
			n, _ := strconv.Atoi(raw[2])
			c.name, c.keys, c.args = script, raw[3:3+n], raw[3+n:]
			return c
		}
	}
	if len(raw) > 1 {
		c.keys, c.args = raw[1:2], raw[2:]
	}
	return c
}

// lookup is the session that a command is about; "" if none.
func (c command) lookup() bff.Lookup {
	if len(c.keys) == 0 {
		return ""
	}
	rest, found := strings.CutPrefix(c.keys[0], prefix+"s:{")
	if !found {
		return ""
	}
	lookup, _, _ := strings.Cut(rest, "}")
	return bff.Lookup(lookup)
}

// words names the commands that are no scripts, and some scripts, in the words of the model.
func words(name string) string {
	w, ok := map[string]string{
		"hmget": "read", "hvals": "read the end markers", "hgetall": "read an index", "hdel": "forget in the indexes",
		"exists": "look for", "index": "write the indexes", "marker": "write the end markers", "use": "use a transaction",
		"mark": "mark as sent", "turn": "move the turn", "seen": "note the turn as seen", "redeem": "take a code",
		"proof": "read with a proof",
		"set":   "put", "getdel": "take",
	}[name]
	if !ok {
		return name
	}
	return w
}

// describe names a flight.
func (w *world) describe(flight []command) string {
	var parts []string
	for _, c := range flight {
		part := words(c.name)
		if l := c.lookup(); l != "" {
			if c.name == "get" {
				part = "read the end of"
			}
			part += " " + w.nameOf(l)
		}
		if len(parts) == 0 || parts[len(parts)-1] != part {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// link is one connection of an instance to Redis. Each flight waits at the gate.
type link struct {
	w    *world
	of   *instance
	near net.Conn // the instance's end is the other one of this pipe
	far  net.Conn
	r    *bufio.Reader // of near
	back *bufio.Reader // of far
	cut  sync.Once
}

var errAway = errors.New("redis is away")

// dial makes a link.
func (w *world) dial(of *instance) (net.Conn, error) {
	if of.isDead() || w.gate.isDown() {
		w.troubled(of)
		return nil, errAway
	}
	far, err := w.keeper.dial()
	if err != nil {
		return nil, err
	}
	client, near := net.Pipe()
	l := &link{w: w, of: of, near: near, far: far, r: bufio.NewReader(near), back: bufio.NewReader(far)}
	of.hold(l)
	go l.serve()
	return client, nil
}

// hangUp closes the instance's end.
func (l *link) hangUp() { l.cut.Do(func() { _ = l.near.Close() }) }

func (l *link) serve() {
	defer l.far.Close()
	defer l.hangUp()
	for {
		flight, err := l.flight()
		if err != nil {
			return
		}
		if !l.carry(flight) {
			return
		}
	}
}

// flight reads what was sent in one piece.
func (l *link) flight() ([]command, error) {
	var all []command
	for len(all) == 0 || l.r.Buffered() > 0 {
		raw, err := readCommand(l.r)
		if err != nil {
			return nil, err
		}
		all = append(all, l.w.parse(raw))
	}
	return all, nil
}

// carry waits for leave, carries out what is granted, and reports whether the connection goes on.
func (l *link) carry(flight []command) bool {
	if flight[0].name == "hello" { // a connection that greets is not worth a step
		_, err := l.near.Write(l.exchange(flight))
		return err == nil
	}
	c := &call{of: l.of, what: l.w.describe(flight), kind: toRedis}
	f := l.w.gate.park(context.Background(), c)
	if f == belated {
		l.w.troubled(l.of)
		l.hangUp()
		c.late = true
		f = l.w.gate.park(context.Background(), c)
	}
	if f == dropped {
		l.w.troubled(l.of)
		return false
	}
	if f != passes || c.late { // told before, for what Redis does now is judged by it; and after, for it took its time
		l.w.troubled(l.of)
		defer l.w.troubled(l.of)
	}
	reply := l.exchange(flight)
	if f == doubled {
		reply = l.exchange(flight)
	}
	if f == unanswered || reply == nil {
		return false
	}
	if f == slow {
		time.Sleep(slowness)
	}
	_, err := l.near.Write(reply)
	return err == nil
}

// exchange has Redis do it. nil if there is no answer.
func (l *link) exchange(flight []command) []byte {
	var all []byte
	for _, c := range flight {
		reply, err := l.carryOut(c)
		if err != nil {
			return nil
		}
		all = append(all, reply...)
	}
	return all
}

// carryOut has Redis carry out one command, and has the promises about what it did checked before the next one is.
func (l *link) carryOut(c command) ([]byte, error) {
	l.w.one.Lock()
	defer l.w.one.Unlock()
	if _, err := l.far.Write(encode(c.raw...)); err != nil {
		return nil, err
	}
	reply, err := readReply(l.back)
	if err != nil {
		return nil, err
	}
	l.w.keeper.heard()
	l.w.happened(l.of, c, string(reply))
	return reply, nil
}
