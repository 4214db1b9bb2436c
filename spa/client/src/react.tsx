/**
 * The client in React: who is signed in as hooks, and what to show to whom as components.
 *
 * ```tsx
 * const client = createClient();
 *
 * createRoot(element).render(
 *   <CloakroomProvider client={client}>
 *     <RequireSession><App /></RequireSession>
 *   </CloakroomProvider>,
 * );
 * ```
 *
 * Nothing is shown as signed out before that is known, neither on a server nor while a page is hydrated. It takes React 18 or later.
 */
import { createContext, type ReactElement, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import type { Client, Remaining } from "./client.ts";
import type { CloakroomError } from "./error.ts";
import type { State, User } from "./state.ts";

/** What the components below one provider share. */
interface Shared {
  readonly client: Client;
  /** The same object as long as nothing about the user changes, though the client reads it anew with each answer. */
  user(): User | undefined;
  /** The same object for all who show it, until the second is over. */
  remaining(): Remaining | null;
  /** Calls back when {@link Shared.remaining} is another, while the page is visible. */
  tick(listener: () => void): () => void;
  /** Whether a visitor is to be asked rather than sent to the sign-in. */
  asks(): boolean;
  /** Calls back when {@link Shared.asks} is another. */
  onAsks(listener: () => void): () => void;
  /** Goes to the sign-in. Where that cannot be, the page stays, and asks. */
  signIn(): void;
  /** Sends a visitor to the sign-in, once. */
  leave(): void;
  /** Keeps watch while the provider is there. */
  watch(): () => void;
}

const Context = createContext<Shared | null>(null);

/**
 * Gives a client to all components below. It asks at once who is signed in, and keeps the client listening as long as it is there,
 * whatever comes and goes below. Make the client once, outside of any component.
 */
export function CloakroomProvider({ client, children }: { client: Client; children?: ReactNode }): ReactElement {
  const shared = useMemo(() => createShared(client), [client]);
  useEffect(() => shared.watch(), [shared]);
  return <Context.Provider value={shared}>{children}</Context.Provider>;
}

function useShared(): Shared {
  const shared = useContext(Context);
  if (shared === null) {
    throw new Error("There is no <CloakroomProvider> around this component");
  }
  return shared;
}

/** The client of the nearest provider. It throws where there is none. */
export function useClient(): Client {
  return useShared().client;
}

/** Who is signed in, as far as it is known. Whoever reads it is rendered again with every change of the client's state. */
export function useSession(): State {
  const { client } = useShared();
  return useSyncExternalStore(client.subscribe, client.getState, client.getServerState);
}

/** The user, also during an outage; undefined when nobody is signed in or it is not known yet. Rendered again when the user is another. */
export function useUser(): User | undefined {
  const { client, user } = useShared();
  return useSyncExternalStore(client.subscribe, user, nobody);
}

const nobody = (): undefined => undefined;

/**
 * Seconds until the ends of the session; null when there is none. Rendered again each second while the page is visible: read it in
 * a small component.
 */
export function useRemaining(): Remaining | null {
  const { tick, remaining } = useShared();
  return useSyncExternalStore(tick, remaining, nothing);
}

const nothing = (): null => null;

/** What is known of who is signed in, in one word: what the components show goes by it. */
type Presence = State["status"] | "somebody";

function usePresence(): Presence {
  const { client } = useShared();
  return useSyncExternalStore(client.subscribe, () => presenceOf(client.getState()), () => presenceOf(client.getServerState()));
}

function presenceOf(state: State): Presence {
  return userOf(state) === undefined ? state.status : "somebody";
}

/** Shows its children to whoever is signed in, also during an outage that came after the sign-in. */
export function SignedIn({ children }: { children?: ReactNode }): ReactElement | null {
  return usePresence() === "somebody" ? <>{children}</> : null;
}

/** Shows its children where it is certain that nobody is signed in. */
export function SignedOut({ children }: { children?: ReactNode }): ReactElement | null {
  return usePresence() === "signed-out" ? <>{children}</> : null;
}

/** What {@link RequireSession} shows to whom. */
export interface RequireSessionProps {
  /** For whoever is signed in, also during an outage that came after the sign-in. */
  children?: ReactNode;
  /** Until it is known, and on the way to the sign-in. Default: nothing. */
  loading?: ReactNode;
  /**
   * Where the session ended while the page was open, or a sign-in was not completed: why, as a reason of the gateway if it is
   * known, and what begins a sign-in. Default: a sentence and a button.
   */
  signedOut?: ReactNode | ((reason: string | undefined, signIn: () => void) => ReactNode);
  /** Where it cannot be told who is signed in: what is wrong, and what asks again at once. Default: a sentence and a button. */
  unavailable?: ReactNode | ((error: CloakroomError, retry: () => void) => ReactNode);
}

/**
 * Shows its children to whoever is signed in. A visitor without a session is sent to the sign-in, once, and comes back to the same
 * address. Who was signed in while this page was open, came back without a session (`login_error`) or went back in history is
 * asked instead: to be thrown out of a form is worse, and nobody is sent round in circles.
 */
export function RequireSession(props: RequireSessionProps): ReactElement {
  const { children, loading, signedOut = askToSignIn, unavailable = sayUnavailable } = props;
  const { client, asks, onAsks, signIn, leave } = useShared();
  const state = useSession();
  const asked = useSyncExternalStore(onAsks, asks, () => false);
  const is = presenceOf(state);
  const leaves = is === "signed-out" && !asked;
  useEffect(() => {
    if (leaves) {
      leave();
    }
  }, [leaves, leave]);
  if (is === "somebody") {
    return <>{children}</>;
  }
  if (state.status === "signed-out" && asked) {
    return <>{typeof signedOut === "function" ? signedOut(state.reason, signIn) : signedOut}</>;
  }
  if (state.status === "unavailable") {
    return <>{typeof unavailable === "function" ? unavailable(state.error, () => void client.check()) : unavailable}</>;
  }
  return <>{loading}</>;
}

function askToSignIn(reason: string | undefined, signIn: () => void): ReactElement {
  const ended = reason !== undefined && reason !== "signed_out";
  return (
    <div role="status">
      <p>{ended ? "Your session has ended." : "You are not signed in."}</p>
      <button type="button" onClick={signIn}>
        Sign in
      </button>
    </div>
  );
}

function sayUnavailable(error: CloakroomError, retry: () => void): ReactElement {
  return (
    <div role="status">
      <p>{unavailableText(error)}</p>
      <button type="button" onClick={retry}>
        Try again
      </button>
    </div>
  );
}

/** What is wrong. That it is tried again by itself is said only where that helps. */
function unavailableText({ code, title, status }: CloakroomError): string {
  if (code === "bad_answer") {
    return `${title}. Is this the app's own address?`; // a page that was opened at its development server's
  }
  // A refusal, but for the one of too many requests, is the same the next time: csrf_failed, misdirected, not_found.
  const stays = status >= 400 && status < 500 && status !== 429;
  return stays ? `${title}. Whoever runs this app has to look.` : "This cannot be reached right now. It is tried again by itself.";
}

function userOf(state: State): User | undefined {
  return state.status === "signed-in" || state.status === "unavailable" ? state.user : undefined;
}

function createShared(client: Client): Shared {
  const clock = createTicker(client);
  const waiting = new Set<() => void>();
  let read: User | undefined; // as the client has it
  let user: User | undefined;
  let asks = cameBack();
  let left = false;

  function ask(): void {
    asks = true;
    for (const listener of [...waiting]) {
      listener();
    }
  }

  function signIn(): void {
    client.login().catch(ask);
  }

  /** Silent: it counts when the session is over, and that is told. */
  function look(): void {
    asks ||= presenceOf(client.getState()) === "somebody";
  }

  /** A page that Back brings out of the browser's memory went to the sign-in and nowhere else. */
  function restored(event: Event): void {
    if (left && (event as PageTransitionEvent).persisted) {
      void client.check().then(ask); // first, so that whoever signed in meanwhile is not asked to
    }
  }

  return {
    client,
    ...clock,
    user() {
      const next = userOf(client.getState());
      if (next !== read) {
        read = next;
        user = JSON.stringify(next) === JSON.stringify(user) ? user : next;
      }
      return user;
    },
    asks() {
      const state = client.getState();
      return asks || (state.status === "signed-out" && state.reason !== undefined);
    },
    onAsks(listener) {
      waiting.add(listener);
      const leave = client.subscribe(listener); // a reason that is known asks as well
      return () => {
        waiting.delete(listener);
        leave();
      };
    },
    signIn,
    leave() {
      if (!left) {
        left = true;
        signIn();
      }
    },
    watch() {
      const leave = client.subscribe(look);
      globalThis.window?.addEventListener("pageshow", restored);
      look();
      return () => {
        leave();
        globalThis.window?.removeEventListener("pageshow", restored);
      };
    },
  };
}

/**
 * Whether the browser came to this page from a sign-in that failed, or by Back: then another one by itself would be a circle, or
 * hold the user. The address as it was loaded says so also where the app has tidied it since.
 */
function cameBack(): boolean {
  const loaded = globalThis.performance?.getEntriesByType?.("navigation")[0] as PerformanceNavigationTiming | undefined;
  return loaded?.type === "back_forward" || /[?&]login_error=/.test(`${loaded?.name} ${globalThis.location?.search}`);
}

/** One clock for all who show how long the session lasts, so that all show the same second. */
function createTicker(client: Client): Pick<Shared, "remaining" | "tick"> {
  const listeners = new Set<() => void>();
  let shown: Remaining | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let leave: (() => void) | undefined;

  const visible = (): boolean => globalThis.document?.visibilityState !== "hidden";

  function update(): void {
    clearTimeout(timer);
    const state = client.getState();
    const session = "session" in state ? state.session : undefined;
    if (session !== undefined && visible()) {
      // When the next second is over, and not a second from now: a timer that is late each time would skip one.
      const left = session.endsAt - performance.now(); // the idle end is whole seconds away from it
      timer = left > 0 ? setTimeout(update, (left % 1000) + 1) : undefined;
    }
    for (const listener of [...listeners]) {
      listener();
    }
  }

  return {
    remaining() {
      const next = client.remaining();
      shown = next?.session === shown?.session && next?.idle === shown?.idle ? shown : next;
      return shown;
    },
    tick(listener) {
      const own = (): void => listener();
      listeners.add(own);
      if (listeners.size === 1) {
        leave = client.subscribe(update);
        globalThis.document?.addEventListener("visibilitychange", update);
        update();
      }
      return () => {
        if (listeners.delete(own) && listeners.size === 0) {
          clearTimeout(timer);
          leave?.();
          globalThis.document?.removeEventListener("visibilitychange", update);
        }
      };
    },
  };
}
