// @vitest-environment happy-dom
import { act, Component, memo, type ReactElement, type ReactNode, StrictMode, useState, useTransition } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Client, createClient, type User } from "../src/index.ts";
import { CloakroomProvider, RequireSession, SignedIn, SignedOut, useClient, useRemaining, useSession, useUser } from "../src/react.tsx";
import { createFakeGateway, type FakeGateway } from "../src/testing.ts";

let gateway: FakeGateway;
let client: Client;
let root: Root | null;
let host: HTMLElement;
let frames: string[]; // what a user saw, one entry for each change
let observer: MutationObserver;
const complaints = vi.spyOn(console, "error");

/** What is on the page now. */
const shown = (): string => host.textContent ?? "";

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.useFakeTimers();
  window.history.replaceState(null, "", "/orders/7");
  gateway = createFakeGateway();
  client = createClient(gateway.options);
  host = document.body.appendChild(document.createElement("div"));
  frames = [];
  observer = new MutationObserver(() => frames.push(shown()));
  observer.observe(host, { childList: true, subtree: true, characterData: true });
  root = null;
  complaints.mockClear();
});

afterEach(async () => {
  await act(async () => root?.unmount());
  observer.disconnect();
  client.close();
  host.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  expect(complaints).not.toHaveBeenCalled(); // React's warnings, of hydration and of act
});

/** Renders, and waits for nothing: what is seen first is seen. */
async function render(node: ReactNode): Promise<void> {
  await act(async () => {
    root ??= createRoot(host);
    root.render(node);
  });
  await settle();
}

/** Lets answers, and what other tabs say, arrive. */
async function settle(): Promise<void> {
  await act(async () => {
    await vi.advanceTimersByTimeAsync(10);
  });
}

/** The app in short: what is shown to whom. */
function App({ client: of = client, children }: { client?: Client; children?: ReactNode }): ReactElement {
  return (
    <StrictMode>
      <CloakroomProvider client={of}>
        {children ?? (
          <RequireSession loading="…">
            <Name />
          </RequireSession>
        )}
      </CloakroomProvider>
    </StrictMode>
  );
}

function Name(): string {
  return `Hello ${useUser()?.name ?? "nobody"}`;
}

const asked = (path: string): number => gateway.requests.filter((request) => new URL(request.url).pathname === path).length;

describe("what is shown", () => {
  test("to who is signed in is loading, then the app: one request, although effects run twice", async () => {
    gateway.signIn();
    await render(<App />);
    expect(frames).toEqual(["…", "Hello Ada Lovelace"]);
    expect(asked("/bff/session")).toBe(1);
    expect(gateway.navigations).toEqual([]);
  });

  test("to who is signed in and known before the first render is the app, and never loading", async () => {
    gateway.signIn();
    await client.check();
    await render(<App />);
    expect(frames).toEqual(["Hello Ada Lovelace"]);
  });

  test("to a visitor is loading, on the way to the sign-in and back, which is gone once", async () => {
    await render(<App />);
    await settle();
    expect(frames).toEqual(["…", "Hello Ada Lovelace"]);
    expect(gateway.navigations).toEqual(["/bff/login?return_to=%2Forders%2F7", "/orders/7"]);
  });

  test("to a visitor of two guarded parts, who is known as one before the first render, is one way to the sign-in", async () => {
    const gone: string[] = [];
    client = createClient({ ...gateway.options, navigate: (to) => gone.push(to) });
    await client.check();
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
    expect(frames).toEqual(["out"]);
    expect(gateway.navigations).toEqual([]);
    await act(async () => client.login());
    await settle();
    expect(frames).toEqual(["out", "in"]);
  });

  test("under a session that ends is why, and the address stays until the user signs in", async () => {
    gateway.signIn();
    await render(<App />);
    await act(async () => gateway.signOut("admin"));
    await settle();
    expect(shown()).toBe("Your session has ended.Sign in");
    expect(gateway.navigations).toEqual([]);
    await act(async () => host.querySelector("button")?.click());
    await settle();
    expect(shown()).toBe("Hello Ada Lovelace");
    expect(gateway.navigations[0]).toBe("/bff/login?return_to=%2Forders%2F7");
  });

  test("after the end of a session of which nothing else is known is asked for, too", async () => {
    gateway.signIn();
    client = createClient({ ...gateway.options, live: false });
    await render(<App>{<RequireSession signedOut={(reason) => `over: ${reason}`}>in</RequireSession>}</App>);
    gateway.signOut();
    await act(async () => void (await client.check())); // which says that nobody is signed in, and no more
    expect(shown()).toBe("over: undefined");
    expect(gateway.navigations).toEqual([]);
  });

  test("on a page that is entered after the session ended elsewhere in the app is asked for, too", async () => {
    gateway.signIn();
    let enter = (): void => {};
    function Pages(): ReactElement {
      const [inside, setInside] = useState(false);
      enter = () => setInside(true);
      return inside ? <RequireSession signedOut="ask">in</RequireSession> : <SignedIn>front</SignedIn>;
    }
    await render(<App>{<Pages />}</App>);
    expect(shown()).toBe("front");
    await act(async () => gateway.signOut());
    await act(async () => void (await client.check()));
    await act(async () => enter());
    expect(shown()).toBe("ask");
    expect(gateway.navigations).toEqual([]);
  });

  test("after a sign-in that failed is asked for: nobody goes round in circles", async () => {
    window.history.replaceState(null, "", "/orders/7?login_error=access_denied");
    await render(<App>{<RequireSession loading="…" signedOut={(_, signIn) => <button onClick={signIn}>again</button>} />}</App>);
    window.history.replaceState(null, "", "/orders/7"); // the app has read the error, and tidied
    await act(async () => void (await client.check()));
    expect(frames).toEqual(["…", "again"]);
    expect(gateway.navigations).toEqual([]);
    await act(async () => host.querySelector("button")?.click());
    expect(gateway.navigations).toHaveLength(2);
  });

  test.each([
    ["was loaded with login_error, read by the app before the first render", { type: "navigate", name: "http://localhost:3000/?a=1&login_error=x" }],
    ["was entered by Back", { type: "back_forward", name: "http://localhost:3000/" }],
  ])("on a page that %s is asked for", async (_, loaded) => {
    vi.spyOn(performance, "getEntriesByType").mockReturnValue([loaded as unknown as PerformanceEntry]);
    await render(<App />);
    expect(shown()).toBe("You are not signed in.Sign in");
    expect(gateway.navigations).toEqual([]);
    vi.mocked(performance.getEntriesByType).mockRestore();
  });

  test("to who comes back from the sign-in by Back, to the page as it was, is asked for", async () => {
    client = createClient({ ...gateway.options, navigate: (to) => gone.push(to) });
    const gone: string[] = [];
    await render(<App />);
    expect([shown(), gone]).toEqual(["…", ["/bff/login?return_to=%2Forders%2F7"]]);
    await act(async () => window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true })));
    await settle();
    expect(frames).toEqual(["…", "You are not signed in.Sign in"]);
    expect(gone).toHaveLength(1);
  });

  test("to who cannot be sent to the sign-in is the way there", async () => {
    client = createClient({ ...gateway.options, navigate: () => { throw new Error("blocked"); } });
    await render(<App />);
    expect(shown()).toBe("You are not signed in.Sign in");
  });

  test("in an outage to who was signed in before is the app, as it was", async () => {
    gateway.signIn();
    await render(<App>{<RequireSession><Draft /></RequireSession>}</App>);
    await act(async () => host.querySelector("button")?.click());
    gateway.outage("store_unavailable");
    await act(async () => void (await client.check()));
    expect(client.getState().status).toBe("unavailable");
    gateway.outage(null);
    await act(async () => void (await client.check()));
    expect(frames).toEqual(["0 of Ada Lovelace", "1 of Ada Lovelace"]);
  });

  test("in an outage that is there first is that it cannot be told, and the app once it can", async () => {
    gateway.signIn();
    gateway.outage("network");
    await render(<App />);
    expect(shown()).toContain("cannot be reached");
    gateway.outage(null);
    await act(async () => host.querySelector("button")?.click());
    await settle();
    expect(shown()).toBe("Hello Ada Lovelace");
    expect(gateway.navigations).toEqual([]);
  });

  test("is what the app says of an outage", async () => {
    gateway.outage("network");
    await render(<App>{<RequireSession unavailable={(error) => error.code} />}</App>);
    expect(shown()).toBe("network");
  });
});

/** Something a user would not like to lose. */
function Draft(): ReactElement {
  const [count, setCount] = useState(0);
  return <button onClick={() => setCount(count + 1)}>{`${count} of ${useUser()?.name}`}</button>;
}

describe("on a server", () => {
  test("nothing but loading is made, and the page takes it over without a word, then shows the app", async () => {
    gateway.signIn();
    const page = (): ReactElement => (
      <App>
        <SignedIn>in</SignedIn>
        <SignedOut>out</SignedOut>
        <RequireSession loading="…">
          <Name />
        </RequireSession>
      </App>
    );
    host.innerHTML = renderToString(page());
    expect(shown()).toBe("…");
    expect(gateway.requests).toEqual([]);
    observer.takeRecords();
    await client.check(); // the page knows more than the server did by the time it takes over
    await act(async () => {
      root = hydrateRoot(host, page());
    });
    await settle();
    expect(shown()).toBe("inHello Ada Lovelace");
    expect(frames.join()).not.toContain("out");
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
    gateway.signIn();
    await client.check();
    root = createRoot(host);
    await render(
      <CloakroomProvider client={client}>
        <RequireSession>
          <Children />
        </RequireSession>
      </CloakroomProvider>,
    );
    rendered.length = 0;
    await act(async () => void (await client.extend())); // another idle end, the same user
    expect(new Set(rendered)).toEqual(new Set(["session"]));
    rendered.length = 0;
    gateway.signIn({ sub: "usr_2", name: "Grace" });
    await act(async () => void (await client.check()));
    expect(new Set(rendered)).toEqual(new Set(["session", "user"]));
  });

  test.each([
    ["with useUser shows", useUser, "one state"],
    ["with a look at the client, as nobody should, shows", () => (useClient().getState() as { user?: User }).user, "two states"],
  ])("in a transition %s %s", async (_, useIt, want) => {
    vi.useRealTimers(); // React yields by the real clock
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", false);
    gateway.signIn({ sub: "usr_1", name: "Ada" });
    await client.check();
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
    root = createRoot(host);
    root.render(<CloakroomProvider client={client}><List /></CloakroomProvider>);
    await vi.waitFor(() => expect(client.hearing()).toBe("at-once")); // the provider is there
    frames.length = 0;
    begin();
    await vi.waitFor(() => expect(rendered).toBeGreaterThan(3), { interval: 1 });
    expect(rendered).toBeLessThan(60);
    gateway.signIn({ sub: "usr_2", name: "Grace" });
    await vi.waitFor(() => expect(frames.at(-1)?.match(/Grace/g)?.length ?? 0).toBeGreaterThan(20), { timeout: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(frames.some((frame) => frame.includes("Ada") && frame.includes("Grace"))).toBe(want === "two states");
    root.unmount();
    root = null;
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  });

  test("lets go of the client when the last provider is gone", async () => {
    gateway.signIn();
    await render(<App />);
    await vi.waitFor(() => expect(gateway.events.open).toBe(1));
    await act(async () => root?.unmount());
    root = null;
    await settle();
    expect(gateway.events.open).toBe(0);
    const before = gateway.requests.length;
    window.dispatchEvent(new Event("focus"));
    await vi.advanceTimersByTimeAsync(7_200_000);
    expect(gateway.requests).toHaveLength(before);
  });

  test("keeps one stream while pages come and go", async () => {
    gateway.signIn();
    let turn = (): void => {};
    function Pages(): ReactElement {
      const [page, setPage] = useState(0);
      turn = () => setPage(page + 1);
      return <RequireSession key={page}>{page}</RequireSession>;
    }
    await render(<App>{<Pages />}</App>);
    await vi.waitFor(() => expect(gateway.events.open).toBe(1));
    const opened = vi.spyOn(gateway.events, "open", "get");
    for (let i = 0; i < 3; i++) {
      await act(async () => turn());
      expect(gateway.events.open).toBe(1);
    }
    opened.mockRestore();
    expect(asked("/bff/session")).toBe(1);
  });

  test("under two providers follows two clients", async () => {
    const other = createFakeGateway({ base: "/other/bff", user: { sub: "usr_2", name: "Grace" } });
    gateway.signIn();
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
    gateway = createFakeGateway({ idle: 300, absolute: 3_600 });
    gateway.signIn();
    client = createClient({ ...gateway.options, live: false });
    await client.check();
    await render(<App>{<><Left /><Left /></>}</App>);
    frames.length = 0;
    for (let i = 0; i < 30; i++) {
      await act(async () => vi.advanceTimersByTimeAsync(100));
    }
    expect(frames.map((frame) => frame.split(";")[0])).toEqual([298, 297, 296].map((idle) => `${idle} of ${idle + 3_300}`));
    expect(frames.every((frame) => new Set(frame.split(";").slice(0, 2)).size === 1)).toBe(true);
    await look(false);
    frames.length = 0;
    await act(async () => vi.advanceTimersByTimeAsync(60_000));
    expect(frames).toEqual([]);
    await look(true);
    expect(shown()).toMatch(/^236 of 3536;/);
    await act(async () => root?.unmount());
    root = null;
    expect(vi.getTimerCount()).toBe(0); // it is let go of in the middle of a second
  });

  test("follows an extension at once, is none without a session, and stands still at the end", async () => {
    gateway = createFakeGateway({ idle: 300 });
    gateway.signIn();
    client = createClient({ ...gateway.options, live: false });
    await render(<App>{<Left />}</App>);
    await act(async () => vi.advanceTimersByTimeAsync(100_000));
    expect(shown()).toMatch(/^199 of/);
    await act(async () => void (await client.extend()));
    expect(shown()).toMatch(/^(300|299) of/);
    gateway.signOut();
    await act(async () => void (await client.check()));
    expect(shown()).toBe("none");
    await act(async () => root?.unmount());
    root = null;
    expect(vi.getTimerCount()).toBe(0);
  });
});
