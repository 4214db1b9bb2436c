import { afterEach, beforeEach, vi } from "vitest";
import { type Client, createClient } from "../src/index.ts";
import { Gateway, origin, signedIn } from "./gateway.ts";

/** The document of the page, as far as the client looks at it. */
export const page = Object.assign(new EventTarget(), { visibilityState: "visible" });

/** Where the page went. */
export const gone: string[] = [];

/** What answers the page of this test. */
export let gateway: Gateway;

/** The page's client. */
export let client: Client;

/** Visits the app before each test of a file, with one page that nobody is signed in at yet. */
export function visits(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    gone.length = 0;
    const assign = (to: string): unknown => gone.push(to);
    vi.stubGlobal("location", { origin, href: `${origin}/orders/7?tab=a`, pathname: "/orders/7", search: "?tab=a", assign });
    vi.stubGlobal("window", new EventTarget());
    vi.stubGlobal("document", page);
    gateway = new Gateway();
    client = createClient({ fetch: gateway.fetch });
  });

  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
}

/** Brings the client to a session. */
export async function enter(): Promise<void> {
  gateway.will(signedIn());
  await client.check();
}
