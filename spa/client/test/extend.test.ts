import { describe, expect, test, vi } from "vitest";
import { failing, later, problem, signedIn, signedOut } from "./gateway.ts";
import { client, enter, gateway, visits } from "./visit.ts";

visits();

describe("extend", () => {
  test("does not bring back a session that has ended meanwhile", async () => {
    await enter();
    const slow = later();
    gateway.will(slow.answer, problem(401, "session_ended", { reason: "signed_out" }), signedOut(), signedOut());
    const extended = client.extend();
    await failing(client.fetch("/api/orders"));
    slow.give(signedIn());
    expect(await extended).toEqual({ status: "signed-out", reason: "signed_out" });
  });

  test.each<[string, () => Response | Error]>([
    ["a provider that is down", () => problem(503, "idp_unavailable")],
    ["a gateway that failed on the way", () => problem(500, "internal")],
    ["an answer that was lost", () => new TypeError("Failed to fetch")],
  ])("refused for %s asks whether the end has moved, for the gateway moves it first", async (_, answer) => {
    gateway.will(signedIn({ idle: 50 }), answer(), signedIn({ idle: 1_800 }));
    expect(await client.check()).toMatchObject({ ending: "idle" });
    await failing(client.extend());
    await vi.advanceTimersByTimeAsync(0);
    expect(gateway.asked.map(({ path }) => path)).toEqual(["/bff/session", "/bff/session/extend", "/bff/session"]);
    expect(client.getState()).toMatchObject({ status: "signed-in", ending: undefined });
    expect(client.remaining()?.idle).toBe(1_800);
  });

  test("refused for an end that has not moved leaves the warning, and asks no more than once", async () => {
    gateway.will(signedIn({ idle: 50 }), problem(403, "csrf_failed"), signedIn({ idle: 49 }));
    await client.check();
    await failing(client.extend());
    await vi.advanceTimersByTimeAsync(0);
    expect([gateway.asked.length, client.getState()]).toMatchObject([3, { status: "signed-in", ending: "idle" }]);
  });

  test("of a session that is over asks once, and says why", async () => {
    gateway.will(signedIn({ idle: 50 }), problem(401, "session_ended", { reason: "admin" }), signedOut());
    await client.check();
    await failing(client.extend());
    await vi.advanceTimersByTimeAsync(0);
    expect([gateway.asked.length, client.getState()]).toEqual([3, { status: "signed-out", reason: "admin" }]);
  });

  test("asks nothing more where it has moved the end", async () => {
    gateway.will(signedIn({ idle: 50 }), signedIn({ idle: 1_800 }));
    await client.check();
    expect(await client.extend()).toMatchObject({ status: "signed-in", ending: undefined });
    await vi.advanceTimersByTimeAsync(0);
    expect(gateway.asked).toHaveLength(2);
  });
});
