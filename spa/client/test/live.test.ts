import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Browser, Channel, passes, settle, type Tab } from "./tabs.ts";
import { failing, json, later, problem } from "./gateway.ts";

let browser: Browser;

beforeEach(() => {
  vi.useFakeTimers();
  browser = new Browser();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const over = (reason?: string) => ({ status: "signed-out", reason });

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

describe("the stream", () => {
  test.each(["{}", "no JSON", '{"reason":7}', "[]", "null"])("that ends a session by %s ends it without a reason", async (data) => {
    const tab = await browser.tab();
    browser.streams[0]!.say("session-ended", data);
    expect(tab.state).toEqual(over());
  });

  test("is not believed when it is no longer the page's", async () => {
    const tab = await browser.tab();
    browser.session = { id: "s2" };
    await tab.client.check();
    expect(browser.streams.map(({ readyState }) => readyState)).toEqual([2, 0]);
    browser.streams[0]!.say("session-ended", { reason: "replaced" });
    expect(tab.state).toMatchObject({ status: "signed-in", session: { id: "s2" } });
  });

  test("is not believed after it was closed, nor when it names nobody", async () => {
    const tab = await browser.tab();
    browser.streams[0]!.say("session", "{}");
    browser.streams[0]!.say("session", { session: { id: ["s9"] } });
    await settle();
    expect(tab.asked).toBe(1);
    browser.instead = () => later().answer;
    browser.streams[0]!.say("session-replaced");
    browser.streams[0]!.say("session-ended", { reason: "replaced" }); // by the session that there is no more
    await settle();
    expect(tab.state.status).toBe("signed-in");
    const other = await browser.tab({ base: "/other", fetch: async () => browser.answer() });
    browser.live[0]!.say("session", "{}");
    browser.live[0]!.say("session-ended", { reason: "admin" });
    expect(other.state).toEqual(over("admin")); // the one that it was opened with
  });

  test("that breaks is left to the browser, and asks for nothing unless the session is another by then", async () => {
    const tab = await browser.tab();
    browser.streams[0]!.begin("s1");
    browser.streams[0]!.readyState = 0;
    browser.streams[0]!.say("error");
    expect([tab.client.hearing(), browser.streams.length]).toEqual(["connecting", 1]);
    browser.streams[0]!.begin("s1");
    await settle();
    expect([tab.client.hearing(), tab.asked]).toEqual(["at-once", 1]);
    browser.session = { id: "s2" };
    browser.streams[0]!.begin("s2");
    await settle();
    expect(tab.state).toMatchObject({ session: { id: "s2" } });
    expect(browser.streams).toHaveLength(1); // it is about the new one by now
  });

  test("that is refused to a live session is tried again after half a minute, once", async () => {
    const tab = await browser.tab();
    browser.streams[0]!.refuse();
    await settle();
    expect([tab.state.status, tab.client.hearing(), tab.asked]).toEqual(["signed-in", "when-looked-at", 2]);
    await vi.advanceTimersByTimeAsync(14_000);
    await tab.client.check();
    expect(browser.streams).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(17_000);
    expect([browser.streams.length, tab.client.hearing()]).toEqual([2, "connecting"]);
    browser.streams[1]!.begin("s1");
    await vi.advanceTimersByTimeAsync(60_000);
    expect([browser.streams.length, tab.client.hearing()]).toEqual([2, "at-once"]);
  });

  test("that is refused during an outage signs nobody out", async () => {
    const tab = await browser.tab();
    browser.instead = () => problem(503, "store_unavailable");
    browser.streams[0]!.refuse();
    await settle();
    expect(tab.state).toMatchObject({ status: "unavailable", session: { id: "s1" } });
    browser.instead = null;
    await vi.advanceTimersByTimeAsync(31_000);
    expect([tab.state.status, browser.live.length]).toEqual(["signed-in", 1]);
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
