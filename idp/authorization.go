package idp

import (
	"bytes"
	"encoding/json"
	"slices"

	"cloakroom/bff"
)

// tokenClaims are about the token or the sign-in that they stand in. They are the ID token's to say, whatever an access
// token says of itself.
var tokenClaims = []string{
	"iss", "aud", "azp", "sub", "sid", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr", "at_hash", "c_hash",
	"client_id", "scope",
}

// authorize adds to an identity what the access token that came with it says of the user: where access tokens are meant for
// the client to read, roles and permissions stand in them, and follow changes at each refresh, which an ID token does not. It
// was verified when it came, or this is not to be called.
func (c *Client) authorize(id *bff.Identity, access bff.Secret) {
	if c.is.set.AccessTokenJWT {
		id.Claims = c.overlaid(id.Claims, nil, unverified(access))
	}
}

// reauthorize is authorize at a refresh, of an identity that the answer may not have had (nil): then it returns the session's
// own with what has changed, or nil if nothing has. What the last access token said, and this one does not, is gone: a role
// that was taken away must not live on in the record.
func (c *Client) reauthorize(id *bff.Identity, s *bff.Session, access bff.Secret) *bff.Identity {
	if !c.is.set.AccessTokenJWT {
		return id
	}
	if id != nil {
		c.authorize(id, access)
		return id
	}
	claims := c.overlaid(s.Claims, unverified(s.Tokens.Access), unverified(access))
	if bytes.Equal(claims, c.overlaid(s.Claims, nil, nil)) {
		return nil
	}
	same := s.Identity
	same.Claims = claims
	return &same
}

// overlaid returns stored claims with those that a fresh access token has, and without those that only the last one had.
func (c *Client) overlaid(stored json.RawMessage, last, fresh object) json.RawMessage {
	kept, err := members(stored)
	if err != nil {
		return stored // what does not decode holds no claim for anybody
	}
	for _, name := range c.set.StoredClaims {
		if slices.Contains(tokenClaims, name) {
			continue
		}
		if v, ok := fresh[name]; ok {
			kept[name] = v
		} else if _, had := last[name]; had {
			delete(kept, name)
		}
	}
	data, err := json.Marshal(kept)
	if err != nil { // members of a parsed object always encode
		return stored
	}
	return data
}
