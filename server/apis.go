package server

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"cloakroom/idp"
	"cloakroom/server/config"
)

// grantExchange is the grant type of RFC 8693 section 2.1.
const grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// exchanges are what the routes of an app have its tokens exchanged for, in words, each once.
func exchanges(id string, routes []*config.Route) (names []string) {
	for _, rt := range routes {
		if rt.Token != "exchange" || len(rt.Apps) > 0 && !slices.Contains(rt.Apps, id) {
			continue
		}
		var parts []string
		for _, p := range []struct{ what, is string }{
			{"audience", rt.Exchange.Audience}, {"resource", rt.Exchange.Resource}, {"scopes", strings.Join(rt.Exchange.Scopes, " ")},
		} {
			if p.is != "" {
				parts = append(parts, p.what+" "+p.is)
			}
		}
		names = append(names, strings.Join(parts, ", "))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// tellAPIs writes which APIs an app's client has to be allowed at its provider: by name, as its routes ask for their tokens.
func tellAPIs(out io.Writer, cfg *config.Config, id string) {
	for _, name := range resources(id, cfg.Routes) { // RFC 8707 section 2: the provider says which it knows
		fmt.Fprintf(out, "  resource                 %s\n", name)
	}
	for _, name := range exchanges(id, cfg.Routes) { // RFC 8693 section 2.1
		fmt.Fprintf(out, "  token exchange           %s\n", name)
	}
}

// tellAllAPIs is tellAPIs for each app that has some, under its name.
func tellAllAPIs(out io.Writer, cfg *config.Config) {
	for _, id := range sortedKeys(cfg.Apps) {
		if len(resources(id, cfg.Routes))+len(exchanges(id, cfg.Routes)) > 0 {
			fmt.Fprintf(out, "app %s asks provider %s for tokens, which has to know and allow client %s\n", id, cfg.Apps[id].Provider,
				cfg.Apps[id].ClientID)
			tellAPIs(out, cfg, id)
		}
	}
}

// unannounced tells what the routes need of a provider and its metadata does not promise.
func unannounced(cfg *config.Config, name string, s *idp.Survey) (notes []string) {
	var apps []string
	for _, id := range sortedKeys(cfg.Apps) {
		if cfg.Apps[id].Provider == name && len(exchanges(id, cfg.Routes)) > 0 {
			apps = append(apps, id)
		}
	}
	if len(apps) == 0 || slices.Contains(s.Grants, grantExchange) {
		return nil
	}
	// RFC 8414 section 2: what is left out is authorization_code and implicit; of providers that leave it out many know more.
	said := cmp.Or(strings.Join(s.Grants, ", "), "nothing is said there")
	return []string{fmt.Sprintf("it does not announce token exchange (grant_types_supported: %s), which routes of %s need: where it is not "+
		"switched on, their calls are 502 token_refused", said, appNames(apps))}
}
