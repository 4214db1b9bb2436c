import { describe, expect, test, vi } from "vitest";
import { type Client, type State } from "../src/index.ts";
import { browser, browsers, settle, type Tab } from "./tabs.ts";
import { problem } from "./gateway.ts";

browsers();

const ending = (state: State): string | undefined => ("ending" in state ? state.ending : undefined);

/** The changes of `ending` that a tab's listeners were told. */
const told = (tab: Tab): (string | undefined)[] => tab.states.map(ending).filter((now, i, all) => i > 0 && now !== all[i - 1]);

/** The gateway's own count of a session that is left alone: whole seconds, rounded down. */
function counts(idle: number, expiresIn = 43_200): void {
  const began = performance.now();
  const left = (whole: number): number => Math.floor(whole - (performance.now() - began) / 1000);
  browser.instead = () => {
    browser.session = { id: "s1", idle: Math.min(left(idle), left(expiresIn)), expiresIn: left(expiresIn) };
    return browser.answer();
  };
}

describe("that a session ends soon", () => {
  test.each<[string, { warn?: number }, { idle: number; expiresIn?: number }, number, "idle" | "absolute"]>([
    ["unless it is used, a minute before", {}, { idle: 1_800 }, 1_740, "idle"],
    ["in any case, a minute before", {}, { idle: 1_800, expiresIn: 600 }, 540, "absolute"],
    ["as long before as the app wants", { warn: 300 }, { idle: 1_800 }, 1_500, "idle"],
  ])("%s, is told then and once", async (_, options, { idle, expiresIn }, at, which) => {
    counts(idle, expiresIn);
    const tab = await browser.tab(options);
    await vi.advanceTimersByTimeAsync(at * 1000 - 1_100);
    expect(told(tab)).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_200);
    expect(told(tab)).toEqual([which]);
    await vi.advanceTimersByTimeAsync(30_000);
    expect([told(tab), tab.asked]).toEqual([[which], 2]);
  });

  test("is no more told once the user stays", async () => {
    counts(600);
    const tab = await browser.tab();
    await vi.advanceTimersByTimeAsync(550_000);
    expect(ending(tab.state)).toBe("idle");
    counts(600);
    await tab.client.extend();
    expect(ending(tab.state)).toBeUndefined();
    await vi.advanceTimersByTimeAsync(539_000);
    expect(told(tab)).toEqual(["idle", undefined]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(told(tab)).toEqual(["idle", undefined, "idle"]);
  });

  test("is told and taken back in all tabs, by whichever the user stays", async () => {
    counts(600);
    const [first, second] = [await browser.tab(), await browser.tab()];
    browser.live[0]!.begin("s1");
    await vi.advanceTimersByTimeAsync(550_000);
    expect([told(first), told(second)]).toEqual([["idle"], ["idle"]]);
    counts(600);
    await second.client.extend();
    browser.live[0]!.say("session-extended", { expires_in: 40_000, idle_expires_in: 600 });
    await settle();
    expect([told(first), told(second)]).toEqual([
      ["idle", undefined],
      ["idle", undefined],
    ]);
  });

  test("is not told when another tab, that this one hears nothing of, has moved the end", async () => {
    counts(600);
    const tab = await browser.tab({ live: false });
    await vi.advanceTimersByTimeAsync(300_000);
    counts(600);
    await vi.advanceTimersByTimeAsync(400_000);
    expect(told(tab)).toEqual([]);
    await vi.advanceTimersByTimeAsync(141_000);
    expect(told(tab)).toEqual(["idle"]);
  });

  test("is told through an outage as well, and stays so", async () => {
    counts(600);
    const tab = await browser.tab();
    await vi.advanceTimersByTimeAsync(100_000);
    browser.instead = () => problem(503, "store_unavailable", { retry_after: 3_000 });
    await tab.client.check();
    expect([tab.state.status, ending(tab.state)]).toEqual(["unavailable", undefined]);
    await vi.advanceTimersByTimeAsync(441_000);
    expect([tab.state.status, ending(tab.state)]).toEqual(["unavailable", "idle"]);
    expect(tab.asked).toBe(3);
  });

  test("is asked about no more often than an outage allows, also when the end has passed", async () => {
    counts(70);
    const tab = await browser.tab({ live: false });
    await vi.advanceTimersByTimeAsync(15_000);
    browser.instead = () => problem(503, "store_unavailable", { retry_after: 30 });
    await tab.client.check();
    const asked = tab.asked;
    await vi.advanceTimersByTimeAsync(201_000);
    expect([ending(tab.state), tab.asked - asked]).toEqual(["idle", 6]);
    browser.instead = null;
    browser.session = null;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(tab.state).toEqual({ status: "signed-out", reason: "idle" });
  });

  test("ends with the session", async () => {
    counts(600);
    const tab = await browser.tab();
    await vi.advanceTimersByTimeAsync(590_000);
    browser.instead = null;
    browser.session = null;
    await vi.advanceTimersByTimeAsync(12_000);
    expect(tab.state).toEqual({ status: "signed-out", reason: "idle" });
  });
});

describe("a computer that slept", () => {
  // Whether the monotonic clock goes on meanwhile is the system's own choice; the one on the wall does.
  const sleeps = (seconds: number): unknown => vi.setSystemTime(Date.now() + seconds * 1000);

  test.each(["focus", "pageshow", "online"])("asks at %s, however little of that the page's own clock has seen", async (event) => {
    const tab = await browser.tab({ live: false });
    await vi.advanceTimersByTimeAsync(1_000);
    tab.happens(event);
    await settle();
    expect(tab.asked).toBe(1);
    sleeps(7_200);
    browser.session = null;
    tab.happens(event);
    await settle();
    expect(tab.state.status).toBe("signed-out");
  });

  test("asks before it warns: the end may be over, or moved by another device of the same browser", async () => {
    counts(600);
    const tab = await browser.tab({ live: false });
    browser.instead = null;
    browser.session = null;
    await vi.advanceTimersByTimeAsync(545_000); // the timer goes off when it wakes
    expect([told(tab), tab.state.status]).toEqual([[], "signed-out"]);
  });

  test("asks although somebody has set the clock back", async () => {
    const tab = await browser.tab({ live: false });
    sleeps(-7_200);
    tab.happens("focus");
    await settle();
    expect(tab.asked).toBe(2);
  });
});

describe("a step-up that was asked for", () => {
  const stepUp = (state: State): string | undefined => ("stepUp" in state ? state.stepUp?.loginUrl : undefined);
  const refused = async (client: Client, ticket: string): Promise<void> => {
    browser.instead = () => problem(401, "insufficient_user_authentication", { max_age: 300, login_url: `/bff/login?step_up=${ticket}` });
    await expect(client.fetch("/api/refund")).rejects.toMatchObject({ code: "insufficient_user_authentication", maxAge: 300 });
    browser.instead = null;
  };

  test("is in the state, the last one, until it is dismissed", async () => {
    const tab = await browser.tab();
    await refused(tab.client, "a");
    await refused(tab.client, "b");
    expect([tab.state.status, stepUp(tab.state)]).toEqual(["signed-in", "/bff/login?step_up=b"]);
    await tab.client.check();
    expect(stepUp(tab.state)).toBe("/bff/login?step_up=b");
    tab.client.dismissStepUp();
    expect(stepUp(tab.state)).toBeUndefined();
    const before = tab.states.length;
    tab.client.dismissStepUp();
    expect(tab.states).toHaveLength(before);
  });

  test("outlives an outage, and neither another session nor a sign-out", async () => {
    const tab = await browser.tab();
    await refused(tab.client, "a");
    browser.instead = () => problem(503, "store_unavailable");
    await tab.client.check();
    expect([tab.state.status, stepUp(tab.state)]).toEqual(["unavailable", "/bff/login?step_up=a"]);
    browser.instead = null;
    browser.session = { id: "s2" };
    await tab.client.check();
    expect([tab.state.status, stepUp(tab.state)]).toEqual(["signed-in", undefined]);
    await refused(tab.client, "b");
    browser.session = null;
    await tab.client.check();
    expect(tab.state).toEqual({ status: "signed-out", reason: undefined });
  });

  test("of a session that is another by now is only the caller's", async () => {
    const tab = await browser.tab();
    browser.instead = async () => {
      browser.instead = null;
      browser.session = { id: "s2" };
      await tab.client.check();
      return problem(401, "insufficient_user_authentication", { login_url: "/bff/login?step_up=old" });
    };
    await expect(tab.client.fetch("/api/refund")).rejects.toMatchObject({ loginUrl: "/bff/login?step_up=old" });
    expect(tab.state).toMatchObject({ session: { id: "s2" } });
    expect(stepUp(tab.state)).toBeUndefined();
  });

  test("is followed only where login is told to", async () => {
    const gone: string[] = [];
    const tab = await browser.tab({ navigate: (url) => gone.push(url) });
    await refused(tab.client, "a");
    await tab.client.login({ returnTo: "/x" });
    await tab.client.login({ returnTo: "/x", stepUp: tab.state });
    tab.client.dismissStepUp();
    await tab.client.login({ returnTo: "/x", stepUp: tab.state });
    expect(gone).toEqual(["/bff/login?return_to=%2Fx", "/bff/login?step_up=a&return_to=%2Fx", "/bff/login?return_to=%2Fx"]);
  });
});
