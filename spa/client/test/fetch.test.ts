import { describe, expect, test, vi } from "vitest";
import { createClient } from "../src/index.ts";
import { failing, json, later, origin, problem, signedIn, signedOut } from "./gateway.ts";
import { client, enter, gateway, visits } from "./visit.ts";

visits();

describe("fetch", () => {
  test.each([
    "https://evil.example/api",
    "//evil.example/api",
    "\\\\evil.example\\api",
    "/\\evil.example/api",
    "\t/\t/evil.example/api",
    "https:/\\evil.example/",
    "ht\ntps://evil.example",
    "http://app.example.com/api",
    "https://app.example.com./api",
    "https://app.example.com.evil.example/api",
    "https://app.example.com@evil.example/api",
    "https://ada:secret@app.example.com/api",
    "data:application/json,{}",
    "javascript:alert(1)",
    "about:blank",
    `blob:${origin}/0c2e`,
    `filesystem:${origin}/temporary/x`,
    new URL("https://app.example.com:8443/"),
    new Request("https://evil.example/"),
  ])(
    "to %j is refused, and nothing is sent",
    async (input) => {
      expect((await failing(client.fetch(input))).code).toBe("foreign_url");
      expect(gateway.asked).toHaveLength(0);
    },
  );

  test("reads a relative address as the page does", async () => {
    gateway.will(json({}), json({}));
    await client.fetch("items");
    await client.fetch("?page=2");
    expect(gateway.asked.map(({ path }) => path)).toEqual(["/orders/items", "/orders/7?page=2"]);
  });

  test("sends a Request as it is, and lets the app abort it", async () => {
    const sent = vi.fn(async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
      const request = new Request(input, { ...init, mode: "cors" }); // Node has no page whose origin could be the same
      request.signal.throwIfAborted();
      return json([request.method, await request.text(), request.headers.get("X-Tab"), request.headers.get("X-CSRF")]);
    });
    const mine = createClient({ fetch: sent });
    const stop = new AbortController();
    const request = new Request(`${origin}/api/orders`, { method: "PUT", body: "a coat", headers: { "X-Tab": "1" }, signal: stop.signal });
    expect(await (await mine.fetch(request.clone())).json()).toEqual(["PUT", "a coat", "1", "1"]);
    expect(sent.mock.calls[0]?.[1]).toMatchObject({ mode: "same-origin", credentials: "same-origin" });
    const reason = new Error("another page by now");
    stop.abort(reason);
    await expect(mine.fetch(request)).rejects.toBe(reason);
    await expect(mine.fetch("https://app.example.com/api", { signal: stop.signal })).rejects.toBe(reason);
  });

  test("adds the header and keeps the app's own", async () => {
    gateway.will(json({ orders: [] }), json({}));
    await client.fetch("/api/orders?x=1", { headers: { "X-Background": "1" } });
    await client.fetch(new Request(`${origin}/api/orders`, { method: "POST", headers: { "X-Mine": "2" } }));
    expect(gateway.asked[0]?.path).toBe("/api/orders?x=1");
    expect(Object.fromEntries(gateway.asked[0]!.headers)).toMatchObject({ "x-csrf": "1", "x-background": "1" });
    expect(Object.fromEntries(gateway.asked[1]!.headers)).toMatchObject({ "x-csrf": "1", "x-mine": "2" });
  });

  test.each(["session_required", "session_expired", "session_ended"])("with 401 %s signs the page out, and says why", async (code) => {
    await enter();
    gateway.will(problem(401, code, { reason: "idle" }), signedOut());
    expect(await failing(client.fetch("/api/orders"))).toMatchObject({ code, status: 401, reason: "idle", requestId: "r1" });
    expect(client.getState()).toEqual({ status: "signed-out", reason: "idle" });
  });

  test("with 401 that an API says in the gateway's words leaves the session alone, and tells the app", async () => {
    await enter();
    const seen: string[] = [];
    client.subscribe(() => seen.push(client.getState().status));
    gateway.will(problem(401, "session_ended", { reason: "admin" }), signedIn());
    expect(await failing(client.fetch("/api/orders"))).toMatchObject({ code: "session_ended", reason: "admin" });
    gateway.will(signedOut()); // later, for another cause: why is not what the API had said
    await client.check();
    expect(client.getState()).toEqual({ status: "signed-out", reason: undefined });
    expect(seen).toEqual(["signed-in", "signed-out"]);
  });

  test.each<[string, () => Response, string]>([
    ["an API says", signedIn, "signed-in"],
    ["is so", signedOut, "signed-out"],
  ])("with 401 to thirty at once asks once whether it %s", async (_, answer, status) => {
    await enter();
    const slow = later();
    gateway.will(...Array.from({ length: 30 }, () => problem(401, "session_ended", { reason: "idle" })), slow.answer);
    const calls = Array.from({ length: 30 }, () => failing(client.fetch("/api/orders")));
    await vi.advanceTimersByTimeAsync(0);
    slow.give(answer());
    await Promise.all(calls);
    expect([gateway.asked.length, client.getState().status]).toEqual([32, status]);
  });

  test("with 401 that comes when the session was asked for after it was sent, does not ask again at once, but one sent later does", async () => {
    await enter();
    const slow = later();
    gateway.will(slow.answer, problem(401, "session_ended"), signedIn());
    const late = failing(client.fetch("/api/slow"));
    await failing(client.fetch("/api/orders"));
    slow.give(problem(401, "session_ended"));
    await late;
    expect([gateway.asked.length, client.getState().status]).toEqual([4, "signed-in"]);
    gateway.will(problem(401, "session_ended", { reason: "idle" }), signedOut());
    await failing(client.fetch("/api/orders"));
    expect(client.getState()).toEqual({ status: "signed-out", reason: "idle" });
  });

  test("with 401 when the gateway cannot tell says why as soon as it can", async () => {
    await enter();
    gateway.will(problem(401, "session_ended", { reason: "admin" }), problem(503, "store_unavailable"), signedOut());
    client.subscribe(() => {});
    await failing(client.fetch("/api/orders"));
    expect(client.getState()).toMatchObject({ status: "unavailable", user: { name: "Ada" } });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(client.getState()).toEqual({ status: "signed-out", reason: "admin" });
  });

  test("with the API's own refusal of the token leaves the session alone", async () => {
    await enter();
    gateway.will(problem(401, "upstream_unauthorized"));
    expect((await failing(client.fetch("/api/orders"))).code).toBe("upstream_unauthorized");
    expect(client.getState().status).toBe("signed-in");
    expect(gateway.asked).toHaveLength(2);
  });

  test.each([
    ["a 401 in JSON", () => json({ code: "session_ended" }, 401)],
    ["a problem of its own", () => new Response('{"type":"about:blank","code":"session_ended"}', { status: 401, headers: { "Content-Type": "application/problem+json" } })],
    ["a problem that is no JSON", () => new Response("<", { status: 401, headers: { "Content-Type": "application/problem+json" } })],
    ["a 503", () => json({}, 503)],
    ["JSON that looks like a problem of ours", () => json({ type: "urn:cloakroom:problem:session_ended", code: "session_ended" }, 401)],
  ])("gives the app an answer of the API's own as it is: %s", async (_, answer) => {
    await enter();
    const expected = await answer().text();
    gateway.will(answer());
    const got = await client.fetch("/api/orders");
    expect(await got.text()).toBe(expected);
    expect(client.getState().status).toBe("signed-in");
  });

  test("with 503 of ours has the session asked for, and keeps the user through the outage", async () => {
    await enter();
    gateway.will(problem(503, "store_unavailable", { retry_after: 2 }), problem(503, "store_unavailable", { retry_after: 2 }));
    expect((await failing(client.fetch("/api/orders"))).retryAfter).toBe(2);
    await vi.advanceTimersByTimeAsync(0);
    expect(client.getState()).toMatchObject({ status: "unavailable", user: { name: "Ada" } });
  });

  test("that fails is no reason to ask: not in an outage, which is asked about in its own time, nor before anybody wanted to know", async () => {
    gateway.will(problem(503, "store_unavailable"));
    expect((await failing(client.fetch("/api/orders"))).code).toBe("store_unavailable");
    await vi.advanceTimersByTimeAsync(100);
    expect(gateway.asked.map(({ path }) => path)).toEqual(["/api/orders"]);
    await enter();
    gateway.will(problem(503, "store_unavailable", { retry_after: 30 }));
    await client.check();
    const before = gateway.asked.length;
    gateway.will(...Array.from({ length: 5 }, () => problem(503, "store_unavailable")));
    for (let i = 0; i < 5; i++) {
      await failing(client.fetch("/api/orders"));
    }
    await vi.advanceTimersByTimeAsync(100);
    expect(gateway.asked.length - before).toBe(5);
  });

  test("with a provider that is down leaves the session alone", async () => {
    await enter();
    gateway.will(problem(503, "idp_unavailable"));
    await failing(client.fetch("/api/orders"));
    await vi.advanceTimersByTimeAsync(0);
    expect(client.getState().status).toBe("signed-in");
    expect(gateway.asked).toHaveLength(2);
  });

  test("with a session that a new sign-in replaced asks who is signed in now", async () => {
    await enter();
    gateway.will(problem(401, "session_ended", { reason: "replaced" }), signedIn({ id: "s2" }));
    await failing(client.fetch("/api/orders"));
    await vi.advanceTimersByTimeAsync(0);
    expect(client.getState()).toMatchObject({ status: "signed-in", session: { id: "s2" } });
  });

  test("does not sign out a new session by a late answer to the one before", async () => {
    await enter();
    const slow = later();
    gateway.will(slow.answer, signedIn({ id: "s2" }), signedIn({ id: "s2" }));
    const call = failing(client.fetch("/api/orders"));
    await client.check();
    slow.give(problem(401, "session_required"));
    await call;
    await vi.advanceTimersByTimeAsync(0);
    expect(client.getState()).toMatchObject({ status: "signed-in", session: { id: "s2" } });
  });

  test("tells why where the check that came first could not", async () => {
    await enter();
    const slow = later();
    gateway.will(slow.answer, signedOut());
    const call = failing(client.fetch("/api/orders"));
    await client.check();
    expect(client.getState()).toEqual({ status: "signed-out", reason: undefined });
    slow.give(problem(401, "session_ended", { reason: "signed_out" }));
    await call;
    expect(client.getState()).toEqual({ status: "signed-out", reason: "signed_out" });
  });

  test("that the app could still abort, and that has no answer, is an outage's", async () => {
    gateway.will(new TypeError("Failed to fetch"));
    expect(await failing(client.fetch("/api/orders", { signal: new AbortController().signal }))).toMatchObject({ code: "network", status: 0 });
  });

  test("that the app aborts rejects with the app's own reason", async () => {
    const stop = new AbortController();
    const reason = new Error("left the page");
    stop.abort(reason);
    gateway.will(reason);
    await expect(client.fetch("/api/orders", { signal: stop.signal })).rejects.toBe(reason);
  });
});
