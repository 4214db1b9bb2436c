import { CloakroomError } from "@cloakroom/client";
import { client } from "./gateway.ts";

const refusals = new Map([
  ["invalid_order", "The API does not take this order as it is."],
  ["too_many_orders", "You have ordered all that fits. Restart the demo to begin anew."],
  ["already_refunded", "This order is refunded already."],
  ["unknown_order", "There is no such order of yours. Maybe the demo was restarted."],
]);

/** An answer of the API itself that is no success. What the gateway says is a CloakroomError. */
export class ApiError extends Error {
  readonly status: number;
  /** What the API calls it; "" where it does not say. */
  readonly code: string;

  constructor(status: number, code: string) {
    super(refusals.get(code) ?? `It answers ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

/** Asks the demo API for JSON. Its own refusals reject with an {@link ApiError}. */
export async function api<T>(path: string, init?: RequestInit): Promise<T> {
  const answer = await client.fetch(path, init);
  const body = (await answer.json().catch(() => ({}))) as T & { error?: string };
  if (!answer.ok) {
    throw new ApiError(answer.status, body.error ?? "");
  }
  return body;
}

/** Whether the same call may do a moment later: not for who is signed out or not allowed, nor after a mistake of this page's own. */
export function mayPass(cause: unknown): boolean {
  const status = cause instanceof CloakroomError || cause instanceof ApiError ? cause.status : 0;
  return [429, 502, 503, 504].includes(status) || (cause instanceof CloakroomError && cause.code === "network");
}

/** Milliseconds until a read is tried again: 1 s, 2 s, 4 s … or as the gateway says. */
export function retryDelay(failures: number, cause: unknown): number {
  return 1000 * Math.max(2 ** failures, (cause instanceof CloakroomError && cause.retryAfter) || 0);
}
