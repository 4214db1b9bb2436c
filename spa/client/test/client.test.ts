import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Client, CloakroomError, createClient, type State } from "../src/index.ts";
import { failing, Gateway, json, later, origin, problem, signedIn, signedOut } from "./gateway.ts";

const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
const gone: string[] = [];
let gateway: Gateway;
let client: Client;

beforeEach(() => {
  vi.useFakeTimers();
  gone.length = 0;
  vi.stubGlobal("location", { origin, href: `${origin}/orders/7?tab=a`, pathname: "/orders/7", search: "?tab=a", assign: (to: string) => gone.push(to) });
  vi.stubGlobal("window", new EventTarget());
  vi.stubGlobal("document", page);
  gateway = new Gateway();
  client = createClient({ fetch: gateway.fetch });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Brings the client to a session. */
async function enter(): Promise<void> {
  gateway.will(signedIn());
  await client.check();
}

describe("check", () => {
  test("tells who is signed in, asked with the header and once for all who ask at the same time", async () => {
    gateway.will(signedIn());
    const [a, b] = await Promise.all([client.check(), client.check()]);
    expect(a).toBe(b);
    expect(a).toMatchObject({ status: "signed-in", user: { sub: "usr_1", name: "Ada" }, session: { id: "s1" } });
    expect(gateway.asked).toHaveLength(1);
    expect(gateway.asked[0]).toMatchObject({ path: "/bff/session", init: { mode: "same-origin", credentials: "same-origin" } });
    expect(gateway.asked[0]?.headers.get("X-CSRF")).toBe("1");
  });

  test("keeps nothing of an answer but what is known: a token that should never be there has no place", async () => {
    gateway.will(json({ authenticated: true, access_token: "at", user: { sub: "u" }, session: { id: "s", expires_in: 9, idle_expires_in: 9, refresh_token: "rt" } }));
    expect(JSON.stringify(await client.check())).not.toMatch(/token|"at"|"rt"/);
  });

  test.each<[string, Response | Error]>([
    ["503", problem(503, "store_unavailable", { retry_after: 2 })],
    ["no answer", new TypeError("Failed to fetch")],
    ["a page of something else", new Response("<html>", { status: 200, headers: { "Content-Type": "text/html" } })],
    ["an answer of another shape", json({ authenticated: "yes" })],
    ["a session without ends", json({ authenticated: true, user: {}, session: { id: "s" } })],
  ])("with %s is an outage that keeps the user, never a sign-out", async (_, answer) => {
    await enter();
    gateway.will(answer);
    expect(await client.check()).toMatchObject({ status: "unavailable", user: { name: "Ada" }, session: { id: "s1" } });
  });

  test("after an outage asks again by itself, later each time, and no sooner than the gateway says", async () => {
    gateway.will(problem(503, "store_unavailable"), problem(503, "store_unavailable"), problem(503, "store_unavailable", { retry_after: 9 }), signedIn());
    const seen: State["status"][] = [];
    client.subscribe(() => seen.push(client.getState().status));
    await vi.advanceTimersByTimeAsync(0);
    const waits: number[] = [];
    while (gateway.asked.length < 4) {
      const before = gateway.asked.length;
      const began = performance.now();
      while (gateway.asked.length === before) {
        await vi.advanceTimersByTimeAsync(100);
      }
      waits.push(Math.round((performance.now() - began) / 1000));
    }
    expect(waits).toEqual([1, 2, 9]);
    expect(seen.at(-1)).toBe("signed-in");
    gateway.will(problem(503, "store_unavailable"), signedIn());
    await client.check();
    await vi.advanceTimersByTimeAsync(1_100); // another outage begins anew
    expect([gateway.asked.length, seen.at(-1)]).toEqual([6, "signed-in"]);
  });

  test.each([404, 500, 502])("does not believe %i, whatever it says: it is somebody else's, in the gateway's place", async (status) => {
    await enter();
    gateway.will(json({ authenticated: false }, status), json({ authenticated: false }, status));
    expect(await client.check()).toMatchObject({ status: "unavailable", error: { code: "bad_answer" }, user: { sub: "usr_1" } });
    expect((await failing(client.extend())).code).toBe("bad_answer");
  });

  test("without an answer for half a minute is an outage: nothing waits for ever on a connection that is dead", async () => {
    const limit = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(limit.signal);
    const dead = (_: unknown, init?: RequestInit): Promise<Response> =>
      new Promise((_, refused) => init?.signal?.addEventListener("abort", () => refused(init.signal?.reason)));
    const stuck = createClient({ fetch: dead });
    const checked = stuck.check();
    limit.abort(new DOMException("late", "TimeoutError"));
    expect(await checked).toMatchObject({ status: "unavailable", error: { code: "network" } });
    expect(timeout).toHaveBeenCalledWith(30_000);
    timeout.mockRestore();
  });

  test("does not take an answer that a sign-out has overtaken", async () => {
    await enter();
    const slow = later();
    gateway.will(slow.answer, problem(401, "session_ended", { reason: "signed_out" }), signedOut());
    const checked = client.check();
    const call = failing(client.fetch("/api/orders"));
    await vi.advanceTimersByTimeAsync(0);
    slow.give(signedIn());
    expect(await checked).toEqual({ status: "signed-out", reason: "signed_out" });
    await call;
  });
});

describe("ends", () => {
  test("count as durations, whatever somebody does to the wall clock", async () => {
    gateway.will(signedIn({ expiresIn: 100, idle: 60 }));
    await client.check();
    vi.setSystemTime(new Date("2000-01-01"));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(client.remaining()).toEqual({ session: 90, idle: 50 });
    await vi.advanceTimersByTimeAsync(1_000_000);
    expect(client.remaining()).toEqual({ session: 0, idle: 0 });
  });

  test("count from when the question was sent", async () => {
    const slow = later();
    gateway.will(slow.answer);
    const checked = client.check();
    await vi.advanceTimersByTimeAsync(3_000);
    slow.give(signedIn({ expiresIn: 100, idle: 60 }));
    await checked;
    expect(client.remaining()).toEqual({ session: 97, idle: 57 });
  });

  test.each([
    ["idle", { expiresIn: 100, idle: 5 }],
    ["absolute", { expiresIn: 5, idle: 5 }],
  ])("that pass are asked about, and then told: %s", async (reason, ends) => {
    gateway.will(signedIn(ends), signedOut());
    client.subscribe(() => {});
    await vi.advanceTimersByTimeAsync(5_900);
    expect(client.getState().status).toBe("signed-in");
    await vi.advanceTimersByTimeAsync(200);
    expect(client.getState()).toEqual({ status: "signed-out", reason });
  });

  test("that another tab has moved do not sign this one out", async () => {
    gateway.will(signedIn({ idle: 5 }), signedIn({ idle: 1_800 }));
    client.subscribe(() => {});
    await vi.advanceTimersByTimeAsync(6_100);
    expect(client.getState().status).toBe("signed-in");
  });

  test("beyond what a timer takes do not end at once", async () => {
    gateway.will(signedIn({ expiresIn: 90 * 86_400, idle: 90 * 86_400 }));
    const timers = vi.spyOn(globalThis, "setTimeout");
    client.subscribe(() => {});
    await vi.advanceTimersByTimeAsync(1_000);
    expect(gateway.asked).toHaveLength(1);
    expect(timers.mock.calls.map(([, wait]) => wait)).toEqual([2 ** 31 - 1]); // a longer one would be over at once, again and again
  });

  test("are moved by extend", async () => {
    gateway.will(signedIn({ idle: 10 }), signedIn({ idle: 1_800 }));
    await client.check();
    await client.extend();
    expect(gateway.asked[1]).toMatchObject({ path: "/bff/session/extend", method: "POST" });
    expect(client.remaining()?.idle).toBe(1_800);
  });
});

test("extend does not bring back a session that has ended meanwhile", async () => {
  await enter();
  const slow = later();
  gateway.will(slow.answer, problem(401, "session_ended", { reason: "signed_out" }), signedOut(), signedOut());
  const extended = client.extend();
  await failing(client.fetch("/api/orders"));
  slow.give(signedIn());
  expect(await extended).toEqual({ status: "signed-out", reason: "signed_out" });
});

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

describe("login and logout", () => {
  test("login comes back to the address that the browser shows, or where it is told", async () => {
    await client.login();
    await client.login({ returnTo: "/?a=b&c", prompt: "login" });
    expect(gone).toEqual(["/bff/login?return_to=%2Forders%2F7%3Ftab%3Da", "/bff/login?return_to=%2F%3Fa%3Db%26c&prompt=login"]);
  });

  test("login from an address that is longer than the gateway takes comes back to the page without its query", async () => {
    const href = (length: number): string => `${origin}/search?q=`.padEnd(length, "x");
    for (const length of [1_024, 1_025]) {
      vi.stubGlobal("location", { origin, href: href(length), pathname: "/search", assign: (to: string) => gone.push(to) });
      await client.login();
    }
    const long = encodeURIComponent(href(1_024).slice(origin.length));
    expect(gone).toEqual([`/bff/login?return_to=${long}`, "/bff/login?return_to=%2Fsearch"]);
  });

  test("login goes where a step-up leads, and comes back to where it was", async () => {
    gateway.will(
      problem(401, "insufficient_user_authentication", { acr_values: ["gold", "silver"], max_age: 0, login_url: "/bff/login?step_up=t.1" }),
    );
    const error = (await failing(client.fetch("/api/orders"))) as CloakroomError;
    expect(error).toMatchObject({ acrValues: ["gold", "silver"], maxAge: 0, loginUrl: "/bff/login?step_up=t.1" });
    await client.login({ stepUp: error });
    await client.login({ stepUp: error, returnTo: "/cart" });
    expect(gone).toEqual(["/bff/login?step_up=t.1&return_to=%2Forders%2F7%3Ftab%3Da", "/bff/login?step_up=t.1&return_to=%2Fcart"]);
  });

  test.each(["https://evil.example/bff/login", "//evil.example/bff/login", "javascript:alert(1)", "/elsewhere", "/bff/login/../logout"])(
    "login never leaves for %s",
    async (loginUrl) => {
      const stepUp = new CloakroomError({ code: "insufficient_user_authentication", title: "", status: 401, detail: "", loginUrl });
      expect(await failing(client.login({ stepUp }))).toMatchObject({ code: "foreign_url" });
      expect(gone).toEqual([]);
    },
  );

  test.each([[["a", 1]], ["a"], [{ 0: "a" }]])("acr_values that are none, %j, are not taken", async (acr_values) => {
    gateway.will(problem(401, "insufficient_user_authentication", { acr_values, max_age: "5", login_url: 7 }));
    const error = (await failing(client.fetch("/api/orders"))) as CloakroomError;
    expect([error.acrValues, error.maxAge, error.loginUrl]).toEqual([undefined, undefined, undefined]);
  });

  test("after a new sign-in in another tab its cookie is waited for", async () => {
    await enter();
    const seen: string[] = [];
    client.subscribe(() => seen.push(client.getState().status));
    gateway.will(signedOut(), signedOut(), signedIn({ id: "s2" })); // the event was faster than the other tab's answer
    const state = client.check("replaced");
    await vi.advanceTimersByTimeAsync(600);
    expect(await state).toMatchObject({ status: "signed-in", session: { id: "s2" } });
    expect(seen).toEqual(["signed-in"]);
  });

  test("and believed to be missing after five seconds", async () => {
    await enter();
    gateway.will(...Array.from({ length: 30 }, signedOut));
    const state = client.check("replaced");
    await vi.advanceTimersByTimeAsync(4_000);
    expect(client.getState().status).toBe("signed-in");
    void client.check("replaced"); // told once more, as by each tab that hears of it
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await state).toEqual({ status: "signed-out", reason: "replaced" });
    const { length } = gateway.asked;
    expect(length).toBeLessThan(25);
    gateway.will(signedOut());
    await vi.advanceTimersByTimeAsync(5_000);
    await client.check("replaced"); // of no session that there is: there is none to keep meanwhile
    expect(gateway.asked.length).toBe(length + 1);
  });

  test("a call that a new sign-in overtook waits for its cookie as well", async () => {
    await enter();
    gateway.will(problem(401, "session_ended", { reason: "replaced" }), signedOut(), signedIn({ id: "s2" }));
    const call = failing(client.fetch("/api/orders"));
    await vi.advanceTimersByTimeAsync(600);
    await call;
    expect(client.getState()).toMatchObject({ status: "signed-in", session: { id: "s2" } });
  });

  test("a step-up ends no session", async () => {
    await enter();
    const { stepUp: _, ...before } = client.getState() as State & { stepUp?: CloakroomError };
    gateway.will(problem(401, "insufficient_user_authentication", { login_url: "/bff/login?step_up=t" }));
    const stepUp = await failing(client.fetch("/api/orders"));
    expect(client.getState()).toEqual({ ...before, stepUp });
  });

  test("logout posts, then leaves by the gateway's one-time address", async () => {
    await enter();
    gateway.will(json({ redirect_to: `${origin}/bff/logout/t1` }));
    await client.logout();
    expect(gateway.asked[1]).toMatchObject({ path: "/bff/logout", method: "POST" });
    expect(gone).toEqual([`${origin}/bff/logout/t1`]);
    expect(client.getState()).toEqual({ status: "signed-out", reason: "signed_out" });
  });

  test.each(["https://evil.example/", "javascript:alert(1)", `blob:${origin}/0c2e`, 7, undefined])("logout never leaves for %s", async (to) => {
    await enter();
    gateway.will(json({ redirect_to: to }));
    expect((await failing(client.logout())).code).toBe("bad_answer");
    expect(gone).toEqual([]);
  });

  test("logout during an outage says so and stays signed in", async () => {
    await enter();
    gateway.will(problem(503, "store_unavailable"), problem(503, "store_unavailable"));
    expect((await failing(client.logout())).code).toBe("store_unavailable");
    await vi.advanceTimersByTimeAsync(0);
    expect(client.getState()).toMatchObject({ status: "unavailable", user: { sub: "usr_1" } });
  });
});

describe("a page that is looked at again", () => {
  test("asks as long as one of several listens", async () => {
    gateway.will(signedIn(), signedIn());
    const leave = [client.subscribe(() => {}), client.subscribe(() => {})];
    await vi.advanceTimersByTimeAsync(10_000);
    leave[0]!();
    leave[0]!(); // twice is once
    window.dispatchEvent(new Event("focus"));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(gateway.asked).toHaveLength(2);
    leave[1]!();
    window.dispatchEvent(new Event("focus"));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(gateway.asked).toHaveLength(2);
  });

  test("asks, but not at every glance unless it comes back from memory, and not when nobody listens any more", async () => {
    gateway.will(signedIn(), signedIn());
    const leave = client.subscribe(() => {});
    await vi.advanceTimersByTimeAsync(4_000);
    window.dispatchEvent(new Event("focus"));
    expect(gateway.asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_000);
    page.dispatchEvent(new Event("visibilitychange"));
    window.dispatchEvent(new Event("focus"));
    await vi.advanceTimersByTimeAsync(0);
    expect(gateway.asked).toHaveLength(2);
    gateway.will(signedOut());
    window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    await vi.advanceTimersByTimeAsync(0);
    expect(client.getState().status).toBe("signed-out");
    leave();
    await vi.advanceTimersByTimeAsync(10_000);
    window.dispatchEvent(new Event("focus"));
    expect(gateway.asked).toHaveLength(3);
  });
});
