// @vitest-environment happy-dom
import { act, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Client } from "@cloakroom/client";
import { CloakroomProvider } from "@cloakroom/client/react";
import type { FakeGateway } from "@cloakroom/client/testing";
import { Announcer } from "../src/Announcer.tsx";
import { client as made } from "../src/gateway.ts";
import { OrderPage } from "../src/OrderPage.tsx";
import { OrdersPage } from "../src/OrdersPage.tsx";
import type { Order } from "../src/orders.ts";
import { Shop, useExport, useFeed } from "../src/Shop.tsx";

// The one client of the page is one of a fake gateway's.
const { gateway } = await vi.hoisted(async () => {
  const { createFakeGateway } = await import("@cloakroom/client/testing");
  return { gateway: createFakeGateway() as FakeGateway };
});
vi.mock("../src/gateway.ts", async () => {
  const { createClient } = await import("@cloakroom/client");
  return { client: createClient(gateway.options) };
});
const client: Client = made;

/** WebSockets and event streams to the API: the fake gateway has none, so they say what the test wants. */
class Wire {
  static all: Wire[] = [];
  readyState = 1;
  listeners = new Map<string, (event: unknown) => void>();
  constructor(readonly url: string) {
    Wire.all.push(this);
  }
  addEventListener(event: string, listener: (event: unknown) => void): void {
    this.listeners.set(event, listener);
  }
  close(): void {
    this.readyState = 2;
  }
  static open(url: string): Wire[] {
    return Wire.all.filter((wire) => wire.url === url && wire.readyState === 1);
  }
}

const realTimeout = globalThis.setTimeout;

let root: Root;
let host: HTMLElement;
let orders: Record<string, Order[]>;
let who: string; // is signed in, as the API sees it
let answered: Promise<void>; // holds the API's answers back
const feed = "/api/orders/feed";
const stream = "/api/orders/export";
const order = (id: string, item: string): Order => ({ id, item, quantity: 1, placed_at: "2026-01-02T12:00:00Z", status: "placed" });
/** Lets answers arrive, which takes real turns of the event loop, and what waits for a moment run. */
const settle = (): Promise<void> =>
  act(async () => {
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => realTimeout(resolve, 5));
      await vi.advanceTimersByTimeAsync(20);
    }
  });
const shown = (): string => host.textContent ?? "";
async function press(name: string): Promise<void> {
  await act(async () => [...host.querySelectorAll("button")].find((button) => button.textContent === name)!.click());
  await settle();
}

async function signIn(sub: string, ago = 0): Promise<void> {
  who = sub;
  await act(async () => {
    gateway.signIn({ sub }, { ago });
    await client.check();
  });
  await settle();
}

async function show(page: React.ReactNode): Promise<void> {
  await act(async () =>
    root.render(
      <StrictMode>
        <CloakroomProvider client={client}>
          <Shop>
            <Announcer>{page}</Announcer>
          </Shop>
        </CloakroomProvider>
      </StrictMode>,
    ),
  );
  await settle();
}

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Wire);
  vi.stubGlobal("EventSource", Wire);
  // As in a browser, "close" is told a moment later, and not in the middle of it.
  vi.spyOn(HTMLDialogElement.prototype, "close").mockImplementation(function (this: HTMLDialogElement) {
    this.removeAttribute("open");
    queueMicrotask(() => this.dispatchEvent(new Event("close")));
  });
  Wire.all = [];
  sessionStorage.clear();
  orders = { usr_1001: [order("ord_1", "Ada’s coat")], usr_1002: [order("ord_2", "Grace’s hat")] };
  answered = Promise.resolve();
  gateway.route("GET /api/orders", async () => {
    const mine = orders[who]!;
    await answered;
    return { orders: mine };
  });
  host = document.body.appendChild(document.createElement("div"));
  root = createRoot(host);
});

afterEach(async () => {
  await act(async () => root.unmount());
  host.remove();
  gateway.signOut();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Begins an export as the page does. */
function Beginning() {
  const { start, status } = useExport();
  return <button onClick={start}>{status}</button>;
}

function Feeling() {
  const { status, entries } = useFeed();
  return (
    <p>
      feed: {status}, {entries.length} told
    </p>
  );
}

test("with a user goes all that was read for them, and what listens for them", async () => {
  await signIn("usr_1001");
  await show(
    <>
      <OrdersPage />
      <Beginning />
      <Feeling />
    </>,
  );
  expect(shown()).toContain("Ada’s coat");
  await press("idle");
  await act(async () => {
    Wire.open(feed)[0]!.listeners.get("message")!({ data: '{"event":"hello"}' });
    Wire.open(feed)[0]!.listeners.get("message")!({ data: JSON.stringify({ event: "placed", order: order("ord_1", "Ada’s coat") }) });
  });
  expect([shown().includes("feed: live, 1 told"), Wire.open(feed).length, Wire.open(stream).length]).toEqual([true, 1, 1]);

  await act(async () => {
    gateway.signOut();
    await client.check();
  });
  await settle();
  expect([Wire.open(feed).length, Wire.open(stream).length]).toEqual([0, 0]);
  expect(shown()).not.toContain("Ada’s coat");
  expect(shown()).toContain("idlefeed: connecting, 0 told");

  let arrive = (): void => {};
  answered = new Promise((resolve) => (arrive = resolve));
  await signIn("usr_1002");
  expect(shown()).not.toContain("Ada’s coat"); // not even while the API has not answered
  await act(async () => arrive());
  await settle();
  expect(shown()).toContain("Grace’s hat");
  expect(Wire.open(feed).length).toBe(1);

  answered = new Promise(() => {});
  await signIn("usr_1001"); // again: nothing was kept for them
  expect(shown()).not.toContain("coat");
});

test("what the feed says is in the list, whatever page shows it", async () => {
  await signIn("usr_1001");
  await show(<OrdersPage />);
  const say = async (message: unknown): Promise<void> => {
    Wire.open(feed)[0]!.listeners.get("message")!({ data: JSON.stringify(message) });
    await settle();
  };
  await say({ event: "shipped", order: { ...order("ord_1", "Ada’s coat"), status: "shipped" } });
  await say({ event: "placed", order: order("ord_3", "Umbrella") });
  expect([...host.querySelectorAll("ul.orders li")].map((li) => li.querySelector(".item")!.textContent + " " + li.querySelector(".status")!.textContent)).toEqual([
    "Umbrella placed",
    "Ada’s coat shipped",
  ]);
});

test("a refund that wants a newer sign-in is begun, waits for it, and is made by one click", async () => {
  let refunds = 0;
  gateway.route("POST /api/orders/{id}/refund", () => {
    refunds++;
    return { ...order("ord_1", "Ada’s coat"), status: "refunded" };
  });
  await signIn("usr_1001", 3600);
  gateway.stepUp("POST /api/orders/{id}/refund", { maxAge: 300 });
  await show(<OrderPage id="ord_1" />);
  await press("Refund");
  expect(host.querySelector("dialog")!.textContent).toContain("For a refund the API wants a sign-in of the last five minutes.");
  await press("Not now");
  const state = client.getState();
  expect([host.querySelector("dialog"), "stepUp" in state ? state.stepUp : undefined]).toEqual([null, undefined]);
  expect(sessionStorage.length).toBe(0); // given up

  await press("Refund");
  await press("Sign in again");
  await settle();
  expect(gateway.navigations.at(-2)).toMatch(/^\/bff\/login\?step_up=/); // and then back

  await act(async () => root.unmount()); // the page that comes back is another
  root = createRoot(host);
  await act(async () => void (await client.check()));
  await show(<OrderPage id="ord_1" />);
  expect(shown()).toContain("Refund ord_1 is ready to confirm.");
  expect(document.activeElement?.textContent).toBe("Refund");
  expect([refunds, sessionStorage.length]).toEqual([0, 0]);
  await press("Refund");
  expect([refunds, shown().includes("on its way back")]).toEqual([1, true]);
});

test("a list that cannot be read is said to be so, and is read when it can be", async () => {
  await signIn("usr_1001");
  gateway.route("GET /api/orders", () => Response.json({ error: "broken" }, { status: 500 }));
  await show(<OrdersPage />);
  expect(shown()).toContain("The API refuses. It answers 500.");
  gateway.route("GET /api/orders", () => ({ orders: orders[who] }));
  await press("Try again");
  expect(shown()).toContain("Ada’s coat");
});
