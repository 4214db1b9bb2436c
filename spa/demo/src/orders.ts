import { QueryClient, type QueryKey } from "@tanstack/react-query";
import { api, ApiError, mayPass, retryDelay } from "./api.ts";
import type { Happening } from "./feed.ts";

/** What has become of an order. */
export type Status = "placed" | "packed" | "shipped" | "refunded";

/** One order as the API tells it; `placing` is one that the API has not answered for. */
export interface Order {
  id: string;
  item: string;
  quantity: number;
  placed_at: string;
  status: Status | "placing";
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

/** Whether anything is still to be done for an order. */
export function isOpen(order: Order): boolean {
  return order.status !== "shipped" && order.status !== "refunded";
}

/** A minute: what the feed says comes at once, and who has none reads anew when the page is looked at. */
const freshFor = 60_000;

/** How often a read is tried again before the page says so. */
const triesMore = 2;

/** A cache for what the API says. The API and the gateway may be reached without a network, as in this demo: so nothing waits for one. */
export function createCache(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        networkMode: "always",
        staleTime: freshFor,
        retry: (failures, cause) => failures < triesMore && mayPass(cause),
        retryDelay,
      },
      mutations: { networkMode: "always", retry: false }, // an order is not placed twice
    },
  });
}

/** Where a user's orders stand in the cache: nobody else's are ever shown for theirs. */
export function ordersKey(subject: string): QueryKey {
  return ["orders", subject];
}

/** Reads the orders, newest first. In the background it is the page that asks, and no use of the session. */
export async function readOrders(how: { signal?: AbortSignal; background?: boolean } = {}): Promise<Order[]> {
  const headers: Record<string, string> = how.background === true ? { "X-Background": "1" } : {};
  const { orders } = await api<{ orders: Order[] }>("/api/orders", { headers, signal: how.signal });
  return orders.reverse();
}

/** What is on its way is in no list of the API's: it is kept over a new one. */
export function withFresh(list: Order[] | undefined, fresh: Order[]): Order[] {
  return [...(list ?? []).filter((order) => order.status === "placing"), ...fresh];
}

/**
 * Takes over what has happened to an order. One that is new takes the place of the like that is on its way: the feed may tell
 * of it before the API's answer comes, and it is not shown twice.
 */
export function withOrder(list: Order[], order: Order): Order[] {
  const like = (one: Order): boolean => one.status === "placing" && one.item === order.item && one.quantity === order.quantity;
  const at = list.findIndex((one) => one.id === order.id);
  const place = at >= 0 ? at : list.findLastIndex(like);
  return place >= 0 ? list.map((one, i) => (i === place ? order : one)) : [order, ...list];
}

/** Takes an order out. */
function withoutOrder(list: Order[], id: string): Order[] {
  return list.filter((order) => order.id !== id);
}

/** What is to be ordered. */
export interface Wanted {
  item: string;
  quantity: number;
}

let placings = 0; // names what has no number yet

/** Changes a list that is there; one that is not, as after a sign-out, is left so. */
function change(cache: QueryClient, subject: string, to: (list: Order[]) => Order[]): void {
  cache.setQueryData<Order[]>(ordersKey(subject), (list) => list && to(list));
}

/** Placing an order: it is in the list at once, and out again when the API refuses it. For `useMutation`. */
export function placing(cache: QueryClient, subject: string) {
  return {
    mutationFn: (wanted: Wanted): Promise<Order> =>
      api<Order>("/api/orders", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wanted) }),
    onMutate: async (wanted: Wanted): Promise<{ id: string }> => {
      await cache.cancelQueries({ queryKey: ordersKey(subject) }); // its answer would not have this one
      const id = `placing-${++placings}`;
      change(cache, subject, (list) => [{ ...wanted, id, placed_at: new Date().toISOString(), status: "placing" }, ...list]);
      return { id };
    },
    onSuccess: (placed: Order, _: Wanted, { id }: { id: string }): void =>
      change(cache, subject, (list) => {
        if (list.some((order) => order.id === placed.id)) {
          return withoutOrder(list, id); // the feed has told of it
        }
        const waits = list.some((order) => order.id === id);
        return waits ? list.map((order) => (order.id === id ? placed : order)) : [placed, ...list];
      }),
    onError: (_: unknown, __: Wanted, mine: { id: string } | undefined): void =>
      change(cache, subject, (list) => (mine === undefined ? list : withoutOrder(list, mine.id))),
    // A list that was never read, or whose reading was broken off above, is read now.
    onSettled: (): void => {
      const state = cache.getQueryState(ordersKey(subject));
      if (state !== undefined && state.data === undefined) {
        void cache.refetchQueries({ queryKey: ordersKey(subject) });
      }
    },
  };
}

/** Giving the money for an order back. It is shown when it is done: a promise of money is not made in advance. For `useMutation`. */
export function refunding(cache: QueryClient, subject: string) {
  return {
    mutationFn: (id: string): Promise<Order> => api<Order>(`/api/orders/${encodeURIComponent(id)}/refund`, { method: "POST" }),
    onSuccess: (refunded: Order): void => change(cache, subject, (list) => withOrder(list, refunded)),
    onError: (cause: unknown): void => {
      if (cause instanceof ApiError && [404, 409].includes(cause.status)) {
        void cache.invalidateQueries({ queryKey: ordersKey(subject) }); // the list is behind
      }
    },
  };
}

/** Takes over what the feed says. Its hello says that it hears everything from now on, so that what was before is read anew. */
export async function take(cache: QueryClient, subject: string, happening: Happening): Promise<void> {
  if (happening.event !== "hello") {
    change(cache, subject, (list) => withOrder(list, happening.order));
    return;
  }
  if (cache.getQueryData(ordersKey(subject)) !== undefined) {
    const fresh = await readOrders({ background: true }).catch(() => null); // the list stays; the page's own reading tells why
    change(cache, subject, (list) => (fresh === null ? list : withFresh(list, fresh)));
  }
}

/** What is shown of a list: how it was read, and what went wrong. */
export interface Orders {
  list: Order[] | undefined; // undefined = not known yet
  error: Error | null;
  reading: boolean;
  reload(): void;
}
