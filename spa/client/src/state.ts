import type { CloakroomError } from "./error.ts";
import { count, isRecord, text } from "./error.ts";

/** The claims that the app's configuration lists. There is no token among them: no answer of the gateway has one. */
export interface User {
  /** The user's name for programs: at one provider it stays the same, and is nobody else's. */
  sub: string;
  name?: string;
  email?: string;
  picture?: string;
  [claim: string]: unknown;
}

/** What a frontend may know of its session. */
export interface Session {
  /** A public name: for a list or a report, worth nothing as a credential. */
  id: string;
  /** When the user signed in. */
  createdAt: Date;
  /**
   * When the session ends, however much it is used: milliseconds on the clock of `performance.now()`, which nobody can set. Read it
   * through {@link Client.remaining}.
   */
  endsAt: number;
  /** When it ends unless it is used before, on the same clock. */
  idleEndsAt: number;
  /** How the user was authenticated, as the provider tells it. */
  acr?: string;
  /** When the user last gave a credential, as the provider tells it. */
  authTime?: Date;
}

/** Who is signed in, as far as it is known. */
export type State =
  /** Nothing is known yet. */
  | { status: "loading" }
  /**
   * Nobody is signed in, and that is certain. `reason` says why a session that was there is over: a reason of the gateway, or
   * `idle`/`absolute` when its end passed while this page was open. Without it there was none, or why is not known.
   */
  | { status: "signed-out"; reason?: string }
  | ({ status: "signed-in"; user: User; session: Session } & Told)
  /**
   * The gateway cannot tell now: it cannot reach its store, restarts, or cannot be reached itself. Whoever was signed in still
   * is, so `user` and `session` are the last that were known. The client asks again by itself, next at `retryAt` (on the clock
   * of `performance.now()`).
   */
  | ({ status: "unavailable"; error: CloakroomError; retryAt: number; user?: User; session?: Session } & Told);

/** What is told of a session, beside whose it is. */
export interface Told {
  /**
   * The session ends within {@link Options.warn} seconds: `idle` unless it is used before, so that {@link Client.extend} helps;
   * `absolute` in any case, so that nothing helps but a new sign-in.
   */
  ending?: "idle" | "absolute";
  /**
   * The last `insufficient_user_authentication` that {@link Client.fetch} met: what was asked for wants a sign-in that is newer
   * or stronger. There until the session is another or over, or {@link Client.dismissStepUp}.
   */
  stepUp?: CloakroomError;
}

/** A state as the client keeps it: one that may have any of the members. */
export interface Kept extends Told {
  status: State["status"];
  reason?: string;
  user?: User;
  session?: Session;
  error?: CloakroomError;
  retryAt?: number;
}

/**
 * Reads the answer of the session endpoint. Ends come as durations and count from when the request was sent: the browser's
 * clock may be wrong by hours, and an end that is a moment early is better than one that is late. Anything else is null, or throws.
 */
export function readState(body: unknown, sentAt: number): State | null {
  const { authenticated, user, session } = body as Record<string, unknown>;
  if (authenticated === false) {
    return { status: "signed-out" };
  }
  if (authenticated !== true || !isRecord(user)) {
    return null;
  }
  const read = readSession(session as Record<string, unknown>, sentAt);
  return read && { status: "signed-in", user: { ...user, sub: text(user.sub) ?? "" }, session: read };
}

function readSession(body: Record<string, unknown>, sentAt: number): Session | null {
  const id = text(body.id);
  const expiresIn = count(body.expires_in);
  const idleExpiresIn = count(body.idle_expires_in);
  if (id === undefined || expiresIn === undefined || idleExpiresIn === undefined) {
    return null;
  }
  const authTime = count(body.auth_time);
  return {
    id,
    createdAt: new Date(text(body.created_at) ?? 0),
    endsAt: sentAt + expiresIn * 1000,
    idleEndsAt: sentAt + idleExpiresIn * 1000,
    acr: text(body.acr),
    authTime: authTime === undefined ? undefined : new Date(authTime * 1000),
  };
}

/** The monotonic clock: unlike Date it does not jump when somebody sets the time. */
export function now(): number {
  return performance.now();
}

/** Whose a state is: two about the same session, or both about none, are the same. */
export function who({ session, status }: Kept): string {
  return session ? session.id : status;
}

/** When a session ends unless it is used. */
export function endOf({ endsAt, idleEndsAt }: Session): number {
  return Math.min(endsAt, idleEndsAt);
}

/** The end of a session that comes in so many milliseconds by the page's own count, or has passed; undefined when none does. */
export function endWithin(ms: number, session?: Session): "idle" | "absolute" | undefined {
  if (!session || endOf(session) - now() > ms) {
    return undefined;
  }
  return session.endsAt <= session.idleEndsAt ? "absolute" : "idle";
}
