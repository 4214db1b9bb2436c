import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Client, createClient } from "../src/index.ts";
import { failing, Gateway, json, origin, problem, signedIn, signedOut } from "./gateway.ts";

const gone: string[] = [];
let gateway: Gateway;
let client: Client;

beforeEach(async () => {
  gone.length = 0;
  vi.stubGlobal("location", { origin, href: `${origin}/account` });
  gateway = new Gateway();
  client = createClient({ fetch: gateway.fetch, navigate: (url) => gone.push(url) });
  gateway.will(signedIn());
  await client.check();
});

afterEach(() => void vi.unstubAllGlobals());

const done = (): Response => new Response(null, { status: 204 });

describe("the list of devices", () => {
  test("is read, each with its times", async () => {
    const one = { id: "s1", app: "web", kind: "spa", device: "Firefox on Linux", platform: "", current: true };
    const times = ["2026-11-22T00:00:00Z", "2026-11-22T01:00:00Z"] as const;
    gateway.will(json({ sessions: [{ ...one, created_at: times[0], last_active_at: times[1] }] }));
    expect(await client.devices.list()).toEqual([{ ...one, createdAt: new Date(times[0]), lastActiveAt: new Date(times[1]) }]);
    expect(gateway.asked[1]).toMatchObject({ path: "/bff/sessions", method: "GET" });
  });

  test("is read with what is not told as no words, and no time", async () => {
    gateway.will(json({ sessions: [{ id: "s1", device: 7, current: "yes" }] }));
    const words = { id: "s1", app: "", kind: "", device: "", platform: "", current: false };
    expect(await client.devices.list()).toEqual([{ ...words, createdAt: new Date(NaN), lastActiveAt: new Date(NaN) }]);
  });

  test.each<[string, () => Response]>([
    ["no list", () => json({})],
    ["a text", () => json({ sessions: "s1" })],
    ["nothing", () => json(null)],
    ["a list of something else", () => json({ sessions: ["s1"] })],
    ["a list of something else beside a device", () => json({ sessions: [{ id: "s1" }, "s2"] })],
    ["no JSON", () => new Response("<html>")],
    ["an error of something else", () => json({}, 500)],
  ])("that is %s is not the gateway's", async (_, answer) => {
    gateway.will(answer());
    expect((await failing(client.devices.list())).code).toBe("bad_answer");
  });
});

describe("a device", () => {
  test("is ended by its id, whatever that is", async () => {
    gateway.will(done(), done());
    await client.devices.end("s2");
    await client.devices.end("a/b?c");
    const asked = gateway.asked.slice(1).map(({ method, path }) => `${method} ${path}`);
    expect(asked).toEqual(["DELETE /bff/sessions/s2", "DELETE /bff/sessions/a%2Fb%3Fc"]);
    expect([client.getState().status, gone]).toEqual(["signed-in", []]);
  });

  test("that is this one is signed out, and the page leaves as the gateway says", async () => {
    gateway.will(json({ redirect_to: "/bff/logout/t1" }));
    await client.devices.end("s1");
    expect([client.getState(), gone]).toEqual([{ status: "signed-out", reason: "signed_out" }, [`${origin}/bff/logout/t1`]]);
  });

  test("that is this one is not left for another origin", async () => {
    gateway.will(json({ redirect_to: "https://evil.example/" }));
    expect((await failing(client.devices.end("s1"))).code).toBe("bad_answer");
    expect([client.getState().status, gone]).toEqual(["signed-in", []]);
  });

  test("wants a recent sign-in, which is one more call away", async () => {
    gateway.will(problem(403, "recent_sign_in_required", { max_age: 600, login_url: "/bff/login?max_age=600" }));
    const stepUp = await failing(client.devices.endOthers());
    expect(gateway.asked[1]).toMatchObject({ path: "/bff/sessions", method: "DELETE" });
    await client.login({ stepUp });
    expect(gone).toEqual(["/bff/login?max_age=600&return_to=%2Faccount"]);
    expect(client.getState()).not.toHaveProperty("stepUp", expect.anything()); // it is no API's wish
  });

  test("of a session that is over signs the page out", async () => {
    gateway.will(problem(401, "session_ended", { reason: "admin" }), signedOut());
    await failing(client.devices.endOthers());
    expect(client.getState()).toEqual({ status: "signed-out", reason: "admin" });
  });
});

test("a sign-out without an address to leave by is none", async () => {
  gateway.will(done());
  expect((await failing(client.logout())).code).toBe("bad_answer");
  expect(client.getState().status).toBe("signed-in");
});
