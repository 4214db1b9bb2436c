import { type MutationObserverOptions, MutationObserver, type QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CloakroomError } from "@cloakroom/client";
import { ApiError, retryDelay } from "../src/api.ts";
import { client } from "../src/gateway.ts";
import { createCache, isOpen, type Order, ordersKey, placing, readOrders, refunding, take, type Wanted, withFresh, withOrder } from "../src/orders.ts";

const order = (id: string, more: Partial<Order> = {}): Order => ({ id, item: "Coat", quantity: 1, placed_at: "2026-01-02T12:00:00Z", status: "placed", ...more });
const answer = (status: number, body: unknown): Response => Response.json(body, { status });

/** An API that answers when it is told to. */
function slowAPI() {
  const calls: { path: string; init?: RequestInit; answer: (response: Response | Error) => void }[] = [];
  vi.spyOn(client, "fetch").mockImplementation(
    (path, init) =>
      new Promise((resolve, reject) => {
        const settle = (response: Response | Error): void => (response instanceof Error ? reject(response) : resolve(response));
        calls.push({ path: String(path), init, answer: settle });
        init?.signal?.addEventListener("abort", () => reject(new DOMException("left", "AbortError")));
      }),
  );
  return calls;
}

const ada = "usr_1";
let cache: QueryClient;
const list = (subject = ada): Order[] | undefined => cache.getQueryData(ordersKey(subject));
const ids = (subject = ada): string[] | undefined => list(subject)?.map(({ id }) => id.replace(/\d+$/, (n) => (id.startsWith("placing") ? "" : n)));

/** Does what a page does with useMutation. */
function doing<V>(options: MutationObserverOptions<Order, Error, V, never>): (wanted: V) => Promise<Order> {
  return new MutationObserver(cache, options).mutate as (wanted: V) => Promise<Order>;
}
const place = (): ((wanted: Wanted) => Promise<Order>) => doing(placing(cache, ada) as unknown as MutationObserverOptions<Order, Error, Wanted, never>);
const refund = (): ((id: string) => Promise<Order>) => doing(refunding(cache, ada) as unknown as MutationObserverOptions<Order, Error, string, never>);

beforeEach(() => {
  cache = createCache();
});
afterEach(() => {
  cache.clear();
  vi.restoreAllMocks();
});

describe("an order that is placed", () => {
  test("is in the list at once, marked, and takes its place when the API has answered", async () => {
    const calls = slowAPI();
    cache.setQueryData(ordersKey(ada), [order("ord_1")]);
    const placed = place()({ item: "Hat", quantity: 2 });
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    expect(ids()).toEqual(["placing-", "ord_1"]);
    expect(list()![0]).toMatchObject({ item: "Hat", quantity: 2, status: "placing" });
    expect(JSON.parse(String(calls[0]!.init?.body))).toEqual({ item: "Hat", quantity: 2 });
    calls[0]!.answer(answer(201, order("ord_2", { item: "Hat", quantity: 2 })));
    await placed;
    expect(ids()).toEqual(["ord_2", "ord_1"]);
  });

  test.each([
    ["refused", answer(409, { error: "too_many_orders" }), "too_many_orders"],
    ["lost", new CloakroomError({ code: "network", title: "", status: 0, detail: "" }), "network"],
  ])("and %s is taken back, and others are left", async (_, how, code) => {
    const calls = slowAPI();
    cache.setQueryData(ordersKey(ada), [order("ord_1")]);
    const [hat, scarf] = [place()({ item: "Hat", quantity: 1 }), place()({ item: "Scarf", quantity: 1 })];
    await vi.waitFor(() => expect(calls).toHaveLength(2));
    calls[0]!.answer(how);
    await expect(hat).rejects.toMatchObject({ code });
    expect(list()!.map(({ item }) => item)).toEqual(["Scarf", "Coat"]);
    calls[1]!.answer(answer(201, order("ord_2", { item: "Scarf" })));
    await scarf;
    expect(ids()).toEqual(["ord_2", "ord_1"]);
  });

  test("and told of by the feed before the API answers is there once", async () => {
    const calls = slowAPI();
    cache.setQueryData(ordersKey(ada), [order("ord_1")]);
    const placed = place()({ item: "Hat", quantity: 1 });
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    await take(cache, ada, { event: "placed", order: order("ord_2", { item: "Hat" }) });
    expect(ids()).toEqual(["ord_2", "ord_1"]);
    await take(cache, ada, { event: "packed", order: order("ord_2", { item: "Hat", status: "packed" }) });
    calls[0]!.answer(answer(201, order("ord_2", { item: "Hat" })));
    await placed;
    expect(list()).toEqual([order("ord_2", { item: "Hat", status: "packed" }), order("ord_1")]);
  });

  test("while the list is still read breaks that off, and has it read anew", async () => {
    const calls = slowAPI();
    const leave = new QueryObserver(cache, { queryKey: ordersKey(ada), queryFn: ({ signal }) => readOrders({ signal }) }).subscribe(() => {});
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    const placed = place()({ item: "Hat", quantity: 1 });
    await vi.waitFor(() => expect(calls).toHaveLength(2));
    expect(calls[0]!.init?.signal?.aborted).toBe(true);
    calls[1]!.answer(answer(201, order("ord_2", { item: "Hat" })));
    await placed;
    await vi.waitFor(() => expect(calls).toHaveLength(3));
    calls[2]!.answer(answer(200, { orders: [order("ord_1"), order("ord_2", { item: "Hat" })] }));
    await vi.waitFor(() => expect(ids()).toEqual(["ord_2", "ord_1"]));
    leave();
  });

  test("by somebody who has signed out meanwhile is nowhere", async () => {
    const calls = slowAPI();
    cache.setQueryData(ordersKey(ada), [order("ord_1")]);
    const placed = place()({ item: "Hat", quantity: 1 });
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    cache.clear();
    calls[0]!.answer(answer(201, order("ord_2")));
    await placed;
    expect(list()).toBeUndefined();
  });
});

describe("a refund", () => {
  test("is shown when it is done, and not before", async () => {
    const calls = slowAPI();
    cache.setQueryData(ordersKey(ada), [order("ord/1")]);
    const done = refund()("ord/1");
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    expect(calls[0]).toMatchObject({ path: "/api/orders/ord%2F1/refund", init: { method: "POST" } });
    expect(list()![0]!.status).toBe("placed");
    calls[0]!.answer(answer(200, order("ord/1", { status: "refunded" })));
    await done;
    expect(list()![0]!.status).toBe("refunded");
  });

  test.each<[string, number, string, string, boolean]>([
    ["is done already", 409, "already_refunded", "This order is refunded already.", true],
    ["is of an order that is no more", 404, "unknown_order", "There is no such order of yours. Maybe the demo was restarted.", true],
    ["did not work", 500, "broken", "It answers 500.", false],
  ])("that %s makes the list be read anew, if it is behind", async (_, status, code, detail, behind) => {
    const calls = slowAPI();
    cache.setQueryData(ordersKey(ada), [order("ord_1")]);
    const done = refund()("ord_1");
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    calls[0]!.answer(answer(status, { error: code }));
    await expect(done).rejects.toMatchObject({ code, message: detail });
    expect(cache.getQueryState(ordersKey(ada))?.isInvalidated).toBe(behind);
  });
});

test("a hello of the feed reads what was missed, as no use of the session, and keeps what is on its way", async () => {
  const calls = slowAPI();
  cache.setQueryData(ordersKey(ada), [order("placing-1", { status: "placing" }), order("ord_1")]);
  const taken = take(cache, ada, { event: "hello" });
  await vi.waitFor(() => expect(calls).toHaveLength(1));
  expect(new Headers(calls[0]!.init?.headers).get("X-Background")).toBe("1");
  calls[0]!.answer(answer(200, { orders: [order("ord_1", { status: "shipped" }), order("ord_2")] }));
  await taken;
  expect(ids()).toEqual(["placing-", "ord_2", "ord_1"]);
  const lost = take(cache, ada, { event: "hello" });
  await vi.waitFor(() => expect(calls).toHaveLength(2));
  calls[1]!.answer(new CloakroomError({ code: "network", title: "", status: 0, detail: "" }));
  await lost;
  expect(ids()).toEqual(["placing-", "ord_2", "ord_1"]);
});

test("what happens to a list that was never read is read with it", async () => {
  const calls = slowAPI();
  await take(cache, ada, { event: "hello" });
  await take(cache, ada, { event: "placed", order: order("ord_2") });
  expect([calls.length, list()]).toEqual([0, undefined]);
});

test("the list is the newest first, and a read that the user asks for is a use of the session", async () => {
  const calls = slowAPI();
  const read = readOrders();
  calls[0]!.answer(answer(200, { orders: [order("ord_1"), order("ord_2")] }));
  expect((await read).map(({ id }) => id)).toEqual(["ord_2", "ord_1"]);
  expect(new Headers(calls[0]!.init?.headers).has("X-Background")).toBe(false);
});

test("changes stand where the order stood, and the like is replaced once, the oldest first", () => {
  const mine = [order("placing-2", { status: "placing" }), order("placing-1", { status: "placing" }), order("ord_1")];
  expect(withOrder(mine, order("ord_2")).map(({ id }) => id)).toEqual(["placing-2", "ord_2", "ord_1"]);
  expect(withOrder(mine, order("ord_2", { quantity: 3 })).map(({ id }) => id)).toEqual(["ord_2", "placing-2", "placing-1", "ord_1"]);
  expect(withOrder(mine, order("ord_2", { item: "Hat" })).map(({ id }) => id)).toEqual(["ord_2", "placing-2", "placing-1", "ord_1"]);
  expect(withOrder(mine, order("ord_1", { status: "packed" }))[2]!.status).toBe("packed");
  expect(withFresh(undefined, [order("ord_1")])).toEqual([order("ord_1")]);
});

test.each([
  ["placing", true],
  ["placed", true],
  ["packed", true],
  ["shipped", false],
  ["refunded", false],
] as const)("an order that is %s is open: %s", (status, open) => {
  expect(isOpen(order("ord_1", { status }))).toBe(open);
});

describe("a read that failed", () => {
  const retry = (failures: number, cause: Error): boolean =>
    (createCache().getDefaultOptions().queries?.retry as (failures: number, cause: Error) => boolean)(failures, cause);
  const said = (code: string, status: number, retryAfter?: number): CloakroomError =>
    new CloakroomError({ code, title: "", status, detail: "", retryAfter });

  test.each<[string, boolean, Error, number?]>([
    ["a gateway that says upstream_timeout", true, said("upstream_timeout", 504)],
    ["a gateway that says upstream_unavailable", true, said("upstream_unavailable", 502)],
    ["a gateway that says store_unavailable", true, said("store_unavailable", 503)],
    ["a gateway that says rate_limited", true, said("rate_limited", 429)],
    ["no answer", true, said("network", 0), 1],
    ["no answer, for the third time", false, said("network", 0), 2],
    ["an address that is not ours", false, said("foreign_url", 0)],
    ["something else in the gateway's place", false, said("bad_answer", 0)],
    ["a session that is over", false, said("session_expired", 401)],
    ["a gateway that says forbidden", false, said("forbidden", 403)],
    ["an API that restarts", true, new ApiError(503, "")],
    ["an API that breaks", false, new ApiError(500, "")],
    ["an API that refuses", false, new ApiError(409, "too_many_orders")],
    ["a mistake of this page's own", false, new TypeError("orders is undefined")],
  ])("after %s is tried again: %s", (_, again, cause, failures = 0) => {
    expect(retry(failures, cause)).toBe(again);
  });

  test("is tried again later each time, and no sooner than the gateway says", () => {
    const waits = [0, 1].map((failures) => retryDelay(failures, said("store_unavailable", 503)));
    expect([...waits, retryDelay(0, said("rate_limited", 429, 5)), retryDelay(3, new ApiError(503, ""))]).toEqual([1_000, 2_000, 5_000, 8_000]);
  });
});
