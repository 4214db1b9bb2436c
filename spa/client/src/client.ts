import { type Device, readDevices } from "./devices.ts";
import { CloakroomError, localError, text } from "./error.ts";
import { type Hearing, isLookedAt, share } from "./live.ts";
import type { LoginOptions, Options } from "./options.ts";
import { gatewayAt } from "./request.ts";
import { endOf, endWithin, type Kept, now, readState, type State, who } from "./state.ts";

export type { LoginOptions, Options };

/** Seconds until a session ends, whole and never below zero. */
export interface Remaining {
  /** However much it is used. */
  session: number;
  /** Unless it is used before. */
  idle: number;
}

/** One page's view of its session. Make one per page, with {@link createClient}. */
export interface Client {
  /** Who is signed in. The same object until something changes, so that it can be compared by identity. */
  getState(): State;
  /** What a page that is made on a server begins with: `loading`, always the same object. */
  getServerState(): State;
  /**
   * Calls back after each change; returns what ends that. While somebody listens, the client asks for the session when the page
   * becomes visible or gets the focus, when an end passes, and again and again during an outage.
   */
  subscribe(listener: () => void): () => void;
  /**
   * Asks who is signed in. It never keeps a session alive. What is asked for at the same time is asked once. Never rejects.
   * `replaced` says that a new sign-in of this browser took the session's place, as an event of the gateway tells: its cookie may
   * arrive a moment later than that, so "signed out" is believed only when it lasts for some seconds.
   */
  check(because?: "replaced"): Promise<State>;
  /** Leaves for the sign-in, which comes back to where it began. */
  login(options?: LoginOptions): Promise<void>;
  /** Ends the session, in this app and all that share the sign-in, and leaves for the provider's sign-out. */
  logout(): Promise<void>;
  /**
   * Moves the idle end, because the user asks for it. Rejects where the gateway cannot do that. While `ending` stands the client then
   * asks whether the end has moved all the same, as where only the provider cannot be reached: the state is what that tells.
   */
  extend(): Promise<State>;
  /** Seconds until the ends of the session; null when none is known. */
  remaining(): Remaining | null;
  /**
   * `fetch` for the app's API: adds the header that shows that the app itself asks, and sends to the gateway's origin alone, which
   * is this page's unless {@link Options.base} names another. Resolves with what the API answered, whatever its status. What the
   * gateway refuses or cannot do itself rejects with a {@link CloakroomError}, and so does an API's refusal of the very token
   * (`upstream_unauthorized`). Where an error says that the session is over, the gateway's own endpoint has been asked by then, for
   * an API may say so too: the state is what that tells. Where an error leaves it open, the client asks. A request that the page
   * makes on its own takes the header `X-Background: 1`: it is no use of the session.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** The user's sessions, at all apps and devices. */
  devices: {
    /** The asking session first, then the others by when they were last used. It is no use of the session. */
    list(): Promise<Device[]>;
    /**
     * Ends one, with every app that shares its sign-in; where that is this one's, it is a {@link Client.logout}. Rejects with
     * `recent_sign_in_required` if the user signed in too long ago: hand that error to {@link Client.login}.
     */
    end(id: string): Promise<void>;
    /** Ends all but those of this sign-in. Rejects as `end` does. */
    endOthers(): Promise<void>;
  };
  /** How this page hears that its session is over. Whoever subscribes is called back when that changes. */
  hearing(): Hearing;
  /** Forgets `stepUp` of the state: the user does not want what was refused. */
  dismissStepUp(): void;
  /** Lets go of everything: no listener, timer or stream is left. For tests, and for a module that is replaced while it runs. */
  close(): void;
}

/** A listener's page asks again at most this often when it is looked at: a user who changes windows fast is no reason to ask. */
const recheckAfter = 5_000;

/** How long the cookie of a new sign-in may be on its way, from the gateway's answer in another tab, and how often it is looked for. */
const arrivesWithin = 5_000;
const lookAgainAfter = 250;

/** The gateway's own endpoints answer in a moment, or there is no way to it: a connection may be dead without anybody saying so. */
const answersWithin = 30_000;

/** The gateway refuses a longer return_to. A sign-in that comes back to the page without its query is better than none. */
const longestReturn = 1024;

/** What a timer of a browser can take; longer ends are counted in several pieces. */
const longestTimer = 2 ** 31 - 1;

/** The gateway's codes that say that nobody is signed in. `upstream_unauthorized` is not one: an API's refusal ends no session. */
const over = ["session_required", "session_expired", "session_ended"];

/** The gateway's codes, beside no answer at all, that leave it open who is signed in. With `idp_unavailable` that is known. */
const unsure = ["store_unavailable", "key_unknown", "draining", "network", "bad_answer"];

/** What is known before the first answer, and on a server for good. */
const loading: State = { status: "loading" };

/**
 * Makes a client. It sends nothing before it is asked to, or somebody subscribes. Where there is no page, as on a server, nobody
 * can be asked: the state stays `loading`.
 */
export function createClient(options: Options = {}): Client {
  const base = (options.base ?? "/bff").replace(/\/+$/, "");
  const gateway = gatewayAt(base, options.fetch ?? ((input, init) => fetch(input, init)));
  const navigate = options.navigate ?? ((url) => location.assign(url));
  const events = options.events ?? (globalThis.EventSource && ((url, init) => new EventSource(url, init)));
  const warn = (options.warn ?? 60) * 1000;
  const listeners = new Set<() => void>();

  let state: Kept = loading;
  let stepUp: CloakroomError | undefined;
  let last: string | undefined; // the session that there is, or was last
  let changes = 0; // of who is signed in: what was learnt of a session that is no more does not count, however late it arrives
  let checking: Promise<State> | null = null;
  let checkedAt = 0; // by the clock on the wall: the other one may stand still while the computer sleeps
  let claim: string | undefined; // why the session is said to be over, by an error that may be an API's
  let arrivesBy = -Infinity; // until then a new sign-in's cookie may be on its way
  let failures = 0;
  let away = false; // the page was left; Back may bring it out of the browser's memory as it was
  let timer: ReturnType<typeof setTimeout> | undefined;

  const tabs = share(`cloakroom ${base}`, () => events(`${base}/events`, { withCredentials: gateway.split() }), {
    check,
    ended(id, reason) {
      changes++; // an answer that is on its way may be older than this
      if (id === last) {
        signedOut(reason);
      }
    },
    changed: tell,
  });

  function tell(): void {
    for (const listener of [...listeners]) {
      listener();
    }
  }

  function set(next: Kept): State {
    const { session } = next;
    if (who(state) !== who(next)) {
      changes++;
      stepUp = undefined;
    }
    if (!next.error) {
      failures = 0;
      claim = undefined;
    }
    last = session?.id ?? last;
    state = session ? { ...next, stepUp, ending: endWithin(warn, session) } : next;
    schedule();
    fit();
    tell();
    return state as State;
  }

  function fit(): void {
    tabs.fit(options.live !== false && Boolean(events) && listeners.size > 0 && !away, state.session?.id, last, state.reason);
  }

  /** Wakes the client to ask: when an end is near, when it has passed, and when an outage may be over. */
  function schedule(): void {
    clearTimeout(timer);
    const at = wakesAt();
    if (listeners.size > 0 && at < Infinity) {
      timer = setTimeout(() => void (at <= now() ? check() : schedule()), Math.min(at - now(), longestTimer));
    }
  }

  function wakesAt(): number {
    const { session, ending, retryAt = Infinity } = state;
    if (!session || (ending && retryAt < Infinity)) {
      return retryAt;
    }
    // A second after the end: the gateway tells whole seconds, rounded down, and asked too early it would say "signed in" again.
    return Math.min(retryAt, endOf(session) + (ending ? 1_000 : -warn));
  }

  /** Asks one of the gateway's own endpoints. What read does not make out, or throws at, is not the gateway's. */
  async function ask<T>(path: string, read: (answer: Response) => Promise<T | null>, method = "GET"): Promise<T> {
    const answer = await gateway.request(base + path, { method, cache: "no-store" }, AbortSignal.timeout(answersWithin));
    const got = answer.ok ? await read(answer).catch(() => null) : null;
    if (got === null) {
      throw localError("bad_answer", `${base + path} is not answered by the gateway`);
    }
    return got;
  }

  function askSession(path: string, method?: string): Promise<State> {
    const sentAt = now();
    return ask(path, async (answer) => readState(await answer.json(), sentAt), method);
  }

  async function check(because?: string): Promise<State> {
    if (!globalThis.location) {
      return loading;
    }
    if (state.status !== "signed-out") {
      claim ||= because; // who has no session has lost none
    }
    if (because === "replaced" && now() >= arrivesBy) {
      arrivesBy = now() + arrivesWithin;
    }
    checking ??= recheck().finally(() => {
      checking = null;
    });
    return checking;
  }

  /**
   * Asks, and again where the answer may be older than what was learnt meanwhile. That comes to an end: nothing that waits for
   * the answer counts as learnt. What does is told by the gateway, by another tab or by a call of the app's, once each.
   */
  async function recheck(): Promise<State> {
    const before = changes;
    const next = await askSession("/session").catch((error: CloakroomError) => error);
    if (before !== changes) {
      return recheck();
    }
    if (next.status === "signed-out" && state.status !== "signed-out" && now() < arrivesBy) {
      await new Promise((resolve) => setTimeout(resolve, lookAgainAfter));
      return recheck();
    }
    checkedAt = Date.now();
    return next instanceof CloakroomError ? outage(next) : answered(next);
  }

  /** Takes the word of the gateway. */
  function answered(next: State): State {
    return next.status === "signed-out" ? signedOut(claim) : set(next);
  }

  /** Nobody is signed in. Not everybody who tells that knows why: the first reason that is told is kept. */
  function signedOut(reason: string | undefined = endWithin(0, state.session)): State {
    return state.status === "signed-out" && (state.reason || !reason) ? (state as State) : set({ status: "signed-out", reason });
  }

  /** An outage is never "signed out": what was known stays. */
  function outage(error: CloakroomError): State {
    const wait = Math.max(error.retryAfter ?? 0, Math.min(2 ** failures++, 30)); // seconds: 1, 2, 4 … 30, or as the gateway says
    return set({ status: "unavailable", error, retryAt: now() + wait * 1000, user: state.user, session: state.session });
  }

  /** Draws from an error what it says of the session. before: how many changes there had been when the request was sent. */
  async function learn({ code, reason }: CloakroomError, before: number): Promise<void> {
    if (over.includes(code)) {
      if (state.status === "signed-out") {
        signedOut(reason);
      } else if (before === changes || checking || !askedLately()) {
        // Else the answer that there is came of a later request. Who is signed in is asked, for an API may say the same.
        if (before === changes) {
          changes++; // an answer that is on its way may be older than the refusal
        }
        await check(reason);
      }
    } else if (unsure.includes(code) && !state.error && state !== loading) {
      void check(); // it, and not an API's call, says whether that is an outage: an upload may break for its own reasons
    }
  }

  async function learning<T>(doing: () => Promise<T>): Promise<T> {
    const before = changes;
    try {
      return await doing();
    } catch (error) {
      if (error instanceof CloakroomError) {
        await learn(error, before);
        if (error.code === "insufficient_user_authentication" && before === changes && state.session) {
          stepUp = error;
          set(state);
        }
      }
      throw error;
    }
  }

  /** Has a session ended. Where it is this page's, the answer says where to go on. */
  function end(path: string, method: string): Promise<void> {
    return learning(async () => {
      // Only to a page of the gateway's origin: its one-time address, which knows the way to the provider.
      const next = await ask(
        path,
        async (answer) =>
          method === "DELETE" && answer.status === 204 ? "" : gateway.resolve(text((await answer.json()).redirect_to) ?? "nowhere:").href,
        method,
      );
      if (next) {
        signedOut("signed_out");
        navigate(next);
      }
    });
  }

  function askedLately(): boolean {
    return Math.abs(Date.now() - checkedAt) < recheckAfter;
  }

  function lookedAt(event: Event): void {
    away = /hide|freeze/.test(event.type) || (away && !/show|resume/.test(event.type));
    fit();
    tabs.look();
    // A page that Back brings out of the browser's memory may be of a session that is over.
    if (!away && ((event as PageTransitionEvent).persisted || (isLookedAt() && !askedLately()))) {
      void check();
    }
  }

  function listen(change: "addEventListener" | "removeEventListener"): void {
    for (const target of [globalThis.document, globalThis.window]) {
      for (const event of ["visibilitychange", "freeze", "resume", "focus", "pageshow", "pagehide", "online"]) {
        target?.[change](event, lookedAt); // one that comes to both is one
      }
    }
    schedule();
    fit();
  }

  return {
    getState: () => state as State,
    getServerState: () => loading,
    subscribe(listener) {
      const own = (): void => listener(); // so that one function may subscribe twice
      listeners.add(own);
      if (listeners.size === 1) {
        listen("addEventListener");
        if (state === loading) {
          void check();
        }
      }
      return () => {
        if (listeners.delete(own) && listeners.size === 0) {
          listen("removeEventListener");
        }
      };
    },
    check,
    async login({ returnTo, prompt, stepUp: wanted, params } = {}) {
      const { href, origin, pathname } = location;
      const error = wanted && ("code" in wanted ? wanted : (wanted as Kept).stepUp);
      const plain = gateway.resolve(`${base}/login`);
      const start = gateway.resolve(error?.loginUrl ?? plain);
      if (start.pathname !== plain.pathname) {
        throw localError("foreign_url", `No sign-in begins at ${start.pathname}`);
      }
      const back = returnTo ?? (href.length > longestReturn ? pathname : href.slice(origin.length));
      const split = gateway.split();
      for (const [name, value] of Object.entries({ ...params, return_to: split ? new URL(back, href).href : back, prompt })) {
        if (value !== undefined) {
          start.searchParams.set(name, value);
        }
      }
      navigate(split ? start.href : start.pathname + start.search);
    },
    logout: () => end("/logout", "POST"),
    extend: () =>
      learning(async () => {
        const before = changes;
        const next = await askSession("/session/extend", "POST");
        return before === changes ? answered(next) : check();
      }).finally(() => {
        if (state.ending) {
          void check(); // still told: an error may hide that the end has moved, for the gateway moves it before it asks the provider
        }
      }),
    remaining: () => state.session ? { session: secondsTo(state.session.endsAt), idle: secondsTo(state.session.idleEndsAt) } : null,
    fetch: (input, init) => learning(() => gateway.request(input, init)),
    devices: {
      list: () => learning(() => ask("/sessions", async (answer) => readDevices(await answer.json()))),
      end: (id) => end(`/sessions/${encodeURIComponent(id)}`, "DELETE"),
      endOthers: () => end("/sessions", "DELETE"),
    },
    hearing: tabs.hearing,
    dismissStepUp() {
      if (stepUp) {
        stepUp = undefined;
        set(state);
      }
    },
    close() {
      listeners.clear();
      listen("removeEventListener");
    },
  };
}

function secondsTo(at: number): number {
  return Math.max(0, Math.floor((at - now()) / 1000));
}
