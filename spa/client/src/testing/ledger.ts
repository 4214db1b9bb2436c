import type { User } from "../state.ts";

/** A session in the list of a user's devices, as `GET /bff/sessions` tells it. */
export interface FakeSession {
  id: string;
  app: string;
  kind: "spa" | "web" | "mobile" | "desktop" | "";
  device: string;
  platform: string;
  created_at: string;
  last_active_at: string;
  current: boolean;
}

/** A session as the gateway keeps it. Times are milliseconds since 1970. */
export interface Held {
  readonly id: string;
  readonly user: User;
  readonly app: string;
  readonly kind: FakeSession["kind"];
  readonly device: string;
  readonly platform: string;
  readonly createdAt: number;
  /** When the user gave a credential at the provider. */
  authTime: number;
  readonly acr?: string;
  /** The step-up rule that its sign-in was made for. */
  readonly raisedFor?: object;
  activeAt: number;
  idleEndsAt: number;
  endsAt: number;
  end?: { reason: string; at: number; told: boolean };
}

/** What a credential opened, or why it opens nothing. */
export type Opened = { session: Held } | { code: "session_required" | "session_expired" | "session_ended"; reason?: string };

/** The sessions of one user at one gateway, and the one cookie of the browser under test. */
export interface Ledger {
  /** A sign-in of this browser. ago: how many seconds before it the user gave a credential. */
  begin(user: User, how?: { ago?: number; acr?: string; raisedFor?: object }): Held;
  /** A session of the same user at another device. */
  add(user: User, elsewhere: Partial<FakeSession>): Held;
  /** The session of the cookie, live or not, whatever is told of it; null where the browser holds none. */
  current(): Held | null;
  /** Takes the cookie away. */
  forget(): void;
  /** Opens the cookie as a request does: a dead one is cleared, and an end that passed is told once. */
  open(): Opened;
  end(session: Held, reason: string): void;
  /** Moves the idle end, and reports whether it did: of a mere use it is written at most every twentieth of the idle time. */
  touch(session: Held, asked: boolean): boolean;
  /** The user's live sessions as they are listed: the asking one first, then by when they were last used. */
  listed(): FakeSession[];
  /** The live session of that name, if it is one of the user's. */
  find(id: string): Held | undefined;
  /** Ends what has reached its end by the clock, and returns milliseconds to the next end; null when there is none. */
  sweep(): number | null;
}

/** How long the gateway remembers why a session ended, in milliseconds. */
const remembered = 300_000;

/** Makes a ledger. idle and absolute are seconds; ended hears of each end. */
export function createLedger(
  limits: { idle: number; absolute: number },
  now: () => number,
  ended: (session: Held, reason: string) => void,
): Ledger {
  const all: Held[] = [];
  let cookie: Held | null = null;
  let made = 0;

  function make(user: User, more: Partial<Held>): Held {
    made++;
    const at = now();
    const session: Held = {
      id: `session-${made}`,
      user,
      app: "web",
      kind: "spa",
      device: "Firefox on Linux",
      platform: "",
      createdAt: at,
      authTime: at,
      activeAt: at,
      idleEndsAt: at + limits.idle * 1000,
      endsAt: at + limits.absolute * 1000,
      ...more,
    };
    all.push(session);
    return session;
  }

  function end(session: Held, reason: string): void {
    if (session.end === undefined) {
      session.end = { reason, at: now(), told: reason !== "idle" && reason !== "absolute" };
      ended(session, reason);
    }
  }

  const endOf = (session: Held): number => Math.min(session.idleEndsAt, session.endsAt);

  function sweep(): number | null {
    for (const session of all) {
      if (endOf(session) <= now()) {
        end(session, session.endsAt <= session.idleEndsAt ? "absolute" : "idle");
      }
    }
    const ends = all.filter((session) => session.end === undefined).map(endOf);
    return ends.length === 0 ? null : Math.min(...ends) - now();
  }

  /** What is told of a session that is over. Its cookie goes, unless the browser holds the next by then. */
  function over(session: Held, { reason, at, told }: NonNullable<Held["end"]>): Opened {
    // With the answer, and not before it: what was sent at the same moment carries the cookie as well.
    queueMicrotask(() => {
      cookie = cookie === session ? null : cookie;
    });
    if (now() - at >= remembered) {
      return { code: "session_required" };
    }
    session.end = { reason, at, told: true };
    return { code: told ? "session_ended" : "session_expired", reason };
  }

  function live(): Held[] {
    sweep();
    const user = cookie?.user.sub ?? all.at(-1)?.user.sub;
    const own = (session: Held): number => (session === cookie ? 0 : 1);
    return all
      .filter((session) => session.end === undefined && session.user.sub === user)
      .sort((a, b) => own(a) - own(b) || b.activeAt - a.activeAt);
  }

  return {
    begin(user, how = {}) {
      const before = cookie;
      const { ago = 0, ...more } = how;
      cookie = make(user, { ...more, authTime: now() - ago * 1000 });
      if (before !== null) {
        end(before, "replaced"); // after that: whoever is told of it asks at once
      }
      return cookie;
    },
    add: (user, { id, app, kind, device, platform, created_at, last_active_at }) =>
      make(user, {
        ...(id === undefined ? {} : { id }),
        app: app ?? "phone",
        kind: kind ?? "mobile",
        device: device ?? "Ada's phone",
        platform: platform ?? "",
        createdAt: created_at === undefined ? now() : Date.parse(created_at),
        activeAt: last_active_at === undefined ? now() : Date.parse(last_active_at),
      }),
    current: () => cookie,
    forget() {
      cookie = null;
    },
    open() {
      sweep();
      if (cookie === null) {
        return { code: "session_required" };
      }
      return cookie.end === undefined ? { session: cookie } : over(cookie, cookie.end);
    },
    end,
    touch(session, asked) {
      if (!asked && now() - session.activeAt < limits.idle * 50) {
        return false; // a twentieth, in milliseconds
      }
      session.activeAt = now();
      session.idleEndsAt = now() + limits.idle * 1000;
      return true;
    },
    find: (id) => live().find((session) => session.id === id),
    listed: () =>
      live().map(({ id, app, kind, device, platform, createdAt, activeAt }) => ({
        id,
        app,
        kind,
        device,
        platform,
        created_at: wholeSecond(createdAt),
        last_active_at: wholeSecond(activeAt),
        current: cookie?.id === id,
      })),
    sweep,
  };
}

/** RFC 3339 in whole seconds, as the gateway writes times. */
export function wholeSecond(at: number): string {
  return new Date(Math.floor(at / 1000) * 1000).toISOString().replace(".000Z", "Z");
}
