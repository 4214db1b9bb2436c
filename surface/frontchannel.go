package surface

import (
	"net/http"

	"cloakroom/bff"
)

// Frontchannel is what providers embed in a page of theirs to end sessions here (OpenID Connect Front-Channel Logout 1.0
// section 2). Nothing of it is signed, and a browser of today sends no cookie with it: it goes by iss and sid alone.
type Frontchannel struct {
	Engine    *bff.Engine
	Providers []*bff.ProviderPolicy // who may use this address; none: there is nothing here
	Limit     Limit
}

// Take ends the sessions of iss and sid, if both are given and there are any. The page is the same whatever became of it:
// nobody learns of a session by asking.
func (f Frontchannel) Take(w http.ResponseWriter, r *http.Request) error {
	if len(f.Providers) == 0 {
		return &bff.Error{Code: bff.CodeNotFound, Message: "There is nothing at this address."}
	}
	if err := f.Limit.Ask(r, RuleFrontchannel); err != nil { // guessing (ASVS 2.4.1)
		return err
	}
	query, err := ReadOnce(r.URL.RawQuery)
	if err != nil {
		query = nil // in two minds about iss or sid: it names nobody
	}
	p, framer := f.named(query.Get("iss"))
	if p != nil {
		// What went wrong is told by the trace: nobody reads this page.
		_, _ = f.Engine.FrontchannelLogout(r.Context(), p, query.Get("iss"), query.Get("sid"))
	}
	return WritePage(w, r, Page{Title: "Signed out", Text: []string{"You are signed out."}, FramedBy: framer})
}

// named finds the provider that iss names, and whose pages may embed the answer: that provider's, by the name it used;
// without one, those of the only provider there is.
func (f Frontchannel) named(iss string) (p *bff.ProviderPolicy, framer string) {
	for _, p := range f.Providers {
		if p.IsIssuer(iss) {
			return p, iss
		}
	}
	if len(f.Providers) == 1 {
		return nil, f.Providers[0].Issuer
	}
	return nil, ""
}
