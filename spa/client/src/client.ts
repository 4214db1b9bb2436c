import { CloakroomError, isRecord, localError, problemOf, text } from "./error.ts";
import { readState, type State } from "./state.ts";

/** What a client is made from. */
export interface Options {
  /** Where the gateway's own endpoints are on this page's origin. Default `/bff`. */
  base?: string;
  /** Sends requests. Default: the browser's `fetch`. */
  fetch?: typeof globalThis.fetch;
}

/** How a sign-in is to be. */
export interface LoginOptions {
  /** Where to come back to: a path of this app with its query. Default: the address that the browser shows. */
  returnTo?: string;
  /** As in OpenID Connect: `login` asks for a credential anew, `none` asks nobody anything. Default: the provider decides. */
  prompt?: string;
  /**
   * An error of {@link Client.fetch} with `loginUrl`, as one of `insufficient_user_authentication`: the sign-in is one that will
   * do for what was refused. The user comes back to `returnTo`; what was refused is then to be tried again, once.
   */
  stepUp?: CloakroomError;
}

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
  /** Moves the idle end, because the user asks for it. */
  extend(): Promise<State>;
  /** Seconds until the ends of the session; null when none is known. */
  remaining(): Remaining | null;
  /**
   * `fetch` for the app's API: adds the header that shows that the app itself asks, and sends to this page's origin alone.
   * Resolves with what the API answered, whatever its status. What the gateway refuses or cannot do itself rejects with a
   * {@link CloakroomError}; where that says that the session is over, the state says so by then, and where it leaves that open
   * the client asks. A request that the page makes on its own takes the header `X-Background: 1`: it is no use of the session.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
}

/** A listener's page asks again at most this often when it is looked at: a user who changes windows fast is no reason to ask. */
const recheckAfter = 5_000;

/** How long the cookie of a new sign-in may be on its way, from the gateway's answer in another tab, and how often it is looked for. */
const arrivesWithin = 5_000;
const lookAgainAfter = 250;

/** What a timer of a browser can take; longer ends are counted in several pieces. */
const longestTimer = 2 ** 31 - 1;

/** The gateway's codes that say that nobody is signed in. `upstream_unauthorized` is not one: an API's refusal ends no session. */
const over = new Set(["session_required", "session_expired", "session_ended"]);

/** The gateway's codes, beside no answer at all, that leave it open who is signed in. With `idp_unavailable` that is known. */
const unknown = new Set(["store_unavailable", "key_unknown", "draining", "network", "bad_answer"]);

/** Makes a client. It sends nothing before it is asked to, or somebody subscribes. */
export function createClient(options: Options = {}): Client {
  const send = options.fetch ?? ((input: RequestInfo | URL, init?: RequestInit) => globalThis.fetch(input, init));
  const base = (options.base ?? "/bff").replace(/\/+$/, "");
  const listeners = new Set<() => void>();

  let state: State = { status: "loading" };
  let changes = 0; // of who is signed in: what was learnt of a session that is no more does not count, however late it arrives
  let checking: Promise<State> | null = null;
  let checkedAt = -Infinity;
  let arrivesBy = -Infinity; // until then a new sign-in's cookie may be on its way
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function set(next: State): State {
    changes += same(state, next) ? 0 : 1;
    state = next;
    schedule();
    for (const listener of [...listeners]) {
      listener();
    }
    return state;
  }

  /** Wakes the client when the session's end passes, or an outage may be over. */
  function schedule(): void {
    clearTimeout(timer);
    const at = wakesAt();
    if (listeners.size > 0 && at !== null) {
      const wake = (): void => (at <= now() ? void check() : schedule());
      timer = setTimeout(wake, Math.min(Math.max(at - now(), 0), longestTimer));
    }
  }

  function wakesAt(): number | null {
    switch (state.status) {
      case "unavailable":
        return state.retryAt;
      case "signed-in":
        // A second later: the gateway tells whole seconds, rounded down, and asked too early it would say "signed in" again.
        return Math.min(state.session.endsAt, state.session.idleEndsAt) + 1_000;
      default:
        return null;
    }
  }

  async function request(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const here = globalThis.location.origin;
    const url = new URL(input instanceof Request ? input.url : input, globalThis.location.href);
    if (url.origin !== here) {
      throw localError("foreign_url", `The app calls ${url.origin}, which is not its own origin: nothing was sent`);
    }
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    headers.set("X-CSRF", "1");
    // "same-origin" also where a redirect leads: the browser refuses to follow one to another origin.
    const mine: RequestInit = { ...init, headers, mode: "same-origin", credentials: "same-origin" };
    let answer: Response;
    try {
      answer = await send(input instanceof Request ? input : url.href, mine);
    } catch (cause) {
      const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
      throw signal?.aborted ? cause : localError("network", "There is no answer", cause);
    }
    const problem = await problemOf(answer);
    if (problem !== null) {
      throw problem;
    }
    return answer;
  }

  /** Asks one of the gateway's own endpoints, and takes what it says of the session. */
  async function ask(path: string, init?: RequestInit): Promise<State> {
    const sentAt = now();
    const answer = await request(base + path, { ...init, cache: "no-store" });
    const next = answer.ok ? readState(await answer.json().catch(() => null), sentAt) : null;
    if (next === null) {
      throw localError("bad_answer", `The answer of ${base + path} is not the gateway's`);
    }
    return next;
  }

  function check(because?: "replaced"): Promise<State> {
    if (because === "replaced" && now() >= arrivesBy) {
      arrivesBy = now() + arrivesWithin;
    }
    checking ??= recheck().finally(() => {
      checking = null;
    });
    return checking;
  }

  async function recheck(): Promise<State> {
    for (;;) {
      const before = changes;
      let next: State | CloakroomError;
      try {
        next = await ask("/session");
      } catch (error) {
        next = asCloakroomError(error);
      }
      if (before !== changes) {
        continue; // meanwhile something newer was learnt: this answer may be older than that
      }
      if (!(next instanceof CloakroomError) && next.status === "signed-out" && state.status !== "signed-out" && now() < arrivesBy) {
        await new Promise((resolve) => setTimeout(resolve, lookAgainAfter));
        continue;
      }
      checkedAt = now();
      return next instanceof CloakroomError ? outage(next) : answered(next);
    }
  }

  /** Takes the word of the gateway. It does not say why a session is over, so what was known of that before is kept. */
  function answered(next: State): State {
    failures = 0;
    if (next.status !== "signed-out") {
      return set(next);
    }
    if (state.status === "signed-out") {
      return state;
    }
    return set({ status: "signed-out", reason: passedEnd(state) });
  }

  /** An outage is never "signed out": what was known stays. */
  function outage(error: CloakroomError): State {
    const known = state.status === "signed-in" || state.status === "unavailable" ? { user: state.user, session: state.session } : {};
    const wait = Math.max(error.retryAfter ?? 0, Math.min(2 ** failures, 30)); // seconds: 1, 2, 4 … 30, or as the gateway says
    failures++;
    return set({ status: "unavailable", error, retryAt: now() + wait * 1000, ...known });
  }

  /** Draws from an error what it says of the session. before: how many changes there had been when the request was sent. */
  function learn(error: CloakroomError, before: number): void {
    if (over.has(error.code)) {
      if (state.status === "signed-out") {
        set({ status: "signed-out", reason: state.reason ?? error.reason }); // a check that came first was not told why
      } else if (before !== changes || error.reason === "replaced") {
        void check(error.reason === "replaced" ? "replaced" : undefined); // not about the session there is now
      } else {
        failures = 0;
        set({ status: "signed-out", reason: error.reason ?? passedEnd(state) });
      }
    } else if (unknown.has(error.code) && state.status !== "unavailable" && state.status !== "loading") {
      void check(); // it, and not an API's call, says whether that is an outage: an upload may break for its own reasons
    }
  }

  async function learning<T>(doing: () => Promise<T>): Promise<T> {
    const before = changes;
    try {
      return await doing();
    } catch (error) {
      if (error instanceof CloakroomError) {
        learn(error, before);
      }
      throw error;
    }
  }

  function lookedAt(event: Event): void {
    // A page that Back brings out of the browser's memory, as it was, may be of a session that is over.
    const restored = "persisted" in event && event.persisted === true;
    if (restored || (globalThis.document.visibilityState === "visible" && now() - checkedAt >= recheckAfter)) {
      void check();
    }
  }

  function listen(on: boolean): void {
    const change = on ? "addEventListener" : "removeEventListener";
    globalThis.document?.[change]("visibilitychange", lookedAt);
    for (const event of ["focus", "pageshow", "online"]) {
      globalThis.window?.[change](event, lookedAt);
    }
  }

  return {
    getState: () => state,
    subscribe(listener) {
      const own = (): void => listener(); // so that one function may subscribe twice
      listeners.add(own);
      if (listeners.size === 1) {
        listen(true);
        schedule();
        if (state.status === "loading") {
          void check();
        }
      }
      return () => {
        if (listeners.delete(own) && listeners.size === 0) {
          listen(false);
          clearTimeout(timer);
        }
      };
    },
    check,
    async login({ returnTo, prompt, stepUp } = {}) {
      const { origin, pathname, search, href } = globalThis.location;
      const start = new URL(stepUp?.loginUrl ?? `${base}/login`, href);
      if (start.origin !== origin || start.pathname !== new URL(`${base}/login`, href).pathname) {
        throw localError("foreign_url", `A sign-in does not begin at ${start.origin}${start.pathname}: the page stays`);
      }
      start.searchParams.set("return_to", returnTo ?? pathname + search);
      if (prompt !== undefined) {
        start.searchParams.set("prompt", prompt);
      }
      globalThis.location.assign(start.pathname + start.search);
    },
    async logout() {
      await learning(async () => {
        const answer = await request(`${base}/logout`, { method: "POST" });
        const body: unknown = await answer.json().catch(() => null);
        const next = isRecord(body) ? text(body.redirect_to) : undefined;
        // Only to a page of this origin: the gateway's one-time address, which knows the way to the provider.
        if (!answer.ok || next === undefined || new URL(next, globalThis.location.href).origin !== globalThis.location.origin) {
          throw localError("bad_answer", `The answer of ${base}/logout is not the gateway's`);
        }
        set({ status: "signed-out", reason: "signed_out" });
        globalThis.location.assign(next);
      });
    },
    extend: () =>
      learning(async () => {
        const before = changes;
        const next = await ask("/session/extend", { method: "POST" });
        return before === changes ? answered(next) : check();
      }),
    remaining() {
      const session = state.status === "signed-in" || state.status === "unavailable" ? state.session : undefined;
      return session === undefined ? null : { session: secondsTo(session.endsAt), idle: secondsTo(session.idleEndsAt) };
    },
    fetch: (input, init) => learning(() => request(input, init)),
  };
}

/** The monotonic clock: unlike Date it does not jump when somebody sets the time. */
function now(): number {
  return performance.now();
}

function secondsTo(at: number): number {
  return Math.max(0, Math.floor((at - now()) / 1000));
}

/** Reports whether two states are about the same session, or both about none. */
function same(a: State, b: State): boolean {
  return a.status === "signed-in" && b.status === "signed-in" ? a.session.id === b.session.id : a.status === b.status;
}

/** Which end of a session had passed, by the page's own count; undefined when none had. */
function passedEnd(state: State): string | undefined {
  const session = state.status === "signed-in" || state.status === "unavailable" ? state.session : undefined;
  if (session === undefined || now() < Math.min(session.endsAt, session.idleEndsAt)) {
    return undefined;
  }
  return session.endsAt <= session.idleEndsAt ? "absolute" : "idle";
}

function asCloakroomError(error: unknown): CloakroomError {
  return error instanceof CloakroomError ? error : localError("bad_answer", "The answer could not be read", error);
}
