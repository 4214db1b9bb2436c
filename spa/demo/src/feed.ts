import type { Order, Status } from "./orders.ts";

/** What the feed says: that it listens (`hello`), or what an order has become. */
export type Happening = { event: "hello" } | { event: Status; order: Order };

/** Something that happened while this page was open. */
export interface Entry {
  n: number; // counts up: no two are alike
  at: number; // the clock of `Date.now()`
  status: Status;
  order: Order;
}

/** How it is with the feed, and what it has said, the newest first. The same object until something changes. */
export interface FeedState {
  /** `over`: the gateway has closed it because the session has ended. */
  status: "connecting" | "live" | "reconnecting" | "over";
  entries: readonly Entry[];
}

/** What is needed of a WebSocket. */
export interface Socket {
  addEventListener(event: string, listener: (event: { data?: unknown; code?: unknown }) => void): void;
  close(): void;
}

/** How many entries are kept: a glance, and no archive. */
const entriesKept = 6;

/** Milliseconds before the n-th new connection: 1, 2, 4 … 30 s, each up to a half shorter so that not all pages come at once. */
function pauseBefore(failures: number): number {
  return Math.min(1000 * 2 ** failures, 30_000) * (1 - Math.random() / 2);
}

/** Code and meaning are the gateway's: the session has ended, and another connection would be refused. */
const sessionEnded = 1008;

/** The gateway, or this instance of it, goes away in good order: there is another, or will be in a moment. */
const goingAway = 1001;

/** What a feed is made from. */
export interface FeedOptions {
  open: () => Socket;
  /** Hears each happening, and each `hello`. */
  hear: (happening: Happening) => void;
  /** Is called when a connection ends that may have ended with the session: a browser is not told why a handshake was refused. */
  doubt: () => void;
  /**
   * Whether somebody was at the page lately; default: always. To a gateway each new connection is a use of the session, and no
   * browser lets a WebSocket say otherwise: one that breaks again and again must not keep a session alive that nobody uses.
   */
  attended?: () => boolean;
}

/** What happens to a user's orders, as it happens, over a connection that is made again and again. */
export function createFeed(options: FeedOptions) {
  const listeners = new Set<() => void>();
  let state: FeedState = { status: "connecting", entries: [] };
  let socket: Socket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let waiting = false; // for somebody to be there
  let failures = 0;
  let count = 0;

  function set(next: Partial<FeedState>): void {
    state = { ...state, ...next };
    listeners.forEach((listener) => listener());
  }

  function connect(): void {
    stop();
    const mine = options.open();
    socket = mine;
    mine.addEventListener("message", ({ data }) => {
      const happening = read(data);
      if (socket === mine && happening !== null) {
        told(happening);
      }
    });
    mine.addEventListener("close", ({ code }) => {
      if (socket === mine) {
        lost(code);
      }
    });
  }

  function told(happening: Happening): void {
    if (happening.event === "hello") {
      failures = 0;
      set({ status: "live" });
    } else {
      const entry: Entry = { n: ++count, at: Date.now(), status: happening.event, order: happening.order };
      set({ entries: [entry, ...state.entries].slice(0, entriesKept) });
    }
    options.hear(happening);
  }

  function lost(code: unknown): void {
    const was = state.status;
    set({ status: code === sessionEnded ? "over" : "reconnecting" });
    if (code === sessionEnded || (was !== "live" && code !== goingAway)) {
      options.doubt();
    }
    // After an end of the session, too, if late: should another session be there by then, a page without a reload is live again.
    timer = setTimeout(again, code === sessionEnded ? 30_000 : pauseBefore(failures));
    failures++;
  }

  function again(): void {
    if (options.attended?.() ?? true) {
      connect();
    } else {
      waiting = true;
    }
  }

  /** Lets go of the connection. */
  function stop(): void {
    clearTimeout(timer);
    waiting = false;
    const old = socket;
    socket = null;
    old?.close();
  }

  return {
    getState: (): FeedState => state,
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** Begins, or tries at once what would be tried later. */
    connect(): void {
      failures = 0;
      set({ status: state.status === "reconnecting" ? "reconnecting" : "connecting" });
      connect();
    },
    /** Somebody is there: makes the connection that waits for that. */
    attend(): void {
      if (waiting) {
        connect();
      }
    },
    /** Ends the connection, and forgets what was said. */
    close(): void {
      stop();
      set({ status: "connecting", entries: [] });
    },
    /** Ends the connection, until {@link connect}. */
    rest: stop,
  };
}

/** What {@link createFeed} makes. */
export type Feed = ReturnType<typeof createFeed>;

const statuses = ["placed", "packed", "shipped", "refunded"];

/** Reads a message; null for anything but what is known. */
function read(data: unknown): Happening | null {
  try {
    const { event, order } = JSON.parse(String(data)) as { event: Status | "hello"; order?: Order };
    if (event === "hello") {
      return { event };
    }
    return statuses.includes(event) && typeof order?.id === "string" && typeof order.item === "string" ? { event, order } : null;
  } catch {
    return null;
  }
}

/** What the warehouse did, in a sentence to be read aloud; "" for nothing. What the user does is said where it is done. */
export function digestOf(entries: readonly Entry[]): string {
  const done = entries.filter(({ status }) => status === "packed" || status === "shipped");
  const [last] = done;
  if (last === undefined) {
    return "";
  }
  const told = `${last.order.item} was ${last.status}.`;
  return done.length === 1 ? told : `${done.length} changes to your orders. ${told}`;
}
