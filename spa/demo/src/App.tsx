import { useState } from "react";
import { CloakroomError, type State, takeLoginError, type User } from "@cloakroom/client";
import { RequireSession, SignedIn, useSession, useUser } from "@cloakroom/client/react";
import { AccountPage } from "./AccountPage.tsx";
import { type Place, placeOf, usePath } from "./address.tsx";
import { Ending } from "./Ending.tsx";
import { ExportPage } from "./ExportPage.tsx";
import { client } from "./gateway.ts";
import { Footer, Header } from "./Header.tsx";
import { Notice } from "./Notice.tsx";
import { OrderPage } from "./OrderPage.tsx";
import { OrdersPage } from "./OrdersPage.tsx";
import { OutageNotice, OutagePage } from "./Outage.tsx";
import { Over } from "./Over.tsx";
import { Overview } from "./Overview.tsx";
import { useFocusOnMove, useLeaving, useTitle } from "./page.ts";
import { Unknown } from "./Unknown.tsx";
import { Welcome } from "./Welcome.tsx";
import { callFailed, loginFailed, titled, titleOf } from "./words.ts";

const loginError = takeLoginError(); // once, before anything is drawn: a reload must not tell it again

/** The whole page: what stands around it, and in the middle what fits to who is signed in. */
export function App() {
  const state = useSession();
  const user = useUser();
  const place = placeOf(usePath());
  const out = useSignOut();
  const over = useOver(state);
  const visitor = state.status === "signed-out" && !over;
  useTitle(over ? titled("Signed out") : titleOf(user === undefined ? { page: "overview" } : place));
  useFocusOnMove(state.status === "loading" ? null : user === undefined ? state.status : JSON.stringify(place));
  return (
    <>
      <a className="skip" href="#main" onClick={(e) => (e.preventDefault(), document.getElementById("main")?.focus())}>
        Skip to the content
      </a>
      <Header user={user} place={place} leaving={out.leaving} onLeave={out.leave} />
      <main id="main" tabIndex={-1} aria-busy={state.status === "loading"}>
        {state.status !== "loading" && <LoginError />}
        {visitor ? (
          <Welcome place={place} /> // without it a visitor would be sent on to the sign-in at once
        ) : (
          <RequireSession
            loading={<h1 className="asking slow">Asking the gateway who is signed in…</h1>}
            signedOut={(reason) => (out.leaving ? <p className="waiting">Signing you out…</p> : <Over reason={reason} place={place} />)}
            unavailable={<OutagePage />}
          >
            {user !== undefined && <Page place={place} user={user} />}
          </RequireSession>
        )}
        <SignedIn>
          <Messages failed={out.failed} onDismiss={out.dismiss} onLeave={out.leave} />
        </SignedIn>
      </main>
      <Footer known={user !== undefined} />
    </>
  );
}

/** The page that the address asks for, of a user who is known. */
function Page({ place, user }: { place: Place; user: User }) {
  switch (place.page) {
    case "overview":
      return <Overview user={user} />;
    case "orders":
      return <OrdersPage />;
    case "order":
      return <OrderPage key={place.id} id={place.id} />;
    case "export":
      return <ExportPage />;
    case "account":
      return <AccountPage user={user} />;
    case "unknown":
      return <Unknown />;
  }
}

/** What comes while a page is used. It floats above the page, so that nothing moves from under a finger. */
function Messages({ failed, onDismiss, onLeave }: { failed: string | null; onDismiss: () => void; onLeave: () => void }) {
  const state = useSession();
  const ending = "ending" in state ? state.ending : undefined;
  return (
    <div className="float">
      <OutageNotice />
      {failed !== null && (
        <Notice tone="bad" title="You are not signed out" actions={<button onClick={onDismiss}>Dismiss</button>}>
          {failed}
        </Notice>
      )}
      {ending !== undefined && <Ending key={ending} ending={ending} onLeave={onLeave} />}
    </div>
  );
}

/** Why the sign-in failed that this page comes back from. */
function LoginError() {
  const [refused, setRefused] = useState(loginError);
  if (refused === null) {
    return null;
  }
  const { title, text } = loginFailed(refused);
  return (
    <Notice tone="bad" title={title} actions={<button onClick={() => setRefused(null)}>Dismiss</button>}>
      {text}
    </Notice>
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

/** Whether a session is over that was there: that is news, and a visitor's page would not tell it. */
function useOver(state: State): boolean {
  const [had, setHad] = useState(false);
  if (!had && state.status === "signed-in") {
    setHad(true);
  }
  return state.status === "signed-out" && (had || state.reason !== undefined);
}
