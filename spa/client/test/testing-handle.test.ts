// The fake gateway in plain Node, by requests alone: as a mocking library or a development server of somebody's own asks it.
import { expect, test, vi } from "vitest";
import { createFakeGateway, problem, type RouteOptions } from "../src/testing.ts";
import { ask, origin, told } from "./asking.ts";

test.each<[string, Record<string, string>, [number, string?]]>([
  ["the header", { "X-CSRF": "1" }, [200]],
  ["no header", {}, [403, "csrf_failed"]],
  ["another value", { "X-CSRF": "true" }, [403, "csrf_failed"]],
  ["a sibling host's page", { "X-CSRF": "1", "Sec-Fetch-Site": "same-site" }, [403, "csrf_failed"]],
  ["a foreign page", { "X-CSRF": "1", "Sec-Fetch-Site": "cross-site" }, [403, "csrf_failed"]],
])("a call with %s", async (_, headers, want) => {
  const gateway = createFakeGateway();
  gateway.route("GET /api/orders", () => []);
  gateway.signIn();
  expect(await told(ask(gateway, "GET /api/orders", headers))).toEqual(want);
  expect(await told(ask(gateway, "GET /bff/session", headers))).toEqual(want);
});

test("a split gateway takes what comes from its site", async () => {
  const gateway = createFakeGateway({ base: `${origin}/bff` });
  gateway.signIn();
  expect(await told(ask(gateway, "GET /bff/session", { "X-CSRF": "1", "Sec-Fetch-Site": "same-site" }))).toEqual([200]);
  expect(await told(ask(gateway, "GET /bff/session", { "X-CSRF": "1", "Sec-Fetch-Site": "cross-site" }))).toEqual([403, "csrf_failed"]);
});

test("a route says who may call, and what shows that it is the app", async () => {
  const gateway = createFakeGateway();
  gateway.route("GET /api/file", () => "for a link", { guard: "origin" });
  gateway.route("POST /api/file", () => "no link sends this", { guard: "origin" });
  gateway.route("GET /api/news", () => "for all", { token: "none" });
  gateway.route("GET /api/greeting", () => "for all, and for who is signed in", { token: "user-or-none" });
  gateway.route("GET /api/own", () => "for who is signed in");
  expect(await told(ask(gateway, "GET /api/news", {}))).toEqual([200]);
  expect(await told(ask(gateway, "GET /api/greeting", {}))).toEqual([200]);
  expect(await told(ask(gateway, "GET /api/greeting"))).toEqual([200]);
  expect(await told(ask(gateway, "GET /api/own", {}))).toEqual([401, "session_required"]);
  gateway.signIn();
  expect(await told(ask(gateway, "GET /api/file", {}))).toEqual([200]);
  expect(await told(ask(gateway, "POST /api/file", {}))).toEqual([403, "csrf_failed"]);
  expect(await told(ask(gateway, "GET /api/own", {}))).toEqual([403, "csrf_failed"]);
  gateway.outage("store_unavailable");
  expect(await told(ask(gateway, "GET /api/news"))).toEqual([200]);
  expect(await told(ask(gateway, "GET /api/greeting", {}))).toEqual([200]); // nobody, without a question to the store
  expect(await told(ask(gateway, "GET /api/greeting"))).toEqual([503, "store_unavailable"]); // and a user is not nobody
});

test.each<[string, [number, string?], () => Response, RouteOptions?]>([
  ["no challenge", [401, "upstream_unauthorized"], () => new Response("no", { status: 401 })],
  ["a challenge", [401], () => new Response("no", { status: 401, headers: { "WWW-Authenticate": "Basic" } })],
  ["no challenge, where nobody's name was sent", [401], () => new Response("no", { status: 401 }), { token: "none" }],
  ["a problem that the gateway itself would tell", [401, "session_ended"], () => problem("session_ended")],
  ["another status", [403], () => new Response("no", { status: 403 })],
])("an API that refuses with %s", async (_, want, answer, options) => {
  const gateway = createFakeGateway();
  gateway.route("GET /api/orders", answer, options);
  gateway.signIn();
  expect(await told(ask(gateway, "GET /api/orders"))).toEqual(want);
});

test("a pattern is exact, has names, or stands for all below it; the later one counts", async () => {
  const gateway = createFakeGateway();
  gateway.route("GET /api/", (request) => new URL(request.url).pathname, { token: "none" });
  gateway.route("GET /api/orders/{id}", (_, path) => path, { token: "none" });
  gateway.route("GET /api/orders/new", () => "new", { token: "none" });
  const read = async (path: string): Promise<unknown> => (await ask(gateway, `GET ${path}`)).json();
  expect(await read("/api/a/b")).toBe("/api/a/b");
  expect(await read("/api/orders/a%2Fb")).toEqual({ id: "a/b" });
  expect(await read("/api/orders/new")).toBe("new");
  expect(await read("/api/orders/new/more")).toBe("/api/orders/new/more");
  expect(await told(ask(gateway, "GET /other"))).toEqual([404, "not_found"]);
  const refused = await ask(gateway, "DELETE /api/orders/new");
  expect([refused.status, refused.headers.get("Allow")]).toEqual([405, "GET, HEAD"]);
  expect((await ask(gateway, "HEAD /api/orders/new")).status).toBe(200); // as GET
  gateway.route("HEAD /api/orders/new", () => new Response(null, { status: 204 }), { token: "none" });
  expect((await ask(gateway, "HEAD /api/orders/new")).status).toBe(204);
  expect(() => gateway.route("/api/orders", () => [])).toThrow("GET /api/orders");
});

test("use moves the idle end, and what a page asks on its own does not", async () => {
  let now = Date.parse("2026-11-22T12:00:00Z");
  const gateway = createFakeGateway({ idle: 600, now: () => now });
  gateway.route("GET /api/orders", () => []);
  gateway.signIn();
  const idle = async (): Promise<number> => {
    const answer = await ask(gateway, "GET /bff/session");
    return ((await answer.json()) as { session: { idle_expires_in: number } }).session.idle_expires_in;
  };
  now += 300_000;
  await ask(gateway, "GET /api/orders", { "X-CSRF": "1", "X-Background": "1" });
  await ask(gateway, "GET /bff/sessions");
  expect(await idle()).toBe(300);
  await ask(gateway, "GET /api/orders");
  expect(await idle()).toBe(600);
  now += 29_000; // less than a twentieth: it is not written
  await ask(gateway, "GET /api/orders");
  expect(await idle()).toBe(571);
  now += 571_000;
  expect(await told(ask(gateway, "GET /api/orders"))).toEqual([401, "session_expired"]);
});

test("why a session is over is told for five minutes, and an end that passed once as that", async () => {
  let now = Date.parse("2026-11-22T12:00:00Z");
  const gateway = createFakeGateway({ now: () => now });
  gateway.route("GET /api/orders", () => []);
  gateway.signIn();
  gateway.signOut("refresh_rejected");
  now += 300_000;
  expect(await told(ask(gateway, "GET /api/orders"))).toEqual([401, "session_required"]);
  gateway.signIn();
  now += 43_200_000;
  const answer = await ask(gateway, "GET /api/orders");
  expect(await answer.json()).toMatchObject({
    code: "session_expired",
    reason: "idle",
    login_url: "/bff/login",
    instance: expect.stringMatching(/^urn:cloakroom:request:/),
  });
  expect(answer.headers.get("Cache-Control")).toBe("no-store");
});

test("of two calls at once the first is told that an end passed, the second that the session is over, both why", async () => {
  const gateway = createFakeGateway();
  gateway.route("GET /api/orders", () => []);
  gateway.signIn();
  gateway.expire("absolute");
  const answers = await Promise.all([ask(gateway, "GET /api/orders"), ask(gateway, "GET /api/orders")]);
  expect(await Promise.all(answers.map((answer) => answer.json()))).toMatchObject([
    { code: "session_expired", reason: "absolute" },
    { code: "session_ended", reason: "absolute" },
  ]);
  expect(await told(ask(gateway, "GET /api/orders"))).toEqual([401, "session_required"]); // the cookie is cleared by now
});

test("the event stream is one that EventSource reads, about this session, and ends with it", async () => {
  const gateway = createFakeGateway({ idle: 300, absolute: 600, now: () => 1_800_000_000_000 });
  expect(await told(ask(gateway, "GET /bff/events", {}))).toEqual([401, "session_required"]);
  gateway.signIn();
  const stream = await ask(gateway, "GET /bff/events", {});
  expect(stream.headers.get("Content-Type")).toBe("text/event-stream");
  expect(gateway.events.open).toBe(1);
  await ask(gateway, "POST /bff/session/extend");
  gateway.signIn(); // replaced
  const id = /"id":"([^"]+)"/;
  const text = await stream.text();
  expect(text.replace(id, '"id":"…"')).toBe(
    [
      "retry: 1000",
      'event: session\ndata: {"authenticated":true,"session":{"id":"…","expires_in":600,"idle_expires_in":300}}',
      'event: session-extended\ndata: {"expires_in":600,"idle_expires_in":300}',
      'event: session-replaced\ndata: {"reason":"replaced"}',
      "",
    ].join("\n\n"),
  );
  expect(gateway.events.open).toBe(0);
  const streams = await Promise.all(Array.from({ length: 20 }, () => ask(gateway, "GET /bff/events", {})));
  expect(await told(ask(gateway, "GET /bff/events", {}))).toEqual([429, "rate_limited"]);
  await Promise.all(streams.map((one) => one.body?.cancel()));
  expect(gateway.events.open).toBe(0);
});

test("an end that passes is told on the stream when it does", async () => {
  vi.useFakeTimers();
  const gateway = createFakeGateway({ idle: 300 });
  gateway.signIn();
  const stream = await ask(gateway, "GET /bff/events", {});
  vi.advanceTimersByTime(300_000);
  expect(await stream.text()).toContain('event: session-ended\ndata: {"reason":"idle"}');
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test("a development server can be made of it: sign-in and sign-out are addresses", async () => {
  const gateway = createFakeGateway();
  const to = (answer: Response): [number, string | null] => [answer.status, answer.headers.get("Location")];
  expect(to(await ask(gateway, "GET /bff/login?return_to=%2Forders%3Fa%3D1", {}))).toEqual([303, "/orders?a=1"]);
  const { logout_url } = (await (await ask(gateway, "GET /bff/session")).json()) as { logout_url: string };
  expect(await told(ask(gateway, "GET /bff/logout?token=guessed", {}))).toEqual([403, "csrf_failed"]);
  expect(gateway.sessions).toHaveLength(1);
  const [, ticket] = to(await ask(gateway, `GET ${logout_url}`, {}));
  expect(gateway.sessions).toHaveLength(0);
  expect(to(await ask(gateway, `GET ${ticket}`, {}))).toEqual([303, "/bff/logged-out"]);
  expect(await told(ask(gateway, `GET ${ticket}`, {}))).toEqual([410, "gone"]);
  expect(to(await ask(gateway, "GET /bff/logged-out", {}))).toEqual([303, "/"]);
  gateway.signIn();
  const form = await ask(gateway, "POST /bff/logout", { "Content-Type": "application/x-www-form-urlencoded" }, "");
  expect(to(form)).toEqual([303, "/bff/logout/ticket-2"]);
  expect(gateway.sessions).toHaveLength(0);
});

const elsewhere = ["//evil.example", "/\\evil.example", "https://evil.example/", "orders", "/bff/session"];

test.each(elsewhere)("a sign-in does not come back to %s", async (target) => {
  const gateway = createFakeGateway();
  expect(await told(ask(gateway, `GET /bff/login?return_to=${encodeURIComponent(target)}`, {}))).toEqual([400, "bad_request"]);
  expect(gateway.sessions).toHaveLength(0);
});

test("a session that already has what a route asks for is told that another sign-in brings nothing", async () => {
  const gateway = createFakeGateway();
  gateway.route("POST /api/x", () => "done");
  gateway.stepUp("POST /api/x", { maxAge: 0 });
  gateway.signIn(undefined, { ago: 30 }); // of this very minute
  expect(await told(ask(gateway, "POST /api/x"))).toEqual([403, "step_up_not_satisfiable"]);
});

test("a call with a signal of another class than Request takes, as in jsdom, goes through and is given up", async () => {
  const gateway = createFakeGateway();
  gateway.route("GET /api/x", () => "done", { token: "none" });
  gateway.route("GET /api/slow", () => new Promise(() => {}), { token: "none" });
  const signal = Object.assign(new EventTarget(), { reason: "enough" }) as unknown as AbortSignal;
  expect(() => new Request(`${origin}/api/x`, { signal })).toThrow();
  const headers = { "X-CSRF": "1" };
  expect((await gateway.options.fetch(`${origin}/api/x`, { headers, signal })).status).toBe(200);
  const slow = gateway.options.fetch(`${origin}/api/slow`, { headers, signal });
  signal.dispatchEvent(new Event("abort"));
  await expect(slow).rejects.toBe("enough");
});

test("a problem of the gateway can stand in for what a test has no other way to bring about", async () => {
  const gateway = createFakeGateway();
  gateway.route("GET /api/x", () => problem("rate_limited"), { token: "none" });
  const answer = await ask(gateway, "GET /api/x");
  expect([answer.status, answer.headers.get("Retry-After")]).toEqual([429, "5"]);
  expect(await answer.json()).toMatchObject({ type: "urn:cloakroom:problem:rate_limited", retry_after: 5 });
});
