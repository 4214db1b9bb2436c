import { client } from "./gateway.ts";

const key = "cloakroom-demo:refund";

/** Milliseconds: a sign-in takes minutes at most. Who comes back to the order later has given up, or forgotten. */
const keptFor = 15 * 60_000;

/**
 * Keeps in mind which order was to be refunded while its user is away to sign in again: in this tab alone, and for nobody else who
 * signs in there.
 */
export function keepDraft(refund: string): void {
  try {
    sessionStorage.setItem(key, JSON.stringify({ refund, sub: subject(), at: Date.now() }));
  } catch {
    // A browser that keeps nothing: the button is pressed once more.
  }
}

/** Forgets it: it is on the page again, or given up. */
export function dropDraft(): void {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // as above
  }
}

/** The order whose refund was begun, if it was this user who began; null without one. */
export function readDraft(): string | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "null") as { refund?: unknown; sub?: unknown; at?: unknown } | null;
    if (typeof kept?.refund !== "string" || typeof kept.sub !== "string") {
      return null;
    }
    return kept.sub === subject() && Date.now() - Number(kept.at) < keptFor ? kept.refund : null;
  } catch {
    return null;
  }
}

function subject(): string | undefined {
  const state = client.getState();
  return state.status === "signed-in" || state.status === "unavailable" ? state.user?.sub : undefined;
}
