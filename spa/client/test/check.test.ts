import { describe, expect, test, vi } from "vitest";
import { createClient, type State } from "../src/index.ts";
import { failing, json, later, problem, signedIn, signedOut } from "./gateway.ts";
import { client, enter, gateway, page, visits } from "./visit.ts";

visits();

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
