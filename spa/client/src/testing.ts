/**
 * A fake gateway, so that an app can be tested without one: in Vitest or Jest, in jsdom, happy-dom or plain Node, with fake timers
 * or real ones.
 *
 * ```ts
 * const gateway = createFakeGateway();
 * gateway.route("GET /api/orders", () => [{ id: 7 }]);
 * gateway.signIn();
 * const client = createClient(gateway.options);
 * ```
 *
 * It answers as the gateway does, status by status: the app is tested against what it will meet. It holds the sessions of one user and
 * the cookie of one browser, which all clients made with its options share as tabs do. It knows no provider: whoever is sent to
 * the sign-in is signed in, and comes back.
 *
 * The journey: testing.ts is the gateway as a test sees it, endpoints.ts answers requests, ledger.ts keeps sessions, streams.ts the
 * event streams, routes.ts the app's API, answers.ts the words, locks.ts what an environment may lack.
 */
import type { Options } from "./client.ts";
import type { User } from "./state.ts";
import { createEndpoints, type Outage } from "./testing/endpoints.ts";
import { createLedger, type FakeSession } from "./testing/ledger.ts";
import { lendLocks } from "./testing/locks.ts";
import type { RouteHandler, RouteOptions, StepUpRule } from "./testing/routes.ts";
import { createStreams } from "./testing/streams.ts";

export { problem } from "./testing/answers.ts";
export type { Code, More } from "./testing/answers.ts";
export type { Outage } from "./testing/endpoints.ts";
export type { FakeSession } from "./testing/ledger.ts";
export type { RouteHandler, RouteOptions, StepUpRule } from "./testing/routes.ts";
export type { FakeEventSource } from "./testing/streams.ts";

/** How the gateway is to be. */
export interface FakeGatewayOptions {
  /** Where its endpoints are: a path of the page's origin, or a whole address (split hosting). Default `/bff`. */
  base?: string;
  /** Who signs in where nobody else is named. Default Ada Lovelace. */
  user?: User;
  /** Seconds until a session ends that is not used. Default 1800, as the gateway's. */
  idle?: number;
  /** Seconds until a session ends in any case. Default 43200, as the gateway's. */
  absolute?: number;
  /** The gateway's clock, in milliseconds since 1970. Default `Date.now`, which fake timers move. */
  now?: () => number;
}

/** How somebody signed in. */
export interface SignInOptions {
  /** How many seconds ago the user gave a credential at the provider. Default 0. */
  ago?: number;
  /** How the user was authenticated, as the provider tells it. Default: it does not. */
  acr?: string;
}

/** The gateway's event streams. */
export interface FakeEvents {
  /** How many are open: one for all tabs, as long as somebody is signed in and listens. */
  readonly open: number;
  /** Says something on all of them. What the gateway says by itself needs no such call. */
  send(event: string, data: unknown): void;
  /** Breaks the connections: they come back as they do after a broken network. */
  cut(): void;
}

/** A gateway that is none. */
export interface FakeGateway {
  /** What a client is made with: `createClient(gateway.options)`, as many clients as there are to be tabs. */
  readonly options: Required<Pick<Options, "base" | "fetch" | "events" | "navigate">>;
  /** Answers a request: for a mocking library, or a development server of your own. Its browser's cookie is kept here. */
  handle(request: Request): Promise<Response>;
  /** Signs in, as if it had happened in this browser before or in another tab. A session that is there is replaced. */
  signIn(user?: User, how?: SignInOptions): void;
  /** Ends the session from elsewhere, for a reason of the gateway. Default `signed_out`. */
  signOut(reason?: string): void;
  /** Has the session reach one of its ends now, whatever the clock says. */
  expire(end: "idle" | "absolute"): void;
  /** False: the session cannot be extended, 503 `idp_unavailable`. Default true. */
  extendable: boolean;
  /** Brings an outage on, or with null ends it. `network` is no answer at all. */
  outage(code: Outage | null): void;
  /** The next sign-in comes back with this `login_error` in place of a session, as `access_denied`. */
  refuseSignIn(code: string): void;
  /**
   * Answers requests of the app's API: `"POST /api/orders/{id}/refund"`; a path that ends in a slash stands for itself and all
   * below it. What a handler returns is told as JSON, but for a Response; of two that match, the later one counts.
   */
  route(pattern: string, handler: RouteHandler, options?: RouteOptions): void;
  /**
   * From now on these requests want a newer or stronger sign-in, and whoever is signed in did so too long ago: 401
   * `insufficient_user_authentication`. A sign-in by the error's `loginUrl` will do.
   */
  stepUp(pattern: string, rule?: StepUpRule): void;
  /** The user's live sessions, as the list of devices shows them. */
  readonly sessions: readonly FakeSession[];
  /** Signs the same user in at another device; returns the session's id. */
  elsewhere(session?: Partial<FakeSession>): string;
  /** The event streams: how many are open, and what they say or suffer. */
  readonly events: FakeEvents;
  /** Where the page was sent: to the sign-in or sign-out, and where it came back to. */
  readonly navigations: readonly string[];
  /** What was asked, oldest first. */
  readonly requests: readonly Request[];
}

const ada: User = { sub: "usr_1001", name: "Ada Lovelace", email: "ada@example.com" };

/** Makes a fake gateway, at which nobody is signed in. */
export function createFakeGateway(options: FakeGatewayOptions = {}): FakeGateway {
  // Date.now is looked up each time, for fake timers may begin after this.
  const { base = "/bff", user = ada, idle = 1_800, absolute = 43_200, now = () => Date.now() } = options;
  lendLocks();
  const ledger = createLedger({ idle, absolute }, () => now(), (session, reason) =>
    streams.finish(reason === "replaced" ? "session-replaced" : "session-ended", { reason }, session.id),
  );
  const streams = createStreams((url) => endpoints.streamAt(url), watch);
  const endpoints = createEndpoints({ base, user, ledger, streams, now: () => now() });
  const navigations: string[] = [];
  const requests: Request[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** While streams are open, the ends that pass are told on them when they do. */
  function watch(): void {
    clearTimeout(timer);
    const wait = streams.count() === 0 ? null : ledger.sweep();
    if (wait !== null) {
      timer = setTimeout(watch, Math.min(wait, 2 ** 31 - 1)); // what a timer can take
      (timer as { unref?: () => void }).unref?.(); // in Node: a test that is over does not wait for it
    }
  }

  function handle(request: Request): Promise<Response> {
    requests.push(request.clone());
    return endpoints.handle(request);
  }

  async function send(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const request = requestOf(input, init);
    const signal = init?.signal ?? request.signal;
    const aborted = new Promise<never>((_, reject) => {
      const stop = (): void => reject(signal.reason);
      signal.aborted ? stop() : signal.addEventListener("abort", stop, { once: true });
    });
    const answer = await Promise.race([aborted, handle(request)]);
    if (answer.type === "error") {
      throw new TypeError("Failed to fetch");
    }
    return answer;
  }

  /** Goes where the page is sent, and back to where that ends. A page of the gateway's own is where it ends, too. */
  function navigate(to: string): void {
    navigations.push(to);
    const back = endpoints.visit(new URL(to, globalThis.location?.href ?? endpoints.origin()));
    if (back !== null) {
      navigations.push(back);
      void comeBack(back);
    }
  }

  return {
    options: { base, fetch: send, events: (url) => streams.source(url), navigate },
    handle,
    signIn: (who, how) => void ledger.begin(who ?? user, how),
    signOut(reason = "signed_out") {
      const session = ledger.current();
      if (session !== null) {
        ledger.end(session, reason);
      }
    },
    expire(end) {
      const session = ledger.current();
      if (session !== null) {
        session[end === "idle" ? "idleEndsAt" : "endsAt"] = now();
        ledger.sweep();
      }
    },
    get extendable() {
      return endpoints.extendable;
    },
    set extendable(can) {
      endpoints.extendable = can;
    },
    outage(code) {
      endpoints.outage = code;
      if (code === "network" || code === "draining") {
        streams.cut();
      } else {
        streams.reconnect();
      }
    },
    refuseSignIn(code) {
      endpoints.refusal = code;
    },
    route: endpoints.route,
    stepUp: endpoints.stepUp,
    get sessions() {
      return ledger.listed();
    },
    elsewhere: (session = {}) => ledger.add(ledger.current()?.user ?? user, session).id,
    events: {
      get open() {
        return streams.count();
      },
      send: (event, data) => streams.say(event, data),
      cut() {
        streams.cut();
        streams.reconnect();
      },
    },
    navigations,
    requests,
  };
}

/** A request as fetch makes it. In jsdom a signal is of another class than Node's Request takes: there the request goes without. */
function requestOf(input: RequestInfo | URL, init?: RequestInit): Request {
  try {
    return new Request(input, init);
  } catch {
    return new Request(input, { ...init, signal: undefined });
  }
}

/**
 * Has the page see what it sees when Back brings it out of the browser's memory: it is the one way in which a page that went to
 * the sign-in goes on. A page that is loaded anew is another render of the app.
 */
async function comeBack(to: string): Promise<void> {
  const here = globalThis.location;
  const window = globalThis.window;
  if (here === undefined || window?.dispatchEvent === undefined) {
    return;
  }
  const address = new URL(to, here.href);
  if (address.origin === here.origin) {
    globalThis.history?.replaceState(null, "", address.href);
  }
  for (let i = 0; i < 10; i++) {
    await null; // the way there and back takes a while: what the page is doing at this moment is done by then
  }
  for (const event of ["pagehide", "pageshow"]) {
    window.dispatchEvent(Object.assign(new Event(event), { persisted: true }));
  }
}
