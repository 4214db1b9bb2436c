import * as oauth from "oauth4webapi";

import type { Ask } from "../shared/gateway.ts";
import type { Vault } from "../shared/handles.ts";
import { withNonce } from "./oauth.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256" };

/**
 * The key of this app on this machine, made when it is first asked for. It may live where the handles do; better is a place that
 * signs and never gives it away, such as a key that is not extractable in the IndexedDB of an Electron window.
 */
export async function keyIn(vault: Vault): Promise<oauth.CryptoKeyPair> {
  const kept = await vault.read();
  if (kept === null) {
    const made = await oauth.generateKeyPair("ES256", { extractable: true });
    const [own, open] = await Promise.all([made.privateKey, made.publicKey].map((key) => crypto.subtle.exportKey("jwk", key)));
    await vault.write(JSON.stringify({ own, open }));
    return keyIn(vault);
  }
  const { own, open } = JSON.parse(kept) as { own: JsonWebKey; open: JsonWebKey };
  return {
    privateKey: await crypto.subtle.importKey("jwk", own, algorithm, false, ["sign"]),
    publicKey: await crypto.subtle.importKey("jwk", open, algorithm, true, ["verify"]),
  };
}

/** Sends requests with a handle that is bound to the key: each carries a proof for it alone (RFC 9449 section 7). */
export function proving(key: oauth.CryptoKeyPair): Ask {
  const DPoP = oauth.DPoP({}, key);
  return async (access, address, { method = "GET", headers, body, signal }) => {
    const url = new URL(address);
    const options = { DPoP, [oauth.allowInsecureRequests]: url.hostname === "127.0.0.1", ...(signal && { signal }) };
    try {
      return await withNonce(() =>
        oauth.protectedResourceRequest(access, method, url, new Headers(headers), body as string | undefined, options));
    } catch (problem) {
      if (problem instanceof oauth.WWWAuthenticateChallengeError) {
        return problem.response; // a refusal, which whoever asked judges
      }
      throw problem;
    }
  };
}
