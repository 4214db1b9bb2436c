import { describe, expect, test, vi } from "vitest";
import { later, problem } from "./gateway.ts";
import { browser, browsers, over, settle } from "./tabs.ts";

browsers();

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
