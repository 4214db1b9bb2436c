package dev

import (
	"maps"
	"slices"
	"strings"

	"cloakroom/dev/provider"
	"cloakroom/server/config"
)

// addresses are what an app has registered at its provider: exact strings, as `cloakroom urls` prints them.
type addresses struct {
	redirect, postLogout, backchannel string
}

func addressesOf(cfg *config.Config, id string) addresses {
	base, native := cfg.Apps[id].Origin+"/bff", ""
	if cfg.Apps[id].Native() {
		base, native = strings.TrimSuffix(cfg.Public.URL, "/")+"/mobile", "/"+id
	}
	return addresses{base + "/callback" + native, base + "/logged-out", base + "/backchannel-logout"}
}

// appIDs are the ids of the configuration's apps in order.
func appIDs(cfg *config.Config) []string { return slices.Sorted(maps.Keys(cfg.Apps)) }

// clientsOf makes a client of every app whose provider is the issuer.
func clientsOf(cfg *config.Config, issuer string) (all []provider.Client) {
	for _, id := range appIDs(cfg) {
		app := cfg.Apps[id]
		p := cfg.Providers[app.Provider]
		if p.Issuer != issuer {
			continue
		}
		to := addressesOf(cfg, id)
		all = append(all, provider.Client{
			ID: app.ClientID, Secret: app.ClientSecret.Reveal(), Auth: methodOf(p), Audience: p.AccessTokenAudiences,
			RedirectURIs: []string{to.redirect}, PostLogoutRedirectURIs: []string{to.postLogout}, BackchannelLogoutURI: to.backchannel,
		})
	}
	return all
}

// methodOf is how the gateway will show the secret: as configured, else what OpenID Connect Discovery section 3 has as the
// default, for the provider's metadata names it.
func methodOf(p *config.Provider) provider.AuthMethod {
	if p.TokenAuth != "" {
		return provider.AuthMethod(p.TokenAuth)
	}
	return provider.SecretBasic
}

// audiencesOf are those of the access tokens that the clients get.
func audiencesOf(clients []provider.Client) []string {
	all := []string{} // never nil, which would mean any
	for _, c := range clients {
		if all = append(all, c.Audience...); len(c.Audience) == 0 {
			all = append(all, c.ID)
		}
	}
	return all
}
