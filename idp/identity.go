package idp

import (
	"encoding/json"

	"cloakroom/bff"
)

// identity takes from a verified ID token what a session keeps: the claims on the app's list, and nothing else.
func (c *Client) identity(t *token, more object) *bff.Identity {
	id := &bff.Identity{Claims: c.stored(t.claims, more)}
	id.Subject, _ = t.claims.text("sub")
	id.SID, _ = t.claims.text("sid")
	id.ACR, _ = t.claims.text("acr")
	id.AuthTime, _ = t.claims.date("auth_time")
	return id
}

// stored returns the listed claims as a JSON object. What the ID token says wins over UserInfo.
func (c *Client) stored(idToken, userInfo object) json.RawMessage {
	kept := make(object, len(c.set.StoredClaims))
	for _, name := range c.set.StoredClaims {
		if v, ok := idToken[name]; ok {
			kept[name] = v
		} else if v, ok := userInfo[name]; ok {
			kept[name] = v
		}
	}
	data, err := json.Marshal(kept)
	if err != nil { // members of a parsed object always encode
		return json.RawMessage("{}")
	}
	return data
}
