/** The part of a problem (RFC 9457) that the gateway writes. */
export interface Problem {
  /** What happened: one of the gateway's error codes, the contract to switch on. */
  code: string;
  /** One line for a person. */
  title: string;
  /** The answer's HTTP status. */
  status: number;
  /** More for a person; "" when there is no more. */
  detail: string;
  /** Of a session that is over: why, e.g. `signed_out`, `idle`, `refresh_rejected`. */
  reason?: string;
  /** What the gateway's log calls the request: for a report to whoever runs it. */
  requestId?: string;
  /** Seconds after which trying again is worth it. */
  retryAfter?: number;
  /** Of a sign-in that does not do (`insufficient_user_authentication`): what it must be, any one of these. */
  acrValues?: readonly string[];
  /** And how many seconds ago it may be. Without either, a new one is asked for. */
  maxAge?: number;
  /** Where a sign-in begins that will do: a path of this origin. Hand the error to {@link Client.login} to go there. */
  loginUrl?: string;
}

/**
 * Everything that this client rejects with, but for the app's own abort. Tell errors apart by `code`, never by text or class:
 * a code of the gateway's table, or one of three that never left the browser:
 *
 * - `network`: no answer; the computer is offline or the gateway is not there. `cause` is the browser's own error.
 * - `foreign_url`: the address is of another origin. Nothing was sent.
 * - `bad_answer`: the gateway's address answered with something that is not the gateway's.
 */
export class CloakroomError extends Error implements Problem {
  declare readonly code: string;
  declare readonly title: string;
  declare readonly status: number;
  declare readonly detail: string;
  declare readonly reason?: string;
  declare readonly requestId?: string;
  declare readonly retryAfter?: number;
  declare readonly acrValues?: readonly string[];
  declare readonly maxAge?: number;
  declare readonly loginUrl?: string;

  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.detail === "" ? problem.title : `${problem.title}: ${problem.detail}`, options);
    Object.assign(this, problem, { name: "CloakroomError" });
  }
}

/** An error of the browser's side: no answer stands behind it. */
export function localError(code: "network" | "foreign_url" | "bad_answer", title: string, cause?: unknown): CloakroomError {
  return new CloakroomError({ code, title, status: 0, detail: "" }, { cause });
}

/** What the type of every problem of the gateway begins with. An API's own problem has another, and is the app's to read. */
const ourType = "urn:cloakroom:problem:";

/**
 * Reads an answer that the gateway wrote itself. An API behind it may answer 401 or 503 too, also as a problem: that is not
 * ours, and null. The body of an answer that is not ours stays unread.
 */
export async function problemOf(answer: Response): Promise<CloakroomError | null> {
  if (!/^application\/problem\+json/i.test(answer.headers.get("Content-Type") ?? "")) {
    return null;
  }
  const body: unknown = await answer.clone().json().catch(() => null);
  if (!isRecord(body) || typeof body.code !== "string" || body.type !== ourType + body.code) {
    return null;
  }
  return new CloakroomError({
    code: body.code,
    title: text(body.title) ?? body.code,
    status: answer.status,
    detail: text(body.detail) ?? "",
    reason: text(body.reason),
    requestId: text(body.request_id),
    retryAfter: count(body.retry_after),
    acrValues: texts(body.acr_values),
    maxAge: count(body.max_age),
    loginUrl: text(body.login_url),
  });
}

/** Reports whether a value read from JSON is an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value read from JSON if it is text. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A value read from JSON if it is a list of texts. */
function texts(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;
}

/** A value read from JSON if it is a number of things: finite and not below zero. */
export function count(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value < Infinity ? value : undefined;
}
