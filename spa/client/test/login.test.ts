import { describe, expect, test, vi } from "vitest";
import { CloakroomError, type State } from "../src/index.ts";
import { failing, json, origin, problem, signedIn, signedOut } from "./gateway.ts";
import { client, enter, gateway, gone, visits } from "./visit.ts";

visits();

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
