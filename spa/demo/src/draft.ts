import { client } from "./gateway.ts";

/** An order as it was typed. */
export interface Draft {
  item: string;
  quantity: string;
}

const key = "cloakroom-demo:order";

/** Keeps an order while its user is away to sign in again: in this tab alone, and for nobody else who signs in there. */
export function keepDraft(draft: Draft): void {
  try {
    sessionStorage.setItem(key, JSON.stringify({ ...draft, sub: subject() }));
  } catch {
    // A browser that keeps nothing: the order is typed once more.
  }
}

/** Forgets it: it is on the page again. */
export function dropDraft(): void {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // as above
  }
}

/** The order that was kept, if it is this user's; null without one. */
export function readDraft(): Draft | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "null") as (Draft & { sub?: string }) | null;
    const good = typeof kept?.item === "string" && typeof kept.quantity === "string" && kept.sub === subject();
    return good ? { item: kept.item, quantity: kept.quantity } : null;
  } catch {
    return null;
  }
}

function subject(): string | undefined {
  const state = client.getState();
  return state.status === "signed-in" || state.status === "unavailable" ? state.user?.sub : undefined;
}
