import { useEffect, useRef, useState, useSyncExternalStore } from "react";

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

/**
 * Covers a page that is left, for Back may bring it out of the browser's memory as it was: what it shows may be of a session that
 * is over. Uncovered when it is known again whose page it is. What was typed stays.
 */
export function coverWhileAway(check: () => Promise<unknown>): void {
  const root = document.documentElement;
  window.addEventListener("pagehide", () => root.classList.add("away"));
  window.addEventListener("pageshow", ({ persisted }) => persisted && void check().then(() => root.classList.remove("away")));
}

function subscribeOnline(listener: () => void): () => void {
  window.addEventListener("online", listener);
  window.addEventListener("offline", listener);
  return () => {
    window.removeEventListener("online", listener);
    window.removeEventListener("offline", listener);
  };
}

/** Whether the computer has a network at all, as the browser tells. "true" promises nothing: the gateway may be out of reach. */
export function useOnline(): boolean {
  return useSyncExternalStore(subscribeOnline, () => navigator.onLine);
}

/** Names the window, and with it the entry in the history. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title;
  }, [title]);
}

/**
 * Moves the focus to the heading when another view takes the page, so that keyboard and screen reader start there. null: nothing
 * is to be seen yet. The first view is left to the browser.
 */
export function useFocusOnMove(view: string | null): void {
  const last = useRef<string>(null);
  useEffect(() => {
    if (view !== null && last.current !== null && last.current !== view) {
      document.querySelector<HTMLElement>("main h1")?.focus();
    }
    last.current = view ?? last.current;
  }, [view]);
}

/**
 * Keeps the focus in the page when what has it is taken away, as a button does that has done its work: the heading of what it stood
 * in takes it. Without this a keyboard starts at the top again, and a screen reader falls silent (WCAG 2.2, 2.4.3).
 */
export function keepFocus(root: HTMLElement): void {
  let around: HTMLElement[] = []; // what has the focus, and what it stands in, from the inside out
  root.addEventListener("focusin", ({ target }) => {
    around = [];
    for (let at = target as HTMLElement | null; at !== null && at !== root; at = at.parentElement) {
      around.push(at);
    }
  });
  const lost = (): boolean => document.activeElement === document.body && around[0]?.isConnected === false;
  const find = (): void => {
    const heading = around.filter((at) => at.isConnected).map((at) => at.querySelector<HTMLElement>("h1, h2")).find((found) => found !== null);
    if (lost() && heading != null) {
      heading.tabIndex = -1;
      heading.focus();
    }
  };
  // A moment later: where whoever took it away knows a better place, that has the focus by then.
  new MutationObserver(() => lost() && setTimeout(find)).observe(root, { childList: true, subtree: true });
}
