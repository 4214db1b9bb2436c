/** How far an export is. */
export type ExportState =
  | { status: "idle" }
  /** `again`: the connection broke, and the API began anew. */
  | { status: "running"; done: number; total: number; again: boolean }
  /** The connection is broken. It begins anew as soon as there is one. */
  | { status: "waiting" }
  | { status: "ready"; href: string }
  /** The file is no longer kept. */
  | { status: "gone" }
  | { status: "failed" };

/** What is needed of an EventSource. */
export interface Stream {
  readonly readyState: number;
  addEventListener(event: string, listener: (event: { data?: unknown }) => void): void;
  close(): void;
}

/** An `EventSource` that its browser opens no more. */
const closed = 2;

/** How often an export is asked for anew when it is refused, before the page says that it failed. */
const triesMore = 4;

/** How long the API keeps a file. */
const keptFor = 10 * 60_000;

/** What an export is made from. */
export interface ExportOptions {
  open: () => Stream;
  /** Is called when the stream was refused: the session may be over. */
  doubt: () => void;
}

/**
 * An export of all orders, whose progress the API tells as server-sent events. It goes on while the user looks at other pages.
 * A stream that breaks is opened again, by the browser or, where it was refused, by this; the API then begins anew.
 */
export function createExport(options: ExportOptions) {
  const listeners = new Set<() => void>();
  let state: ExportState = { status: "idle" };
  let stream: Stream | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let refusals = 0;
  let broken = false;

  function set(next: ExportState): void {
    state = next;
    listeners.forEach((listener) => listener());
  }

  function stop(): void {
    clearTimeout(timer);
    stream?.close();
    stream = null;
  }

  function listen(): void {
    stop();
    const mine = options.open();
    stream = mine;
    const on = (event: string, act: (data: unknown) => void): void =>
      mine.addEventListener(event, (e) => stream === mine && act(json(e.data)));
    on("progress", (data) => {
      const { done, total } = data as { done?: unknown; total?: unknown };
      if (typeof done === "number" && typeof total === "number" && total > 0) {
        refusals = 0;
        set({ status: "running", done: Math.min(done, total), total, again: broken });
      }
    });
    on("ready", (data) => {
      const { href } = data as { href?: unknown };
      stop();
      if (typeof href !== "string" || !/^\/api\/orders\/export\/[\w.-]+$/.test(href)) {
        set({ status: "failed" }); // what is not our API's own file is no link of this page
        return;
      }
      set({ status: "ready", href });
      timer = setTimeout(() => set({ status: "gone" }), keptFor);
    });
    on("error", () => {
      broken = true;
      set({ status: "waiting" });
      if (mine.readyState === closed) {
        refused();
      }
    });
  }

  /** The gateway's answer was no stream: nobody is signed in any more, or it cannot serve one now. */
  function refused(): void {
    options.doubt();
    if (refusals++ === triesMore) {
      set({ status: "failed" });
    } else {
      timer = setTimeout(listen, 1000 * 2 ** refusals);
    }
  }

  return {
    getState: (): ExportState => state,
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** Begins; what was there before is forgotten. */
    start(): void {
      refusals = 0;
      broken = false;
      set({ status: "running", done: 0, total: 1, again: false });
      listen();
    },
    /** Ends it, and forgets what was made. */
    cancel(): void {
      stop();
      set({ status: "idle" });
    },
  };
}

/** What {@link createExport} makes. */
export type Export = ReturnType<typeof createExport>;

/** Data of an event; an empty object where it is nothing that can be read. */
function json(data: unknown): unknown {
  try {
    return JSON.parse(String(data)) ?? {};
  } catch {
    return {};
  }
}
