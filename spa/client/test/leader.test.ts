import { describe, expect, test, vi } from "vitest";
import { browser, browsers, Channel, over, passes, settle, type Tab } from "./tabs.ts";

browsers();

/** Has the page of a tab stop as it is, without a word: it hears nothing, and whatever it wanted to do is not done. */
async function freeze(tab: () => Promise<Tab>): Promise<Tab> {
  const before = new Set(Channel.open);
  const frozen = await tab();
  for (const channel of Channel.open) {
    if (!before.has(channel)) {
      Channel.frozen.add(channel);
    }
  }
  return frozen;
}

describe("a leader that is frozen without a word", () => {
  test("is followed by the tab that is looked at, with one stream more, and by no other", async () => {
    let drawn = 0;
    const random = vi.spyOn(Math, "random").mockImplementation(() => (drawn++ % 20) / 20);
    const first = await freeze(() => browser.tab());
    browser.streams[0]!.begin("s1");
    const tabs: Tab[] = [];
    for (let i = 0; i < 20; i++) {
      tabs.push(await browser.tab());
    }
    const asked = tabs.reduce((sum, { asked }) => sum + asked, first.asked);
    await vi.advanceTimersByTimeAsync(3_000 * 2 + 600);
    expect([browser.locks.taken, browser.streams.length, browser.live.length]).toEqual([1, 2, 1]); // the first noticed it
    random.mockRestore();
    browser.live[0]!.begin("s1");
    await settle();
    expect(new Set(tabs.map(({ client }) => client.hearing()))).toEqual(new Set(["at-once"]));
    expect(tabs.reduce((sum, { asked }) => sum + asked, first.asked)).toBe(asked); // the gateway was asked for the stream alone
    browser.live[0]!.say("session-ended", { reason: "admin" });
    await settle();
    expect(tabs.map(({ state }) => state)).toEqual(tabs.map(() => over("admin")));
  });

  test("later is found out within a minute by a tab that is looked at all the time, and follows when it wakes", async () => {
    const first = await browser.tab();
    const [own] = Channel.open;
    browser.streams[0]!.begin("s1");
    const second = await browser.tab();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(browser.streams).toHaveLength(1);
    Channel.frozen.add(own!);
    await vi.advanceTimersByTimeAsync(40_000);
    expect([browser.streams.length, browser.live.length]).toEqual([2, 1]);
    browser.live[0]!.begin("s1");
    Channel.frozen.clear();
    first.happens("focus");
    await settle();
    expect([first.client.hearing(), second.client.hearing(), browser.streams.length]).toEqual(["at-once", "at-once", 2]);
    second.close();
    await passes();
    expect([browser.streams.length, browser.live.length]).toEqual([3, 1]);
  });

  test("is left alone by a tab that is hidden, until that is looked at", async () => {
    await freeze(() => browser.tab());
    browser.streams[0]!.begin("s1");
    const second = await browser.tab();
    second.document.visibilityState = "hidden";
    second.mine();
    Channel.said = [];
    await vi.advanceTimersByTimeAsync(600_000);
    expect([browser.streams.length, Channel.said.length]).toEqual([1, 0]);
    second.document.visibilityState = "visible";
    second.document.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(6_600);
    expect([browser.streams.length, browser.live.length]).toEqual([2, 1]);
  });
});

test("tabs that hear ask each other only, one for all, and less often than the gateway asks whether a stream is read", async () => {
  const tabs = [await browser.tab(), await browser.tab(), await browser.tab(), await browser.tab()];
  browser.streams[0]!.begin("s1");
  await settle();
  Channel.said = [];
  await vi.advanceTimersByTimeAsync(300_000);
  const asks = Channel.said.filter((message) => Object.keys(message as object).length === 0).length;
  expect([asks >= 10, asks <= 21, Channel.said.length - 2 * asks]).toEqual([true, true, 0]); // each is answered
  expect([browser.streams.length, ...tabs.map(({ asked }) => asked)]).toEqual([1, 1, 1, 1, 1]);
  tabs[3]!.document.visibilityState = "hidden"; // the page of all, as far as they can tell
  Channel.said = [];
  await vi.advanceTimersByTimeAsync(300_000);
  expect(Channel.said).toEqual([]);
});

test("a lead that passes on at the session's end opens no stream, though the lock is faster than the word of it", async () => {
  const [first, second] = [await browser.tab({ navigate: () => {} }), await browser.tab()];
  browser.streams[0]!.begin("s1");
  await settle();
  const slow = [...Channel.open].at(-1)!;
  const hears = slow.onmessage;
  slow.onmessage = (event) => void setTimeout(() => hears?.(event), 200);
  browser.streams[0]!.say("session-ended", { reason: "admin" });
  await vi.advanceTimersByTimeAsync(1_000);
  expect([first.state, second.state]).toEqual([over("admin"), over("admin")]);
  expect(browser.streams).toHaveLength(1);
});
