package dev

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// Ports are where the parts of a world listen on 127.0.0.1.
type Ports struct {
	Gateway, Provider, API, Ops int
}

// BusyError is ports that something else listens on.
type BusyError struct {
	Busy []BusyPort // never empty
}

// BusyPort is one of them, with the flag that moves it.
type BusyPort struct {
	Port int
	Flag string // as --port
}

// Error is one line a port.
func (e *BusyError) Error() string {
	var lines []string
	for _, b := range e.Busy {
		lines = append(lines, fmt.Sprintf("port %d is in use: choose another with %s N", b.Port, b.Flag))
	}
	return strings.Join(lines, "\n")
}

// named lists the ports with the flags that move them.
func (p Ports) named() []BusyPort {
	return []BusyPort{{p.Gateway, "--port"}, {p.Provider, "--provider-port"}, {p.API, "--api-port"}, {p.Ops, "--ops-port"}}
}

// at is an address on this machine; no part of the world has any other.
func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// check looks at all ports before anything starts, so that all that are in use are told at once. The error is a
// *BusyError or says which two flags name one port.
func (p Ports) check() error {
	flags := make(map[int]string)
	for _, named := range p.named() {
		if named.Port < 1 || named.Port > 65535 {
			return &usageError{fmt.Errorf("%s %d: ports go from 1 to 65535", named.Flag, named.Port)}
		}
		if other := flags[named.Port]; other != "" {
			return &usageError{fmt.Errorf("%s and %s are the same port, %d", other, named.Flag, named.Port)}
		}
		flags[named.Port] = named.Flag
	}
	var busy []BusyPort
	for _, named := range p.named() {
		if inUse(named.Port) {
			busy = append(busy, named)
		}
	}
	if busy != nil {
		return &BusyError{Busy: busy}
	}
	return nil
}

// inUse tries to listen. Browsers ask ::1 first for localhost, so what listens there would be taken for us.
func inUse(port int) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			_ = l.Close()
			continue
		}
		if errors.Is(err, syscall.EADDRINUSE) || host == "127.0.0.1" { // no ::1 on this machine is no trouble
			return true
		}
	}
	return false
}
