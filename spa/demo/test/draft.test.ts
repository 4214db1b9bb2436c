import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { State } from "@cloakroom/client";
import { dropDraft, keepDraft, readDraft } from "../src/draft.ts";
import { client } from "../src/gateway.ts";

const as = (sub: string): void => {
  const session = { id: "s", createdAt: new Date(0), endsAt: 0, idleEndsAt: 0 };
  vi.spyOn(client, "getState").mockReturnValue({ status: "signed-in", user: { sub }, session } as State);
};

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  });
  vi.useFakeTimers();
  as("usr_1");
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test("a refund that was begun is there for who began it, until it is dropped", () => {
  expect(readDraft()).toBeNull();
  keepDraft("ord_7");
  expect(readDraft()).toBe("ord_7");
  as("usr_2");
  expect(readDraft()).toBeNull();
  as("usr_1");
  expect(readDraft()).toBe("ord_7");
  dropDraft();
  expect(readDraft()).toBeNull();
});

test("a refund that was begun is there in an outage, too", () => {
  keepDraft("ord_7");
  vi.mocked(client.getState).mockReturnValue({ ...client.getState(), status: "unavailable" } as State);
  expect(readDraft()).toBe("ord_7");
});

test("nobody's refund is nobody's, and an old one is given up", () => {
  keepDraft("ord_7");
  vi.mocked(client.getState).mockReturnValue({ status: "signed-out" });
  expect(readDraft()).toBeNull();
  keepDraft("ord_7"); // by nobody
  expect(readDraft()).toBeNull();
  as("usr_1");
  keepDraft("ord_7");
  vi.advanceTimersByTime(15 * 60_000 - 1);
  expect(readDraft()).toBe("ord_7");
  vi.advanceTimersByTime(1);
  expect(readDraft()).toBeNull();
});

test.each(["", "null", "{", "[]", '{"refund":7,"sub":"usr_1","at":9e15}', '{"refund":"ord_7","sub":"usr_1"}'])("a store that holds %s holds nothing", (text) => {
  sessionStorage.setItem("cloakroom-demo:refund", text);
  expect(readDraft()).toBeNull();
});

test("a browser that keeps nothing breaks nothing", () => {
  vi.stubGlobal("sessionStorage", undefined);
  keepDraft("ord_7");
  dropDraft();
  expect(readDraft()).toBeNull();
});
