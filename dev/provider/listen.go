package provider

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrNotLoopback is returned by Start for an address that other machines could reach.
var ErrNotLoopback = errors.New("address is not loopback")

// ErrStarted is returned by Start and Resume while the provider listens, and by Start for good: an issuer does not change.
var ErrStarted = errors.New("provider is started already")

// listening is the socket side of a provider: where it listens, and how many requests are inside.
type listening struct {
	mu     sync.Mutex
	addr   string // as first bound, with the real port; "" before Start
	server *http.Server
	inside int
	idle   *sync.Cond
}

// Start listens on addr, a loopback address such as "127.0.0.1:0" ("" means that one), and fixes the issuer: http, the host as
// written in addr, the port as bound (Config.Origin may say otherwise). ErrNotLoopback if the address is any other, unless the
// provider was made with InsecureListen.
func (p *Provider) Start(addr string) error {
	addr = orElse(addr, "127.0.0.1:0")
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("reading address: %w", err)
	}
	if ip := net.ParseIP(host); !p.anywhere && host != "localhost" && !ip.IsLoopback() {
		return fmt.Errorf("%w: %s", ErrNotLoopback, addr)
	}
	p.listen.mu.Lock()
	defer p.listen.mu.Unlock()
	if p.listen.addr != "" {
		return ErrStarted
	}
	return p.bind(addr, host)
}

// bind opens the socket and runs the server on it. The caller holds listen.mu.
func (p *Provider) bind(addr, host string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	bound := ln.Addr().(*net.TCPAddr)
	if !p.anywhere && !bound.IP.IsLoopback() { // "localhost" is whatever the hosts file says
		_ = ln.Close()
		return fmt.Errorf("%w: %s", ErrNotLoopback, bound)
	}
	p.listen.addr = net.JoinHostPort(host, fmt.Sprint(bound.Port))
	p.mu.Lock()
	p.issuer = orElse(p.origin, "http://"+p.listen.addr) + p.path
	p.mu.Unlock()
	p.listen.server = &http.Server{Handler: p.named(p.routes()), ReadHeaderTimeout: 10 * time.Second} // loopback clients are never that slow
	go func(s *http.Server) { _ = s.Serve(ln) }(p.listen.server)                                      // ends with ErrServerClosed
	return nil
}

// Address is where it listens, with the port as bound; "" before Start.
func (p *Provider) Address() string {
	p.listen.mu.Lock()
	defer p.listen.mu.Unlock()
	return p.listen.addr
}

// Stop makes the provider unreachable: listener and connections are closed, state is kept. Requests already inside are still worked
// on, as at a provider whose network fails. Stopping a stopped provider does nothing.
func (p *Provider) Stop() {
	p.listen.mu.Lock()
	defer p.listen.mu.Unlock()
	if p.listen.server != nil {
		_ = p.listen.server.Close() // the listener's error is of no use to anyone
		p.listen.server = nil
	}
}

// Resume listens again on the address of Start, with all state kept.
func (p *Provider) Resume() error {
	p.listen.mu.Lock()
	defer p.listen.mu.Unlock()
	if p.listen.addr == "" || p.listen.server != nil {
		return ErrStarted
	}
	host := strings.Trim(p.listen.addr[:strings.LastIndex(p.listen.addr, ":")], "[]")
	return p.bind(p.listen.addr, host)
}

// Close ends the provider: whoever waits at a gate is let go without an answer, and Close returns when nobody is inside. It may be
// called twice.
func (p *Provider) Close() {
	p.finish()
	p.Stop()
	p.listen.mu.Lock()
	defer p.listen.mu.Unlock()
	for p.listen.inside > 0 {
		p.listen.idle.Wait()
	}
}

func (p *Provider) enter() {
	p.listen.mu.Lock()
	defer p.listen.mu.Unlock()
	p.listen.inside++
}

func (p *Provider) leave() {
	p.listen.mu.Lock()
	defer p.listen.mu.Unlock()
	p.listen.inside--
	p.listen.idle.Broadcast()
}
