// @vitest-environment happy-dom
// When the hooks render, and what they hold on to.
import { act, Component, memo, type ReactElement, type ReactNode, useLayoutEffect, useState, useTransition } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createClient, type User } from "../src/index.ts";
import { CloakroomProvider, RequireSession, SignedIn, SignedOut, useClient, useRemaining, useSession, useUser } from "../src/react.tsx";
import { createFakeGateway } from "../src/testing.ts";
import { App, asked, complaints, Name, page, pages, render, settle, shown } from "./page.tsx";

pages();

describe("on a server", () => {
  test("nothing but loading is made, and the page takes it over without a word, then shows the app", async () => {
    page.gateway.signIn();
    const app = (): ReactElement => (
      <App>
        <SignedIn>in</SignedIn>
        <SignedOut>out</SignedOut>
        <RequireSession loading="…">
          <Name />
        </RequireSession>
      </App>
    );
    page.host.innerHTML = renderToString(app());
    expect(shown()).toBe("…");
    expect(page.gateway.requests).toEqual([]);
    page.observer.takeRecords();
    await page.client.check(); // the page knows more than the server did by the time it takes over
    await act(async () => {
      page.root = hydrateRoot(page.host, app());
    });
    await settle();
    expect(shown()).toBe("inHello Ada Lovelace");
    expect(page.frames.join()).not.toContain("out");
  });
});

describe("rendering", () => {
  test("is done again only where what is read has changed", async () => {
    const rendered: string[] = [];
    const Reads = ({ what }: { what: "session" | "user" | "client" | "nothing" }): null => {
      const read = { session: useSession, user: useUser, client: useClient, nothing: () => null }[what];
      read();
      rendered.push(what);
      return null;
    };
    const Children = memo(() => (["session", "user", "client", "nothing"] as const).map((what) => <Reads key={what} what={what} />));
    page.gateway.signIn();
    await page.client.check();
    page.root = createRoot(page.host);
    await render(
      <CloakroomProvider client={page.client}>
        <RequireSession>
          <Children />
        </RequireSession>
      </CloakroomProvider>,
    );
    rendered.length = 0;
    await act(async () => void (await page.client.extend())); // another idle end, the same user
    expect(new Set(rendered)).toEqual(new Set(["session"]));
    rendered.length = 0;
    page.gateway.signIn({ sub: "usr_2", name: "Grace" });
    await act(async () => void (await page.client.check()));
    expect(new Set(rendered)).toEqual(new Set(["session", "user"]));
  });

  test.each([
    ["with useUser", "one state", useUser],
    ["with a look at the client, as nobody should,", "two states", () => (useClient().getState() as { user?: User }).user],
  ])("in a transition %s shows %s", async (_, want, useIt) => {
    vi.useRealTimers(); // React yields by the real clock
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", false);
    page.gateway.signIn({ sub: "usr_1", name: "Ada" });
    await page.client.check();
    let begin = (): void => {};
    let rendered = 0;
    const Item = (): string => {
      rendered++;
      for (const until = performance.now() + 1; performance.now() < until; ) {
        // slow, so that React lets others run in the middle
      }
      return `${useIt()?.name} `;
    };
    function List(): ReactElement {
      const [length, setLength] = useState(0);
      const [, start] = useTransition();
      begin = () => start(() => setLength(60));
      return <>{Array.from({ length }, (_, at) => <Item key={at} />)}</>;
    }
    page.root = createRoot(page.host);
    page.root.render(<CloakroomProvider client={page.client}><List /></CloakroomProvider>);
    await vi.waitFor(() => expect(page.client.hearing()).toBe("at-once")); // the provider is there
    page.frames.length = 0;
    begin();
    await vi.waitFor(() => expect(rendered).toBeGreaterThan(3), { interval: 1 });
    expect(rendered).toBeLessThan(60);
    page.gateway.signIn({ sub: "usr_2", name: "Grace" });
    await vi.waitFor(() => expect(page.frames.at(-1)?.match(/Grace/g)?.length ?? 0).toBeGreaterThan(20), { timeout: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(page.frames.some((frame) => frame.includes("Ada") && frame.includes("Grace"))).toBe(want === "two states");
    page.root.unmount();
    page.root = null;
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  });

  test("lets go of the client when the last provider is gone", async () => {
    page.gateway.signIn();
    await render(<App />);
    await vi.waitFor(() => expect(page.gateway.events.open).toBe(1));
    await act(async () => page.root?.unmount());
    page.root = null;
    await settle();
    expect(page.gateway.events.open).toBe(0);
    const before = page.gateway.requests.length;
    window.dispatchEvent(new Event("focus"));
    await vi.advanceTimersByTimeAsync(7_200_000);
    expect(page.gateway.requests).toHaveLength(before);
  });

  test("keeps one stream while pages come and go", async () => {
    page.gateway.signIn();
    let turn = (): void => {};
    function Pages(): ReactElement {
      const [page, setPage] = useState(0);
      turn = () => setPage(page + 1);
      return <RequireSession key={page}>{page}</RequireSession>;
    }
    await render(<App>{<Pages />}</App>);
    await vi.waitFor(() => expect(page.gateway.events.open).toBe(1));
    for (let i = 0; i < 3; i++) {
      await act(async () => turn());
      expect(page.gateway.events.open).toBe(1);
    }
    expect(asked("/bff/session")).toBe(1);
  });

  test("under two providers follows two clients", async () => {
    const other = createFakeGateway({ base: "/other/bff", user: { sub: "usr_2", name: "Grace" } });
    page.gateway.signIn();
    other.signIn();
    const second = createClient(other.options);
    await render(
      <>
        <App />
        <App client={second} />
      </>,
    );
    expect(shown()).toBe("Hello Ada LovelaceHello Grace");
    await act(async () => other.signOut());
    await settle();
    expect(shown()).toContain("Hello Ada Lovelace");
    expect(shown()).not.toContain("Grace");
    second.close();
  });

  test("without a provider is refused, in words", async () => {
    class Catch extends Component<{ children: ReactNode }> {
      override state = { said: "" };
      static getDerivedStateFromError = (error: Error): { said: string } => ({ said: error.message });
      override render(): ReactNode {
        return this.state.said || this.props.children;
      }
    }
    complaints.mockImplementation(() => {}); // React tells the console of it, as it should
    await render(<Catch><Name /></Catch>);
    expect(shown()).toBe("There is no <CloakroomProvider> around this component");
    complaints.mockReset();
  });
});

describe("useRemaining", () => {
  const Left = (): ReactNode => {
    const left = useRemaining();
    return left === null ? "none" : `${left.idle} of ${left.session};`;
  };

  const look = (visible: boolean): Promise<void> =>
    act(async () => {
      Object.defineProperty(document, "visibilityState", { configurable: true, value: visible ? "visible" : "hidden" });
      document.dispatchEvent(new Event("visibilitychange"));
    });

  afterEach(() => look(true));

  test("tells each second once, the same to all, and rests while nobody looks", async () => {
    page.gateway = createFakeGateway({ idle: 300, absolute: 3_600 });
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, live: false });
    await page.client.check();
    await render(<App>{<><Left /><Left /></>}</App>);
    page.frames.length = 0;
    for (let i = 0; i < 30; i++) {
      await act(async () => vi.advanceTimersByTimeAsync(100));
    }
    expect(page.frames.map((frame) => frame.split(";")[0])).toEqual([298, 297, 296].map((idle) => `${idle} of ${idle + 3_300}`));
    expect(page.frames.every((frame) => new Set(frame.split(";").slice(0, 2)).size === 1)).toBe(true);
    await look(false);
    page.frames.length = 0;
    await act(async () => vi.advanceTimersByTimeAsync(60_000));
    expect(page.frames).toEqual([]);
    await look(true);
    expect(shown()).toMatch(/^236 of 3536;/);
    await act(async () => page.root?.unmount());
    page.root = null;
    await look(false);
    await look(true);
    expect(vi.getTimerCount()).toBe(0); // it is let go of in the middle of a second
  });

  test("is there in the first thing that is shown, and goes on for who stays when another goes", async () => {
    page.gateway = createFakeGateway({ idle: 300, absolute: 3_600 });
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, live: false });
    await page.client.check();
    const committed: (number | undefined)[] = [];
    let leave = (): void => {};
    const Mark = (): null => {
      const idle = useRemaining()?.idle;
      useLayoutEffect(() => void committed.push(idle), [idle]);
      return null;
    };
    function Two(): ReactElement {
      const [both, setBoth] = useState(true);
      leave = () => setBoth(false);
      return <>{both && <Left />}<Left /></>;
    }
    await render(<CloakroomProvider client={page.client}><Mark /><Two /></CloakroomProvider>);
    expect(committed[0]).toBe(300); // and never nothing
    await act(async () => leave());
    await act(async () => vi.advanceTimersByTimeAsync(2_000));
    expect(shown()).toBe("297 of 3597;");
  });

  test("tells what is left of the whole when only that is another", async () => {
    page.gateway = createFakeGateway({ idle: 300, absolute: 3_600 });
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, live: false });
    await render(<App>{<Left />}</App>);
    const idle = parseInt(shown());
    await look(false);
    await act(async () => vi.advanceTimersByTimeAsync(60_000));
    await act(async () => void (await page.client.extend()));
    await act(async () => vi.advanceTimersByTimeAsync(1_000 * (300 - idle)));
    await look(true);
    expect(shown()).toMatch(/^(\d+) of 35[34]\d;$/);
  });

  test("goes on through an outage, for the whole where the idle end has passed, and rests when that has", async () => {
    page.gateway = createFakeGateway({ idle: 100, absolute: 200 });
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, live: false });
    const read = vi.spyOn(page.client, "remaining");
    await render(<App>{<Left />}</App>);
    page.gateway.outage("network");
    await act(async () => vi.advanceTimersByTimeAsync(150_500));
    expect(shown()).toBe("0 of 49;");
    await act(async () => vi.advanceTimersByTimeAsync(60_000));
    expect(shown()).toBe("0 of 0;");
    read.mockClear();
    await act(async () => vi.advanceTimersByTimeAsync(60_000));
    expect(read.mock.calls.length).toBeLessThan(30); // for what the outage tells, and not for each second
  });

  test("follows an extension at once, is none without a session, and stands still at the end", async () => {
    page.gateway = createFakeGateway({ idle: 300 });
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, live: false });
    await render(<App>{<Left />}</App>);
    await act(async () => vi.advanceTimersByTimeAsync(100_000));
    expect(shown()).toMatch(/^199 of/);
    await act(async () => void (await page.client.extend()));
    expect(shown()).toMatch(/^(300|299) of/);
    page.gateway.signOut();
    await act(async () => void (await page.client.check()));
    expect(shown()).toBe("none");
    await act(async () => page.root?.unmount());
    page.root = null;
    expect(vi.getTimerCount()).toBe(0);
  });
});
