import { CloakroomError } from "@cloakroom/client";
import { client } from "./gateway.ts";

const refusals = new Map([
  ["invalid_order", "The API does not take this order as it is."],
  ["too_many_orders", "You have ordered all that fits. Restart the demo to begin anew."],
  ["already_refunded", "This order is refunded already."],
  ["unknown_order", "There is no such order of yours. Maybe the demo was restarted."],
]);

/** Asks the demo API for JSON. Its own refusals become errors with the code that it gives. */
export async function api<T>(path: string, init?: RequestInit): Promise<T> {
  const answer = await client.fetch(path, init);
  const body = (await answer.json().catch(() => ({}))) as T & { error?: string };
  if (!answer.ok) {
    const code = body.error ?? "api";
    const detail = refusals.get(code) ?? `It answers ${answer.status}.`;
    throw new CloakroomError({ code, title: "The API refuses", status: answer.status, detail });
  }
  return body;
}

/** What was thrown, as something that can be shown. */
export function asError(cause: unknown): CloakroomError {
  if (cause instanceof CloakroomError) {
    return cause;
  }
  return new CloakroomError({ code: "api", title: "That did not work", status: 0, detail: String(cause) });
}
