// A native app on openid-client: sign-in, API calls, rotation or a bound handle, revocation.

import assert from 'node:assert/strict';
import * as client from 'openid-client';
import { did, issuer, orders, told, visit } from './person.mjs';

const config = await client.discovery(issuer, told.app, undefined, client.None(), {
  algorithm: told.oidc ? 'oidc' : 'oauth2',
  execute: [client.allowInsecureRequests], // loopback
});
// It takes a nonce and asks once more by itself.
const key = told.dpop && (await client.randomDPoPKeyPair(told.dpop));
const options = key ? { DPoP: client.getDPoPHandle(config, key) } : {};

const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const parameters = {
  redirect_uri: told.redirect, scope: 'openid profile', state,
  code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
};
const address = told.par
  ? await client.buildAuthorizationUrlWithPAR(config, parameters, options)
  : client.buildAuthorizationUrl(config, parameters);

let tokens = await client.authorizationCodeGrant(config, await visit(address), {
  pkceCodeVerifier: verifier, expectedState: state,
}, undefined, options);
assert.equal(tokens.token_type, told.dpop ? 'dpop' : 'bearer'); // the library's own spelling
assert.ok(tokens.expiresIn() > 0);
did('sign in');

const call = (how = options, ...request) => client.fetchProtectedResource(config, tokens.access_token, orders, ...request, how);
assert.equal((await call(options, 'GET', undefined, undefined)).status, 200);
const placed = await call(options, 'POST', JSON.stringify({ item: 'Assam', quantity: 3 }), new Headers({ 'content-type': 'application/json' }));
assert.equal(placed.status, 201);
did('call the API');

if (told.dpop) {
  assert.equal(tokens.refresh_token, undefined);
  await assert.rejects(call({}, 'GET', undefined, undefined), client.WWWAuthenticateChallengeError);
  did('be refused without a proof');
} else {
  const before = tokens;
  tokens = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options);
  assert.notEqual(tokens.access_token, before.access_token);
  assert.notEqual(tokens.refresh_token, before.refresh_token);
  assert.equal((await call(options, 'GET', undefined, undefined)).status, 200);
  did('rotate');
}

await client.tokenRevocation(config, tokens.refresh_token ?? tokens.access_token, { token_type_hint: told.dpop ? 'access_token' : 'refresh_token' });
await assert.rejects(call(options, 'GET', undefined, undefined), client.WWWAuthenticateChallengeError);
if (!told.dpop) {
  await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' });
}
did('revoke');
