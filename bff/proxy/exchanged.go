package proxy

import (
	"context"
	"errors"

	"cloakroom/bff"
)

// errNoExchange is why a call of a route with an exchanged token is not made. There is no other token that could be sent: the
// session's own is for another audience (RFC 9700 section 4.10.2).
var errNoExchange = errors.New("no exchanged token, or the session's own in its place")

// takeExchanged takes the token that the session's own is exchanged for (RFC 8693), in its place, once nothing else of the
// request can be refused: whoever may not take the route has no token made for it, and costs the provider nothing.
func (x *exchange) takeExchanged() error {
	if x.route.Token != TokenExchange {
		return nil
	}
	x.token = bff.Secret{}
	if x.call.Exchange == nil {
		return &bff.Error{Code: bff.CodeInternal, Err: errNoExchange}
	}
	subject := x.call.Tokens.Access
	get := func(ctx context.Context, refused bff.Secret) (bff.TokenSet, error) {
		t, err := x.call.Exchange(ctx, refused)
		if err == nil && (t.Access.IsZero() || t.Access.Equal(subject)) {
			err = &bff.Error{Code: bff.CodeInternal, Err: errNoExchange}
		}
		return t, err
	}
	t, err := get(x.in.Context(), bff.Secret{})
	if err != nil {
		return err
	}
	x.present(&t)
	x.call.Renew = func(ctx context.Context) (bff.TokenSet, error) { return get(ctx, x.token) }
	return nil
}
