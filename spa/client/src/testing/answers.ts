/** The answers that the gateway writes itself: their codes, statuses and words are those of docs/endpoints.md. */

/** How a code is told: its status, the title, the sentence beside it, and seconds after which to try again. */
interface Told {
  status: number;
  title: string;
  detail: string;
  retryAfter?: number;
}

const told = {
  session_required: { status: 401, title: "Sign-in required", detail: "Sign in to continue." },
  session_expired: { status: 401, title: "Session expired", detail: "Your session has expired. Sign in to continue." },
  session_ended: { status: 401, title: "Session ended", detail: "This session has ended. Sign in to continue." },
  upstream_unauthorized: { status: 401, title: "Refused by the service", detail: "The service did not accept this session." },
  insufficient_user_authentication: {
    status: 401,
    title: "Newer sign-in required",
    detail: "This needs a sign-in that is newer or stronger. Sign in again, then repeat it.",
  },
  csrf_failed: { status: 403, title: "Request refused", detail: "This request does not show that it comes from the app itself." },
  recent_sign_in_required: { status: 403, title: "Recent sign-in required", detail: "Sign in again to do this." },
  step_up_not_satisfiable: {
    status: 403,
    title: "Sign-in does not help",
    detail: "The service asks for a sign-in that you have already made.",
  },
  bad_request: { status: 400, title: "Bad request", detail: "The address or the data sent was not right." },
  not_found: { status: 404, title: "Not found", detail: "There is nothing here." },
  method_not_allowed: { status: 405, title: "Method not allowed", detail: "This address does not take this method." },
  gone: { status: 410, title: "Link already used", detail: "This sign-out link was used already, or is too old." },
  rate_limited: { status: 429, title: "Too many requests", detail: "There are too many of these at once.", retryAfter: 5 },
  internal: { status: 500, title: "Internal error", detail: "Something went wrong here." },
  upstream_unavailable: { status: 502, title: "Service unavailable", detail: "The API does not answer." },
  store_unavailable: {
    status: 503,
    title: "Temporarily unavailable",
    detail: "Sessions cannot be read right now. Try again in a moment.",
    retryAfter: 2,
  },
  key_unknown: {
    status: 503,
    title: "Temporarily unavailable",
    detail: "This instance cannot open the session yet. Try again in a moment.",
    retryAfter: 5,
  },
  idp_unavailable: {
    status: 503,
    title: "Sign-in service unavailable",
    detail: "Your sign-in could not be renewed just now. Try again in a moment.",
    retryAfter: 5,
  },
  draining: { status: 503, title: "Restarting", detail: "This instance is shutting down. Try again.", retryAfter: 1 },
} satisfies Record<string, Told>;

/** The codes that the fake gateway answers with. */
export type Code = keyof typeof told;

/** The further members of a problem, by the names that they have on the wire. */
export interface More {
  reason?: string;
  login_url?: string;
  max_age?: number;
  acr_values?: readonly string[];
}

/** What every answer of the gateway's own carries. */
function own(headers: Record<string, string>, id: string): Record<string, string> {
  return { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Request-Id": id, ...headers };
}

/** A request's id: 8 characters, as the gateway's are at least. */
function nextId(): string {
  return Math.random().toString(36).slice(2).padEnd(8, "0").slice(0, 8);
}

/** A problem (RFC 9457) of this code. */
export function problem(code: Code, more: More = {}, headers: Record<string, string> = {}): Response {
  const { status, title, detail, retryAfter }: Told = told[code];
  const id = nextId();
  const body = {
    type: `urn:cloakroom:problem:${code}`,
    title,
    status,
    detail,
    instance: `urn:cloakroom:request:${id}`,
    code,
    request_id: id,
    retry_after: retryAfter,
    ...more,
  };
  const wait: Record<string, string> = retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) };
  return new Response(JSON.stringify(body), {
    status,
    headers: own({ "Content-Type": "application/problem+json", ...wait, ...headers }, id),
  });
}

/** An answer with JSON. */
export function json(body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status: 200, headers: own({ "Content-Type": "application/json", ...headers }, nextId()) });
}

/** An answer without a body: 204, or 303 on to another address. */
export function nothing(to?: string): Response {
  return new Response(null, { status: to === undefined ? 204 : 303, headers: own(to === undefined ? {} : { Location: to }, nextId()) });
}

/** A stream of events, as long as `body` lasts. */
export function streaming(body: ReadableStream<Uint8Array>): Response {
  return new Response(body, { status: 200, headers: own({ "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" }, nextId()) });
}

/** The answer where no endpoint and no route is: 405 where other methods would do. */
export function unmatched(methods: string[]): Response {
  return methods.length === 0 ? problem("not_found") : problem("method_not_allowed", {}, { Allow: methods.join(", ") });
}

/**
 * Reports whether an API refuses who it is called as: 401 without a challenge. One with a challenge is told as it is, though the
 * gateway looks at what that says; what has an id was made by {@link problem}, and is the gateway's already.
 */
export function refusesCaller({ status, headers }: Response): boolean {
  return status === 401 && !headers.has("X-Request-Id") && !headers.has("WWW-Authenticate");
}

/** A return target without the error of an earlier try, and the empty fragment that came with it. */
export function withoutError(target: string): string {
  const [, path = "", query = "", fragment = ""] = /^([^?#]*)\??([^#]*)#?(.*)$/s.exec(target) ?? [];
  const parts = query.split("&");
  const kept = parts.filter((part) => part.split("=")[0] !== "login_error");
  if (kept.length === parts.length) {
    return target;
  }
  return path + (kept.length > 0 ? `?${kept.join("&")}` : "") + (fragment === "" ? "" : `#${fragment}`);
}

/** Reports whether a value is an answer, of whatever environment: there may be more than one class of them. */
export function isAnswer(value: unknown): value is Response {
  return value instanceof Response || (typeof value === "object" && value !== null && "headers" in value && "arrayBuffer" in value);
}
