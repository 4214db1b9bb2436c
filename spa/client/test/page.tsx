import { act, type ReactElement, type ReactNode, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { type Client, createClient } from "../src/index.ts";
import { CloakroomProvider, RequireSession, useUser } from "../src/react.tsx";
import { createFakeGateway, type FakeGateway } from "../src/testing.ts";

/** The page of one test, and the gateway behind it. A test that needs another puts its own in place. */
export interface Page {
  gateway: FakeGateway;
  client: Client;
  root: Root | null;
  host: HTMLElement;
  /** What a user saw, one entry for each change. */
  frames: string[];
  observer: MutationObserver;
}

/** What is said to the console as an error: React's warnings, of hydration and of act. */
export const complaints = vi.spyOn(console, "error");

export const page = {} as Page;

/** What is on the page now. */
export const shown = (): string => page.host.textContent ?? "";

/** Makes a page before each test of a file, and takes it away after it: by then React must have had nothing to complain of. */
export function pages(): void {
  beforeEach(() => {
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
    vi.useFakeTimers();
    window.history.replaceState(null, "", "/orders/7");
    page.gateway = createFakeGateway();
    page.client = createClient(page.gateway.options);
    page.host = document.body.appendChild(document.createElement("div"));
    page.frames = [];
    page.observer = new MutationObserver(() => page.frames.push(shown()));
    page.observer.observe(page.host, { childList: true, subtree: true, characterData: true });
    page.root = null;
    complaints.mockClear();
  });

  afterEach(async () => {
    await act(async () => page.root?.unmount());
    page.observer.disconnect();
    page.client.close();
    page.host.remove();
    vi.useRealTimers();
    vi.unstubAllGlobals();
    expect(complaints).not.toHaveBeenCalled();
  });
}

/** Renders, and lets what follows of that come. */
export async function render(node: ReactNode): Promise<void> {
  await act(async () => {
    page.root ??= createRoot(page.host);
    page.root.render(node);
  });
  await settle();
}

/** Lets answers, and what other tabs say, arrive. */
export async function settle(): Promise<void> {
  await act(async () => {
    await vi.advanceTimersByTimeAsync(10);
  });
}

/** The app in short: what is shown to whom. */
export function App({ client, children }: { client?: Client; children?: ReactNode }): ReactElement {
  return (
    <StrictMode>
      <CloakroomProvider client={client ?? page.client}>
        {children ?? (
          <RequireSession loading="…">
            <Name />
          </RequireSession>
        )}
      </CloakroomProvider>
    </StrictMode>
  );
}

export function Name(): string {
  return `Hello ${useUser()?.name ?? "nobody"}`;
}

/** How many requests there were to a path. */
export const asked = (path: string): number => page.gateway.requests.filter((request) => new URL(request.url).pathname === path).length;
