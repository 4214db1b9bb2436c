// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Client, CloakroomError, createClient, type State } from "../src/index.ts";
import { createFakeGateway, type FakeGateway, problem } from "../src/testing.ts";

let gateway: FakeGateway;
let clients: Client[];

beforeEach(() => {
  vi.useFakeTimers();
  window.history.replaceState(null, "", "/orders/7?tab=a");
  gateway = createFakeGateway();
  clients = [];
});

afterEach(() => {
  for (const client of clients) {
    client.close();
  }
  vi.useRealTimers();
});

/** A tab of the app: listening, and done with its first question. */
async function tab(): Promise<Client> {
  const client = createClient(gateway.options);
  clients.push(client);
  client.subscribe(() => {});
  await client.check();
  return client;
}

/** Waits for what a state becomes, which other tabs may have to tell: that takes real turns of the event loop. */
async function becomes(client: Client, want: Partial<State> & { reason?: string }): Promise<void> {
  await vi.waitFor(() => expect(client.getState()).toMatchObject(want));
}

const failing = async (call: Promise<unknown>): Promise<CloakroomError> => {
  const error: unknown = await call.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(CloakroomError);
  return error as CloakroomError;
};

describe("an app against the fake gateway", () => {
  test("signs in: it is sent there, comes back to its address, and is signed in", async () => {
    const client = await tab();
    expect(client.getState()).toMatchObject({ status: "signed-out" });
    await client.login();
    expect(gateway.navigations).toEqual(["/bff/login?return_to=%2Forders%2F7%3Ftab%3Da", "/orders/7?tab=a"]);
    await becomes(client, { status: "signed-in", user: { sub: "usr_1001", name: "Ada Lovelace", email: "ada@example.com" } });
  });

  test("calls its API: with the session, the header, path and body", async () => {
    gateway.signIn({ sub: "usr_7", name: "Grace" });
    gateway.route("POST /api/orders/{id}/notes", async (request, { id }) => ({ id, note: await request.json() }));
    const client = await tab();
    const answer = await client.fetch("/api/orders/a%20b/notes", { method: "POST", body: JSON.stringify("warm") });
    expect(await answer.json()).toEqual({ id: "a b", note: "warm" });
    const asked = gateway.requests.at(-1);
    expect(asked?.headers.get("X-CSRF")).toBe("1");
    expect(await asked?.json()).toBe("warm");
  });

  test("gets an answer of its API's own, whatever its status, and 204 for nothing", async () => {
    gateway.signIn();
    gateway.route("GET /api/full", () => new Response("no room", { status: 409 }));
    gateway.route("DELETE /api/full", () => undefined);
    const client = await tab();
    const full = await client.fetch("/api/full");
    expect([full.status, await full.text()]).toEqual([409, "no room"]);
    expect((await client.fetch("/api/full", { method: "DELETE" })).status).toBe(204);
    expect((await failing(client.fetch("/api/full", { method: "PUT" }))).code).toBe("method_not_allowed");
    expect((await failing(client.fetch("/api/empty"))).code).toBe("not_found");
  });

  test("is told 401 under the page, with the reason, once", async () => {
    gateway.route("GET /api/orders", () => []);
    gateway.signIn();
    const client = createClient(gateway.options); // nobody listens, so no event comes first
    await client.check();
    gateway.expire("idle");
    const refused = await failing(client.fetch("/api/orders"));
    expect(refused).toMatchObject({ code: "session_expired", reason: "idle", status: 401, loginUrl: "/bff/login" });
    expect(client.getState()).toEqual({ status: "signed-out", reason: "idle" });
    expect(await failing(client.fetch("/api/orders"))).toMatchObject({ code: "session_required" }); // the cookie is gone by now
  });

  test("is signed out from elsewhere while it does nothing", async () => {
    gateway.signIn();
    const client = await tab();
    await vi.waitFor(() => expect(client.hearing()).toBe("at-once"));
    gateway.signOut("admin");
    await becomes(client, { status: "signed-out", reason: "admin" });
  });

  test("goes round for a step-up, and what was refused is then done", async () => {
    gateway.route("POST /api/refund", () => ({ refunded: true }));
    gateway.signIn();
    gateway.stepUp("POST /api/refund", { maxAge: 300, acrValues: ["mfa"] });
    const client = await tab();
    const refused = await failing(client.fetch("/api/refund", { method: "POST" }));
    expect(refused).toMatchObject({ code: "insufficient_user_authentication", maxAge: 300, acrValues: ["mfa"] });
    expect(client.getState()).toMatchObject({ status: "signed-in", stepUp: refused });
    await client.login({ stepUp: refused });
    await vi.waitFor(() => expect(client.getState()).toMatchObject({ status: "signed-in", session: { acr: "mfa" } }));
    expect(client.getState()).not.toHaveProperty("stepUp", refused);
    expect(await (await client.fetch("/api/refund", { method: "POST" })).json()).toEqual({ refunded: true });
    vi.advanceTimersByTime(301_000); // that sign-in is too old by then, too
    expect((await failing(client.fetch("/api/refund", { method: "POST" }))).code).toBe("insufficient_user_authentication");
  });

  test("that signed in long ago is asked for a newer sign-in alone", async () => {
    gateway.route("POST /api/refund", () => ({}));
    gateway.signIn();
    gateway.stepUp("POST /api/refund", { maxAge: 300 });
    const client = await tab();
    const refused = await failing(client.fetch("/api/refund", { method: "POST" }));
    expect(refused).toMatchObject({ code: "insufficient_user_authentication", maxAge: 300, acrValues: undefined });
    await client.login({ stepUp: refused });
    expect((await client.fetch("/api/refund", { method: "POST" })).status).toBe(200);
  });

  test("that declines a step-up is signed in as before, and told so", async () => {
    gateway.signIn();
    gateway.stepUp("POST /api/refund");
    gateway.refuseSignIn("access_denied");
    const client = await tab();
    const before = client.getState();
    await client.login({ stepUp: await failing(client.fetch("/api/refund", { method: "POST" })) });
    expect(gateway.navigations.at(-1)).toBe("/orders/7?tab=a&login_error=access_denied");
    expect(window.location.search).toBe("?tab=a&login_error=access_denied");
    expect(await client.check()).toMatchObject({ session: { id: "session" in before ? before.session?.id : "" } });
  });

  test("that declines and then agrees is back at the address as it was", async () => {
    gateway.refuseSignIn("access_denied");
    const client = await tab();
    await client.login({ returnTo: "/orders/7?tab=a#part" });
    expect(gateway.navigations.at(-1)).toBe("/orders/7?tab=a&login_error=access_denied#part");
    await client.login();
    expect(gateway.navigations.at(-1)).toBe("/orders/7?tab=a#part");
    await client.login({ returnTo: "/?login_error=old#" });
    expect(gateway.navigations.at(-1)).toBe("/");
  });

  test("whose API is never content is told that no sign-in will do", async () => {
    gateway.signIn();
    gateway.route("POST /api/vault", () => problem("step_up_not_satisfiable"));
    const client = await tab();
    const refused = await failing(client.fetch("/api/vault", { method: "POST" }));
    expect(refused).toMatchObject({ code: "step_up_not_satisfiable", status: 403 });
  });

  test("warns before the end, by fake timers, and stays by extending", async () => {
    gateway = createFakeGateway({ idle: 300 });
    gateway.signIn();
    const client = await tab();
    await vi.advanceTimersByTimeAsync(239_000);
    expect(client.getState()).not.toMatchObject({ ending: "idle" });
    await vi.advanceTimersByTimeAsync(3_000);
    expect(client.getState()).toMatchObject({ status: "signed-in", ending: "idle" });
    await client.extend();
    expect(client.getState()).not.toMatchObject({ ending: "idle" });
    expect(client.remaining()?.idle).toBeGreaterThan(295);
    await vi.advanceTimersByTimeAsync(302_000);
    await becomes(client, { status: "signed-out", reason: "idle" });
  });

  test("that cannot extend keeps its session, whose idle end was moved", async () => {
    gateway.signIn();
    gateway.extendable = false;
    const client = await tab();
    vi.advanceTimersByTime(600_000);
    expect((await failing(client.extend())).code).toBe("idp_unavailable");
    await client.check();
    expect(client.remaining()?.idle).toBe(1_800);
  });

  test.each(["store_unavailable", "key_unknown", "draining", "network"] as const)("goes through %s and on by itself", async (outage) => {
    gateway.route("GET /api/orders", () => []);
    gateway.signIn();
    const client = await tab();
    gateway.outage(outage);
    expect((await failing(client.fetch("/api/orders"))).code).toBe(outage);
    await becomes(client, { status: "unavailable", user: { sub: "usr_1001", name: "Ada Lovelace", email: "ada@example.com" } });
    gateway.outage(null);
    await vi.advanceTimersByTimeAsync(35_000);
    await becomes(client, { status: "signed-in" });
    await vi.waitFor(() => expect(gateway.events.open).toBe(1));
  });

  test("without the provider is signed in, and its calls wait for that", async () => {
    gateway.route("GET /api/orders", () => []);
    gateway.signIn();
    gateway.outage("idp_unavailable");
    const client = await tab();
    expect((await failing(client.fetch("/api/orders"))).code).toBe("idp_unavailable");
    expect(client.getState().status).toBe("signed-in");
    await client.login();
    expect(gateway.navigations).toHaveLength(1); // a page says that the provider cannot be asked
  });

  test("lists devices and ends them, shortly after a sign-in", async () => {
    gateway.signIn(undefined, { ago: 3_600 });
    const phone = gateway.elsewhere({ device: "Ada's phone", platform: "iOS 19.1" });
    gateway.elsewhere({ app: "desk", kind: "desktop", device: "" });
    const client = await tab();
    const listed = await client.devices.list();
    expect(listed.map(({ app, kind, current }) => [app, kind, current])).toEqual([
      ["web", "spa", true],
      ["phone", "mobile", false],
      ["desk", "desktop", false],
    ]);
    const refused = await failing(client.devices.end(phone));
    expect(refused).toMatchObject({ code: "recent_sign_in_required", maxAge: 600, loginUrl: "/bff/login?max_age=600" });
    await client.login({ stepUp: refused });
    await client.devices.end(phone);
    expect((await failing(client.devices.end(phone))).code).toBe("not_found");
    await client.devices.endOthers();
    expect(gateway.sessions).toHaveLength(1);
    expect((await client.check()).status).toBe("signed-in");
  });

  test("that ends its own device signs out", async () => {
    gateway.signIn();
    const client = await tab();
    await client.devices.end(gateway.sessions[0]?.id ?? "");
    expect(client.getState()).toMatchObject({ status: "signed-out", reason: "signed_out" });
    expect(gateway.navigations).toEqual([expect.stringMatching(/\/bff\/logout\/ticket-1$/), "/"]);
  });

  test("in three tabs has one stream, and all three are signed out at once", async () => {
    gateway.signIn();
    const tabs = [await tab(), await tab(), await tab()];
    await vi.waitFor(() => expect(tabs.map((one) => one.hearing())).toEqual(["at-once", "at-once", "at-once"]));
    expect(gateway.events.open).toBe(1);
    gateway.signOut("provider_logout");
    await Promise.all(tabs.map((one) => becomes(one, { status: "signed-out", reason: "provider_logout" })));
    expect(gateway.events.open).toBe(0);
  });

  test("whose tab signs in anew has the new session in all tabs", async () => {
    gateway.signIn();
    const [one, other] = [await tab(), await tab()];
    await vi.waitFor(() => expect(other.hearing()).toBe("at-once"));
    gateway.signIn({ sub: "usr_2", name: "Grace" });
    await becomes(one, { status: "signed-in", user: { sub: "usr_2", name: "Grace" } });
    await becomes(other, { status: "signed-in", user: { sub: "usr_2", name: "Grace" } });
  });

  test("signs out, and is at the way out", async () => {
    gateway.signIn();
    const client = await tab();
    await client.logout();
    expect(client.getState()).toEqual({ status: "signed-out", reason: "signed_out" });
    expect(gateway.sessions).toEqual([]);
    expect(gateway.navigations.at(-1)).toBe("/");
  });

  test("that gives up a call is told so, and nothing of the session", async () => {
    gateway.signIn();
    gateway.route("GET /api/slow", () => new Promise(() => {}));
    const client = await tab();
    const stop = new AbortController();
    const call = client.fetch("/api/slow", { signal: stop.signal });
    stop.abort();
    await expect(call).rejects.toMatchObject({ name: "AbortError" });
    expect(client.getState().status).toBe("signed-in");
  });

  test("at an origin of its own, with the gateway at another, signs in and calls", async () => {
    gateway = createFakeGateway({ base: "https://app.example.com/bff" });
    gateway.route("GET /api/orders", () => [1]);
    const client = await tab();
    await client.login();
    expect(gateway.navigations).toEqual([
      `https://app.example.com/bff/login?return_to=${encodeURIComponent(`${location.origin}/orders/7?tab=a`)}`,
      `${location.origin}/orders/7?tab=a`,
    ]);
    await becomes(client, { status: "signed-in" });
    expect(await (await client.fetch("https://app.example.com/api/orders")).json()).toEqual([1]);
  });
});

describe("a stream", () => {
  const source = (): { heard: string[]; readyState: () => number } => {
    const heard: string[] = [];
    const one = gateway.options.events("/bff/events", {});
    for (const event of ["open", "error", "session", "session-ended", "session-replaced", "session-extended"]) {
      one.addEventListener(event, () => heard.push(event));
    }
    return { heard, readyState: () => one.readyState };
  };
  const moment = (): Promise<void> => vi.advanceTimersByTimeAsync(0).then(() => {});

  test("without a session is refused for good", async () => {
    const one = source();
    expect([one.readyState(), one.heard]).toEqual([0, []]); // whoever made it can listen first
    await moment();
    expect([one.readyState(), one.heard]).toEqual([2, ["error"]]);
    gateway.signIn();
    gateway.outage(null);
    expect(one.heard).toEqual(["error"]);
  });

  test("at another address is none of the gateway's", async () => {
    gateway.signIn();
    const foreign = [gateway.options.events("/api/orders/export", {}), gateway.options.events("https://app.example.com/bff/events", {})];
    await moment();
    expect(foreign.map((one) => one.readyState)).toEqual([2, 2]);
  });

  test("of a session that ends comes back, as the browser's does, and is refused", async () => {
    gateway.signIn();
    const one = source();
    await moment();
    gateway.signOut();
    await moment();
    expect([one.readyState(), one.heard]).toEqual([2, ["open", "session", "session-ended", "error", "error"]]);
  });

  test("of a session that was replaced comes back with the next", async () => {
    gateway.signIn();
    const one = source();
    await moment();
    gateway.signIn();
    await moment();
    expect([one.readyState(), one.heard.slice(2)]).toEqual([1, ["session-replaced", "error", "open", "session"]]);
  });

  test("that is cut comes back, in an outage after it", async () => {
    gateway.signIn();
    const one = source();
    await moment();
    gateway.events.cut();
    expect([one.readyState(), one.heard.slice(2)]).toEqual([1, ["error", "open", "session"]]);
    gateway.outage("network");
    await moment();
    expect([one.readyState(), gateway.events.open]).toEqual([0, 0]);
    gateway.outage(null);
    expect([one.readyState(), gateway.events.open]).toEqual([1, 1]);
  });
});
