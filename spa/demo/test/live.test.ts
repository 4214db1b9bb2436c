import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Client, State } from "@cloakroom/client";
import { follow, type Source } from "../src/live.ts";

/** A stream that says what the test wants it to. */
class Stream implements Source {
  readyState = 0;
  listeners = new Map<string, (event: Event) => void>();
  addEventListener(event: string, listener: (event: Event) => void): void {
    this.listeners.set(event, listener);
  }
  close(): void {
    this.readyState = 2;
  }
  say(event: string, data?: string): void {
    this.listeners.get(event)?.({ data } as unknown as Event);
  }
}

/** A page with a client that knows what the test says, and its streams in order. */
function page() {
  let state: State = { status: "loading" };
  const listeners = new Set<() => void>();
  const check = vi.fn(async () => state);
  const client = {
    getState: () => state,
    subscribe: (listener: () => void) => (listeners.add(listener), () => void listeners.delete(listener)),
    check,
  } as unknown as Client;
  const streams: Stream[] = [];
  const live = follow(client, (url) => {
    expect(url).toBe("/bff/events");
    streams.push(new Stream());
    return streams.at(-1)!;
  });
  let told = 0;
  const leave = live.subscribe(() => told++);
  const learn = (next: State): void => {
    state = next;
    listeners.forEach((listener) => listener());
  };
  return { live, client, streams, check, learn, leave, told: () => told };
}

const signedIn = (id: string): State => ({
  status: "signed-in",
  user: { sub: "usr_1" },
  session: { id, createdAt: new Date(0), endsAt: 1e9, idleEndsAt: 1e9 },
});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("the stream", () => {
  test("is there while somebody is signed in, and about this session", () => {
    const p = page();
    expect(p.streams.length).toBe(0);
    p.learn(signedIn("a"));
    expect(p.live.hearing()).toBe("connecting");
    p.streams[0]!.say("open");
    expect(p.live.hearing()).toBe("at-once");
    p.learn(signedIn("a"));
    expect(p.streams.length).toBe(1);
    p.learn(signedIn("b"));
    expect([p.streams.length, p.streams[0]!.readyState]).toEqual([2, 2]);
    p.learn({ status: "signed-out" });
    expect([p.streams[1]!.readyState, p.live.hearing()]).toEqual([2, "when-looked-at"]);
  });

  test("ends when nobody listens, and begins anew", () => {
    const p = page();
    p.learn(signedIn("a"));
    p.leave();
    expect(p.streams[0]!.readyState).toBe(2);
    p.live.subscribe(() => {});
    p.learn(signedIn("a"));
    expect(p.streams.length).toBe(2);
  });

  test("that breaks is left to the browser, and what was missed is asked for", () => {
    const p = page();
    p.learn(signedIn("a"));
    p.streams[0]!.say("session", "{}");
    expect(p.check).not.toHaveBeenCalled(); // the client has just asked
    p.streams[0]!.say("error");
    expect([p.live.hearing(), p.streams.length]).toEqual(["connecting", 1]);
    p.streams[0]!.say("session", "{}");
    expect(p.check).toHaveBeenCalledTimes(1);
  });

  test("that is refused leaves the page to ask, and is tried again half a minute later at the earliest", () => {
    const p = page();
    p.learn(signedIn("a"));
    p.streams[0]!.readyState = 2;
    p.streams[0]!.say("error");
    expect(p.live.hearing()).toBe("when-looked-at");
    expect(p.check).toHaveBeenCalledTimes(1);
    p.learn(signedIn("a"));
    expect(p.streams.length).toBe(1);
    vi.advanceTimersByTime(30_000);
    p.learn(signedIn("a"));
    expect(p.streams.length).toBe(2);
  });
});

describe("a session that is said to be over", () => {
  test.each([
    ['{"reason":"provider_logout"}', "provider_logout"],
    ["{}", undefined],
    ["no JSON", undefined],
    ['{"reason":7}', undefined],
  ])("by %s is over at once", (data, reason) => {
    const p = page();
    p.learn(signedIn("a"));
    const told = p.told();
    p.streams[0]!.say("session-ended", data);
    expect(p.live.getState()).toEqual({ status: "signed-out", reason });
    expect(p.live.getState()).toBe(p.live.getState()); // React compares by identity
    expect(p.told()).toBeGreaterThan(told);
    expect([p.streams[0]!.readyState, p.check.mock.calls.length]).toEqual([2, 1]);
  });

  test("stays so, whatever the client still knows of it, until another begins", () => {
    const p = page();
    p.learn(signedIn("a"));
    p.streams[0]!.say("session-ended", '{"reason":"admin"}');
    for (const state of [signedIn("a"), { status: "signed-out" } as State]) {
      p.learn(state);
      expect(p.live.getState()).toEqual({ status: "signed-out", reason: "admin" });
    }
    expect(p.streams.length).toBe(1);
    p.learn(signedIn("b"));
    expect(p.live.getState()).toEqual(signedIn("b"));
    p.learn({ status: "signed-out", reason: "idle" });
    expect(p.live.getState()).toEqual({ status: "signed-out", reason: "idle" });
  });

  test("is not believed of a stream that is no longer the page's", () => {
    const p = page();
    p.learn(signedIn("a"));
    p.learn(signedIn("b"));
    p.streams[0]!.say("session-ended", '{"reason":"replaced"}');
    expect(p.live.getState()).toEqual(signedIn("b"));
    expect(p.streams[1]!.readyState).toBe(0); // and ends nothing of the page's own
  });
});

test.each(["session-extended", "session-replaced"])("after %s the client asks", (event) => {
  const p = page();
  p.learn(signedIn("a"));
  p.streams[0]!.say(event, "{}");
  expect(p.check).toHaveBeenCalledTimes(1);
  expect(p.live.getState().status).toBe("signed-in");
});
