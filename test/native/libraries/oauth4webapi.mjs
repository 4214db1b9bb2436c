// A native app on oauth4webapi: sign-in, API calls, rotation or a bound handle, revocation.

import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';
import { did, issuer, orders, told, visit } from './person.mjs';

const insecure = { [oauth.allowInsecureRequests]: true }; // loopback
const client = { client_id: told.app };
const auth = oauth.None();

const found = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: told.oidc ? 'oidc' : 'oauth2' });
const server = await oauth.processDiscoveryResponse(issuer, found);

assert.ok(!told.dpop || server.dpop_signing_alg_values_supported.includes(told.dpop));

// A key, and what remembers the nonce of a server for it. The second is for the API, as if that were on another machine.
const key = told.dpop && (await oauth.generateKeyPair(told.dpop));
const prover = () => (key ? { ...insecure, DPoP: oauth.DPoP(client, key) } : insecure);
const options = prover();
const atAPI = prover();

/** Does a thing once more where the server asked for a nonce: the library leaves this to its users. */
async function withNonce(request) {
  try {
    return await request();
  } catch (problem) {
    if (!oauth.isDPoPNonceError(problem)) {
      throw problem;
    }
    did('take a nonce');
    return request();
  }
}

const state = oauth.generateRandomState();
const verifier = oauth.generateRandomCodeVerifier();
let parameters = new URLSearchParams({
  client_id: told.app, redirect_uri: told.redirect, response_type: 'code', scope: 'openid profile', state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
});
if (told.par) {
  const pushed = await withNonce(async () => oauth.processPushedAuthorizationResponse(
    server, client, await oauth.pushedAuthorizationRequest(server, client, auth, parameters, options)));
  parameters = new URLSearchParams({ client_id: told.app, request_uri: pushed.request_uri });
  did('push the request');
} else if (options.DPoP) {
  parameters.set('dpop_jkt', await options.DPoP.calculateThumbprint());
}

const came = await visit(`${server.authorization_endpoint}?${parameters}`);
const answer = oauth.validateAuthResponse(server, client, came, state);
let tokens = await withNonce(async () => oauth.processAuthorizationCodeResponse(server, client,
  await oauth.authorizationCodeGrantRequest(server, client, auth, answer, told.redirect, verifier, options)));
assert.equal(tokens.token_type, told.dpop ? 'dpop' : 'bearer'); // the library's own spelling
assert.ok(tokens.expires_in > 0);
did('sign in');

const call = (token, method, body, how = atAPI) => withNonce(() => oauth.protectedResourceRequest(
  token, method, orders, new Headers(body ? { 'content-type': 'application/json' } : {}), body, how));

assert.equal((await call(tokens.access_token, 'GET')).status, 200);
const placed = await call(tokens.access_token, 'POST', JSON.stringify({ item: 'Assam', quantity: 3 }));
assert.equal(placed.status, 201);
assert.equal((await (await call(tokens.access_token, 'GET')).json()).orders.at(-1).item, 'Assam');
did('call the API');

if (told.dpop) {
  assert.equal(tokens.refresh_token, undefined); // it lasts as long as the session
  await assert.rejects(call(tokens.access_token, 'GET', undefined, insecure), (problem) => {
    assert.ok(problem instanceof oauth.WWWAuthenticateChallengeError, String(problem));
    assert.equal(problem.cause[0].scheme, 'dpop');
    assert.equal(problem.cause[0].parameters.error, 'invalid_token');
    return true;
  });
  did('be refused without a proof');
} else {
  const before = tokens;
  tokens = await oauth.processRefreshTokenResponse(server, client,
    await oauth.refreshTokenGrantRequest(server, client, auth, tokens.refresh_token, options));
  assert.notEqual(tokens.access_token, before.access_token);
  assert.notEqual(tokens.refresh_token, before.refresh_token);
  assert.equal((await call(tokens.access_token, 'GET')).status, 200);
  did('rotate');
}

const revoked = tokens.refresh_token ?? tokens.access_token;
await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, auth, revoked, insecure));
await assert.rejects(call(tokens.access_token, 'GET'), (problem) => {
  assert.ok(problem instanceof oauth.WWWAuthenticateChallengeError, String(problem));
  assert.equal(problem.cause[0].parameters.error, 'invalid_token');
  return true;
});
if (!told.dpop) {
  await assert.rejects(async () => oauth.processRefreshTokenResponse(server, client,
    await oauth.refreshTokenGrantRequest(server, client, auth, tokens.refresh_token, options)),
  (problem) => problem instanceof oauth.ResponseBodyError && problem.error === 'invalid_grant' && problem.status === 400);
}
did('revoke');
