import * as oauth from "oauth4webapi";

import { SignedOut, type Device, type Pair } from "../shared/handles.ts";
import { listen } from "./loopback.ts";

/** The gateway as oauth4webapi sees it: an authorization server of public clients. */
export interface Server {
  metadata: oauth.AuthorizationServer;
  client: oauth.Client;
  options: oauth.HttpRequestOptions<"POST", URLSearchParams> & oauth.DPoPRequestOptions;
}

/** A public client has no secret (RFC 8252 section 8.5): whatever ships in an app is known to everybody. */
const publicClient = oauth.None();

/**
 * Finds the gateway's endpoints (RFC 8414).
 * @param key - the app's own: what is handed out is bound to it (RFC 9449). See bound.ts.
 */
export async function discover(gateway: string, app: string, key?: oauth.CryptoKeyPair): Promise<Server> {
  const issuer = new URL(`${gateway}/mobile`);
  // Plain http is for this very machine alone, and for development.
  const options = { [oauth.allowInsecureRequests]: issuer.hostname === "127.0.0.1" };
  const answer = await oauth.discoveryRequest(issuer, { ...options, algorithm: "oauth2" });
  const metadata = await oauth.processDiscoveryResponse(issuer, answer);
  return { metadata, client: { client_id: app }, options: { ...options, ...(key && { DPoP: oauth.DPoP({}, key) }) } };
}

/** Does a thing once more where the gateway asks for a nonce in the proof (RFC 9449 section 8): oauth4webapi leaves that to us. */
export async function withNonce<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (problem) {
    if (oauth.isDPoPNonceError(problem)) {
      return request();
    }
    throw problem;
  }
}

/** Signs a person in: the browser goes to the gateway, the gateway to the provider, and the answer comes to a port of this machine. */
export async function signIn(server: Server, device: Device, browse: (address: string) => Promise<void>): Promise<Pair> {
  const state = oauth.generateRandomState();
  // Another program on this machine may see the answer. The code in it is worth nothing without the verifier (RFC 7636), which
  // leaves this process for the gateway alone.
  const verifier = oauth.generateRandomCodeVerifier();
  const port = await listen(state);
  try {
    const address = new URL(server.metadata.authorization_endpoint!);
    address.search = new URLSearchParams({
      response_type: "code",
      client_id: server.client.client_id,
      redirect_uri: port.redirectUri,
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      // From here on the code is worth nothing without the key either (RFC 9449 section 10).
      ...(server.options.DPoP && { dpop_jkt: await server.options.DPoP.calculateThumbprint() }),
    }).toString();
    await browse(address.href);
    // Also checks who answers (RFC 9207), and throws what the gateway refused.
    const callback = oauth.validateAuthResponse(server.metadata, server.client, await port.answer, state);
    const tokens = await withNonce(async () => {
      const answer = await oauth.authorizationCodeGrantRequest(
        server.metadata, server.client, publicClient, callback, port.redirectUri, verifier,
        // What the list of the person's devices is to say.
        { ...server.options, additionalParameters: { device_name: device.name, device_platform: device.platform } },
      );
      return oauth.processAuthorizationCodeResponse(server.metadata, server.client, answer);
    });
    return pairOf(tokens);
  } catch (problem) {
    if (problem instanceof oauth.AuthorizationResponseError) {
      throw new Error(`Not signed in: ${problem.error} ${problem.error_description ?? ""}`); // access_denied: the person said no
    }
    throw problem;
  } finally {
    port.close();
  }
}

/** Trades a refresh handle for the next pair. */
export async function trade(server: Server, refresh: string): Promise<Pair> {
  if (refresh === "") {
    throw new SignedOut("The session has ended."); // a bound handle ends with its session, and is never traded
  }
  try {
    const answer = await oauth.refreshTokenGrantRequest(server.metadata, server.client, publicClient, refresh, server.options);
    return pairOf(await oauth.processRefreshTokenResponse(server.metadata, server.client, answer));
  } catch (problem) {
    if (problem instanceof oauth.ResponseBodyError && problem.error === "invalid_grant") {
      throw new SignedOut("The session has ended."); // nothing else means that
    }
    throw problem;
  }
}

function pairOf(tokens: oauth.TokenEndpointResponse): Pair {
  return { access: tokens.access_token, refresh: tokens.refresh_token ?? "", ends: Date.now() + tokens.expires_in! * 1_000 };
}
