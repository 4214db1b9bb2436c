// A native app on AppAuth-JS with what it brings for Node. It has no API calls of its own: those are plain fetch.

import assert from 'node:assert/strict';
import {
  AuthorizationRequest, AuthorizationRequestHandler, AuthorizationServiceConfiguration, BaseTokenRequestHandler,
  BasicQueryStringUtils, FetchRequestor, GRANT_TYPE_AUTHORIZATION_CODE, GRANT_TYPE_REFRESH_TOKEN, RevokeTokenRequest, TokenRequest,
} from '@openid/appauth';
import { NodeCrypto, NodeRequestor } from '@openid/appauth/built/src/node_support';
import { did, issuer, orders, told, visit } from './person.mjs';

/** How an app sends its person to the browser: the library leaves it to each platform. */
class Handler extends AuthorizationRequestHandler {
  async signIn(configuration, request) {
    await request.setupCodeVerifier();
    const came = await visit(this.buildRequestUrl(configuration, request));
    assert.equal(came.searchParams.get('state'), request.state);
    return came.searchParams.get('code');
  }
}

const fetching = new FetchRequestor();
const configuration = await AuthorizationServiceConfiguration.fetchFromIssuer(issuer.href, fetching);
const handler = new BaseTokenRequestHandler(fetching);
const ofNode = new BaseTokenRequestHandler(new NodeRequestor()); // the library's other way to send a request

const request = new AuthorizationRequest(
  { client_id: told.app, redirect_uri: told.redirect, scope: 'openid profile', response_type: AuthorizationRequest.RESPONSE_TYPE_CODE },
  new NodeCrypto());
const code = await new Handler(new BasicQueryStringUtils(), new NodeCrypto()).signIn(configuration, request);
let tokens = await handler.performTokenRequest(configuration, new TokenRequest({
  client_id: told.app, redirect_uri: told.redirect, grant_type: GRANT_TYPE_AUTHORIZATION_CODE, code,
  extras: { code_verifier: request.internal.code_verifier },
}));
assert.ok(tokens.isValid(0) && tokens.expiresIn > 0);
did('sign in');

const call = async () => (await fetch(orders, { headers: { authorization: `Bearer ${tokens.accessToken}` } })).status;
assert.equal(await call(), 200);
did('call the API');

const refresh = (by) => by.performTokenRequest(configuration, new TokenRequest({
  client_id: told.app, redirect_uri: told.redirect, grant_type: GRANT_TYPE_REFRESH_TOKEN, refresh_token: tokens.refreshToken,
}));
for (const by of [handler, ofNode]) {
  const before = tokens;
  tokens = await refresh(by);
  assert.notEqual(tokens.accessToken, before.accessToken);
  assert.notEqual(tokens.refreshToken, before.refreshToken);
  assert.equal(await call(), 200);
}
did('rotate');

for (const by of [handler, ofNode]) { // twice: what is revoked already is no error (RFC 7009 section 2.2)
  await by.performRevokeTokenRequest(configuration, new RevokeTokenRequest({ client_id: told.app, token: tokens.refreshToken }));
}
assert.equal(await call(), 401);
await assert.rejects(refresh(handler), (problem) => problem.message === '400');
did('revoke');
