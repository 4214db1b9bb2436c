import type { Client, State } from "@cloakroom/client";

/** How the page hears of its session: at once, soon again, or only when it is looked at. */
export type Hearing = "at-once" | "connecting" | "when-looked-at";

/** What a page follows: the part of EventSource that is used. */
export interface Source {
  readonly readyState: number;
  addEventListener(event: string, listener: (event: Event) => void): void;
  close(): void;
}

/** The client's state, and what the gateway says unasked. */
export interface Live {
  /** As the client's, but for a session that the gateway has just said to be over: that one is signed out, and why is known. */
  getState(): State;
  hearing(): Hearing;
  subscribe(listener: () => void): () => void;
}

/** A stream that is refused stays closed: milliseconds until it is tried anew, then when the page is looked at next. */
const refusedFor = 30_000;

const closed = 2; // EventSource.CLOSED

/**
 * Keeps one stream of /bff/events open while somebody is signed in. What it says is believed where it says that the session is
 * over; everything else makes the client ask. A stream that breaks is opened again by the browser. One that is refused leaves
 * what there is without it: the client asks when the page is looked at.
 */
export function follow(client: Client, open: (url: string) => Source = (url) => new EventSource(url)): Live {
  const listeners = new Set<() => void>();
  let source: Source | null = null;
  let session = ""; // that the stream is about
  let hearing: Hearing = "when-looked-at";
  let refusedAt = -Infinity;
  let over: { session: string; state: State } | null = null;
  let leave: (() => void) | null = null;

  function tell(): void {
    for (const listener of [...listeners]) {
      listener();
    }
  }

  function hear(next: Hearing): void {
    hearing = next;
    tell();
  }

  function close(): void {
    source?.close();
    source = null;
    hearing = "when-looked-at";
  }

  /** Fits the stream to what the client knows. */
  function fit(): void {
    const now = sessionOf(client.getState());
    if (over !== null && now !== undefined && now !== over.session) {
      over = null; // a new sign-in
    }
    if (now === undefined || over !== null) {
      close();
    } else if (now !== session || (source === null && performance.now() - refusedAt >= refusedFor)) {
      listen(now);
    }
    tell();
  }

  function listen(to: string): void {
    close();
    const mine = open("/bff/events");
    source = mine;
    session = to;
    hearing = "connecting";
    let opened = false;
    const on = (event: string, act: (data: string) => void): void =>
      mine.addEventListener(event, (e) => source === mine && act("data" in e ? String(e.data) : ""));
    on("open", () => hear("at-once"));
    on("error", () => (mine.readyState === closed ? refused() : hear("connecting")));
    on("session", () => {
      if (opened) {
        void client.check(); // what was said while the stream was broken
      }
      opened = true;
    });
    on("session-extended", () => void client.check());
    on("session-replaced", () => {
      close();
      void client.check("replaced");
    });
    on("session-ended", (data) => {
      over = { session: to, state: { status: "signed-out", reason: reasonIn(data) } };
      close();
      tell(); // before the client has asked, which takes a moment or, in an outage, longer
      void client.check();
    });
  }

  function refused(): void {
    refusedAt = performance.now();
    close();
    tell();
    void client.check(); // 401 is the usual cause
  }

  return {
    getState() {
      const state = client.getState();
      const now = sessionOf(state);
      return over !== null && (now === over.session || state.status === "signed-out") ? over.state : state;
    },
    hearing: () => hearing,
    subscribe(listener) {
      listeners.add(listener);
      leave ??= client.subscribe(fit);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) {
          leave?.();
          leave = null;
          close();
          session = "";
        }
      };
    },
  };
}

function sessionOf(state: State): string | undefined {
  return state.status === "signed-in" || state.status === "unavailable" ? state.session?.id : undefined;
}

function reasonIn(data: string): string | undefined {
  try {
    const { reason } = JSON.parse(data) as { reason?: unknown };
    return typeof reason === "string" ? reason : undefined;
  } catch {
    return undefined;
  }
}
