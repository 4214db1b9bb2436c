import { Handles, type Pair } from "./handles.ts";

/** An answer that is not what was asked for. */
export class Refused extends Error {
  override name = "Refused";

  constructor(
    /** Of HTTP. */
    readonly status: number,
    /** The gateway's problem (RFC 9457), such as `session_ended`; empty where the API itself refused. */
    readonly code: string,
    /** Why a session ended, such as `signed_out`. */
    readonly reason: string,
    detail: string,
  ) {
    super(`${status} ${code} ${detail}`.trim());
  }
}

/** One of the person's sessions, over all apps and devices. */
export interface Session {
  id: string;
  app: string;
  /** Name and platform of the device; empty where the app did not tell. */
  device: string;
  platform: string;
  last_active_at: string;
  /** It is this very session. */
  current: boolean;
}

/** Sends a request with an access handle. */
export type Ask = (access: string, address: string, init: RequestInit & { headers: Record<string, string> }) => Promise<Response>;

/**
 * The handle in Authorization is all there is (RFC 6750 section 2.1): no cookie, no CSRF header.
 * @param fetch - React Native's own cannot read a stream: take the one of `expo/fetch`.
 */
export function bearer(fetch: typeof globalThis.fetch = globalThis.fetch): Ask {
  return (access, address, init) => fetch(address, { ...init, headers: { ...init.headers, Authorization: `Bearer ${access}` } });
}

/**
 * Reports whether the gateway says that a handle opens nothing. Every other 401 is about something else, and the session lives:
 * the API's own refusal, or a proof that was made by a clock that is wrong.
 */
export function opensNothing(problem: unknown): boolean {
  return problem instanceof Refused && ["session_required", "session_expired", "session_ended"].includes(problem.code);
}

/** The gateway, with the handles of the person who is signed in. */
export class Gateway {
  constructor(
    /** `public.url` of its configuration, without a slash at the end. */
    readonly address: string,
    readonly handles: Handles,
    readonly ask: Ask = bearer(),
  ) {}

  /** Calls the API, or the gateway itself, and returns what it says. */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const pair = await this.handles.current();
    try {
      return await read(await this.send(pair, method, path, body));
    } catch (problem) {
      if (!opensNothing(problem)) {
        throw problem;
      }
    }
    // An access handle is refused once it is replaced, and another window may just have done that. Whether the session has
    // ended the refresh handle alone tells: renew rejects then.
    return read(await this.send(await this.handles.renew(pair), method, path, body));
  }

  /** One request. */
  send(pair: Pair, method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    return this.ask(pair.access, this.address + path, {
      method,
      headers: { Accept: "application/json, text/event-stream", ...(body !== undefined && { "Content-Type": "application/json" }) },
      credentials: "omit",
      redirect: "manual", // a handle is for the gateway alone
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
  }

  /** Where else the person is signed in. */
  async devices(): Promise<Session[]> {
    const list = (await this.call("GET", "/mobile/sessions")) as { sessions: Session[] };
    return list.sessions;
  }

  /**
   * Signs out: here and in all apps of the same sign-in. Returns an address that is good for one visit of the system browser,
   * which ends the provider's own session; null where there is none. Without that visit the next sign-in asks for nothing.
   */
  async signOut(): Promise<string | null> {
    let pair = await this.handles.current();
    if (pair.refresh !== "") {
      // A handle that was replaced a while ago ends nothing, and is answered as one whose session is over already: take one
      // that is certainly good.
      pair = await this.handles.renew(pair);
    }
    const out = (await read(await this.send(pair, "POST", "/mobile/logout"))) as { ended: boolean; logout_url?: string };
    if (!out.ended) {
      throw new Error("The gateway has ended nothing; the handles are kept, try again.");
    }
    await this.handles.forget();
    return out.logout_url?.startsWith(`${this.address}/`) ? out.logout_url : null; // no other address is opened, whatever is said
  }
}

/** Takes an answer apart. */
export async function read(answer: Response): Promise<unknown> {
  if (answer.ok) {
    return answer.json();
  }
  const text = await answer.text();
  let problem: { code?: string; reason?: string; detail?: string } = {};
  try {
    problem = JSON.parse(text) as typeof problem;
  } catch {
    // What is no problem document has its status alone.
  }
  throw new Refused(answer.status, problem.code ?? "", problem.reason ?? "", problem.detail ?? "");
}
