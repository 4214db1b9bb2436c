// A certified OpenID provider that somebody else wrote, run for tests as a child of oidcprovider.go.
//
// stdin: one line of JSON (the Config of oidcprovider.go), then nothing; when it closes, the process ends, so that a
// killed test leaves nothing behind. stdout: JSON lines, {"event":"ready"|"issued"|"grant"|"logout"|"error", …}.
// It listens on 127.0.0.1 alone, keeps everything in memory, and calls out to 127.0.0.1 alone.

import { createServer, request as httpRequest } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';

// URL.parse came with Node 22.1 and to late releases of 20; oidc-provider wants it when it reads client metadata.
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);

const { default: Provider } = await import('oidc-provider');

const tell = (event, fields) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
const issued = (kind, client, value) => value && tell('issued', { kind, client, value });

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const html = (text) => String(text ?? '').replace(/[&<>"']/g, (c) => escapes[c]);
const page = (title, body) => `<!doctype html><meta charset="utf-8"><title>${html(title)}</title><h1>${html(title)}</h1>${body}`;

const jwk = (type, options, fields) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...fields });

/** Keys are new at every start, as after a provider's disaster. */
function keys() {
  return {
    keys: [
      jwk('rsa', { modulusLength: 2048 }, { alg: 'RS256', kid: 'rs' }),
      jwk('ec', { namedCurve: 'P-256' }, { alg: 'ES256', kid: 'es' }),
    ],
  };
}

/** One client of the Config, as oidc-provider spells it. */
function clientOf(c) {
  return {
    client_id: c.id,
    ...(c.secret && { client_secret: c.secret }),
    token_endpoint_auth_method: c.auth_method || (c.secret ? 'client_secret_basic' : 'none'),
    ...(c.jwks && { jwks: c.jwks }),
    ...(c.jwks_uri && { jwks_uri: c.jwks_uri }),
    application_type: c.native ? 'native' : 'web',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: c.redirect_uris ?? [],
    post_logout_redirect_uris: c.post_logout_redirect_uris ?? [],
    ...(c.backchannel_logout_uri && {
      backchannel_logout_uri: c.backchannel_logout_uri,
      backchannel_logout_session_required: true,
    }),
  };
}

/** fetch for back-channel logout and for clients' keys: every name is this machine, nothing else can be reached. */
function loopbackFetch(url, { method, headers, body }) {
  const token = new URLSearchParams(String(body ?? '')).get('logout_token');
  issued('logout_token', '', token);
  const lookup = (_host, options, done) =>
    options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
  return new Promise((resolve, reject) => {
    const req = httpRequest(url, { method, headers: Object.fromEntries(headers), lookup, agent: false }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => {
        const body = [204, 205, 304].includes(res.statusCode) ? null : Buffer.concat(chunks);
        const known = Object.entries(res.headers).map(([name, value]) => [name, String(value)]);
        resolve(new Response(body, { status: res.statusCode, headers: known }));
      });
    });
    req.on('error', reject);
    req.end(method === 'GET' ? undefined : String(body ?? ''));
  });
}

/** Grants everything asked for without a form, for tests that are not about consent. */
async function grantAll(ctx) {
  const { client, session, provider, params, result } = ctx.oidc;
  const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const grant = (known && (await provider.Grant.find(known))) || new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope ?? 'openid');
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, params.scope ?? '');
  if (config.api) grant.addResourceScope(config.api, apiScopes());
  await grant.save();
  return grant;
}

const apiScopes = () => (config.api_scopes ?? ['api:read', 'api:write']).join(' ');

/** Access tokens are JWTs for the API, unless the Config names none: then they are opaque. */
function resourceIndicators() {
  return {
    enabled: Boolean(config.api),
    defaultResource: (_ctx, _client, oneOf) => oneOf ?? config.api,
    // Of several, none is the one that a code is good for without a resource: then the token is for UserInfo, as by default.
    useGrantedResource: (_ctx, source) => [source.resource].flat().length === 1,
    getResourceServerInfo: (_ctx, resource) => ({
      audience: resource,
      scope: apiScopes(),
      accessTokenFormat: 'jwt',
      accessTokenTTL: config.access_token_seconds || 60,
      jwt: { sign: { alg: 'RS256' } },
    }),
  };
}

function configuration() {
  const ttl = config.access_token_seconds || 60;
  return {
    clients: config.clients.map(clientOf),
    findAccount: (_ctx, id) => accounts.get(id),
    claims: { openid: ['sub'], profile: ['name', 'picture', 'preferred_username'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false, // claims in the ID token, as most commercial providers do
    scopes: ['openid', 'offline_access', 'profile', 'email', ...apiScopes().split(' ')],
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    cookies: { keys: [randomBytes(32).toString('hex')], names: { session: '_op', interaction: '_op_i', resume: '_op_r' } },
    jwks: keys(),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    clockTolerance: 0, // the default of 15 s would let a two-second token live for 17
    ttl: {
      AccessToken: ttl, AuthorizationCode: 60, IdToken: config.id_token_seconds || 3600, Session: 86400, Grant: 86400,
      Interaction: 3600, RefreshToken: config.refresh_token_seconds || 86400,
    },
    fetch: loopbackFetch,
    // Where nobody is asked there is no prompt=consent, and so no offline_access: refresh tokens are given without.
    ...(config.consent === 'auto' && {
      loadExistingGrant: grantAll,
      issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    }),
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: resourceIndicators(),
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      ...(config.dpop && { dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => config.dpop === 'nonces' } }),
      introspection: { enabled: true },
    },
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = page('Provider error', `<p id="error">${html(out.error)}: ${html(out.error_description)}</p>`);
    },
  };
}

/** form is `<form …><input xsrf></form>`; the buttons become its own, so that a browser without scripts can post it. */
function logoutSource(ctx, form) {
  const answer = config.logout === 'auto'
    ? '<input type="hidden" name="logout" value="yes"><button type="submit">Continue</button>'
    : '<button type="submit" name="logout" value="yes">Sign me out</button><button type="submit">Stay signed in</button>';
  const script = config.logout === 'auto' ? '<script>document.forms[0].submit()</script>' : '';
  ctx.body = page('Sign out?', form.replace('</form>', `${answer}</form>`) + script);
}

function postLogoutSuccessSource(ctx) {
  ctx.body = page('Signed out', '');
}

const form = (action, body) => `<form method="post" action="${html(action)}">${body}</form>`;
const cancel = (uid) => form(`/interaction/${uid}/cancel`, '<button>Cancel</button>');

/** The login and consent pages: plain forms, no scripts, always the same. */
function ask({ uid, prompt, params }) {
  if (prompt.name === 'login') {
    const field = `<input name="login" value="${html(params.login_hint)}"><button>Sign in</button>`;
    return page('Sign in', form(`/interaction/${uid}/login`, field) + cancel(uid));
  }
  return page('Consent', `<p>${html(params.client_id)} asks for ${html(params.scope)}</p>${form(`/interaction/${uid}/consent`, '<button>Allow</button>')}${cancel(uid)}`);
}

/** What a submitted page means to the provider. */
async function answered(provider, step, details, fields) {
  if (step === 'cancel') return { error: 'access_denied', error_description: 'the person said no' };
  if (step === 'login') {
    const accountId = fields.get('login');
    return accounts.has(accountId) ? { login: { accountId } } : null;
  }
  const { grantId, params, prompt, session } = details;
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
  return { consent: { grantId: await grant.save() } };
}

async function body(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

function show(res, status, text) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  res.end(text);
}

/** /interaction/{uid} and /interaction/{uid}/{step}. */
async function interact(provider, req, res) {
  const step = new URL(req.url, 'http://x').pathname.split('/')[3];
  const details = await provider.interactionDetails(req, res);
  if (!step) return show(res, 200, ask(details));
  const result = await answered(provider, step, details, await body(req));
  if (!result) return show(res, 401, ask(details));
  return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
}

/** Everything the provider hands out is told, so that a test can look for it where it must not be. */
function listen(provider) {
  const client = (ctx) => ctx.oidc?.client?.clientId ?? '';
  provider.on('authorization.success', (ctx, out) => issued('code', client(ctx), out?.code));
  provider.on('grant.success', (ctx) => {
    for (const kind of ['access_token', 'refresh_token', 'id_token']) issued(kind, client(ctx), ctx.body?.[kind]);
    tell('grant', { type: ctx.oidc.params.grant_type, client: client(ctx), error: '' });
  });
  provider.on('grant.error', (ctx, err) => tell('grant', { type: ctx.oidc?.params?.grant_type ?? '', client: client(ctx), error: err.error ?? err.message }));
  // Revocations stand among the grants: what they end, and those that were refused.
  provider.on('grant.revoked', (ctx) => ctx?.oidc?.route === 'revocation' && tell('grant', { type: 'revocation', client: client(ctx), error: '' }));
  provider.on('revocation.error', (ctx, err) => tell('grant', { type: 'revocation', client: client(ctx), error: err.error ?? err.message }));
  provider.on('backchannel.success', (_ctx, c) => tell('logout', { client: c.clientId, error: '' }));
  provider.on('backchannel.error', (_ctx, err, c) => tell('logout', { client: c.clientId, error: err.message }));
  provider.on('server_error', (_ctx, err) => tell('error', { error: err.stack ?? String(err) }));
}

const lines = createInterface({ input: process.stdin });
const config = JSON.parse(await new Promise((resolve) => lines.once('line', resolve)));
lines.on('close', () => process.exit(0));

const accounts = new Map(config.accounts.map(({ id, claims }) => [id, { accountId: id, claims: () => ({ ...claims, sub: id }) }]));
const server = createServer();
await new Promise((resolve) => server.listen(config.port || 0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, configuration());
listen(provider);
const callback = provider.callback();
server.on('request', (req, res) => {
  if (!req.url.startsWith('/interaction/')) return callback(req, res);
  return interact(provider, req, res).catch((err) => show(res, 400, page('Interaction error', `<p>${html(err.message)}</p>`)));
});
tell('ready', { issuer });
