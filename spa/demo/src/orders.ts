import { useCallback, useEffect, useState } from "react";
import { CloakroomError } from "@cloakroom/client";
import { client } from "./gateway.ts";

/** One order as the API tells it. `id` is "" while the API has not answered yet. */
export interface Order {
  id: string;
  item: string;
  quantity: number;
  placed_at: string;
}

/** What a user can get wrong, by field; nothing when all is well. */
export interface Mistakes {
  item?: string;
  quantity?: string;
}

/** Checks an order as it is typed. */
export function mistakesIn(item: string, quantity: string): Mistakes {
  const found: Mistakes = {};
  if (item.trim() === "") {
    found.item = "Say what you would like to order.";
  } else if (item.trim().length > 80) {
    found.item = "Make it 80 characters or fewer.";
  }
  if (!/^\d{1,3}$/.test(quantity.trim()) || Number(quantity) < 1) {
    found.quantity = "Give a whole number from 1 to 999.";
  }
  return found;
}

/** The user's orders, newest first, and what can be done with them. */
export interface Orders {
  list: Order[] | null; // null = not known yet
  error: CloakroomError | null;
  reload(): Promise<void>;
  /** Shows the order at once, and takes it back when the API refuses it: then it rejects with a CloakroomError. */
  place(item: string, quantity: number): Promise<Order>;
}

/** Reads the orders from the API. */
export function useOrders(): Orders {
  const [list, setList] = useState<Order[] | null>(null);
  const [pending, setPending] = useState<Order[]>([]);
  const [error, setError] = useState<CloakroomError | null>(null);
  const reload = useCallback(async () => {
    try {
      const { orders } = await api<{ orders: Order[] }>("/api/orders");
      setList(orders.reverse());
      setError(null);
    } catch (cause) {
      setError(asError(cause));
    }
  }, []);
  useEffect(() => void reload(), [reload]);
  const place = useCallback(async (item: string, quantity: number) => {
    const draft: Order = { id: "", item, quantity, placed_at: new Date().toISOString() };
    setPending((all) => [draft, ...all]);
    try {
      const placed = await api<Order>("/api/orders", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ item, quantity }),
      });
      setList((all) => [placed, ...(all ?? [])]);
      void client.check(); // the order has moved the idle end: show it
      return placed;
    } catch (cause) {
      throw asError(cause);
    } finally {
      setPending((all) => all.filter((order) => order !== draft));
    }
  }, []);
  return { list: list === null ? null : [...pending, ...list], error, reload, place };
}

const refusals = new Map([
  ["invalid_order", "The API does not take this order as it is."],
  ["too_many_orders", "You have ordered all that fits. Restart the demo to begin anew."],
]);

/** Asks the API for JSON. Its own refusals become errors with the code that it gives. */
async function api<T>(path: string, init?: RequestInit): Promise<T> {
  const answer = await client.fetch(path, init);
  const body = (await answer.json().catch(() => ({}))) as T & { error?: string };
  if (!answer.ok) {
    const code = body.error ?? "api";
    throw new CloakroomError({ code, title: "The API refuses", status: answer.status, detail: refusals.get(code) ?? `It answers ${answer.status}.` });
  }
  return body;
}

/** What was thrown, as something that can be shown. */
export function asError(cause: unknown): CloakroomError {
  return cause instanceof CloakroomError ? cause : new CloakroomError({ code: "api", title: "That did not work", status: 0, detail: String(cause) });
}
