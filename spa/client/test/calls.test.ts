// The fake gateway against the real one: both are asked what testdata/calls.json says, and it was the real one's answers that were
// written there. And against docs/openapi.yaml: what it answers is described, member by member.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createFakeGateway, type FakeGateway } from "../src/testing.ts";
import { answerOf, faultsOf, type Schema } from "./openapi.ts";

/** The shape of an answer: what an app can rely on. */
interface Shape {
  status: number;
  media?: string;
  cache?: string;
  allow?: string;
  code?: string;
  reason?: string;
  members?: string[];
}

/** Something that happens, or a call and the shape of its answer. */
interface Step {
  do?: "sign-in" | "ended-elsewhere" | "store-away" | "store-back";
  ask?: string;
  headers?: Record<string, string>;
  answer?: Shape;
}

const steps = JSON.parse(readFileSync(new URL("../testdata/calls.json", import.meta.url), "utf8")) as Step[];
const origin = "https://app.example.com";

/** What a browser adds to a script's request, by which a navigation is told apart. */
const script = { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" };

function newGateway(): FakeGateway {
  const gateway = createFakeGateway({ base: `${origin}/bff` });
  gateway.route("POST /api/whoami", () => ({}));
  gateway.route("GET /api/whoami", () => ({}));
  gateway.route("GET /api/strong/vault", () => ({}));
  gateway.route("GET /api/refusing", () => new Response(null, { status: 401 }));
  gateway.stepUp("GET /api/strong/vault", { acrValues: ["strong"] });
  return gateway;
}

/** Does what a step says; of a call, the answer. */
async function take(gateway: FakeGateway, step: Step): Promise<Response | null> {
  switch (step.do) {
    case "sign-in":
      gateway.signIn();
      return null;
    case "ended-elsewhere":
      gateway.signOut("signed_out");
      return null;
    case "store-away":
      gateway.outage("store_unavailable");
      return null;
    case "store-back":
      gateway.outage(null);
      return null;
    default: {
      const [method = "", path = ""] = (step.ask ?? "").split(" ");
      const own = gateway.sessions.find((session) => session.current)?.id ?? "";
      return gateway.handle(new Request(origin + path.replace("{own}", own), { method, headers: { ...script, ...step.headers } }));
    }
  }
}

/** The paths of all members, sorted as the file has them. */
function membersOf(value: unknown, at = ""): string[] {
  if (Array.isArray(value)) {
    return membersOf(value[0], at);
  }
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.flatMap(([name, one]) => [at + name, ...membersOf(one, `${at}${name}.`)]);
}

const mediaOf = (answer: Response): string => (answer.headers.get("Content-Type") ?? "").split(";")[0] ?? "";

async function shapeOf(answer: Response, method: string, path: string): Promise<Shape> {
  if (answer.ok && path === "/api/whoami") {
    return { status: answer.status }; // the API's own
  }
  const text = method === "HEAD" ? "" : await answer.text(); // whoever serves it leaves the body out
  const body = JSON.parse(text || "null") as Record<string, unknown> | null;
  const shape: Record<string, unknown> = {
    status: answer.status, media: mediaOf(answer), members: membersOf(body),
    cache: answer.headers.get("Cache-Control"), allow: answer.headers.get("Allow"),
    ...(answer.status < 400 ? {} : { code: body?.code, reason: body?.reason }),
  };
  const empty = (one: unknown): boolean => one === undefined || one === null || one === "" || (Array.isArray(one) && one.length === 0);
  return Object.fromEntries(Object.entries(shape).filter(([, one]) => !empty(one))) as unknown as Shape;
}

test("the fake gateway answers as the real one", async () => {
  const gateway = newGateway();
  for (const [i, step] of steps.entries()) {
    const answer = await take(gateway, step);
    if (answer !== null) {
      const [method = "", path = ""] = (step.ask ?? "").split(" ");
      expect.soft(await shapeOf(answer, method, path), `${i}: ${step.ask} ${JSON.stringify(step.headers ?? {})}`).toEqual(step.answer);
    }
  }
  expect(steps.filter((step) => step.answer !== undefined).length).toBeGreaterThan(30);
});

test("the fake gateway answers as it is described", async () => {
  const gateway = newGateway();
  const seen = new Set<string>();
  for (const step of steps) {
    const answer = await take(gateway, step);
    const [method = "", path = ""] = (step.ask ?? "").split(" ");
    if (answer === null || !path.startsWith("/bff") || answer.status === 405 || path === "/bff/nothing" || path === "/bff/events/more") {
      continue; // what is described at no operation
    }
    const pattern = path.replace(/^\/bff\/sessions\/.*/, "/bff/sessions/{id}");
    const described = answerOf(method, pattern, answer.status);
    expect.soft(described, `${step.ask}: ${answer.status}`).toBeDefined();
    const schema: Schema | undefined = described?.content?.[mediaOf(answer)]?.schema;
    if (mediaOf(answer) !== "" && answer.body !== null) {
      expect.soft(schema, `${step.ask}: ${mediaOf(answer)}`).toBeDefined();
      expect.soft(faultsOf(schema ?? {}, await answer.json(), step.ask), step.ask).toEqual([]);
    }
    seen.add(`${method} ${pattern} ${answer.status}`);
  }
  expect(seen.size).toBeGreaterThan(14);
});

test("the fake gateway's events are described", async () => {
  const schemas = answerOf("GET", "/bff/events", 200)?.["x-events"] ?? {};
  const told = new Set<string>();
  for (const act of [
    (gateway: FakeGateway) => gateway.signOut("admin"),
    (gateway: FakeGateway) => gateway.signIn(),
    async (gateway: FakeGateway) => {
      await gateway.handle(new Request(`${origin}/bff/session/extend`, { method: "POST", headers: { "X-CSRF": "1" } }));
      gateway.expire("idle");
    },
  ]) {
    const gateway = newGateway();
    gateway.signIn();
    const stream = await gateway.handle(new Request(`${origin}/bff/events`, { headers: { Accept: "text/event-stream" } }));
    await act(gateway);
    const text = await stream.text(); // each of these ends the stream
    for (const [, name = "", data = ""] of text.matchAll(/^event: (.*)\ndata: (.*)$/gm)) {
      told.add(name);
      expect.soft(faultsOf(schemas[name] ?? { const: `the event ${name}` }, JSON.parse(data), name)).toEqual([]);
    }
  }
  expect([...told].sort()).toEqual(Object.keys(schemas).sort());
}, 20_000);
