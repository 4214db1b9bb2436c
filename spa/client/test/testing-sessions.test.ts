// What the fake gateway keeps: sessions and their ends, devices, routes, step-ups, and the streams that hang on a session.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createFakeGateway, type FakeGateway, type FakeSession, type StepUpRule } from "../src/testing.ts";
import { ask, told } from "./asking.ts";

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime("2026-11-22T12:00:00.700Z");
});

afterEach(() => void vi.useRealTimers());

describe("a device", () => {
  test("is listed as it was said to be, times in whole seconds, the asking one first, then by use", async () => {
    const gateway = createFakeGateway();
    const desk: FakeSession = {
      id: "s-desk",
      app: "desk",
      kind: "desktop",
      device: "Ada's desk",
      platform: "Linux",
      created_at: "2026-11-20T08:00:00Z",
      last_active_at: "2026-11-22T11:00:00Z",
      current: false,
    };
    gateway.elsewhere({ device: "an old phone", last_active_at: "2026-11-21T08:00:00Z" });
    expect(gateway.elsewhere(desk)).toBe("s-desk");
    gateway.signIn();
    vi.advanceTimersByTime(1_000);
    gateway.elsewhere();
    const list = gateway.sessions;
    expect(list.map(({ device }) => device)).toEqual(["Firefox on Linux", "Ada's phone", "Ada's desk", "an old phone"]);
    expect(list[2]).toEqual(desk);
    expect(list[1]).toMatchObject({ app: "phone", kind: "mobile", platform: "", created_at: "2026-11-22T12:00:01Z", last_active_at: "2026-11-22T12:00:01Z" });
  });

  test("that is ended leaves this one's stream as it is", async () => {
    const gateway = createFakeGateway();
    gateway.signIn();
    const phone = gateway.elsewhere();
    const stream = gateway.options.events("/bff/events", {});
    const broken = vi.fn();
    stream.addEventListener("error", broken);
    await vi.advanceTimersByTimeAsync(0);
    expect(await told(ask(gateway, `DELETE /bff/sessions/${phone}`))).toEqual([204]);
    expect([stream.readyState, gateway.events.open, gateway.sessions.length, broken.mock.calls]).toEqual([1, 1, 1, []]);
    stream.close();
  });
});

describe("a session", () => {
  test("that is over stays so, for the first reason", async () => {
    const gateway = createFakeGateway();
    gateway.route("GET /api/x", () => "x");
    gateway.signIn();
    gateway.signOut("admin");
    gateway.signOut("limit");
    gateway.expire("idle");
    expect(await (await ask(gateway, "GET /api/x")).json()).toMatchObject({ code: "session_ended", reason: "admin" });
  });

  test("whose ends come together is at its absolute one, at that moment, and is listed no more", async () => {
    const gateway = createFakeGateway({ idle: 600, absolute: 600 });
    gateway.route("GET /api/x", () => "x");
    gateway.signIn();
    vi.advanceTimersByTime(599_999);
    expect(gateway.sessions).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(gateway.sessions).toHaveLength(0);
    expect(await (await ask(gateway, "GET /api/x")).json()).toMatchObject({ code: "session_expired", reason: "absolute" });
  });

  test("is kept by a use once a twentieth of the idle time has passed", async () => {
    const gateway = createFakeGateway({ idle: 600 });
    gateway.route("GET /api/x", () => "x");
    gateway.signIn();
    vi.advanceTimersByTime(30_000);
    await ask(gateway, "GET /api/x");
    vi.advanceTimersByTime(599_999);
    expect(gateway.sessions).toHaveLength(1);
  });

  test("ends on its stream in time, whatever lasts longer", async () => {
    const gateway = createFakeGateway({ idle: 600 });
    gateway.signIn();
    vi.advanceTimersByTime(100_000);
    gateway.elsewhere();
    const heard: string[] = [];
    const stream = gateway.options.events("/bff/events", {});
    stream.addEventListener("session-ended", (event) => heard.push((event as MessageEvent<string>).data));
    await vi.advanceTimersByTimeAsync(500_000);
    expect(heard).toEqual(['{"reason":"idle"}']);
  });
});

describe("a stream", () => {
  const opened = (): FakeGateway => {
    const gateway = createFakeGateway();
    gateway.signIn();
    return gateway;
  };

  test("that is closed before it opens, or while it waits for the gateway, is never open", async () => {
    const gateway = opened();
    const [one, other] = [gateway.options.events("/bff/events", {}), gateway.options.events("/bff/events", {})];
    one.close();
    await vi.advanceTimersByTimeAsync(0);
    expect([one.readyState, other.readyState, gateway.events.open]).toEqual([2, 1, 1]);
    gateway.outage("network");
    other.close();
    gateway.outage(null);
    await vi.advanceTimersByTimeAsync(0);
    expect([other.readyState, gateway.events.open]).toEqual([2, 0]);
  });

  test("that nobody answers says so, and is open when somebody does", async () => {
    const gateway = opened();
    gateway.outage("network");
    const heard: string[] = [];
    const stream = gateway.options.events("/bff/events", {});
    for (const event of ["error", "open"]) {
      stream.addEventListener(event, () => heard.push(event));
    }
    await vi.advanceTimersByTimeAsync(0);
    expect(heard).toEqual(["error"]);
    gateway.outage(null);
    expect(heard).toEqual(["error", "open"]);
    stream.close();
    expect([gateway.events.open, heard]).toEqual([0, ["error", "open"]]); // closed by its owner it says nothing
  });

  test("that a development server passes on breaks when it is cut, and leaves no timer when its reader goes", async () => {
    const gateway = opened();
    const cut = (await ask(gateway, "GET /bff/events", {})).text().catch((error: Error) => error.message);
    gateway.events.cut();
    expect(await cut).toBe("terminated");
    const left = await ask(gateway, "GET /bff/events", {});
    expect(vi.getTimerCount()).toBe(1);
    await left.body?.cancel();
    expect([vi.getTimerCount(), gateway.events.open]).toEqual([0, 0]);
  });
});

describe("a pattern", () => {
  test.each(["", "GET", "GET api", "GET /api x"])("%j is none", (pattern) => {
    expect(() => createFakeGateway().route(pattern, () => "x")).toThrow("A pattern is a method and a path");
  });

  test("that does not take a method is told with those that it takes, in order", async () => {
    const gateway = createFakeGateway();
    gateway.route("POST /api/x", () => "x");
    gateway.route("DELETE /api/x", () => "x");
    expect((await ask(gateway, "GET /api/x")).headers.get("Allow")).toBe("DELETE, POST");
  });

  test.each([
    ["GET /api/x/", "/api/x", 200],
    ["GET /api/x/", "/api/x/", 200],
    ["GET /api/x/", "/api/x/y/z", 200],
    ["GET /api/x/", "/api/xy", 404],
    ["GET /api/x/", "/api", 404],
    ["GET /", "/", 200],
    ["GET /", "/any/thing", 200],
  ])("%s stands for itself and all below, as for %s: %d", async (pattern, path, status) => {
    const gateway = createFakeGateway();
    gateway.route(pattern, () => "x", { token: "none" });
    expect((await ask(gateway, `GET ${path}`)).status).toBe(status);
  });

  test("with a name takes no empty segment", async () => {
    const gateway = createFakeGateway();
    gateway.route("GET /api/x/{id}", () => "x", { token: "none" });
    expect(await told(ask(gateway, "GET /api/x/"))).toEqual([404, "not_found"]);
  });
});

describe("a route that wants a sign-in", () => {
  const done: [number, string?] = [200];
  const newer: [number, string?] = [401, "insufficient_user_authentication"];
  const never: [number, string?] = [403, "step_up_not_satisfiable"];

  test.each<[string, StepUpRule, { ago?: number; acr?: string }, [number, string?]]>([
    ["that is new, of this moment", {}, {}, done],
    ["that is new, of a second ago", {}, { ago: 1 }, never],
    ["that is new, of a minute ago", {}, { ago: 60 }, never],
    ["that is new, of a while ago", {}, { ago: 61 }, newer],
    ["of the last five minutes, just so", { maxAge: 300 }, { ago: 300 }, done],
    ["of the last five minutes, older", { maxAge: 300 }, { ago: 301 }, newer],
    ["that is strong, of unknown strength", { acrValues: ["mfa"] }, {}, newer],
    ["that is strong, of another strength", { acrValues: ["mfa"] }, { acr: "pwd" }, newer],
    ["that is strong, of one of those, long ago", { acrValues: ["hw", "mfa"] }, { acr: "mfa", ago: 9_999 }, done],
    ["that is strong and new, strong and old", { maxAge: 300, acrValues: ["mfa"] }, { acr: "mfa", ago: 301 }, newer],
    ["that is strong and new, new and weak", { maxAge: 300, acrValues: ["mfa"] }, { ago: 1 }, newer],
    ["that is strong and new, both", { maxAge: 300, acrValues: ["mfa"] }, { acr: "mfa", ago: 300 }, done],
  ])("%s", async (_, rule, how, want) => {
    const gateway = createFakeGateway();
    gateway.route("POST /api/x", () => "x");
    gateway.stepUp("POST /api/x", rule);
    gateway.signIn(undefined, how);
    expect(await told(ask(gateway, "POST /api/x"))).toEqual(want);
  });

  test.each<[string, StepUpRule | undefined, [number, string?]]>([
    ["newer", undefined, newer],
    ["of the last half minute", { maxAge: 30 }, newer],
    ["of the last hour", { maxAge: 3_600 }, newer],
    ["of a strength that it has", { acrValues: ["mfa"] }, done],
    ["of that strength, and newer", { acrValues: ["mfa"], maxAge: 300 }, newer],
  ])("is wanted %s of who is signed in when the rule comes", async (_, rule, want) => {
    const gateway = createFakeGateway();
    gateway.route("POST /api/x", () => "x");
    gateway.signIn(undefined, { acr: "mfa" });
    gateway.stepUp("POST /api/x", rule);
    expect(await told(ask(gateway, "POST /api/x"))).toEqual(want);
  });

  test("gets the one that it asked for, however many asked, and is content with it", async () => {
    const gateway = createFakeGateway();
    const starts: string[] = [];
    gateway.signIn();
    for (const acr of ["mfa", "hw"]) {
      gateway.route(`POST /api/${acr}`, () => "x");
      gateway.stepUp(`POST /api/${acr}`, { acrValues: [acr], maxAge: 0 });
      starts.push(((await (await ask(gateway, `POST /api/${acr}`)).json()) as { login_url: string }).login_url);
    }
    await ask(gateway, `GET ${starts[0]}`, {});
    vi.advanceTimersByTime(5_000); // no sign-in is as new as that when it comes back
    expect([await told(ask(gateway, "POST /api/mfa")), await told(ask(gateway, "POST /api/hw"))]).toEqual([done, newer]);
  });
});
