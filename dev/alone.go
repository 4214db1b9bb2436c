package dev

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"

	"cloakroom/dev/provider"
	"cloakroom/server/config"
)

// errInsecure refuses a part alone to whoever has not said that he knows what it is.
var errInsecure = errors.New("this part is a demonstration: whoever reaches it can be anybody. Say --insecure-demo to run it all the same")

// alone is what the parts have in common that run by themselves.
type alone struct {
	InsecureDemo bool `help:"Needed: says that you know this part to be a demonstration, open to whoever reaches it."`
}

func (a alone) check() error {
	if !a.InsecureDemo {
		return &usageError{errInsecure}
	}
	return nil
}

type providerCommand struct {
	alone
	Listen string `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where to listen (${default})."`
	Issuer string `placeholder:"URL" help:"Its name, where browser and gateway reach it under another address than the one it listens on. For a wildcard address the default is 127.0.0.1 with the port."`
	Config string `placeholder:"FILE" help:"A configuration of the gateway: its apps at this issuer are registered as clients."`
}

// Run runs the provider until the context ends.
func (c *providerCommand) Run(p *process) error {
	if err := c.check(); err != nil {
		return err
	}
	origin, err := c.origin()
	if err != nil {
		return &usageError{err}
	}
	clients, err := c.clients(origin, p.env)
	if err != nil {
		return err
	}
	idp, err := provider.New(provider.Config{
		Origin: origin, InsecureListen: true, Forgetful: true, Clients: clients,
		Behaviour: provider.Behaviour{AccessLife: tokenLife},
	})
	if err != nil {
		return err
	}
	defer idp.Close()
	if err := idp.Start(c.Listen); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "provider %s listens on %s with %d client(s)\n", idp.Issuer(), c.Listen, len(clients))
	for _, client := range clients {
		fmt.Fprintf(p.stdout, "  %s at %s\n", client.ID, client.RedirectURIs[0])
	}
	<-p.ctx.Done()
	return nil
}

// origin is that of the issuer.
func (c *providerCommand) origin() (string, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", fmt.Errorf("--listen: %w", err)
	}
	if port == "0" || port == "" {
		return "", errors.New("--listen: name the port, for it is part of the issuer")
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	issuer := cmp.Or(c.Issuer, "http://"+net.JoinHostPort(host, port))
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || issuer != u.Scheme+"://"+u.Host {
		return "", errors.New("--issuer: write scheme, host and port alone, as http://127.0.0.1:8090")
	}
	return issuer, nil
}

// clients reads them from the gateway's configuration. Keys, Redis, listeners, files and routes are the gateway's business:
// what the file says of them is not looked at, so that they need not be here.
func (c *providerCommand) clients(issuer string, env []string) ([]provider.Client, error) {
	if c.Config == "" {
		return nil, nil
	}
	base := fmt.Sprintf("redis: {addrs: [\"127.0.0.1:6379\"]}\nsealing_keys: [{id: k, key: %s}]\nindex_keys: [{id: i, key: %s}]\n",
		newSecret(), newSecret())
	cfg, _, err := config.LoadOver(config.Base{Name: "cloakroom-dev provider", Text: []byte(base), Own: []string{
		"redis", "sealing_keys", "retired_keys", "index_keys", "public.tls", "ops", "admin", "external_auth",
		"routes", "upstreams", "apps.*.static",
	}}, c.Config, env)
	if err != nil {
		return nil, err
	}
	clients := clientsOf(cfg, issuer)
	if clients == nil {
		return nil, fmt.Errorf("no app in %s has a provider with the issuer %s", c.Config, issuer)
	}
	return clients, nil
}

type apiCommand struct {
	alone
	Listen   string   `default:"127.0.0.1:8091" placeholder:"HOST:PORT" help:"Where to listen (${default})."`
	Issuer   string   `required:"" placeholder:"URL" help:"Whose access tokens are believed."`
	JWKS     string   `name:"jwks" placeholder:"URL" help:"Where the issuer's keys are. Default: ISSUER/keys, as at the dev provider."`
	Audience []string `help:"What the tokens must be made for, one of these. Default: anything."`
}

// Run runs the API until the context ends.
func (c *apiCommand) Run(p *process) error {
	if err := c.check(); err != nil {
		return err
	}
	api, err := NewAPI(APIConfig{Issuer: c.Issuer, JWKSURL: cmp.Or(c.JWKS, c.Issuer+"/keys"), Audiences: c.Audience, Samples: true})
	if err != nil {
		return err
	}
	stop, err := listenAndServe(c.Listen, api)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(p.stdout, "demo API listens on %s and believes tokens of %s\n", c.Listen, c.Issuer)
	<-p.ctx.Done()
	return nil
}
