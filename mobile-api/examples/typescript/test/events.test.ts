import assert from "node:assert/strict";
import { test } from "node:test";

import { follow, type SessionEvent } from "../shared/events.ts";
import { bearer, Gateway } from "../shared/gateway.ts";
import { Handles, SignedOut } from "../shared/handles.ts";

/** A gateway that answers each stream in turn: text of a stream, or a refusal. Then it says that the session is over. */
async function answering(...answers: (string | { status: number; code: string })[]) {
  let kept: string | null = null;
  const vault = {
    read: async () => kept,
    write: async (text: string) => void (kept = text),
    remove: async () => void (kept = null),
  };
  const handles = new Handles("gw app", vault, () => Promise.reject(new SignedOut("over")), []);
  await handles.keep({ access: "clk_1", refresh: "clr_1", ends: Date.now() + 900_000 });
  const gateway = new Gateway("https://gw.example.com", handles, bearer(async (_, init) => {
    assert.equal(new Headers(init?.headers).get("authorization"), "Bearer clk_1");
    const answer = answers.shift() ?? { status: 401, code: "session_ended" };
    return typeof answer === "string" ? new Response(cut(answer)) : Response.json(answer, { status: answer.status });
  }));
  return { gateway, answers, kept: () => kept };
}

/** A body that comes in pieces of three bytes, so that no event and no character comes whole. */
function cut(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  return new ReadableStream({
    start(controller) {
      for (let i = 0; i < bytes.length; i += 3) {
        controller.enqueue(bytes.slice(i, i + 3));
      }
      controller.close();
    },
  });
}

async function heard(gateway: Gateway): Promise<SessionEvent[]> {
  const events: SessionEvent[] = [];
  await follow(gateway, (event) => events.push(event), AbortSignal.timeout(10_000));
  return events;
}

test("the end of a session is heard with its reason, and the handles are dropped by the token endpoint's word", async () => {
  const { gateway, kept } = await answering('retry: 1\n\nevent: session\ndata: {}\n\n:\n\nevent: session-ended\ndata: {"reason":"admin"}\n\nevent: x\n\n');
  assert.deepEqual(await heard(gateway), [{ name: "session", data: {} }, { name: "session-ended", data: { reason: "admin" } }]);
  assert.equal(kept(), null);
});

test("a stream that breaks is opened again, also after an outage; what was cut off is no event", async () => {
  const { gateway, answers } = await answering("retry: 1\n\nevent: session\ndata: {}\n\nevent: session-en",
    { status: 503, code: "store_unavailable" }, "event: session-ended\ndata: {}\n\n");
  assert.deepEqual((await heard(gateway)).map((event) => event.name), ["session", "session-ended"]);
  assert.equal(answers.length, 0);
});

test("a handle that is refused is judged by the token endpoint", async () => {
  const { gateway, kept } = await answering();
  assert.deepEqual(await heard(gateway), []);
  assert.equal(kept(), null);
});

test("a 401 about something else than the session costs nothing", async () => {
  const { gateway, kept } = await answering("retry: 1\n\n", { status: 401, code: "invalid_dpop_proof" }, 'event: session\ndata: {}\n\n');
  const stop = new AbortController();
  await follow(gateway, () => stop.abort(), stop.signal);
  assert.match(kept()!, /clk_1/);
});
