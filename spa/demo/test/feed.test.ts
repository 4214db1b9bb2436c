import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createFeed, digestOf, type Entry, type Happening, type Socket } from "../src/feed.ts";

/** A WebSocket that says what the test wants it to. */
class Wire implements Socket {
  closed = false;
  listeners = new Map<string, (event: { data?: unknown; code?: unknown }) => void>();
  addEventListener(event: string, listener: (event: { data?: unknown; code?: unknown }) => void): void {
    this.listeners.set(event, listener);
  }
  close(): void {
    this.closed = true;
  }
  say(data: unknown): void {
    this.listeners.get("message")!({ data: typeof data === "string" ? data : JSON.stringify(data) });
  }
  end(code: number): void {
    this.listeners.get("close")!({ code });
  }
}

function listening() {
  const wires: Wire[] = [];
  const heard: Happening[] = [];
  const doubt = vi.fn();
  const open = (): Wire => (wires.push(new Wire()), wires.at(-1)!);
  const feed = createFeed({ open, hear: (happening) => heard.push(happening), doubt });
  feed.connect();
  return { feed, wires, heard, doubt };
}

const coat = { id: "ord_1", item: "Coat", quantity: 1, placed_at: "2026-01-02T12:00:00Z" };

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0); // pauses are whole
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("it is live when the API has said hello, and tells what happens, the newest first", () => {
  const { feed, wires, heard } = listening();
  expect(feed.getState()).toEqual({ status: "connecting", entries: [] });
  wires[0]!.say({ event: "hello" });
  expect(feed.getState().status).toBe("live");
  for (const status of ["placed", "packed", "shipped"]) {
    wires[0]!.say({ event: status, order: { ...coat, status } });
  }
  expect(feed.getState().entries.map(({ status }) => status)).toEqual(["shipped", "packed", "placed"]);
  expect(new Set(feed.getState().entries.map(({ n }) => n)).size).toBe(3);
  expect(heard.map(({ event }) => event)).toEqual(["hello", "placed", "packed", "shipped"]);
});

test("it keeps a glance of what was said, and tells who listens, as long as they do", () => {
  const { feed, wires } = listening();
  const listener = vi.fn();
  const leave = feed.subscribe(listener);
  for (let i = 1; i <= 7; i++) {
    wires[0]!.say({ event: "placed", order: { ...coat, id: `ord_${i}` } });
  }
  expect(feed.getState().entries.map(({ order }) => order.id)).toEqual([7, 6, 5, 4, 3, 2].map((i) => `ord_${i}`));
  leave();
  wires[0]!.say({ event: "hello" });
  expect(listener).toHaveBeenCalledTimes(7);
});

test("pauses are up to a half shorter, so that not all pages come at once", () => {
  vi.mocked(Math.random).mockReturnValue(0.5);
  const { wires } = listening();
  wires[0]!.end(1006);
  vi.advanceTimersByTime(749);
  expect(wires.length).toBe(1);
  vi.advanceTimersByTime(1);
  expect(wires.length).toBe(2);
});

test("it is connected at once where the user wants that, and as if nothing had failed; it says so only where it was not broken", () => {
  const { feed, wires } = listening();
  for (let i = 0; i < 4; i++) {
    wires.at(-1)!.end(1006);
    vi.advanceTimersByTime(30_000);
  }
  wires.at(-1)!.end(1006);
  feed.connect();
  expect([wires.length, feed.getState().status]).toEqual([6, "reconnecting"]);
  wires.at(-1)!.end(1006);
  vi.advanceTimersByTime(1_000);
  expect(wires.length).toBe(7);
  wires.at(-1)!.end(1008);
  feed.connect();
  expect(feed.getState().status).toBe("connecting");
});

test.each(["not JSON", "null", "[]", '{"event":"stolen","order":{"id":"x","item":"y"}}', '{"event":"packed"}', '{"event":"packed","order":{"id":"x"}}', '{"event":"packed","order":{"id":7,"item":"y"}}'])(
  "what it does not know, as %s, is nothing",
  (message) => {
    const { feed, wires, heard } = listening();
    wires[0]!.say(message);
    expect([feed.getState().entries.length, heard.length]).toEqual([0, 0]);
  },
);

test("a connection that breaks is made again, later each time, and soon again once it was good", () => {
  const { feed, wires, doubt } = listening();
  wires[0]!.say({ event: "hello" });
  for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
    wires.at(-1)!.end(1006);
    expect(feed.getState().status).toBe("reconnecting");
    const before = wires.length;
    vi.advanceTimersByTime(seconds * 1000 - 1);
    expect(wires.length).toBe(before);
    vi.advanceTimersByTime(1);
    expect(wires.length).toBe(before + 1);
  }
  expect(doubt).toHaveBeenCalledTimes(6); // each but the first, which was live: a handshake that is refused may be so for want of a session
  wires.at(-1)!.say({ event: "hello" });
  wires.at(-1)!.end(1006);
  const before = wires.length;
  vi.advanceTimersByTime(1000);
  expect(wires.length).toBe(before + 1);
  wires.at(-1)!.say({ event: "hello" });
  expect(feed.getState().status).toBe("live");
});

test("where nobody is, it is not made again: each connection is a use of the session. It waits for somebody to come", () => {
  let there = true;
  const wires: Wire[] = [];
  const feed = createFeed({ open: () => (wires.push(new Wire()), wires.at(-1)!), hear: () => {}, doubt: () => {}, attended: () => there });
  feed.connect();
  feed.attend();
  expect(wires.length).toBe(1);
  wires[0]!.end(1006);
  feed.attend(); // it is tried in a second, not at each press of a key
  expect(wires.length).toBe(1);
  vi.advanceTimersByTime(1000);
  expect(wires.length).toBe(2);
  there = false;
  wires[1]!.end(1006);
  vi.advanceTimersByTime(3_600_000);
  expect([wires.length, feed.getState().status]).toEqual([2, "reconnecting"]);
  feed.attend();
  feed.attend();
  expect(wires.length).toBe(3);
  wires[2]!.end(1006);
  vi.advanceTimersByTime(60_000);
  feed.rest(); // the user has signed out, or the page sleeps
  feed.attend();
  expect(wires.length).toBe(3);
});

test("an end of the session is no outage: it asks, and does not knock", () => {
  const { feed, wires, doubt } = listening();
  wires[0]!.say({ event: "hello" });
  wires[0]!.end(1008);
  expect([feed.getState().status, doubt.mock.calls.length]).toEqual(["over", 1]);
  vi.advanceTimersByTime(29_999);
  expect(wires.length).toBe(1);
  vi.advanceTimersByTime(1); // another session may be there by then
  expect(wires.length).toBe(2);
});

test("a gateway that goes away in good order is no reason to doubt the session", () => {
  const { feed, wires, doubt } = listening();
  wires[0]!.say({ event: "hello" });
  wires[0]!.end(1001);
  expect([feed.getState().status, doubt.mock.calls.length]).toEqual(["reconnecting", 0]);
  vi.advanceTimersByTime(1000);
  expect(wires.length).toBe(2);
  wires[1]!.end(1001); // and so does the next, before it has said hello
  expect(doubt).not.toHaveBeenCalled();
});

test("what an old connection still says is not heard, and its end breaks nothing", () => {
  const { feed, wires, heard } = listening();
  feed.connect();
  wires[1]!.say({ event: "hello" });
  wires[0]!.say({ event: "packed", order: coat });
  wires[0]!.end(1006);
  expect([wires[0]!.closed, feed.getState().status, heard.length]).toEqual([true, "live", 1]);
});

test("closed, it is silent and forgets; resting, it keeps what was said", () => {
  const { feed, wires } = listening();
  wires[0]!.say({ event: "hello" });
  wires[0]!.say({ event: "packed", order: coat });
  feed.rest();
  wires[0]!.end(1005); // as a browser tells a moment later
  vi.advanceTimersByTime(60_000);
  expect([wires.length, wires[0]!.closed, feed.getState().entries.length]).toEqual([1, true, 1]);
  feed.connect();
  wires[1]!.end(1006);
  feed.close();
  vi.advanceTimersByTime(60_000);
  expect([wires.length, feed.getState().entries.length]).toEqual([2, 0]);
});

test("what the warehouse did is said in one sentence, however much it was", () => {
  const entry = (n: number, status: Entry["status"], item = "Coat"): Entry => ({ n, at: 0, status, order: { ...coat, item, status } });
  expect(digestOf([])).toBe("");
  expect(digestOf([entry(2, "refunded"), entry(1, "placed")])).toBe("");
  expect(digestOf([entry(3, "packed"), entry(1, "placed")])).toBe("Coat was packed.");
  expect(digestOf([entry(3, "shipped", "Hat"), entry(2, "packed")])).toBe("2 changes to your orders. Hat was shipped.");
});
