import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createExport, type Stream } from "../src/export.ts";

/** An EventSource that says what the test wants it to. */
class Wire implements Stream {
  readyState = 1;
  listeners = new Map<string, (event: { data?: unknown }) => void>();
  addEventListener(event: string, listener: (event: { data?: unknown }) => void): void {
    this.listeners.set(event, listener);
  }
  close(): void {
    this.readyState = 2;
  }
  say(event: string, data?: unknown): void {
    this.listeners.get(event)!({ data: JSON.stringify(data) });
  }
  /** It broke: the browser opens it anew, or, when the answer was no stream, does not. */
  break(refused = false): void {
    this.readyState = refused ? 2 : 0;
    this.listeners.get("error")!({});
  }
}

function exporting() {
  const wires: Wire[] = [];
  const doubt = vi.fn();
  const all = createExport({ open: () => (wires.push(new Wire()), wires.at(-1)!), doubt });
  all.start();
  return { all, wires, doubt };
}

const href = "/api/orders/export/ABC234.csv";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("it tells how far it is, and ends with a file that is kept ten minutes", () => {
  const { all, wires } = exporting();
  expect(all.getState()).toEqual({ status: "running", done: 0, total: 1, again: false });
  wires[0]!.say("progress", { done: 5, total: 20 });
  expect(all.getState()).toEqual({ status: "running", done: 5, total: 20, again: false });
  wires[0]!.say("ready", { href });
  expect(all.getState()).toEqual({ status: "ready", href });
  expect(wires[0]!.readyState).toBe(2); // or the browser would begin anew
  vi.advanceTimersByTime(10 * 60_000 - 1);
  expect(all.getState()).toEqual({ status: "ready", href });
  vi.advanceTimersByTime(1);
  expect(all.getState()).toEqual({ status: "gone" });
});

test.each(["https://evil.example/x.csv", "//evil.example/x.csv", "javascript:alert(1)", "/bff/logout", "/api/orders/export/../../x", "https://evil.example/api/orders/export/x.csv", ["/api/orders/export/x.csv"], 7, undefined])(
  "a file at %s is none",
  (elsewhere) => {
    const { all, wires } = exporting();
    wires[0]!.say("ready", { href: elsewhere });
    expect(all.getState()).toEqual({ status: "failed" });
  },
);

test.each<[string, unknown]>([
  ["no word", undefined],
  ["null", null],
  ["a text", { done: "5", total: 20 }],
  ["a whole that is none", { done: 5, total: "20" }],
  ["a whole of nothing", { done: 5, total: 0 }],
])("of progress with %s nothing is known", (_, data) => {
  const { all, wires } = exporting();
  wires[0]!.say("progress", data);
  expect(all.getState()).toEqual({ status: "running", done: 0, total: 1, again: false });
});

test("progress is never beyond the whole, and is told to who listens, as long as they do", () => {
  const { all, wires } = exporting();
  const told: unknown[] = [];
  const leave = all.subscribe(() => told.push(all.getState()));
  wires[0]!.say("progress", { done: 21, total: 20 });
  leave();
  wires[0]!.say("progress", { done: 5, total: 20 });
  expect(told).toEqual([{ status: "running", done: 20, total: 20, again: false }]);
});

test("begun once more, the first is let go of, and what had failed is forgotten", () => {
  const { all, wires } = exporting();
  all.start();
  expect(wires.map(({ readyState }) => readyState)).toEqual([2, 1]);
  for (let i = 0; i < 5; i++) {
    wires.at(-1)!.break(true);
    vi.advanceTimersByTime(32_000);
  }
  expect(all.getState()).toEqual({ status: "failed" });
  all.start();
  wires.at(-1)!.say("progress", { done: 1, total: 2 });
  expect(all.getState()).toEqual({ status: "running", done: 1, total: 2, again: false });
  wires.at(-1)!.break(true);
  expect(all.getState()).toEqual({ status: "waiting" });
});

test("begun once more after it failed at once, it is tried as often as the first time", () => {
  const { all, wires } = exporting();
  for (let i = 0; i < 5; i++) {
    wires.at(-1)!.break(true);
    vi.advanceTimersByTime(32_000);
  }
  all.start();
  const before = wires.length;
  wires.at(-1)!.break(true);
  vi.advanceTimersByTime(2_000); // and as soon
  expect(wires.length).toBe(before + 1);
});

test("refusals count as long as nothing comes in between", () => {
  const { all, wires } = exporting();
  for (let i = 0; i < 7; i++) {
    wires.at(-1)!.break(true);
    vi.advanceTimersByTime(2_000);
    expect(wires.length).toBe(i + 2);
    wires.at(-1)!.say("progress", { done: i, total: 20 });
  }
  expect(all.getState()).toEqual({ status: "running", done: 6, total: 20, again: true });
});

test("a connection that breaks begins anew, and says so", () => {
  const { all, wires, doubt } = exporting();
  wires[0]!.say("progress", { done: 5, total: 20 });
  wires[0]!.break();
  expect(all.getState()).toEqual({ status: "waiting" });
  wires[0]!.say("progress", { done: 0, total: 20 });
  expect(all.getState()).toEqual({ status: "running", done: 0, total: 20, again: true });
  expect([wires.length, doubt.mock.calls.length]).toEqual([1, 0]); // the browser's own doing
});

test("a stream that is refused makes the session be asked for, and is tried again a few times", () => {
  const { all, wires, doubt } = exporting();
  for (const seconds of [2, 4, 8, 16]) {
    const before = wires.length;
    wires.at(-1)!.break(true);
    expect(all.getState()).toEqual({ status: "waiting" });
    vi.advanceTimersByTime(seconds * 1000 - 1);
    expect(wires.length).toBe(before);
    vi.advanceTimersByTime(1);
    expect(wires.length).toBe(before + 1);
  }
  wires.at(-1)!.break(true);
  expect(all.getState()).toEqual({ status: "failed" });
  expect(doubt).toHaveBeenCalledTimes(5);
});

test("cancelled, it is silent", () => {
  const { all, wires } = exporting();
  wires[0]!.break(true);
  all.cancel();
  vi.advanceTimersByTime(60_000);
  wires[0]!.say("progress", { done: 5, total: 20 });
  expect([all.getState().status, wires.length]).toEqual(["idle", 1]);
});
