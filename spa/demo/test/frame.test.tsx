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

const heading = (): string => document.querySelector("main h1")?.textContent ?? "";
const text = (): string => document.body.textContent ?? "";
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
});

test("a first visit in an outage says so, offers no sign-in, and goes on when it is over", async () => {
  gateway.signIn({ sub: "usr_1", name: "Ada Lovelace" });
  gateway.outage("store_unavailable");
  await open("/orders");
  expect(heading()).toBe("We cannot reach the session store");
  expect(button("Sign in")).toBeUndefined();
  gateway.outage(null);
  await click("Try now");
  await until(() => expect(heading()).toBe("Orders"));
});
