// What the fake gateway refuses, and where it leads: endpoint by endpoint, in plain Node.
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type Code, createFakeGateway, type FakeGateway, problem } from "../src/testing.ts";
import { ask, origin, told } from "./asking.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const script = { "X-CSRF": "1" };
const to = (answer: Response): [number, string | null] => [answer.status, answer.headers.get("Location")];
const session = async (gateway: FakeGateway): Promise<Record<string, unknown>> =>
  ((await (await ask(gateway, "GET /bff/session")).json()) as { session: Record<string, unknown> }).session;

test("each code has the status that the documentation gives it", () => {
  const table = readFileSync(new URL("../../../docs/endpoints.md", import.meta.url), "utf8").split("## Error codes")[1]?.split("\n## ")[0] ?? "";
  const documented = [...table.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \|/gm)].map(([, code, status]) => [code, Number(status)] as const);
  const differ = documented.filter(([code, status]) => {
    try {
      return problem(code as Code).status !== status;
    } catch {
      return false; // one that the fake gateway does not answer with
    }
  });
  expect([documented.length > 40, differ]).toEqual([true, []]);
});

describe("a call of", () => {
  const endpoints = ["POST /bff/session/extend", "GET /bff/sessions", "DELETE /bff/sessions", "DELETE /bff/sessions/session-1"];

  test.each(endpoints)("%s takes a session, the header, and a store that can be asked", async (line) => {
    const gateway = createFakeGateway();
    expect(await told(ask(gateway, line, {}))).toEqual([401, "session_required"]);
    gateway.signIn();
    expect(await told(ask(gateway, line, {}))).toEqual([403, "csrf_failed"]);
    gateway.outage("store_unavailable");
    expect(await told(ask(gateway, line))).toEqual([503, "store_unavailable"]);
    gateway.outage("draining");
    expect(await told(ask(gateway, line))).toEqual([503, "draining"]);
  });

  test("GET /bff/session takes the header of everybody", async () => {
    expect(await told(ask(createFakeGateway(), "GET /bff/session", {}))).toEqual([403, "csrf_failed"]);
  });

  test("POST /bff/logout takes the header of a script, and a store where there is a cookie", async () => {
    const gateway = createFakeGateway();
    expect(await told(ask(gateway, "POST /bff/logout", {}))).toEqual([403, "csrf_failed"]);
    expect(await told(ask(gateway, "POST /bff/logout", { "Content-Type": "text/plain; multipart/form-data" }))).toEqual([403, "csrf_failed"]);
    gateway.outage("store_unavailable");
    expect(await told(ask(gateway, "POST /bff/logout"))).toEqual([200]);
    gateway.signIn();
    expect(await told(ask(gateway, "POST /bff/logout"))).toEqual([503, "store_unavailable"]);
    expect(gateway.sessions).toHaveLength(1);
  });

  test("POST /bff/logout clears what the browser keeps, takes the cookie, and leads out once", async () => {
    const gateway = createFakeGateway();
    gateway.route("GET /api/orders", () => []);
    gateway.signIn();
    const answer = await ask(gateway, "POST /bff/logout");
    expect([answer.headers.get("Clear-Site-Data"), await answer.json()]).toEqual(['"cache", "storage"', { redirect_to: "http://localhost/bff/logout/ticket-1" }]);
    expect(await told(ask(gateway, "GET /api/orders"))).toEqual([401, "session_required"]);
    gateway.signIn();
    gateway.signOut("admin");
    expect(await (await ask(gateway, "POST /bff/logout")).json()).toEqual({ redirect_to: "http://localhost/bff/logged-out" }); // it was over
  });

  test("POST /bff/session/extend in an outage of the provider moves the end all the same", async () => {
    let now = Date.parse("2026-11-22T12:00:00Z");
    const gateway = createFakeGateway({ now: () => now });
    gateway.signIn();
    now += 600_000;
    gateway.outage("idp_unavailable");
    expect(await told(ask(gateway, "POST /bff/session/extend"))).toEqual([503, "idp_unavailable"]);
    expect(await session(gateway)).toMatchObject({ idle_expires_in: 1_800, expires_in: 42_600, auth_time: Date.parse("2026-11-22T12:00:00Z") / 1000 });
  });

  test.each([
    [599, [204]],
    [600, [403, "recent_sign_in_required"]],
  ])("DELETE /bff/sessions, %d seconds after a sign-in", async (ago, want) => {
    const gateway = createFakeGateway({ now: () => 1_800_000_000_000 });
    gateway.signIn(undefined, { ago });
    gateway.elsewhere();
    expect(await told(ask(gateway, "DELETE /bff/sessions"))).toEqual(want);
    expect(gateway.sessions).toHaveLength(want.length);
  });
});

describe("an address that is opened in the window", () => {
  test.each<[string, Record<string, string>, number]>([
    ["by a navigation", { "Sec-Fetch-Mode": "navigate" }, 303],
    ["by who tells no metadata", {}, 303],
    ["by a script of the app", script, 403],
    ["by a script that shows no header", { "Sec-Fetch-Mode": "cors" }, 403],
  ])("%s", async (_, headers, status) => {
    expect((await ask(createFakeGateway(), "GET /bff/login", headers)).status).toBe(status);
  });

  test("GET /bff/logout, with its token, takes a store that can be asked; without a session there is nothing to ask for", async () => {
    const gateway = createFakeGateway();
    expect(to(await ask(gateway, "GET /bff/logout?token=any", {}))).toEqual([303, "/bff/logged-out"]);
    gateway.outage("key_unknown");
    expect(to(await ask(gateway, "GET /bff/logout", {}))).toEqual([303, "/bff/logged-out"]);
    gateway.outage(null);
    gateway.signIn();
    const { logout_url } = (await (await ask(gateway, "GET /bff/session")).json()) as { logout_url: string };
    gateway.outage("key_unknown");
    expect(await told(ask(gateway, `GET ${logout_url}`, {}))).toEqual([503, "key_unknown"]);
    expect(gateway.sessions).toHaveLength(1);
  });
});

describe("a sign-in", () => {
  test.each<[string, string, string | null]>([
    ["without a target", "/bff/login", "/"],
    ["at a gateway that is written with a slash", "/bff/login?return_to=%2Fa", "/a"],
  ])("%s comes back", async (_, path, want) => {
    expect(to(await ask(createFakeGateway({ base: "/bff/" }), `GET ${path}`, {}))).toEqual([303, want]);
  });

  test.each([
    ["/orders", "/orders?login_error=access_denied"],
    ["/orders?a=1", "/orders?a=1&login_error=access_denied"],
  ])("that is refused comes back to %s with the error, and the next one does not", async (target, want) => {
    const gateway = createFakeGateway();
    gateway.refuseSignIn("access_denied");
    const line = `GET /bff/login?return_to=${encodeURIComponent(target)}`;
    expect([to(await ask(gateway, line, {})), gateway.sessions.length]).toEqual([[303, want], 0]);
    expect([to(await ask(gateway, line, {})), gateway.sessions.length]).toEqual([[303, target], 1]);
  });

  test("for a step-up that nobody asked for is none, and one in an outage says so", async () => {
    const gateway = createFakeGateway();
    expect(await told(ask(gateway, "GET /bff/login?step_up=step-9", {}))).toEqual([400, "bad_request"]);
    gateway.outage("store_unavailable");
    expect(await told(ask(gateway, "GET /bff/login", {}))).toEqual([503, "store_unavailable"]);
    expect(gateway.sessions).toHaveLength(0);
  });

  test("of who is signed in is of the same user, and as strong as was asked for", async () => {
    const gateway = createFakeGateway();
    gateway.signIn({ sub: "usr_2", name: "Grace" });
    await ask(gateway, "GET /bff/login?acr_values=mfa%20pwd", {});
    const answer = (await (await ask(gateway, "GET /bff/session")).json()) as { user: unknown; session: { acr?: string } };
    expect([answer.user, answer.session.acr]).toEqual([{ sub: "usr_2", name: "Grace" }, "mfa"]);
  });

  test.each([
    [`${origin}/orders`, [303, `${origin}/orders`]],
    ["https://evil.example/orders", [400, null]],
    ["https://", [400, null]],
  ])("at a gateway of another origin comes back to %s as it may", async (target, want) => {
    vi.stubGlobal("location", { origin, href: `${origin}/` });
    const gateway = createFakeGateway({ base: "https://app.example.com/bff/" });
    expect(to(await ask(gateway, `GET /bff/login?return_to=${encodeURIComponent(target)}`, {}))).toEqual(want);
  });

  test.each(["https://evil.example/bff/login", "/orders", "/bffs/login"])("is nothing that a page at %s begins", (address) => {
    const gateway = createFakeGateway();
    gateway.options.navigate(address);
    expect([gateway.navigations, gateway.sessions]).toEqual([[address], []]);
  });
});

describe("a stream", () => {
  test.each([
    ["network", 0],
    ["store_unavailable", 2],
    ["draining", 2],
    ["idp_unavailable", 1],
  ] as const)("that is opened in the outage %s is in the state %d", async (outage, want) => {
    const gateway = createFakeGateway();
    gateway.signIn();
    gateway.outage(outage);
    const one = gateway.options.events("/bff/events", {});
    await null;
    expect(one.readyState).toBe(want);
    one.close();
  });

  test("is broken by a gateway that drains, and comes back to the next; what is said is said on it", async () => {
    const gateway = createFakeGateway();
    gateway.signIn();
    const one = gateway.options.events("/bff/events", {});
    const heard: string[] = [];
    one.addEventListener("custom", (event) => heard.push((event as MessageEvent<string>).data));
    await null;
    gateway.events.send("custom", { a: 1 });
    gateway.outage("draining");
    expect([one.readyState, gateway.events.open]).toEqual([0, 0]);
    gateway.outage(null);
    expect([one.readyState, gateway.events.open, heard]).toEqual([1, 1, ['{"a":1}']]);
    one.close();
  });

  test("holds one timer while it is open, however far the end is, and none afterwards", async () => {
    vi.useFakeTimers();
    const now = vi.fn(() => Date.now());
    const gateway = createFakeGateway({ idle: 4_000_000, absolute: 4_000_000, now }); // more than a timer takes
    gateway.signIn();
    const all = [gateway.options.events("/bff/events", {}), gateway.options.events("/bff/events", {})];
    await null;
    now.mockClear();
    vi.advanceTimersByTime(60_000);
    expect([vi.getTimerCount(), now.mock.calls.length]).toEqual([1, 0]);
    all.forEach((one) => one.close());
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a route that returns", () => {
  test.each<[string, () => unknown, unknown]>([
    ["null", () => null, null],
    ["an object that has headers", () => ({ headers: 1 }), { headers: 1 }],
    ["an answer of another class", () => ({ headers: new Headers(), arrayBuffer: () => {}, status: 200, json: async () => "as it is" }), "as it is"],
  ])("%s", async (_, handler, want) => {
    const gateway = createFakeGateway();
    gateway.route("GET /api/x", handler, { token: "none" });
    expect(await (await ask(gateway, "GET /api/x")).json()).toEqual(want);
  });
});

test.each([0, 0.5, 0.123456789])("a request has a name of eight characters, whatever the dice say: %d", (random) => {
  vi.spyOn(Math, "random").mockReturnValue(random);
  const { headers } = problem("csrf_failed");
  expect([headers.get("X-Request-Id"), headers.has("Retry-After")]).toEqual([expect.stringMatching(/^\w{8}$/), false]);
});

test("a session begins with what the gateway gives it by default, and a device is its user's", async () => {
  const gateway = createFakeGateway({ now: () => 1_800_000_000_000 });
  gateway.elsewhere();
  expect(gateway.sessions.map(({ device }) => device)).toEqual(["Ada's phone"]);
  gateway.signIn({ sub: "usr_2", name: "Grace" });
  expect(gateway.sessions).toHaveLength(1); // the other is somebody else's
  gateway.elsewhere();
  expect(gateway.sessions.map(({ current }) => current)).toEqual([true, false]);
  expect(await session(gateway)).toMatchObject({ expires_in: 43_200, idle_expires_in: 1_800 });
  gateway.signOut();
  gateway.route("GET /api/orders", () => []);
  expect(await (await ask(gateway, "GET /api/orders")).json()).toMatchObject({ code: "session_ended", reason: "signed_out" });
});

test("who is gone cannot be signed out or expire, and a call that was given up before it was made is none", async () => {
  const gateway = createFakeGateway();
  gateway.signOut();
  gateway.expire("idle");
  const call = gateway.options.fetch(`${origin}/bff/session`, { headers: script, signal: AbortSignal.abort("enough") });
  await expect(call).rejects.toBe("enough");
});
