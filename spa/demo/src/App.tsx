import { useEffect, useRef, useState } from "react";
import { CloakroomError, type State } from "@cloakroom/client";
import { Announcer } from "./Announcer.tsx";
import { placeOf, takeLoginError, usePath } from "./address.tsx";
import { client, useLeaving, useSession } from "./gateway.ts";
import { Header } from "./Header.tsx";
import { Notice } from "./Notice.tsx";
import { OrderPage, OrdersPage } from "./OrdersPage.tsx";
import { Outage } from "./Outage.tsx";
import { Over } from "./Over.tsx";
import { Overview } from "./Overview.tsx";
import { Unknown } from "./Unknown.tsx";
import { Welcome } from "./Welcome.tsx";
import { callFailed, loginFailed } from "./words.ts";

const loginError = takeLoginError(); // once, before anything is drawn: a reload must not tell it again

/** The whole page. */
export function App() {
  const state = useSession();
  const path = usePath();
  const [refused, setRefused] = useState(loginError);
  const out = useSignOut();
  const main = useRef<HTMLElement>(null);
  const had = useHadSession(state);
  const known = state.status === "signed-in" || (state.status === "unavailable" && state.user !== undefined);
  useFocusOnMove(main, `${known ? path : state.status === "signed-out"}`, state.status !== "loading");
  useTitle(known ? path : null, had && state.status === "signed-out");
  return (
    <Announcer>
      <a className="skip" href="#main" onClick={(e) => (e.preventDefault(), main.current?.focus())}>
        Skip to the content
      </a>
      <Header state={state} path={path} leaving={out.leaving} onLeave={out.leave} />
      <main id="main" ref={main} tabIndex={-1} aria-busy={state.status === "loading"}>
        {refused !== null && state.status !== "loading" && (
          <Notice tone="bad" title={loginFailed(refused).title} actions={<button onClick={() => setRefused(null)}>Dismiss</button>}>
            {loginFailed(refused).text}
          </Notice>
        )}
        {out.failed !== null && known && (
          <Notice tone="bad" title="You are not signed out" actions={<button onClick={out.dismiss}>Dismiss</button>}>
            {out.failed}
          </Notice>
        )}
        {state.status === "signed-out" && !out.leaving && (had || state.reason !== undefined) && (
          <Over reason={state.reason} />
        )}
        {state.status === "unavailable" && <Outage error={state.error} retryAt={state.retryAt} signedIn={known} />}
        {out.leaving && state.status === "signed-out" ? <p className="waiting">Signing you out…</p> : <View state={state} path={path} />}
      </main>
      <footer>
        <p>A demo of Cloakroom. The one cookie of this page is your session, and no script can read it.</p>
      </footer>
    </Announcer>
  );
}

/** Signing out: on the way, and why it did not work. */
function useSignOut() {
  const [leaving, setLeaving] = useLeaving();
  const [failed, setFailed] = useState<string | null>(null);
  const leave = async (): Promise<void> => {
    setLeaving(true);
    setFailed(null);
    try {
      await client.logout(); // the page is on its way out, and says no more
    } catch (error) {
      setLeaving(false);
      setFailed(error instanceof CloakroomError ? callFailed(error).text : "That did not work.");
    }
  };
  return { leaving, failed, leave: () => void leave(), dismiss: () => setFailed(null) };
}

function View({ state, path }: { state: State; path: string }) {
  if (state.status === "loading") {
    return <p className="waiting">Asking the gateway who is signed in…</p>;
  }
  const place = placeOf(path);
  if (state.status === "signed-out") {
    return <Welcome place={place} />;
  }
  if (state.user === undefined || state.session === undefined) {
    return null; // the notice above says all there is
  }
  switch (place.page) {
    case "overview":
      return <Overview user={state.user} />;
    case "orders":
      return <OrdersPage />;
    case "order":
      return <OrderPage id={place.id} />;
    case "unknown":
      return <Unknown />;
  }
}

/** Whether this page has seen a session: then "signed out" is news. */
function useHadSession(state: State): boolean {
  const [had, setHad] = useState(false);
  if (!had && state.status === "signed-in") {
    setHad(true);
  }
  return had;
}

/** Names the window after what it shows; null is a visitor's view. A tab that nobody looks at tells by its name that it is over. */
function useTitle(path: string | null, over: boolean): void {
  useEffect(() => {
    const place = path === null ? null : placeOf(path);
    const title = over ? "Signed out" : place?.page === "orders" ? "Orders" : place?.page === "order" ? `Order ${place.id}` : place?.page === "unknown" ? "Nothing here" : null;
    document.title = title === null ? "Cloakroom demo" : `${title} · Cloakroom demo`;
  }, [path, over]);
}

/** Moves the focus to the heading when another view takes the page, so that keyboard and screen reader start there. */
function useFocusOnMove(main: React.RefObject<HTMLElement | null>, view: string, settled: boolean): void {
  const last = useRef<string>(null);
  useEffect(() => {
    if (!settled) {
      return;
    }
    if (last.current !== null && last.current !== view) {
      main.current?.querySelector<HTMLElement>("h1")?.focus();
    }
    last.current = view;
  }, [main, view, settled]);
}
