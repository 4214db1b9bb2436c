// @vitest-environment happy-dom
// The provider and what stands around it: another client, another render, a server's page, boundaries, parts that are not shown.
import { act, Activity, Component, lazy, type ReactElement, type ReactNode, Suspense, useState } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { describe, expect, test, vi } from "vitest";
import { createClient } from "../src/index.ts";
import { RequireSession, useRemaining, useSession } from "../src/react.tsx";
import { createFakeGateway } from "../src/testing.ts";
import { App, asked, complaints, Name, page, pages, render, settle, shown } from "./page.tsx";

pages();

describe("another client takes the place of the first, as when its module is replaced while the page runs", () => {
  const next = (): Promise<void> => {
    const before = page.client;
    page.client = createClient(page.gateway.options);
    return render(<App />).then(() => before.close());
  };

  test("and all that is shown follows the new one, which has the one stream", async () => {
    page.gateway.signIn();
    await render(<App />);
    const first = page.client;
    await vi.waitFor(() => expect(first.hearing()).toBe("at-once"));
    await next();
    await vi.waitFor(() => expect(page.client.hearing()).toBe("at-once"));
    expect([shown(), page.gateway.events.open, first.hearing()]).toEqual(["Hello Ada Lovelace", 1, "when-looked-at"]);
    expect(page.frames).toEqual(["…", "Hello Ada Lovelace", "…", "Hello Ada Lovelace"]); // the new one knows nobody yet
    await act(async () => page.gateway.signOut("admin"));
    await settle();
    expect(shown()).toBe("Your session has ended.Sign in");
    expect(page.gateway.navigations).toEqual([]);
  });

  test("while both are there, and neither takes the other for news of the user", async () => {
    page.gateway.signIn();
    await render(<App />);
    const before = page.client;
    page.client = createClient(page.gateway.options);
    page.client.subscribe(() => {});
    await settle();
    const calls = asked("/bff/session");
    await vi.advanceTimersByTimeAsync(30_000);
    expect([asked("/bff/session") - calls, page.gateway.events.open, shown()]).toEqual([0, 1, "Hello Ada Lovelace"]);
    before.close();
  });

  test("and who is shown how long it lasts is shown it of the new one", async () => {
    const Left = (): ReactNode => useRemaining()?.session ?? "none";
    page.gateway.signIn();
    await render(<App>{<Left />}</App>);
    const other = createFakeGateway({ base: "/other/bff", absolute: 600 });
    other.signIn();
    const first = page.client;
    page.client = createClient(other.options);
    await render(<App>{<Left />}</App>);
    expect(shown()).toMatch(/^(600|599)$/);
    await act(async () => vi.advanceTimersByTimeAsync(2_000));
    expect(shown()).toMatch(/^(598|597)$/);
    first.close();
  });
});

describe("another render of the provider", () => {
  test("leaves the stream as it is, with nobody but the provider to listen", async () => {
    page.gateway.signIn();
    await render(<App>{<p />}</App>);
    await vi.waitFor(() => expect(page.client.hearing()).toBe("at-once"));
    const heard: string[] = [];
    page.client.subscribe(() => heard.push(page.client.hearing()))();
    const tell = vi.spyOn(page.client, "subscribe");
    await render(<App>{<b />}</App>);
    expect([tell.mock.calls, page.client.hearing(), page.gateway.events.open]).toEqual([[], "at-once", 1]);
  });

  test("sends nobody away whose session ended before it", async () => {
    page.gateway.signIn();
    page.client = createClient({ ...page.gateway.options, live: false });
    await render(<App />);
    page.gateway.signOut();
    await act(async () => void (await page.client.check())); // which does not say why
    await render(<App />);
    await settle();
    expect([shown(), page.gateway.navigations]).toEqual(["You are not signed in.Sign in", []]);
  });
});

describe("a page that a server rendered", () => {
  const recovered: unknown[] = [];
  const hydrate = async (node: ReactNode): Promise<void> => {
    recovered.length = 0;
    page.observer.takeRecords();
    await act(async () => {
      page.root = hydrateRoot(page.host, node, { onRecoverableError: (error) => recovered.push(error) });
    });
    await settle();
  };
  const Says = (): string => `${useSession().status};`;

  test.each<[string, () => unknown]>([
    ["who is signed in", () => page.gateway.signIn()],
    ["a visitor", () => {}],
    ["an outage", () => page.gateway.outage("network")],
  ])("is taken over as it is, although the client knows of %s by then", async (_, before) => {
    const app = <App>{<><Says /><RequireSession loading="…" signedOut="out" unavailable="away">in</RequireSession></>}</App>;
    page.host.innerHTML = renderToString(app);
    expect(shown()).toBe("loading;…");
    before();
    await page.client.check();
    await hydrate(app);
    expect(recovered).toEqual([]); // nor has React complained: pages() looks at that
    expect(shown()).not.toContain("loading");
  });

  test("is taken over in parts, each as it was rendered, when the session has ended between two of them", async () => {
    let arrive = (): void => {};
    const Late = lazy(() => new Promise<{ default: () => ReactElement }>((resolve) => {
      arrive = () => resolve({ default: () => <RequireSession loading="…" signedOut={(reason) => `over: ${reason}`}>in</RequireSession> });
    }));
    const at = (part: ReactElement): ReactElement => <App>{<><Says /><Suspense fallback="wait">{part}</Suspense></>}</App>;
    page.host.innerHTML = renderToString(at(<RequireSession loading="…" />));
    page.gateway.signIn();
    await hydrate(at(<Late />));
    expect(shown()).toBe("signed-in;…");
    await act(async () => page.gateway.signOut("admin"));
    await settle();
    await act(async () => arrive());
    await settle();
    expect([shown(), recovered, page.gateway.navigations]).toEqual(["signed-out;over: admin", [], []]);
  });
});

describe("a boundary around RequireSession", () => {
  class Boundary extends Component<{ children: ReactNode }> {
    override state = { broken: false };
    static getDerivedStateFromError = (): { broken: boolean } => ({ broken: true });
    override render(): ReactNode {
      return this.state.broken ? <button onClick={() => this.setState({ broken: false })}>broken</button> : this.props.children;
    }
  }

  test("that catches what breaks below lets the app go on, with the session, the stream and no sign-in", async () => {
    complaints.mockImplementation(() => {}); // React tells the console of it, as it should
    page.gateway.signIn();
    let broken = true;
    const Breaks = (): string => {
      if (broken) {
        throw new Error("of the app's own");
      }
      return Name();
    };
    await render(<App>{<Boundary><RequireSession loading="…"><Breaks /></RequireSession></Boundary>}</App>);
    expect(shown()).toBe("broken");
    broken = false;
    await act(async () => page.host.querySelector("button")?.click());
    expect(shown()).toBe("Hello Ada Lovelace");
    await vi.waitFor(() => expect(page.gateway.events.open).toBe(1));
    expect([asked("/bff/session"), page.gateway.navigations]).toEqual([1, []]);
    complaints.mockReset();
  });

  test("that catches what breaks in signedOut sends nobody anywhere", async () => {
    complaints.mockImplementation(() => {});
    page.gateway.signIn();
    await render(<App>{<Boundary><RequireSession signedOut={() => { throw new Error("of the app's own"); }}>in</RequireSession></Boundary>}</App>);
    await act(async () => page.gateway.signOut("admin"));
    await settle();
    expect([shown(), page.gateway.navigations]).toEqual(["broken", []]);
    complaints.mockReset();
  });
});

test("a part that is only prepared sends nobody to the sign-in, until it is shown", async () => {
  const gone: string[] = [];
  page.client = createClient({ ...page.gateway.options, navigate: (to) => gone.push(to) });
  let show = (): void => {};
  function Tabs(): ReactElement {
    const [visible, setVisible] = useState(false);
    show = () => setVisible(true);
    return <Activity mode={visible ? "visible" : "hidden"}><RequireSession>in</RequireSession></Activity>;
  }
  await render(<App>{<Tabs />}</App>);
  expect([page.client.getState().status, gone]).toEqual(["signed-out", []]);
  await act(async () => show());
  expect(gone).toEqual(["/bff/login?return_to=%2Forders%2F7"]);
});
