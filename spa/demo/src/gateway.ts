import { useEffect, useState, useSyncExternalStore } from "react";
import { createClient, type Remaining, type State } from "@cloakroom/client";
import { follow, type Hearing } from "./live.ts";

/** The one client of this page. */
export const client = createClient();

/** What the gateway says of the session unasked. */
const live = follow(client);

/** Who is signed in. */
export function useSession(): State {
  return useSyncExternalStore(live.subscribe, live.getState);
}

/** How soon this page hears that the session is over. */
export function useHearing(): Hearing {
  return useSyncExternalStore(live.subscribe, live.hearing);
}

/** The monotonic clock in milliseconds, once a second while somebody looks. */
export function useClock(): number {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    const tick = (): void => {
      if (document.visibilityState === "visible") {
        setNow(performance.now());
      }
    };
    const timer = setInterval(tick, 1000);
    document.addEventListener("visibilitychange", tick);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  }, []);
  return now;
}

/** Whether this page is being left: true from set(true) on, until Back brings the page out of the browser's memory as it was. */
export function useLeaving(): [boolean, (leaving: boolean) => void] {
  const [leaving, setLeaving] = useState(false);
  useEffect(() => {
    const stay = (): void => setLeaving(false);
    window.addEventListener("pageshow", stay);
    return () => window.removeEventListener("pageshow", stay);
  }, []);
  return [leaving, setLeaving];
}

/** The seconds until the session's ends, counted down. */
export function useRemaining(): Remaining {
  useClock();
  return client.remaining() ?? { session: 0, idle: 0 };
}
