import { describe, expect, test, vi } from "vitest";
import { failing, later, problem } from "./gateway.ts";
import { browser, type Browser, browsers, Channel, over, settle } from "./tabs.ts";

browsers();

describe("an end that was told", () => {
  test.each([
    ["the stream", (b: Browser) => b.streams[0]!.say("session-ended", { reason: "admin" })],
    ["another tab", () => new Channel("cloakroom /bff").postMessage({ ended: "s1", reason: "admin" })],
  ])("by %s is not undone by an older answer, and a new session is not missed", async (_, tell) => {
    const tab = await browser.tab();
    const slow = later();
    const old = browser.answer();
    browser.instead = () => slow.answer;
    const checked = tab.client.check();
    tell(browser);
    await settle();
    expect(tab.state).toEqual(over("admin"));
    browser.instead = null;
    browser.session = null;
    slow.give(old);
    expect(await checked).toEqual(over("admin"));
    expect(tab.states.map(({ status }) => status)).toEqual(["signed-in", "signed-out"]);
    browser.session = { id: "s2" };
    expect(await tab.client.check()).toMatchObject({ session: { id: "s2" } });
  });

  test("to a page that does not know its session yet makes it ask again", async () => {
    const slow = later();
    const old = browser.answer();
    browser.instead = () => slow.answer;
    const tab = await browser.tab();
    new Channel("cloakroom /bff").postMessage({ ended: "s1", reason: "admin" });
    await settle();
    browser.instead = null;
    browser.session = null;
    slow.give(old);
    await settle();
    expect(tab.states.map(({ status }) => status)).toEqual(["signed-out"]);
  });

  test("is not undone by an extension that was on its way", async () => {
    const tab = await browser.tab();
    const slow = later();
    const old = browser.answer();
    browser.instead = () => slow.answer;
    const extended = tab.client.extend();
    browser.streams[0]!.say("session-ended", { reason: "admin" });
    browser.instead = null;
    browser.session = null;
    slow.give(old);
    expect(await extended).toEqual(over("admin"));
  });
});

describe("messages", () => {
  test.each<[string, unknown, number]>([
    ["null", null, 0],
    ["text", "ended", 0],
    ["a list", ["ended", "s1"], 0],
    ["an end of nothing", { ended: "" }, 0],
    ["an end of a number", { ended: 7, reason: "admin" }, 0],
    ["an end of another session", { ended: "s0", reason: "admin" }, 0],
    ["an end in another form", { type: "ended", id: "s1" }, 0],
    ["a session that is an object", { session: { id: "s1" } }, 0],
    ["a state", { session: "s9", user: { sub: "mallory" }, status: "signed-in" }, 1],
    ["a hearing that is none", { session: "s1", hearing: "always" }, 0],
    ["a check for a reason that is none", { check: "now" }, 1],
    ["a check that is a number", { check: 1 }, 0],
    ["a check", { check: "" }, 1],
    ["a replacement", { check: "replaced" }, 1],
  ])("that are %s change nothing, and make a tab ask so often: %j, %i", async (_, message, asks) => {
    const [leader, follower] = [await browser.tab(), await browser.tab()];
    browser.streams[0]!.begin("s1");
    await settle();
    const before = [leader, follower].map(({ client }) => [client.getState().status, client.hearing(), client.remaining()]);
    const asked = leader.asked + follower.asked;
    new Channel("cloakroom /bff").postMessage(message);
    await settle();
    expect([leader, follower].map(({ client }) => [client.getState().status, client.hearing(), client.remaining()])).toEqual(before);
    expect(JSON.stringify(follower.state)).not.toContain("mallory");
    expect(leader.asked + follower.asked - asked).toBe(2 * asks);
    expect(browser.live).toHaveLength(1);
  });

  test("of who is new are answered by the leader alone, and of who claims to lead by nobody", async () => {
    const tabs = [await browser.tab(), await browser.tab()];
    browser.streams[0]!.begin("s1");
    await settle();
    Channel.said = [];
    tabs.push(await browser.tab());
    expect(Channel.said).toEqual([{ session: "s1" }, { session: "s1", hearing: "at-once" }]);
    await tabs[2]!.client.check(); // nothing new: nothing is said
    new Channel("cloakroom /bff").postMessage({ session: "s1", hearing: "connecting" });
    await settle();
    expect([Channel.said.length, ...tabs.map(({ client }) => client.hearing())]).toEqual([3, "at-once", "connecting", "connecting"]);
  });

  test("that come while the session is asked for have it asked for once more, however many they are, and then no more", async () => {
    const tab = await browser.tab();
    const slow = [later(), later(), later()];
    const answers = slow.map(({ answer }) => answer);
    browser.instead = () => answers.shift() ?? browser.answer();
    const checked = tab.client.check();
    const other = new Channel("cloakroom /bff");
    for (const [i, { give }] of slow.entries()) {
      await settle();
      expect(tab.asked).toBe(2 + i);
      for (let n = 0; n < 5 && i < 2; n++) {
        other.postMessage({ ended: `s0-${n}`, reason: "admin" }); // before the first answer and before the second
      }
      await settle();
      give(browser.answer());
    }
    expect(await checked).toMatchObject({ session: { id: "s1" } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tab.asked).toBe(4);
  });

  test("of tabs that learn by calls of their own that the session is over set none of them going round", async () => {
    const tabs = [await browser.tab(), await browser.tab(), await browser.tab()];
    browser.session = null;
    browser.instead = () => problem(401, "session_ended", { reason: "admin" });
    const calls = tabs.map(({ client }) => failing(client.fetch("/api/orders")));
    browser.instead = null; // the gateway, which is asked next
    await Promise.all(calls);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tabs.map(({ state }) => state)).toEqual([over("admin"), over("admin"), over("admin")]);
    expect(Math.max(...tabs.map(({ asked }) => asked))).toBeLessThanOrEqual(6); // the first look, the call, and one for each that told
  });

  test("that forge an end of this very session are put right when the page is looked at", async () => {
    const tab = await browser.tab();
    await vi.advanceTimersByTimeAsync(10_000);
    new Channel("cloakroom /bff").postMessage({ ended: "s1", reason: "x".repeat(10) });
    await settle();
    expect(tab.state.status).toBe("signed-out");
    tab.happens("focus");
    await settle();
    expect(tab.state.status).toBe("signed-in");
  });
});
