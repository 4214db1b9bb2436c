import {
  AppAuthError, AuthorizationError, AuthorizationRequest, AuthorizationRequestHandler, AuthorizationResponse,
  AuthorizationServiceConfiguration, BaseTokenRequestHandler, BasicQueryStringUtils, Requestor, TokenError, TokenRequest, urlSafe,
  GRANT_TYPE_AUTHORIZATION_CODE, GRANT_TYPE_REFRESH_TOKEN,
  type AuthorizationRequestResponse, type Crypto, type StringMap, type TokenResponse,
} from "@openid/appauth";

import { SignedOut, type Device, type Pair } from "../shared/handles.ts";
import type { Phone } from "./phone.ts";

/** What the app is registered as at the gateway. */
export interface Registration {
  /** `public.url` of the gateway. */
  gateway: string;
  /** The app's id there. */
  app: string;
  /** One of its `redirect_uris`: a scheme in reverse-domain form (RFC 8252 section 7.1), or better, an https link that the app claims. */
  redirectUri: string;
}

/** The gateway as AppAuth-JS sees it. */
export class Client {
  readonly #is: Registration;
  readonly #phone: Phone;
  readonly #requestor = new ErrorReading();
  #found: AuthorizationServiceConfiguration | undefined;

  constructor(registration: Registration, phone: Phone) {
    this.#is = registration;
    this.#phone = phone;
  }

  /** Signs a person in with the system browser. */
  async signIn(device: Device): Promise<Pair> {
    const crypto = new PhoneCrypto(this.#phone);
    const request = new AuthorizationRequest({
      client_id: this.#is.app,
      redirect_uri: this.#is.redirectUri,
      scope: "", // what is asked of the provider stands in the gateway's configuration
      response_type: AuthorizationRequest.RESPONSE_TYPE_CODE,
      state: crypto.generateRandom(32),
    }, crypto, true);
    const browser = new SystemBrowser(this.#phone, crypto, this.#issuer);
    browser.performAuthorizationRequest(await this.#discover(), request);
    const { response, error } = await browser.completeAuthorizationRequest();
    if (!response) {
      throw new Error(`Not signed in: ${error?.error} ${error?.errorDescription ?? ""}`);
    }
    return this.#ask(GRANT_TYPE_AUTHORIZATION_CODE, { code: response.code }, {
      code_verifier: request.internal!["code_verifier"]!,
      device_name: device.name, // what the list of the person's devices is to say
      device_platform: device.platform,
    });
  }

  /** Trades a refresh handle for the next pair. */
  trade(refresh: string): Promise<Pair> {
    return this.#ask(GRANT_TYPE_REFRESH_TOKEN, { refresh_token: refresh });
  }

  get #issuer(): string {
    return `${this.#is.gateway}/mobile`;
  }

  async #discover(): Promise<AuthorizationServiceConfiguration> {
    return (this.#found ??= await AuthorizationServiceConfiguration.fetchFromIssuer(this.#issuer, this.#requestor));
  }

  async #ask(grant: string, what: { code?: string; refresh_token?: string }, extras?: StringMap): Promise<Pair> {
    const request = new TokenRequest({
      client_id: this.#is.app, redirect_uri: this.#is.redirectUri, grant_type: grant, ...what, ...(extras && { extras }),
    });
    try {
      return pairOf(await new BaseTokenRequestHandler(this.#requestor).performTokenRequest(await this.#discover(), request));
    } catch (problem) {
      if (problem instanceof AppAuthError && problem.extras instanceof TokenError && problem.extras.error === "invalid_grant") {
        throw new SignedOut("The session has ended."); // nothing else means that
      }
      throw problem instanceof AppAuthError ? new Error(problem.message) : problem; // AppAuthError is no Error
    }
  }
}

/** Sends the request to the system browser, and takes the answer from it. AppAuth-JS brings such handlers for web pages and Node. */
class SystemBrowser extends AuthorizationRequestHandler {
  #answer: Promise<AuthorizationRequestResponse> | undefined;

  constructor(
    readonly phone: Phone,
    crypto: Crypto,
    readonly issuer: string,
  ) {
    super(new BasicQueryStringUtils(), crypto);
  }

  performAuthorizationRequest(server: AuthorizationServiceConfiguration, request: AuthorizationRequest): void {
    this.#answer = this.#perform(server, request);
    this.#answer.catch(() => {}); // completeAuthorizationRequest tells
  }

  completeAuthorizationRequest(): Promise<AuthorizationRequestResponse> {
    return this.#answer!;
  }

  async #perform(server: AuthorizationServiceConfiguration, request: AuthorizationRequest): Promise<AuthorizationRequestResponse> {
    await request.setupCodeVerifier();
    const back = await this.phone.authenticate(this.buildRequestUrl(server, request), request.redirectUri);
    // The query by hand: React Native's own URL does not take a scheme of an app apart.
    const query = new URLSearchParams(back.slice(back.indexOf("?") + 1));
    // Another app may have opened this address. AppAuth-JS leaves it to a handler to compare the state, and does not know iss:
    // a code of another server must not be sent to this one (RFC 9207 section 2.4).
    if (!back.startsWith(`${request.redirectUri}?`) || query.get("state") !== request.state || query.get("iss") !== this.issuer) {
      throw new Error("The answer of the browser is not one to our request.");
    }
    const [code, error, description] = [query.get("code"), query.get("error"), query.get("error_description") ?? ""];
    return {
      request,
      response: code === null ? null : new AuthorizationResponse({ code, state: request.state }),
      error: code !== null ? null : new AuthorizationError({ error: error ?? "no code", error_description: description, state: request.state }),
    };
  }
}

/**
 * Randomness and SHA-256 of the phone. AppAuth-JS's DefaultCrypto looks for them at `window.crypto`, which React Native has not,
 * and then makes state and verifier with Math.random, which others can guess.
 */
class PhoneCrypto implements Crypto {
  constructor(readonly phone: Phone) {}

  generateRandom(size: number): string {
    return urlSafe(this.phone.randomBytes(size)).slice(0, size); // all of A-Z a-z 0-9 - _ may stand in a verifier (RFC 7636 section 4.1)
  }

  async deriveChallenge(code: string): Promise<string> {
    return urlSafe(new Uint8Array(await this.phone.sha256(new TextEncoder().encode(code))));
  }
}

/**
 * AppAuth-JS's FetchRequestor keeps the status of a refusal and drops what it says, so that the end of a session cannot be told
 * from any other 400. This one hands the OAuth error (RFC 6749 section 5.2) to the handler, which knows what to do with it.
 */
class ErrorReading extends Requestor {
  async xhr<T>(settings: JQueryAjaxSettings): Promise<T> {
    const answer = await fetch(settings.url!, {
      method: settings.method ?? "GET",
      headers: { ...(settings.headers as Record<string, string>), Accept: "application/json" },
      credentials: "omit",
      redirect: "error", // a handle is for the gateway alone
      ...(settings.data !== undefined && { body: settings.data as string }),
    });
    const said = (await answer.json().catch(() => ({}))) as T & { error?: string };
    if (!answer.ok && answer.status !== 400) {
      throw new AppAuthError(`the gateway answers with ${answer.status}`); // an outage, say: nothing about the session
    }
    return said;
  }
}

function pairOf(tokens: TokenResponse): Pair {
  return { access: tokens.accessToken, refresh: tokens.refreshToken!, ends: (tokens.issuedAt + tokens.expiresIn!) * 1_000 };
}
