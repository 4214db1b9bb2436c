package server

import (
	"fmt"
	"slices"
	"strings"

	"cloakroom/server/config"
)

// notes tell of what is configured, accepted, and may not be what was meant: check prints them, and a start logs the same.
func notes(cfg *config.Config) []string {
	return slices.Concat(apart(cfg), adminNotes(cfg), externalNotes(cfg), linkNotes(cfg), siteNotes(cfg), pageNotes(cfg))
}

// siteNotes tell of origins that browsers may take for another site than their app's, whatever the configuration says.
func siteNotes(cfg *config.Config) (notes []string) {
	for _, id := range sortedKeys(cfg.Apps) {
		if origins, domain := cfg.Apps[id].DoubtfulOrigins(); len(origins) > 0 {
			notes = append(notes, fmt.Sprintf("apps.%s.allowed_origins: %s: of the app's site unless %s is a public suffix "+
				"(publicsuffix.org): then browsers send no cookie from there", id, strings.Join(origins, ", "), domain))
		}
	}
	return notes
}
