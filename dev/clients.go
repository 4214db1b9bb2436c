package dev

import (
	"maps"
	"slices"

	"cloakroom/dev/provider"
	"cloakroom/server/config"
)

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
		to := cfg.Registration(id)
		all = append(all, provider.Client{
			ID: app.ClientID, Secret: app.ClientSecret.Reveal(), Auth: methodOf(p), Audience: p.AccessTokenAudiences,
			RedirectURIs: []string{to.RedirectURI}, PostLogoutRedirectURIs: []string{to.PostLogoutURI},
			BackchannelLogoutURI: to.BackchannelLogoutURI, InitiateLoginURI: to.InitiateLoginURI,
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
