// @vitest-environment happy-dom
// What the components show to whom, from the first moment on.
import { act, type ReactElement, useLayoutEffect, useState } from "react";
import { describe, expect, test, vi } from "vitest";
import { createClient } from "../src/index.ts";
import { CloakroomProvider, RequireSession, SignedIn, SignedOut, useUser } from "../src/react.tsx";
import { problem } from "./gateway.ts";
import { App, asked, page, pages, render, settle, shown } from "./page.tsx";

pages();

describe("what is shown", () => {
  test("to who is signed in is loading, then the app: one request, although effects run twice", async () => {
    page.gateway.signIn();
    await render(<App />);
    expect(page.frames).toEqual(["…", "Hello Ada Lovelace"]);
    expect(asked("/bff/session")).toBe(1);
    expect(page.gateway.navigations).toEqual([]);
  });

  test("to who is signed in and known before the first render is the app, and never loading", async () => {
    page.gateway.signIn();
    await page.client.check();
    await render(<App />);
    expect(page.frames).toEqual(["Hello Ada Lovelace"]);
  });

  test("to a visitor is loading, on the way to the sign-in and back, which is gone once", async () => {
    await render(<App />);
    await settle();
    expect(page.frames).toEqual(["…", "Hello Ada Lovelace"]);
    expect(page.gateway.navigations).toEqual(["/bff/login?return_to=%2Forders%2F7", "/orders/7"]);
  });

  test.each<[string, () => void, string[]]>([
    ["who is signed in", () => page.gateway.signIn(), ["loading", "in"]],
    ["a visitor", () => {}, ["loading", "nobody", "in"]], // by way of the sign-in
    ["who comes back refused", () => window.history.replaceState(null, "", "/?login_error=x"), ["loading", "nobody", "signed out"]],
    ["who comes in an outage", () => page.gateway.outage("network"), ["loading", "unavailable"]],
  ])("to %s is committed without anything else in between, be it for a moment that nobody could see", async (_, before, want) => {
    const committed: string[] = [];
    const Mark = ({ is }: { is: string }): null => {
      useLayoutEffect(() => void committed.push(is), [is]);
      return null;
    };
    before();
    await render(
      <CloakroomProvider client={page.client}>
        <SignedOut>
          <Mark is="nobody" />
        </SignedOut>
        <RequireSession loading={<Mark is="loading" />} signedOut={<Mark is="signed out" />} unavailable={<Mark is="unavailable" />}>
          <Mark is="in" />
        </RequireSession>
      </CloakroomProvider>,
    );
    expect(committed).toEqual(want);
  });

  test("to a visitor of two guarded parts, who is known as one before the first render, is one way to the sign-in", async () => {
    const gone: string[] = [];
    page.client = createClient({ ...page.gateway.options, navigate: (to) => gone.push(to) });
    await page.client.check();
    await render(<App>{<><RequireSession>a</RequireSession><RequireSession loading="…">b</RequireSession></>}</App>);
    expect([shown(), gone]).toEqual(["…", ["/bff/login?return_to=%2Forders%2F7"]]);
  });

  test("to a visitor of a page for everybody is the way in, and nobody is sent anywhere", async () => {
    await render(
      <App>
        <SignedIn>in</SignedIn>
        <SignedOut>out</SignedOut>
      </App>,
    );
    expect(page.frames).toEqual(["out"]);
    expect(page.gateway.navigations).toEqual([]);
    await act(async () => page.client.login());
    await settle();
    expect(page.frames).toEqual(["out", "in"]);
  });

  test("under a session that ends is why, and the address stays until the user signs in", async () => {
    page.gateway.signIn();
    await render(<App />);
    await act(async () => page.gateway.signOut("admin"));
    await settle();
    expect(shown()).toBe("Your session has ended.Sign in");
    expect(page.gateway.navigations).toEqual([]);
    await act(async () => page.host.querySelector("button")?.click());
    await settle();
    expect(shown()).toBe("Hello Ada Lovelace");
    expect(page.gateway.navigations[0]).toBe("/bff/login?return_to=%2Forders%2F7");
  });

  test("after the end of a session of which nothing else is known is asked for, too", async () => {
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, live: false });
    await render(<App>{<RequireSession signedOut={(reason) => `over: ${reason}`}>in</RequireSession>}</App>);
    page.gateway.signOut();
    await act(async () => void (await page.client.check())); // which says that nobody is signed in, and no more
    expect(shown()).toBe("over: undefined");
    expect(page.gateway.navigations).toEqual([]);
  });

  test.each<[string, () => unknown]>([
    ["in another tab", () => page.gateway.signOut()],
    ["here, and is on the way out", () => page.client.logout()],
  ])("to who signed out %s is no talk of an end", async (_, leave) => {
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, navigate: () => {} });
    await render(<App />);
    await act(async () => leave());
    await settle();
    expect(shown()).toBe("You are not signed in.Sign in");
  });

  test.each<[string, boolean, string]>([
    ["before the first render, and why is known", true, "over: admin"],
    ["after it, and why is not known", false, "over: undefined"],
  ])("where a session that was known before the first render ended %s, is asked for, too", async (_, before, want) => {
    page.gateway.route("GET /api/orders", () => []);
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, live: false });
    await page.client.check();
    if (before) {
      page.gateway.signOut("admin");
      await page.client.fetch("/api/orders").catch(() => {});
    }
    await render(<App>{<RequireSession signedOut={(reason) => `over: ${reason}`}>in</RequireSession>}</App>);
    page.gateway.signOut("admin");
    await act(async () => void (await page.client.check()));
    expect([shown(), page.gateway.navigations]).toEqual([want, []]);
  });

  test("on a page that is entered after the session ended elsewhere in the app is asked for, too", async () => {
    page.gateway.signIn();
    let enter = (): void => {};
    function Pages(): ReactElement {
      const [inside, setInside] = useState(false);
      enter = () => setInside(true);
      return inside ? <RequireSession signedOut="ask">in</RequireSession> : <SignedIn>front</SignedIn>;
    }
    await render(<App>{<Pages />}</App>);
    expect(shown()).toBe("front");
    await act(async () => page.gateway.signOut());
    await act(async () => void (await page.client.check()));
    await act(async () => enter());
    expect(shown()).toBe("ask");
    expect(page.gateway.navigations).toEqual([]);
  });

  test("after a sign-in that failed is asked for: nobody goes round in circles", async () => {
    window.history.replaceState(null, "", "/orders/7?login_error=access_denied");
    await render(<App>{<RequireSession loading="…" signedOut={(_, signIn) => <button onClick={signIn}>again</button>} />}</App>);
    window.history.replaceState(null, "", "/orders/7"); // the app has read the error, and tidied
    await act(async () => void (await page.client.check()));
    expect(page.frames).toEqual(["…", "again"]);
    expect(page.gateway.navigations).toEqual([]);
    await act(async () => page.host.querySelector("button")?.click());
    expect(page.gateway.navigations).toHaveLength(2);
  });

  test.each([
    [
      "was loaded with login_error, read by the app before the first render",
      { type: "navigate", name: "http://localhost:3000/?a=1&login_error=x" },
    ],
    ["was entered by Back", { type: "back_forward", name: "http://localhost:3000/" }],
  ])("on a page that %s is asked for", async (_, loaded) => {
    vi.spyOn(performance, "getEntriesByType").mockReturnValue([loaded as unknown as PerformanceEntry]);
    await render(<App />);
    expect(shown()).toBe("You are not signed in.Sign in");
    expect(page.gateway.navigations).toEqual([]);
    vi.mocked(performance.getEntriesByType).mockRestore();
  });

  test("to who comes back from the sign-in by Back, to the page as it was, is asked for", async () => {
    page.client = createClient({ ...page.gateway.options, navigate: (to) => gone.push(to) });
    const gone: string[] = [];
    await render(<App />);
    expect([shown(), gone]).toEqual(["…", ["/bff/login?return_to=%2Forders%2F7"]]);
    await act(async () => window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false })));
    await settle();
    expect(shown()).toBe("…"); // that page was loaded: it is on its way
    await act(async () => window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true })));
    await settle();
    expect(page.frames).toEqual(["…", "You are not signed in.Sign in"]);
    expect(gone).toHaveLength(1);
  });

  test("to who comes back when the provider is gone is nothing of ours, and nobody asks", async () => {
    page.client = createClient({ ...page.gateway.options, navigate: () => {} });
    await render(<App />);
    await render(<p>another page</p>);
    await act(async () => window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true })));
    await settle();
    expect(asked("/bff/session")).toBe(1);
  });

  test("to who comes back by Back to a page that sent them nowhere is the way to the sign-in, once a page is entered that wants it", async () => {
    let enter = (): void => {};
    const gone: string[] = [];
    page.client = createClient({ ...page.gateway.options, navigate: (to) => gone.push(to) });
    function Pages(): ReactElement {
      const [inside, setInside] = useState(false);
      enter = () => setInside(true);
      return inside ? <RequireSession loading="…" /> : <SignedOut>front</SignedOut>;
    }
    await render(<App>{<Pages />}</App>);
    await act(async () => window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true })));
    await settle();
    await act(async () => enter());
    expect([page.frames, gone]).toEqual([["front", "…"], ["/bff/login?return_to=%2Forders%2F7"]]);
  });

  test("to who cannot be sent to the sign-in is the way there", async () => {
    page.client = createClient({ ...page.gateway.options, navigate: () => { throw new Error("blocked"); } });
    await render(<App />);
    expect(shown()).toBe("You are not signed in.Sign in");
    await act(async () => page.host.querySelector("button")?.click()); // an error that nobody handles would fail the test
    expect(shown()).toBe("You are not signed in.Sign in");
  });

  test("in an outage to who was signed in before is the app, as it was", async () => {
    page.gateway.signIn();
    await render(<App>{<RequireSession><Draft /></RequireSession>}</App>);
    await act(async () => page.host.querySelector("button")?.click());
    page.gateway.outage("store_unavailable");
    await act(async () => void (await page.client.check()));
    expect(page.client.getState().status).toBe("unavailable");
    page.gateway.outage(null);
    await act(async () => void (await page.client.check()));
    expect(page.frames).toEqual(["0 of Ada Lovelace", "1 of Ada Lovelace"]);
  });

  test("in an outage that is there first is that it cannot be told, and the app once it can", async () => {
    page.gateway.signIn();
    page.gateway.outage("network");
    await render(<App />);
    expect(shown()).toContain("cannot be reached");
    page.gateway.outage(null);
    await act(async () => page.host.querySelector("button")?.click());
    await settle();
    expect(shown()).toBe("Hello Ada Lovelace");
    expect(page.gateway.navigations).toEqual([]);
  });

  test("at an address that is not the gateway's is that, and no promise that it passes", async () => {
    const client = createClient({ ...page.gateway.options, fetch: async () => new Response("<!doctype html>") });
    await render(<CloakroomProvider client={client}><RequireSession /></CloakroomProvider>);
    await settle();
    expect(shown()).toBe("/bff/session is not answered by the gateway. Is this the app's own address?Try again");
    client.close();
  });

  const passes = "This cannot be reached right now. It is tried again by itself.";
  test.each([
    ["csrf_failed", 403, "csrf_failed. Whoever runs this app has to look."],
    ["misdirected", 421, "misdirected. Whoever runs this app has to look."],
    ["rate_limited", 429, passes],
    ["internal", 500, passes],
    ["store_unavailable", 503, passes],
  ])("with %s (%i) says that it is tried again only where that helps", async (code, status, says) => {
    const client = createClient({ ...page.gateway.options, fetch: async () => problem(status, code) });
    await render(<CloakroomProvider client={client}><RequireSession /></CloakroomProvider>);
    await settle();
    expect(shown()).toBe(`${says}Try again`);
    client.close();
  });

  test("is what the app says of an outage", async () => {
    page.gateway.outage("network");
    await render(<App>{<RequireSession unavailable={(error) => error.code} />}</App>);
    expect(shown()).toBe("network");
  });
});

/** Something a user would not like to lose. */
function Draft(): ReactElement {
  const [count, setCount] = useState(0);
  return <button onClick={() => setCount(count + 1)}>{`${count} of ${useUser()?.name}`}</button>;
}
