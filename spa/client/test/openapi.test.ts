// The client against docs/openapi.yaml, both ways: it reads what is described and nothing else, and leaves out nothing but what
// is named here. described.ts is made of the description, so that the compiler compares the client's types with it.
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import { type CloakroomError, createClient, type Device, type Problem, type Session, type State } from "../src/index.ts";
import type * as Described from "./described.ts";
import { answerOf, exampleOf, faultsOf, typesOf } from "./openapi.ts";

/** A member's name as it is in TypeScript, and its type once it is read. */
type Camel<S> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B> & string>}` : S;
type Read<T> = T extends Described.DateTime ? Date : T;
type Client<T, Out extends keyof T = never> = { [K in keyof T as K extends Out ? never : Camel<K> & string]: Read<T[K]> };

test("the types that the description is compared by are those of the description", async () => {
  const types = typesOf([
    "SessionAnswer", "SessionList", "Problem", "RedirectTo",
    "EventSession", "EventSessionExtended", "EventSessionEnded", "EventSessionReplaced",
  ]);
  await expect(types).toMatchFileSnapshot("described.ts");
  expect(types.replace(/"[^"]*"/g, "")).not.toMatch(/token/i); // but for codes, nothing of what a browser is told is about one
});

test("the client's types are those of the description", () => {
  // kind is open: a newer gateway may know more of them.
  expectTypeOf<Omit<Device, "kind">>().toEqualTypeOf<Client<Described.ListedSession, "kind">>();
  // The ends are durations there, and points on the page's own clock here; auth_time is in seconds since 1970.
  type Known = keyof Client<Described.Session, "expires_in" | "idle_expires_in">;
  expectTypeOf<Exclude<keyof Session, "endsAt" | "idleEndsAt">>().toEqualTypeOf<Known>();
  // code and reason are open as kind is; an instance is the request's id again, a type the code, and a step_up is for native apps.
  type Open = Omit<Problem, "code" | "reason">;
  expectTypeOf<keyof Problem>().toEqualTypeOf<keyof Client<Described.Problem, "type" | "instance" | "step_up">>();
  expectTypeOf<Required<Omit<Open, "detail" | "requestId">>>().toEqualTypeOf<
    Required<Client<Omit<Described.Problem, "code" | "reason" | "detail" | "request_id">, "type" | "instance" | "step_up">>
  >();
  expectTypeOf<Described.Problem["code"]>().toExtend<CloakroomError["code"]>();
  expectTypeOf<keyof Extract<State, { status: "signed-in" }>>().toEqualTypeOf<"status" | "user" | "session" | "ending" | "stepUp">();
});

/** Every member that was read of a value, as paths. */
const read = new Set<string>();

/** The value as it is, which notes what is read of it. */
function watched<T>(value: T, at: string): T {
  if (typeof value !== "object" || value === null) {
    return value;
  }
  return new Proxy(value, {
    get(target, name, receiver): unknown {
      const got: unknown = Reflect.get(target, name, receiver);
      if (Array.isArray(target) || typeof name === "symbol") {
        return typeof got === "function" ? got : watched(got, `${at}[]`);
      }
      if (name !== "then" && name !== "toJSON") { // a promise asks, not the client
        read.add(`${at}.${name}`);
      }
      return watched(got, `${at}.${name}`);
    },
  });
}

/** An answer whose body is watched, however it is read. */
function answering(status: number, schema: string | null, value: unknown = schema === null ? null : exampleOf(schema)): Response {
  if (schema === null) {
    return new Response(null, { status });
  }
  const media = schema === "Problem" ? "application/problem+json" : "application/json";
  const answer = new Response(JSON.stringify(value), { status, headers: { "Content-Type": media } });
  Object.assign(answer, { json: () => Promise.resolve(watched(value, schema)), clone: () => answer });
  return answer;
}

/** Every member that a schema describes, as paths. */
function membersOf(schema: string, value: unknown = exampleOf(schema), at = schema): string[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  if (Array.isArray(value)) {
    return membersOf(schema, value[0], `${at}[]`);
  }
  return Object.entries(value).flatMap(([name, one]) => [`${at}.${name}`, ...membersOf(schema, one, `${at}.${name}`)]);
}

/** What was read of one schema. */
const readOf = (schema: string): string[] => [...read].filter((path) => path.startsWith(`${schema}.`)).sort();

beforeEach(() => {
  read.clear();
  vi.stubGlobal("location", new URL("https://app.example.com/orders"));
  vi.stubGlobal("document", Object.assign(new EventTarget(), { visibilityState: "visible" }));
  vi.stubGlobal("window", new EventTarget());
  vi.stubGlobal("navigator", { onLine: true, locks: { request: (_: string, __: unknown, lead: () => Promise<void>) => lead() } });
  vi.stubGlobal("BroadcastChannel", class { postMessage(): void {} close(): void {} });
});

afterEach(() => vi.unstubAllGlobals());

/** A client whose every request gets one answer. */
function clientOf(answer: () => Response): ReturnType<typeof createClient> {
  return createClient({ live: false, fetch: () => Promise.resolve(answer()), navigate: () => undefined });
}

describe("the client reads what is described, and no more, of", () => {
  test("the session's answer", async () => {
    const client = clientOf(() => answering(200, "SessionAnswer"));
    expect(await client.check()).toMatchObject({ status: "signed-in" });
    const unread = ["SessionAnswer.logout_url"]; // the client signs out by a request
    expect(readOf("SessionAnswer").filter((path) => path !== "SessionAnswer.user.sub")).toEqual(
      membersOf("SessionAnswer").filter((path) => !unread.includes(path)).sort(),
    );
  });

  test("the list of sessions", async () => {
    const client = clientOf(() => answering(200, "SessionList"));
    expect(await client.devices.list()).toHaveLength(1);
    expect(readOf("SessionList")).toEqual(membersOf("SessionList").sort());
  });

  test("the answer of the sign-out", async () => {
    const value = { redirect_to: "https://app.example.com/bff/logged-out" };
    expect(faultsOf("RedirectTo", value)).toEqual([]);
    await clientOf(() => answering(200, "RedirectTo", value)).logout();
    expect(readOf("RedirectTo")).toEqual(["RedirectTo.redirect_to"]);
  });

  test("a problem", async () => {
    const value = { ...(exampleOf("Problem") as object), status: 503, code: "upstream_busy", type: "urn:cloakroom:problem:upstream_busy" };
    expect(faultsOf("Problem", value)).toEqual([]);
    await expect(clientOf(() => answering(503, "Problem", value)).fetch("/api/orders")).rejects.toMatchObject({ code: "upstream_busy" });
    const unread = ["Problem.instance", "Problem.status", "Problem.step_up"]; // request_id and the answer's status say the same
    expect(readOf("Problem")).toEqual(membersOf("Problem").filter((path) => !unread.includes(path)).sort());
  });

  test("the events", async () => {
    const described = answerOf("GET", "/bff/events", 200)?.["x-events"] ?? {};
    const { client, listens } = await listening();
    expect([...listens.keys()].filter((name) => name !== "open" && name !== "error").sort()).toEqual(Object.keys(described).sort());
    vi.spyOn(JSON, "parse").mockImplementation((text) => watched(exampleOf(text), text));
    for (const [name, schema] of Object.entries(described)) {
      listens.get(name)?.(new MessageEvent(name, { data: schema.$ref?.replace("#/components/schemas/", "") ?? "" }));
    }
    vi.restoreAllMocks();
    client.close();
    // The ends come with the answer of the session that is asked for then, and of what was replaced it is known why.
    expect(readOf("EventSession")).toEqual(["EventSession.session", "EventSession.session.id"]);
    expect(readOf("EventSessionEnded")).toEqual(membersOf("EventSessionEnded"));
    expect([...readOf("EventSessionExtended"), ...readOf("EventSessionReplaced")]).toEqual([]);
  });
});

/** What a client that is signed in, and subscribed to, listens for. */
async function listening(): Promise<{ client: ReturnType<typeof createClient>; listens: Map<string, (event: Event) => void> }> {
  const listens = new Map<string, (event: Event) => void>();
  const client = createClient({
    fetch: () => Promise.resolve(answering(200, "SessionAnswer")),
    events: () => ({ readyState: 1, addEventListener: (name, listener) => void listens.set(name, listener), close: () => undefined }),
  });
  client.subscribe(() => undefined);
  await vi.waitFor(() => expect(listens.size).toBeGreaterThan(0));
  return { client, listens };
}
