package config

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"time"
)

// need notes a key that has to be there.
func (r *report) need(path, text, what string) bool {
	if text == "" {
		r.add(path, "missing; %s", what)
	}
	return text != ""
}

// oneOf notes a word that is not among those allowed.
func (r *report) oneOf(path, word string, allowed ...string) {
	if !slices.Contains(allowed, word) {
		r.add(path, "not one of the values known here; write one of %s", strings.Join(allowed, ", "))
	}
}

// unique notes items that stand in a list twice.
func (r *report) unique(path string, items []string) {
	for i, item := range items {
		if slices.Contains(items[:i], item) {
			r.add(at(path, i), "listed twice; delete one of them")
		}
	}
}

// within notes a span outside its bounds, both included.
func (r *report) within(path string, span, least, most time.Duration) {
	if span < least || span > most {
		r.add(path, "out of bounds; write something from %s to %s", durationText(least), durationText(most))
	}
}

// longSpan is the upper bound where nothing else bounds a duration: whoever
// writes more has slipped by a unit.
const longSpan = 10 * 365 * 24 * time.Hour

func (r *report) validatePublic(c *Config) {
	p := c.Public
	if p.URL != "" {
		if _, wrong := origin(p.URL); wrong != "" {
			r.add("public.url", "%s", wrong)
		}
	}
	r.listen("public.listen", p.Listen)
	r.pair("public.tls", p.TLS.CertFile, p.TLS.KeyFile)
	if p.Limits.Connections < 0 {
		r.add("public.limits.connections", "negative; write 0 for no limit")
	}
	// Less than this, and our own cookies and a sign-in's query no longer fit.
	const leastHeader = 8 << 10
	if p.Limits.HeaderBytes < leastHeader {
		r.add("public.limits.header_bytes", "too small for the gateway's own cookies; write 8KiB or more")
	}
	r.within("public.timeouts.read_header", p.Timeouts.ReadHeader, 100*time.Millisecond, time.Hour)
	r.within("public.timeouts.idle", p.Timeouts.Idle, time.Second, longSpan)
	r.within("public.timeouts.drain", p.Timeouts.Drain, 0, time.Hour)

	r.listen("ops.listen", c.Ops.Listen)
	if sameListener(c.Ops.Listen, c.Public.Listen) {
		r.add("ops.listen", "the same as public.listen; metrics and probes need a listener of their own")
	}
	r.validateAdmin(c)
	r.validateExternalAuth(c)
	r.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
}

func (r *report) validateAdmin(c *Config) {
	a := c.Admin
	if a.Listen == "" && !a.Token.IsSet() {
		return
	}
	if !a.Token.IsSet() {
		r.add("admin.token", "missing; give the admin listener a token_file of its own")
	}
	const leastToken = 32 // as text: 128 bits even if it is hexadecimal
	if a.Token.IsSet() && len(a.Token.Reveal()) < leastToken {
		r.add("admin.token", "too short; draw one of 32 characters or more at random")
	}
	if !r.need("admin.listen", a.Listen, "write the address of the admin listener, as 127.0.0.1:9091") {
		return
	}
	r.listen("admin.listen", a.Listen)
	r.pair("admin.tls", a.TLS.CertFile, a.TLS.KeyFile)
	if sameListener(a.Listen, c.Public.Listen) || sameListener(a.Listen, c.Ops.Listen) {
		r.add("admin.listen", "the address of another listener; give it one of its own")
	}
}

func (r *report) listen(path, text string) {
	if wrong := listenAddr(text); wrong != "" {
		r.add(path, "%s", wrong)
	}
}

// pair checks a certificate and its key, of which nothing or both must be there.
func (r *report) pair(path, cert, key string) {
	certPath, keyPath := join(path, "cert_file"), join(path, "key_file")
	switch {
	case cert == "" && key == "":
		return
	case cert == "":
		r.add(certPath, "missing; key_file needs its certificate")
		return
	case key == "":
		r.add(keyPath, "missing; cert_file needs its private key")
		return
	case r.has(certPath) || r.has(keyPath):
		return
	}
	// The cause is left out: it may quote what stands in the files.
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		r.add(certPath, "no certificate in PEM that belongs to key_file; check both files")
	}
}

// checkFile looks at a file that the configuration names, so that a slip is
// found now and not at the first request that needs it.
func (r *report) checkFile(name, path, kind string) {
	if kind == "dir" {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			r.add(path, "%s is no folder; name one that exists", name)
		}
		return
	}
	data, err := readFile(name, maxSecretBytes)
	if err != nil {
		r.add(path, "reading %s: %s; name a file that this process may read", name, err)
		return
	}
	if kind == "ca" && !x509.NewCertPool().AppendCertsFromPEM(data) {
		r.add(path, "no certificate in %s; it has to hold certificates in PEM", name)
	}
}
