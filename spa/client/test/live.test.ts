import { describe, expect, test, vi } from "vitest";
import { failing, json, later, problem } from "./gateway.ts";
import { browser, type Browser, browsers, Channel, over, passes, settle } from "./tabs.ts";

browsers();

describe("three tabs", () => {
  test("have one stream between them, and hear of the end of their session at once, with the reason and without asking", async () => {
    const tabs = [await browser.tab(), await browser.tab(), await browser.tab()];
    expect(browser.streams.map(({ url, init }) => [url, init.withCredentials])).toEqual([["/bff/events", false]]);
    expect(tabs.map(({ client }) => client.hearing())).toEqual(["connecting", "connecting", "connecting"]);
    browser.streams[0]!.begin("s1");
    await settle();
    expect(tabs.map(({ client }) => client.hearing())).toEqual(["at-once", "at-once", "at-once"]);
    browser.streams[0]!.say("session-ended", { reason: "provider_logout" });
    await settle();
    expect(tabs.map(({ state }) => state)).toEqual([over("provider_logout"), over("provider_logout"), over("provider_logout")]);
    expect(tabs.map(({ asked }) => asked)).toEqual([1, 1, 1]);
    expect(browser.live).toEqual([]);
    expect(tabs.map(({ client }) => client.hearing())).toEqual(["when-looked-at", "when-looked-at", "when-looked-at"]);
    expect(tabs.map(({ states }) => states.filter(({ status }) => status === "signed-out").length)).toEqual([1, 1, 1]);
  });

  test("ask when the session is extended, and when it is replaced wait for the new one", async () => {
    const tabs = [await browser.tab(), await browser.tab(), await browser.tab()];
    browser.streams[0]!.begin("s1");
    browser.session = { id: "s1", idle: 3_600 };
    browser.streams[0]!.say("session-extended", { expires_in: 43_200, idle_expires_in: 3_600 });
    await settle();
    expect(tabs.map(({ client }) => client.remaining()?.idle)).toEqual([3_600, 3_600, 3_600]);
    browser.session = null; // the new cookie is on its way
    browser.streams[0]!.say("session-replaced", { reason: "replaced" });
    expect(browser.live).toEqual([]); // the browser would open it again with the cookie of before
    await vi.advanceTimersByTimeAsync(300);
    expect(tabs.map(({ state }) => state.status)).toEqual(["signed-in", "signed-in", "signed-in"]);
    browser.session = { id: "s2" };
    await vi.advanceTimersByTimeAsync(300);
    const second = { status: "signed-in", session: { id: "s2" } };
    expect(tabs.map(({ state }) => state)).toMatchObject([second, second, second]);
    expect([browser.streams.length, browser.live.length]).toEqual([2, 1]);
  });

  test.each<[string, (tab: Awaited<ReturnType<Browser["tab"]>>) => void]>([
    ["closes", (tab) => tab.close()],
    ["has nobody who listens any more", (tab) => (tab.mine(), tab.leave())],
    ["is left, and kept in the browser's memory", (tab) => tab.happens("pagehide", { persisted: true })],
    ["is frozen", (tab) => tab.document.dispatchEvent(new Event("freeze"))],
  ])("whose leader %s have another, and miss nothing", async (_, go) => {
    const [first, second, third] = [await browser.tab(), await browser.tab(), await browser.tab()];
    browser.streams[0]!.begin("s1");
    await settle();
    first.mine();
    go(first);
    await passes();
    expect([browser.streams.length, browser.live.length]).toEqual([2, 1]);
    expect([second.client.hearing(), third.client.hearing()]).toEqual(["connecting", "connecting"]);
    browser.session = { id: "s2" }; // meanwhile, when nobody listened
    browser.live[0]!.begin("s2");
    await settle();
    expect([second.state, third.state]).toMatchObject([{ session: { id: "s2" } }, { session: { id: "s2" } }]);
    browser.live[0]!.say("session-ended", { reason: "admin" });
    await settle();
    expect([second.state, third.state]).toEqual([over("admin"), over("admin")]);
    expect(first.client.hearing()).toBe("when-looked-at");
  });

  test("whose session ended while nobody led are told so by the refusal of the next stream", async () => {
    const [first, second, third] = [await browser.tab(), await browser.tab(), await browser.tab()];
    browser.session = null;
    first.close();
    await passes();
    browser.live[0]!.refuse();
    await settle();
    expect([second.state, third.state]).toEqual([over(), over()]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(browser.live).toEqual([]);
  });
});

describe("a tab", () => {
  test("that comes later learns how the page hears", async () => {
    await browser.tab();
    browser.streams[0]!.begin("s1");
    const late = await browser.tab();
    expect([late.client.hearing(), browser.streams.length]).toEqual(["at-once", 1]);
  });

  test("that comes back from the browser's memory queues again, and asks who is signed in", async () => {
    const [first, second] = [await browser.tab(), await browser.tab()];
    browser.streams[0]!.begin("s1");
    first.happens("pagehide", { persisted: true });
    await passes();
    browser.live[0]!.begin("s1");
    first.document.dispatchEvent(new Event("visibilitychange"));
    second.close();
    await settle();
    expect(browser.live).toEqual([]); // what is hidden last is still away
    const before = first.asked;
    first.happens("pageshow", { persisted: true });
    await settle();
    expect([first.asked - before, first.client.hearing(), browser.streams.length]).toEqual([1, "connecting", 3]);
  });

  test("that comes back while another leads learns how the page hears", async () => {
    const [first] = [await browser.tab(), await browser.tab()];
    browser.streams[0]!.begin("s1");
    first.happens("pagehide", { persisted: true });
    await passes();
    browser.live[0]!.begin("s1");
    first.happens("pageshow", { persisted: true });
    await settle();
    expect([first.client.hearing(), browser.streams.length]).toEqual(["at-once", 2]);
  });

  test("that nobody listens to at the moment of its turn holds nobody up", async () => {
    const tab = await browser.tab();
    tab.leave();
    await settle();
    tab.client.subscribe(() => {})(); // as a strict renderer does
    const other = await browser.tab();
    expect([browser.live.length, other.client.hearing(), tab.client.hearing()]).toEqual([1, "connecting", "when-looked-at"]);
  });

  test("that is signed out hears nothing at once, whatever another says", async () => {
    browser.session = null;
    const tab = await browser.tab();
    new Channel("cloakroom /bff").postMessage({ session: "s1", hearing: "at-once" });
    await settle();
    expect([tab.client.hearing(), tab.state.status, tab.asked]).toEqual(["when-looked-at", "signed-out", 2]);
    new Channel("cloakroom /bff").postMessage({ check: "replaced" });
    await settle();
    expect([tab.state, tab.asked]).toEqual([over(), 3]); // there was none that could have been replaced
  });

  test("of another base has a stream of its own, and hears nothing of this one", async () => {
    const [ours, theirs] = [await browser.tab(), await browser.tab({ base: "/other" })];
    expect(browser.streams.map(({ url }) => url)).toEqual(["/bff/events", "/other/events"]);
    browser.streams[0]!.say("session-ended", { reason: "admin" });
    await settle();
    expect([ours.state.status, theirs.state.status]).toEqual(["signed-out", "signed-in"]);
  });

  test("that is signed out asks when another says that a session began", async () => {
    browser.session = null;
    const [first, second] = [await browser.tab(), await browser.tab()];
    expect([first.state.status, browser.streams.length]).toEqual(["signed-out", 0]);
    browser.session = { id: "s2" };
    await second.client.check();
    await settle();
    expect(first.state).toMatchObject({ status: "signed-in", session: { id: "s2" } });
    expect(browser.live).toHaveLength(1);
  });

  test("tells the others that it signed out, while the page is left", async () => {
    const [first, second] = [await browser.tab({ navigate: () => {} }), await browser.tab()];
    browser.instead = () => json({ redirect_to: "/bff/logout/t1" });
    await first.client.logout();
    await settle();
    expect([first.state, second.state, second.asked]).toEqual([over("signed_out"), over("signed_out"), 1]);
  });

  test("tells the others what a call of its own was refused for", async () => {
    const [first, second] = [await browser.tab(), await browser.tab()];
    browser.session = null;
    browser.instead = () => {
      browser.instead = null;
      return problem(401, "session_ended", { reason: "admin" });
    };
    await failing(second.client.fetch("/api/orders"));
    await settle();
    expect(first.state).toEqual(over("admin"));
  });

  test("that was not told why takes the reason that another learns, be it later, and keeps the first", async () => {
    const [first, second] = [await browser.tab({ navigate: () => {} }), await browser.tab()];
    const slow = later();
    browser.instead = () => slow.answer;
    const left = first.client.logout();
    browser.instead = null;
    browser.session = null; // by now, and the second tab finds that out first
    await second.client.check();
    await settle();
    expect([first.state, second.state]).toEqual([over(), over()]);
    slow.give(json({ redirect_to: "/bff/logout/t1" }));
    await left;
    await settle();
    expect([first.state, second.state]).toEqual([over("signed_out"), over("signed_out")]);
    new Channel("cloakroom /bff").postMessage({ ended: "s1", reason: "admin" });
    await settle();
    expect(second.state).toEqual(over("signed_out"));
  });

  test("that leads listens on where another tab does not know why, and tells it", async () => {
    const [first, second, third] = [await browser.tab(), await browser.tab(), await browser.tab()];
    browser.session = null;
    const slow = later();
    const checked = second.client.check();
    browser.instead = () => slow.answer; // for the first, which asks as well
    await checked;
    await settle();
    expect([first.state.status, second.state, third.state, third.asked]).toEqual(["signed-in", over(), over(), 1]);
    browser.streams[0]!.say("session-ended", { reason: "provider_logout" });
    await settle();
    expect([first.state, second.state, third.state]).toEqual([over("provider_logout"), over("provider_logout"), over("provider_logout")]);
    slow.give(json({ authenticated: false }));
  });

  test("that asked for no live view opens nothing", async () => {
    await browser.tab({ live: false });
    expect([browser.streams.length, Channel.open.size]).toEqual([0, 0]);
  });

  test("says once that its session is over, and why, however often it is looked at", async () => {
    const tab = await browser.tab();
    browser.streams[0]!.say("session-ended", { reason: "admin" });
    const ends = (): unknown[] => Channel.said.filter((message) => "ended" in (message as object));
    expect(ends()).toEqual([{ ended: "s1", reason: "admin" }]);
    browser.session = null;
    tab.happens("pagehide", { persisted: true });
    tab.happens("pageshow", { persisted: true });
    await vi.advanceTimersByTimeAsync(10_000);
    tab.happens("focus");
    await settle();
    expect([tab.state, ends().length]).toEqual([over("admin"), 1]);
  });

  test("is called back when it hears in another way", async () => {
    const tabs = [await browser.tab(), await browser.tab()];
    const heard = tabs.map(({ client }) => {
      const all: string[] = [];
      client.subscribe(() => all.push(client.hearing()));
      return all;
    });
    browser.streams[0]!.begin("s1");
    await settle();
    expect(heard).toEqual([["at-once"], ["at-once"]]);
  });

  test("that closes leaves nothing behind, whatever happened before", async () => {
    const tab = await browser.tab();
    browser.session = { id: "s1", idle: 3_600 };
    browser.streams[0]!.say("session-extended");
    await settle();
    tab.close();
    await settle();
    expect([browser.live.length, Channel.open.size, vi.getTimerCount()]).toEqual([0, 0, 0]);
    const before = tab.states.length;
    tab.happens("focus");
    await vi.advanceTimersByTimeAsync(100_000_000);
    expect([tab.states.length, tab.asked]).toEqual([before, 2]);
  });
});

const refusing = (): never => {
  throw new DOMException("not for this page", "SecurityError");
};

describe("a browser", () => {
  test("without streams of events asks when the page is looked at, and knows each session", async () => {
    const tab = await browser.tab({ events: undefined });
    browser.session = { id: "s2" };
    expect(await tab.client.check()).toMatchObject({ session: { id: "s2" } });
    expect([tab.client.hearing(), Channel.open.size]).toEqual(["when-looked-at", 0]);
  });

  test.each<[string, () => void]>([
    ["without locks", () => vi.stubGlobal("navigator", {})],
    ["without channels", () => vi.stubGlobal("BroadcastChannel", undefined)],
    ["that lets no page have a channel", () => vi.stubGlobal("BroadcastChannel", refusing)],
    ["that gives no locks", () => vi.stubGlobal("navigator", { locks: { request: async () => refusing() } })],
  ])("%s asks when the page is looked at", async (_, make) => {
    make();
    const tab = await browser.tab();
    expect([tab.state.status, tab.client.hearing(), browser.streams.length]).toEqual(["signed-in", "when-looked-at", 0]);
    browser.session = null;
    await vi.advanceTimersByTimeAsync(6_000);
    tab.happens("focus");
    await settle();
    expect(tab.state.status).toBe("signed-out");
  });
});
