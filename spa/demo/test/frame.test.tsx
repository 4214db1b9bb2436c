// @vitest-environment happy-dom
import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createClient } from "@cloakroom/client";
import { createFakeGateway, type FakeGateway } from "@cloakroom/client/testing";

/** The feed of the shop is not what is looked at here: it connects to nothing. */
class Nowhere extends EventTarget {
  close(): void {}
}

let gateway: FakeGateway;
let root: Root;
let client: ReturnType<typeof createClient>;

/** Opens the app at an address as a browser does: everything is loaded anew. */
async function open(path: string): Promise<void> {
  window.history.replaceState(null, "", path);
  vi.resetModules();
  vi.doMock("../src/gateway.ts", () => ({ client }));
  const { CloakroomProvider } = await import("@cloakroom/client/react");
  const [{ App }, { Announcer }, { Shop }] = await Promise.all([import("../src/App.tsx"), import("../src/Announcer.tsx"), import("../src/Shop.tsx")]);
  document.body.innerHTML = '<div id="root"></div>';
  root = createRoot(document.getElementById("root")!);
  await act(async () =>
    root.render(
      <CloakroomProvider client={client}>
        <Shop>
          <Announcer>
            <App />
          </Announcer>
        </Shop>
      </CloakroomProvider>,
    ),
  );
  await until(() => expect(heading()).not.toBe(""));
}

/** Waits until what is expected holds: answers are on their way. */
const until = (holds: () => void): Promise<void> =>
  vi.waitFor(async () => {
    await act(async () => {});
    holds();
  }, 10_000);

const click = (name: string): Promise<void> => act(async () => button(name)!.click());

const alerts = (): string => [...document.querySelectorAll("main [role=alert]")].map((one) => one.textContent).join();
const heading = (): string => document.querySelector("main h1")?.textContent ?? "";
const text = (): string => document.body.textContent ?? "";
const said = (): string => document.querySelector("[aria-live=polite]")?.textContent ?? "";
const button = (name: string): HTMLButtonElement | undefined => [...document.querySelectorAll<HTMLButtonElement>("main button")].find((one) => one.textContent === name);

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.stubGlobal("WebSocket", Nowhere);
  gateway = createFakeGateway();
  gateway.route("GET /api/orders", () => ({ orders: [] }));
  client = createClient(gateway.options);
});

afterEach(async () => {
  await act(async () => root.unmount());
  client.close();
  vi.unstubAllGlobals();
});

describe("a visitor", () => {
  test("is told what this is, and comes back from the sign-in to where it began", async () => {
    await open("/orders/ord_0007");
    expect(heading()).toContain("Keep their tokens out of the browser");
    expect(gateway.navigations).toEqual([]); // nobody is sent to a sign-in without a click
    await click("Sign in");
    expect(gateway.navigations[0]).toContain(`return_to=${encodeURIComponent("/orders/ord_0007")}`);
  });

  test("who cannot be sent to the sign-in is told so, and may try again", async () => {
    await open("/orders");
    const login = vi.spyOn(client, "login").mockRejectedValueOnce(new Error("blocked"));
    await click("Sign in");
    expect([alerts(), button("Sign in")?.disabled]).toEqual(["This page cannot go to the sign-in. Reload it, and try again.", false]);
    await click("Sign in");
    expect([alerts(), login.mock.calls.length, gateway.navigations.length > 0]).toEqual(["", 2, true]);
  });

  test("who comes back from a sign-in that failed is told once", async () => {
    await open("/orders?from=mail&login_error=access_denied");
    expect(text()).toContain("You did not sign in");
    expect(location.pathname + location.search).toBe("/orders?from=mail");
  });
});

describe("a user", () => {
  beforeEach(async () => {
    gateway.signIn({ sub: "usr_1", name: "Ada Lovelace" });
    await open("/orders");
  });

  test("sees the page that the address asks for, and its name in the window's title", () => {
    expect([heading(), document.title]).toEqual(["Orders", "Orders · Cloakroom Coats"]);
  });

  test.each([
    ["signed_out", "You have signed out"],
    ["admin", "An administrator has signed you out"],
    ["limit", "You have signed in elsewhere"],
    ["refresh_rejected", "Your sign-in was withdrawn"],
  ])("whose session ends by %s is told why, and the way on leads back here", async (reason, title) => {
    await act(async () => gateway.signOut(reason));
    await until(() => expect([heading(), document.title]).toEqual([title, "Signed out · Cloakroom Coats"]));
    expect(text()).not.toContain("Lovelace");
    expect(document.querySelector("[aria-live=polite]")?.textContent).toContain(title);
    expect(gateway.navigations).toEqual([]); // to be thrown out of a page is worse than to be asked
    await click("Sign in");
    expect(gateway.navigations[0]).toContain(`return_to=${encodeURIComponent("/orders")}`);
  });

  test("whose session is over, and who cannot be sent to the sign-in, is told so", async () => {
    await act(async () => gateway.signOut("admin"));
    await until(() => expect(button("Sign in")).toBeDefined());
    vi.spyOn(client, "login").mockRejectedValueOnce(new Error("blocked"));
    await click("Sign in");
    expect([alerts(), button("Sign in")?.disabled]).toEqual(["This page cannot go to the sign-in. Reload it, and try again.", false]);
  });

  test("whom the gateway refuses to tell anything is told that it takes somebody to mend it", async () => {
    const problem = { type: "urn:cloakroom:problem:csrf_failed", code: "csrf_failed", title: "Request refused", status: 403 };
    client.close();
    const refusing = async (): Promise<Response> => Response.json(problem, { status: 403, headers: { "Content-Type": "application/problem+json" } });
    client = createClient({ ...gateway.options, fetch: refusing });
    await act(async () => root.unmount());
    await open("/orders");
    expect(heading()).toBe("The gateway takes this page for somebody else’s");
    expect(text()).toContain("Whoever runs this service has to look; signing in anew would not help.");
    expect(text()).not.toContain("goes on by itself");
  });

  test("who is in an outage keeps the page, and is offered no sign-in", async () => {
    gateway.outage("store_unavailable");
    await act(async () => void (await client.check()));
    expect(heading()).toBe("Orders");
    expect(document.querySelector(".float")?.textContent).toContain("We cannot reach the session store.");
    expect(button("Sign in")).toBeUndefined();
    gateway.outage(null);
    await act(async () => void (await client.check()));
    expect(document.querySelector(".float")?.textContent).toBe("");
  });

  test("hears aloud of an outage, once, and that it is over", async () => {
    expect(said()).toBe("");
    gateway.outage("store_unavailable");
    await act(async () => void (await client.check()));
    expect(said()).toBe("We cannot reach the session store. You are still signed in. What you see may be out of date; it goes on by itself.");
    const told = document.querySelector("[aria-live=polite]")!.firstChild;
    await act(async () => void (await client.check()));
    expect(document.querySelector("[aria-live=polite]")!.firstChild).toBe(told); // another would be read out again
    gateway.outage(null);
    await act(async () => void (await client.check()));
    expect(said()).toBe("It works again.");
  });

  test("without a network is told so before anything was asked, and that there is nothing to try", async () => {
    const online = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    await act(async () => window.dispatchEvent(new Event("offline")));
    expect([document.querySelector(".float")?.textContent?.includes("You are offline."), button("Try now")]).toEqual([true, undefined]);
    gateway.outage("network");
    await act(async () => void (await client.check()));
    expect([document.querySelector(".float")?.textContent?.includes("You are offline."), button("Try now") === undefined]).toEqual([true, false]);
    online.mockRestore();
    await act(async () => window.dispatchEvent(new Event("online")));
    gateway.outage(null);
    await click("Try now");
    await until(() => expect(document.querySelector(".float")?.textContent).toBe(""));
  });
});

describe("a session that ends soon", () => {
  let later: number; // seconds, on the gateway's clock
  const dialog = (): string => document.querySelector("dialog")?.textContent ?? "";
  const begin = async (limits: { idle?: number; absolute?: number }): Promise<void> => {
    later = 0;
    gateway = createFakeGateway({ ...limits, now: () => Date.now() + later * 1000 });
    gateway.route("GET /api/orders", () => ({ orders: [] }));
    client = createClient(gateway.options);
    gateway.signIn({ sub: "usr_1", name: "Ada Lovelace" });
    await open("/orders");
    expect(dialog()).toBe("");
    later = 3_555;
    await act(async () => void (await client.check()));
  };

  beforeEach(() => {
    // As in a browser, "close" is told a moment later, and not in the middle of it.
    vi.spyOn(HTMLDialogElement.prototype, "close").mockImplementation(function (this: HTMLDialogElement) {
      this.removeAttribute("open");
      queueMicrotask(() => this.dispatchEvent(new Event("close")));
    });
  });

  afterEach(() => void vi.restoreAllMocks());

  test("because nobody uses it is kept by a click, or by none where that does not work", async () => {
    await begin({ idle: 3_600 });
    expect(dialog()).toMatch(/^Your session ends in 0:4[2-5]Nobody has used it for a while/);
    expect(dialog()).toContain("Stay signed inSign out");
    expect(document.querySelector("dialog [role=alert]")).toBeNull();
    const { CloakroomError } = await import("@cloakroom/client"); // the one that this page has loaded
    const problem = new CloakroomError({ code: "unheard_of", title: "Not now", status: 503, detail: "In the gateway's words." });
    const extend = vi.spyOn(client, "extend").mockRejectedValueOnce(problem);
    await click("Stay signed in");
    expect(document.querySelector("dialog [role=alert]")?.textContent).toBe("In the gateway's words.");
    extend.mockRejectedValueOnce(new Error("of another kind"));
    await click("Stay signed in");
    expect(document.querySelector("dialog [role=alert]")?.textContent).toBe("That did not work.");
    await click("Stay signed in");
    await until(() => expect([dialog(), said()]).toEqual(["", "You stay signed in."]));
    expect(gateway.navigations).toEqual([]);
  });

  test("says nothing more while it is asked to stay, and takes back what it said", async () => {
    await begin({ idle: 3_600 });
    let refuse = (_: Error): void => {};
    vi.spyOn(client, "extend").mockImplementation(() => new Promise((_, reject) => (refuse = reject)));
    await click("Stay signed in");
    expect(button("Stay signed in")?.getAttribute("aria-disabled")).toBe("true");
    await act(async () => refuse(new Error("no")));
    expect([button("Stay signed in")?.getAttribute("aria-disabled"), dialog().includes("That did not work.")]).toEqual(["false", true]);
    await click("Stay signed in");
    expect(dialog()).not.toContain("That did not work.");
  });

  test("is a notice where its user closed the warning, and can still be kept", async () => {
    await begin({ idle: 3_600 });
    await act(async () => document.querySelector("dialog")!.close());
    expect([dialog(), document.querySelector(".float")?.textContent?.startsWith("Your session ends in 0:4")]).toEqual(["", true]);
    vi.spyOn(client, "extend").mockRejectedValueOnce(new Error("of another kind"));
    await click("Stay signed in");
    expect(document.querySelector(".float")?.textContent).toContain("That did not work.");
    await click("Stay signed in");
    await until(() => expect(document.querySelector(".float")?.textContent).toBe(""));
  });

  test("because nobody uses it can be ended at once", async () => {
    await begin({ idle: 3_600 });
    await click("Sign out");
    await until(() => expect(gateway.navigations[0]).toMatch(/\/bff\/logout\//));
  });

  test("whatever is done can be left to end, or begun anew from where it was", async () => {
    await begin({ absolute: 3_600, idle: 86_400 });
    expect(dialog()).toMatch(/^Your session ends in 0:4[2-5]It has lasted as long as it may/);
    expect([button("Stay signed in"), button("Sign out")]).toEqual([undefined, undefined]);
    const login = vi.spyOn(client, "login").mockRejectedValueOnce(new Error("blocked"));
    await click("Sign in again");
    expect(document.querySelector("dialog [role=alert]")?.textContent).toMatch(/^This page cannot go to the sign-in/);
    login.mockRestore();
    await click("Not now");
    expect([dialog(), document.querySelector(".float")?.textContent?.startsWith("Your session ends in 0:4")]).toEqual(["", true]);
    await click("Sign in again");
    expect(gateway.navigations[0]).toBe("/bff/login?return_to=%2Forders");
  });
});

test("a first visit in an outage says so, offers no sign-in, and goes on when it is over", async () => {
  gateway.signIn({ sub: "usr_1", name: "Ada Lovelace" });
  gateway.outage("store_unavailable");
  await open("/orders");
  expect(heading()).toBe("We cannot reach the session store");
  expect(text()).toMatch(/Trying again in [12] sRequest \w{8}/); // for whoever runs the gateway
  expect(button("Sign in")).toBeUndefined();
  gateway.outage(null);
  await click("Try now");
  await until(() => expect(heading()).toBe("Orders"));
});

test("a first visit without any answer names no request", async () => {
  gateway.outage("network");
  await open("/orders");
  expect([heading(), text().includes("Request")]).toEqual(["We cannot reach the gateway", false]);
});
