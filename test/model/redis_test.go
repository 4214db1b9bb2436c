//go:build integration

package model_test

import (
	"bufio"
	"flag"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/test/redisproc"
)

// shows REF-ONE, SESS-CAS, SESS-KILL, KEY-TTL
func TestSessionsKeepTheirPromisesOnRedis(t *testing.T) {
	server := redisproc.Start(t, redisproc.Options{})
	fewer(t, 3) // each command costs a look at the clocks of both, and at what it published
	hold(t, func() keeper { return newReal(server.Addr()) })
}

// fewer divides the number of runs for one test.
func fewer(t *testing.T, by int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value.String()
	n, err := strconv.Atoi(checks)
	if err != nil {
		t.Fatal(err)
	}
	set := func(to string) {
		if err := flag.Set("rapid.checks", to); err != nil {
			t.Fatal(err)
		}
	}
	set(strconv.Itoa(max(n/by, 1)))
	t.Cleanup(func() { set(checks) })
}

// real is a redis-server outside the bubble. Its answers take no time of the bubble's. Its clock is made to follow that of
// the bubble: before anybody looks, every key is brought to the life it would have there.
type real struct {
	addr string
	back *talk // the back door
	ear  *talk
	hear func(string)

	mu     sync.Mutex
	there  time.Time // the bubble's time when the clocks were last brought together
	server int64     // the server's, in ms
}

func newReal(addr string) *real {
	k := &real{addr: addr, there: time.Now()}
	k.back = k.talk()
	k.back.ask("FLUSHALL")
	k.follow()
	return k
}

// talk is a connection that asks one thing after the other.
type talk struct {
	net.Conn
	r *bufio.Reader
}

func (k *real) talk() *talk {
	conn, err := net.Dial("tcp", k.addr)
	if err != nil {
		panic(err) // the server was there a moment ago
	}
	return &talk{conn, bufio.NewReader(conn)}
}

// ask returns the texts and numbers of an answer, in order; nil of an error.
func (t *talk) ask(args ...string) []string {
	if _, err := t.Write(encode(args...)); err != nil {
		return nil
	}
	return t.answer()
}

func (t *talk) answer() []string {
	reply, err := readReply(t.r)
	if err != nil || reply[0] == '-' {
		return nil
	}
	return flat(bufio.NewReader(strings.NewReader(string(reply))))
}

// flat reads the leaves of one reply.
func flat(r *bufio.Reader) (all []string) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:])) // a number where the type has one
	switch line[0] {
	case '*':
		for range n {
			all = append(all, flat(r)...)
		}
	case '$':
		if n < 0 {
			return []string{""}
		}
		text, _ := r.Peek(n)
		all = []string{string(text)}
		_, _ = r.Discard(n + 2)
	default:
		all = []string{strings.TrimSpace(line[1:])}
	}
	return all
}

// shift moves the lives of all keys: what passed in the bubble counts, what passed at the server does not. Less than 20 ms
// wait for the next time: no promise is so exact, and the work is all keys'.
const shift = `local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local by = 0
if ARGV[2] ~= '0' then
  by = now - tonumber(ARGV[2]) - tonumber(ARGV[1])
end
if by ~= 0 and math.abs(by) < 20 then
  return '0'
end
if by ~= 0 then
  for _, k in ipairs(redis.call('KEYS', '*')) do
    local left = redis.call('PTTL', k)
    if left >= 0 then
      redis.call('PEXPIRE', k, left + by)
    end
  end
end
return string.format('%.0f', now)`

// follow brings the clocks together.
func (k *real) follow() {
	passed, at := time.Since(k.there), time.Now()
	now := k.back.ask("EVAL", shift, "0", strconv.FormatInt(passed.Milliseconds(), 10), strconv.FormatInt(k.server, 10))
	if len(now) == 1 && now[0] != "0" {
		k.server, k.there = num(now[0]), at
	}
}

func (k *real) look(args ...string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.follow()
	return k.back.ask(args...)
}

func (k *real) dial() (net.Conn, error) {
	conn, err := net.Dial("tcp", k.addr)
	return &following{conn, k}, err
}

// following is a connection whose every write comes at the bubble's time.
type following struct {
	net.Conn
	k *real
}

func (f *following) Write(b []byte) (int, error) {
	f.k.mu.Lock()
	f.k.follow()
	f.k.mu.Unlock()
	return f.Conn.Write(b)
}

func (k *real) hash(key string) map[string]string {
	all := k.look("HGETALL", key)
	fields := make(map[string]string, len(all)/2)
	for i := 0; i+1 < len(all); i += 2 {
		fields[all[i]] = all[i+1]
	}
	return fields
}

func (k *real) text(key string) string {
	if value := k.look("GET", key); len(value) == 1 {
		return value[0]
	}
	return ""
}

func (k *real) life(key string) time.Duration {
	if left := k.look("PTTL", key); len(left) == 1 && num(left[0]) >= 0 { // 0 is its last millisecond
		return time.Duration(max(num(left[0]), 1)) * time.Millisecond
	}
	return 0
}

func (k *real) keys() []string { return k.look("KEYS", "*") }

func (k *real) listen(hear func(string)) {
	k.hear = hear
	k.ear = k.talk()
	k.ear.ask("SUBSCRIBE", channel)
}

// heard asks for a sign of life on the channel: what was published before comes before it.
func (k *real) heard() {
	if k.ear == nil {
		return
	}
	if _, err := k.ear.Write(encode("PING")); err != nil {
		return
	}
	for {
		m := k.ear.answer()
		if len(m) != 3 || m[0] != "message" {
			return
		}
		k.hear(m[2])
	}
}

func (k *real) close() {
	_ = k.back.Close()
	if k.ear != nil {
		_ = k.ear.Close()
	}
}
