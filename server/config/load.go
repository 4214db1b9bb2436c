package config

import (
	"os"
	"path/filepath"
	"reflect"
)

// Load reads the configuration file and lays env (KEY=VALUE, as os.Environ has
// it) over it. The error is a *[Problems] with every finding, also where the
// file itself cannot be read.
//
// A variable is CLOAKROOM_ and the key's path in capitals, two underscores
// between its parts: CLOAKROOM_REDIS__ADDRS=a:6379,b:6379 (lists by comma),
// CLOAKROOM_APPS__WEB__CLIENT_ID, CLOAKROOM_ROUTES__0__UPSTREAM. In the name of
// an app, a provider or another entry "-" and "." become "_". A secret may be
// given as the name of the file that holds it: …__CLIENT_SECRET_FILE. An empty
// variable counts as not there; CLOAKROOM_CONFIG is left to whoever calls.
func Load(path string, env []string) (*Config, error) {
	data, err := readFile(path, maxConfigBytes)
	if err != nil {
		return nil, &Problems{List: []Problem{{File: path, Text: err.Error()}}}
	}
	return Parse(path, data, env)
}

// Parse is [Load] with the file's bytes at hand. The name is where they came
// from: problems show it, and relative file names start at its folder.
func Parse(name string, data []byte, env []string) (*Config, error) {
	r := newReport(name)
	tree := r.parse(data)
	if tree == nil { // all that could follow is that everything is missing
		return nil, r.err()
	}
	r.overlay(tree, env)
	return r.finish(tree, env)
}

func newReport(name string) *report {
	return &report{file: name, sources: map[string]source{}, broken: map[string]bool{}}
}

// finish fills the tree with what presets and defaults say, and makes the checked
// configuration of it.
func (r *report) finish(tree *value, env []string) (*Config, error) {
	fillPresets(tree)
	fillDefaults(tree, env)

	c := &Config{}
	d := decoder{report: r, dir: filepath.Dir(r.file)}
	d.decode(tree, reflect.ValueOf(c).Elem(), "")
	r.validate(c)
	if err := r.err(); err != nil {
		return nil, err
	}
	c.sources = r.sources
	return c, nil
}

// Origin tells where the value at a path (apps.web.client_id, routes[0].path)
// came from: "default", "preset scalekit", "cloakroom.yaml:12", "env NAME" or
// "file /run/secrets/x". It is empty for a path that has no value.
func (c *Config) Origin(path string) string {
	at, ok := c.sources[path]
	if !ok {
		return ""
	}
	return at.String()
}

// validate reads through every section; the order is of no consequence, as the
// problems are sorted.
func (r *report) validate(c *Config) {
	r.validatePublic(c)
	r.validateRedis(c.Redis)
	r.validateKeys(c)
	r.validateProviders(c)
	r.validateApps(c)
	r.validateHosts(c)
	r.validateRoutes(c)
	r.validateUpstreams(c)
	r.validateRates(c)
}

const (
	// maxConfigBytes is far beyond any configuration written by hand.
	maxConfigBytes = 4 << 20
	// maxSecretBytes bounds a file that should hold one line, or one certificate
	// bundle: the system's own are about 220 KiB.
	maxSecretBytes = 1 << 20
)

// readFile reads a regular file of bounded size: a named pipe would block the
// start for ever, a device would fill the memory.
func readFile(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, reason(err)
	case !info.Mode().IsRegular():
		return nil, errNotRegular
	case info.Size() > most:
		return nil, errTooLarge
	}
	data, err := os.ReadFile(name)
	return data, reason(err)
}
