import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Client, createClient, CloakroomError } from "../src/index.ts";
import { Browser } from "./tabs.ts";
import { failing, Gateway, json, problem, signedIn } from "./gateway.ts";

// The page is at www, its gateway at app: another origin of the same site.
const page = "https://www.example.com";
const base = "https://app.example.com/bff";
const gone: string[] = [];
let gateway: Gateway;
let client: Client;

beforeEach(() => {
  gone.length = 0;
  vi.stubGlobal("location", { origin: page, href: `${page}/orders/7?tab=a#top` });
  gateway = new Gateway();
  client = createClient({ base, fetch: gateway.fetch, navigate: (url) => gone.push(url) });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Where everything was sent, and how. */
const sent = vi.fn(async (..._: Parameters<typeof fetch>) => signedIn());

describe("a gateway at another origin", () => {
  test("is asked with its cookies, and follows no redirect", async () => {
    sent.mockClear();
    const split = createClient({ base: `${base}/`, fetch: sent });
    expect(await split.check()).toMatchObject({ status: "signed-in" });
    await split.fetch("/api/orders");
    await split.fetch("api/orders", { mode: "no-cors", credentials: "omit", redirect: "follow" });
    await split.fetch(new URL("https://app.example.com/api/orders"));
    expect(sent.mock.calls.map(([url]) => url)).toEqual([`${base}/session`, ...Array(3).fill("https://app.example.com/api/orders")]);
    for (const [, init] of sent.mock.calls) {
      expect(init).toMatchObject({ mode: "cors", credentials: "include", redirect: "error" });
      expect(new Headers(init?.headers).get("X-CSRF")).toBe("1");
    }
  });

  test.each([
    `${page}/api/orders`,
    "https://evil.example/",
    "//evil.example/api",
    "http://app.example.com/api",
    "https://app.example.com:8443/api",
    "https://app.example.com.evil.example/",
    "https://app.example.com@evil.example/",
    new Request(`${page}/api`),
  ])("makes %s a foreign address: nothing is sent", async (input) => {
    expect((await failing(client.fetch(input))).code).toBe("foreign_url");
    expect(gateway.asked).toEqual([]);
  });

  test.each([
    [undefined, `${page}/orders/7?tab=a#top`],
    ["/cart", `${page}/cart`],
    [`${page}/cart?a=b`, `${page}/cart?a=b`],
  ])("signs in, and comes back from %s to this page's origin", async (returnTo, back) => {
    await client.login({ returnTo, prompt: "login", params: { login_hint: "ada" } });
    const url = new URL(gone[0]!);
    expect(url.origin + url.pathname).toBe(`${base}/login`);
    expect(Object.fromEntries(url.searchParams)).toEqual({ return_to: back, prompt: "login", login_hint: "ada" });
  });

  test("signs in for a step-up by the address that it gave", async () => {
    gateway.will(problem(401, "insufficient_user_authentication", { login_url: "/bff/login?step_up=t" }));
    await client.login({ stepUp: await failing(client.fetch("/api/refund")), returnTo: "/" });
    expect(gone).toEqual([`${base}/login?step_up=t&return_to=${encodeURIComponent(`${page}/`)}`]);
  });

  test.each([`${page}/bff/login`, "https://evil.example/bff/login", "/elsewhere"])("never signs in at %s", async (loginUrl) => {
    const stepUp = new CloakroomError({ code: "insufficient_user_authentication", title: "", status: 401, detail: "", loginUrl });
    expect((await failing(client.login({ stepUp }))).code).toBe("foreign_url");
    expect(gone).toEqual([]);
  });

  test.each([`${base}/logout/t1`, "/bff/logout/t1"])("signs out by %s", async (to) => {
    gateway.will(json({ redirect_to: to }));
    await client.logout();
    expect(gone).toEqual([`${base}/logout/t1`]);
  });

  test.each([`${page}/`, "https://evil.example/", "javascript:alert(1)", "http://[", 7])("never leaves for %s", async (to) => {
    gateway.will(json({ redirect_to: to }));
    expect((await failing(client.logout())).code).toBe("bad_answer");
    expect(gone).toEqual([]);
  });

  test("is listened to with its cookies", async () => {
    vi.useFakeTimers();
    const browser = new Browser();
    vi.stubGlobal("location", { origin: page, href: `${page}/` });
    await browser.tab({ base });
    expect(browser.streams.map(({ url, init }) => [url, init.withCredentials])).toEqual([[`${base}/events`, true]]);
  });
});

test("a whole address of the page's own origin is no other origin", async () => {
  sent.mockClear();
  vi.stubGlobal("location", { origin: "https://app.example.com", href: "https://app.example.com/a?b#c" });
  const own = createClient({ base, fetch: sent, navigate: (url) => gone.push(url) });
  await own.check();
  expect(sent.mock.calls[0]?.[1]).toMatchObject({ mode: "same-origin", credentials: "same-origin" });
  await own.login({ params: { return_to: "/evil", organization_id: "org_1" } });
  expect(gone).toEqual(["/bff/login?return_to=%2Fa%3Fb%23c&organization_id=org_1"]);
});
