// What the session's answer says, member by member, and what is none.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createClient, type State } from "../src/index.ts";
import { json, origin } from "./gateway.ts";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("location", { origin, href: `${origin}/` });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const told = (body: unknown): Promise<State> => createClient({ fetch: async () => json(body) }).check();

const user = { sub: "usr_1", name: "Ada", roles: ["clerk"] };
const session = { id: "s1", created_at: "2026-11-22T08:00:00Z", expires_in: 43_200, idle_expires_in: 1_800, acr: "mfa", auth_time: 1_800_000_000 };

/** The answer with members of the session in place of others; undefined is not told. */
const where = (other: Record<string, unknown>): unknown => ({ authenticated: true, user, session: { ...session, ...other } });

test("a session is told with its times, on the clock that nobody can set, and the user with all claims", async () => {
  const sentAt = performance.now();
  expect(await told(where({}))).toEqual({
    status: "signed-in",
    user,
    session: {
      id: "s1",
      createdAt: new Date("2026-11-22T08:00:00Z"),
      endsAt: sentAt + 43_200_000,
      idleEndsAt: sentAt + 1_800_000,
      acr: "mfa",
      authTime: new Date("2027-01-15T08:00:00Z"),
    },
  });
});

test("a session with what the provider did not tell is one without it", async () => {
  const state = await told({ authenticated: true, user: { name: "Ada" }, session: { id: "s1", expires_in: 0, idle_expires_in: 0 } });
  expect(state).toMatchObject({
    status: "signed-in",
    user: { sub: "", name: "Ada" }, // the app's list of claims has no sub
    session: { createdAt: new Date(0), acr: undefined, authTime: undefined },
  });
});

describe("no answer of the gateway's, and so no word on who is signed in, is one", () => {
  test.each<[string, unknown]>([
    ["that is null", null],
    ["that is a list", []],
    ["that is a text", "signed out"],
    ["with nothing in it", {}],
    ["with authenticated null", { authenticated: null }],
    ["with authenticated 0", { authenticated: 0 }],
    ["with authenticated as a text", { authenticated: "yes", user, session }],
    ["with no session", { authenticated: true, user }],
    ["with a session that is null", { authenticated: true, user, session: null }],
    ["with no user", { authenticated: true, session }],
    ["with a user that is a name", { authenticated: true, user: "Ada", session }],
    ["with a session of no name", where({ id: undefined })],
    ["with a session whose name is a number", where({ id: 7 })],
    ["with no absolute end", where({ expires_in: undefined })],
    ["with an absolute end below zero", where({ expires_in: -1 })],
    ["with no idle end", where({ idle_expires_in: undefined })],
    ["with an idle end that is a text", where({ idle_expires_in: "1800" })],
  ])("%s", async (_, body) => {
    expect(await told(body)).toMatchObject({ status: "unavailable", error: { code: "bad_answer" } });
  });
});
