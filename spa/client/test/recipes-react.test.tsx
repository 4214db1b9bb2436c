// @vitest-environment happy-dom
// @vitest-environment-options { "url": "https://app.example.com/orders" }

// The recipes of the documentation that are components, and what is shown of a query, rendered as they stand there.
import { QueryClientProvider, type QueryClient, useQuery } from "@tanstack/react-query";
import { act, type ComponentType, type ReactElement, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CloakroomProvider } from "../src/react.tsx";
import { type Client, createClient } from "../src/index.ts";
import { createFakeGateway, type FakeGateway } from "../src/testing.ts";
import { shown } from "./docs.ts";

async function recipe<T>(name: string): Promise<T> {
  return (await import(/* @vite-ignore */ shown("browser", name))) as T;
}

let gateway: FakeGateway;
let client: Client;
let root: Root;
let page: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  gateway = createFakeGateway({ idle: 120 });
  vi.stubGlobal("fetch", gateway.options.fetch);
  vi.stubGlobal("EventSource", undefined); // of the page's own client nothing but its requests is of interest here
  client = createClient(gateway.options);
  page = document.body.appendChild(document.createElement("main"));
  root = createRoot(page);
});

afterEach(async () => {
  await act(async () => root.unmount());
  client.close();
  page.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const render = (children: ReactNode): Promise<void> => act(async () => root.render(children));

async function press(name: string): Promise<void> {
  const button = [...page.querySelectorAll("button")].find((one) => one.textContent === name);
  await act(async () => button?.click());
}

test("what is on the page of one user's is gone when another signs in", async () => {
  gateway.signIn({ sub: "ada" });
  gateway.route("GET /api/whose", () => ({ whose: signedIn }));
  let signedIn = "ada";
  const own = (await recipe<{ client: Client }>("client.ts")).client;
  await own.check(); // before the queries are loaded, as where a part of the app is loaded late
  const { queries, getJSON } = await recipe<{ queries: QueryClient; getJSON: (path: string) => Promise<{ whose: string }> }>("query.ts");
  function Whose(): ReactElement {
    return <p>{useQuery({ queryKey: ["whose"], queryFn: () => getJSON("/api/whose") }, queries).data?.whose}</p>;
  }
  await render(<QueryClientProvider client={queries}><Whose /></QueryClientProvider>);
  await vi.waitFor(() => act(async () => expect(page.textContent).toBe("ada")));
  signedIn = "bo";
  gateway.signIn({ sub: "bo" });
  await act(async () => void (await own.check()));
  await vi.waitFor(() => act(async () => expect(page.textContent).toBe("bo")));
  own.close();
});

test("the dialog comes a minute before the idle end, counts, and goes when the user stays", async () => {
  vi.useFakeTimers();
  gateway.signIn();
  const { Ending } = await recipe<{ Ending: ComponentType }>("Ending.tsx");
  await render(<CloakroomProvider client={client}><Ending /></CloakroomProvider>);
  const dialog = page.querySelector("dialog");
  await act(async () => void (await vi.advanceTimersByTimeAsync(55_000)));
  expect(dialog?.open).toBe(false);
  await act(async () => void (await vi.advanceTimersByTimeAsync(10_000)));
  expect(dialog?.open).toBe(true);
  expect(dialog?.textContent).toMatch(/5[3-6] seconds/);
  await press("Stay signed in");
  expect(dialog?.open).toBe(false);
});

test("a step-up is asked for until it is dismissed", async () => {
  gateway.signIn();
  gateway.route("POST /api/refunds", () => ({}));
  gateway.stepUp("POST /api/refunds", { maxAge: 300 });
  const { StepUp } = await recipe<{ StepUp: ComponentType }>("StepUp.tsx");
  await render(<CloakroomProvider client={client}><StepUp /></CloakroomProvider>);
  const refund = (): Promise<unknown> => act(() => client.fetch("/api/refunds", { method: "POST" }).catch((error: unknown) => error));
  expect(await refund()).toMatchObject({ code: "insufficient_user_authentication" });
  await press("Not now");
  expect(page.textContent).toBe("");
  await refund();
  await press("Sign in again");
  expect(gateway.navigations[0]).toContain("step_up=");
});
