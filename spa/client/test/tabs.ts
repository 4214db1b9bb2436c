import { afterEach, beforeEach, vi } from "vitest";
import { type Client, createClient, type EventSourceLike, type Options, type State } from "../src/index.ts";
import { json, origin } from "./gateway.ts";

/** Web Locks as far as they are used: exclusive, in the order of asking; or taken by force, which the one who held it is told of. */
export class Locks {
  /** How often a lock was taken by force. */
  taken = 0;
  private readonly queues = new Map<string, { granted: () => void; lost?: (why: unknown) => void }[]>();

  async request<T>(name: string, { signal, steal }: { signal?: AbortSignal; steal?: boolean }, act: () => Promise<T>): Promise<T> {
    if (steal && signal) {
      throw new DOMException("no signal with steal", "NotSupportedError");
    }
    const queue = this.queues.get(name) ?? [];
    this.queues.set(name, queue);
    const mine: { granted: () => void; lost?: (why: unknown) => void } = { granted: () => {} };
    await new Promise<void>((granted, refused) => {
      mine.granted = granted;
      if (steal) {
        this.taken++;
        queue.shift()?.lost?.(new DOMException("taken by force", "AbortError"));
        queue.unshift(mine);
      } else {
        queue.push(mine);
      }
      if (queue[0] === mine) {
        granted();
      }
      signal?.addEventListener("abort", () => {
        const at = queue.indexOf(mine);
        if (at > 0) {
          queue.splice(at, 1);
          refused(signal.reason);
        }
      });
    });
    try {
      return await Promise.race([act(), new Promise<never>((_, lost) => (mine.lost = lost))]);
    } finally {
      if (queue[0] === mine) {
        queue.shift();
        queue[0]?.granted();
      }
    }
  }
}

/** BroadcastChannel as a browser has it: to all others of the name, later, and as copies. */
export class Channel {
  /** Those of a page that is frozen: nothing arrives. */
  static frozen = new Set<Channel>();
  static open = new Set<Channel>();
  static said: unknown[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(readonly name: string) {
    Channel.open.add(this);
  }

  postMessage(message: unknown): void {
    const data: unknown = structuredClone(message);
    Channel.said.push(data);
    for (const other of Channel.open) {
      if (other !== this && other.name === this.name) {
        queueMicrotask(() => Channel.open.has(other) && !Channel.frozen.has(other) && other.onmessage?.({ data }));
      }
    }
  }

  close(): void {
    Channel.open.delete(this);
  }
}

/** A stream of events that says what a test wants it to. */
export class Stream implements EventSourceLike {
  readyState = 0;
  private readonly listeners = new Map<string, (event: Event) => void>();

  constructor(
    readonly url: string,
    readonly init: EventSourceInit,
  ) {}

  addEventListener(event: string, listener: (event: Event) => void): void {
    this.listeners.set(event, listener);
  }

  close(): void {
    this.readyState = 2;
  }

  say(event: string, data: unknown = {}): void {
    this.listeners.get(event)?.({ data: typeof data === "string" ? data : JSON.stringify(data) } as unknown as Event);
  }

  /** As the gateway begins each stream. */
  begin(session: string): void {
    this.readyState = 1;
    this.say("open");
    this.say("session", { authenticated: true, session: { id: session, expires_in: 43_200, idle_expires_in: 1_800 } });
  }

  refuse(): void {
    this.readyState = 2;
    this.say("error");
  }
}

/** One browser at one gateway: its tabs share a cookie, locks and channels. */
export class Browser {
  /** The session that the cookie names; null for none. */
  session: { id: string; idle?: number; expiresIn?: number } | null = { id: "s1" };
  /** What the gateway answers instead, if anything. */
  instead: (() => Response | Promise<Response>) | null = null;
  readonly streams: Stream[] = [];
  readonly locks = new Locks();

  constructor() {
    Channel.open.clear();
    Channel.frozen.clear();
    Channel.said = [];
    vi.stubGlobal("location", { origin, href: `${origin}/` });
    vi.stubGlobal("navigator", { locks: this.locks });
    vi.stubGlobal("BroadcastChannel", Channel);
  }

  /** The streams that are open or being opened. */
  get live(): Stream[] {
    return this.streams.filter((stream) => stream.readyState !== 2);
  }

  answer(): Response {
    if (this.session === null) {
      return json({ authenticated: false });
    }
    const { id, expiresIn = 43_200, idle = 1_800 } = this.session;
    const session = { id, created_at: "2026-11-22T00:00:00Z", expires_in: expiresIn, idle_expires_in: idle };
    return json({ authenticated: true, user: { sub: "usr_1" }, session });
  }

  /** Opens a tab, which listens. */
  async tab(options: Options = {}): Promise<Tab> {
    const tab = new Tab(this, options);
    await settle();
    return tab;
  }
}

/** The browser of this test. */
export let browser: Browser;

/** Makes a browser before each test of a file, and a clock that stands still unless the test moves it. */
export function browsers(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    browser = new Browser();
  });

  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
}

/** Nobody is signed in, for a reason if one is known. */
export const over = (reason?: string): State => ({ status: "signed-out", reason });

/** A tab: its client, with a window of its own. */
export class Tab {
  readonly window = new EventTarget();
  readonly document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  readonly client: Client;
  readonly states: State[] = [];
  asked = 0;
  readonly leave: () => void;

  constructor(browser: Browser, options: Options) {
    this.client = createClient({
      fetch: async () => {
        this.asked++;
        return browser.instead?.() ?? browser.answer();
      },
      events: (url, init) => {
        const stream = new Stream(url, init);
        browser.streams.push(stream);
        return stream;
      },
      ...options,
    });
    this.mine();
    this.leave = this.client.subscribe(() => {
      if (this.states.at(-1) !== this.client.getState()) {
        this.states.push(this.client.getState());
      }
    });
  }

  get state(): State {
    return this.client.getState();
  }

  /** Makes the page's globals those of this tab: what listens to them is asked for once. */
  mine(): void {
    vi.stubGlobal("window", this.window);
    vi.stubGlobal("document", this.document);
  }

  happens(event: string, more: Record<string, unknown> = {}): void {
    this.mine();
    this.window.dispatchEvent(Object.assign(new Event(event), more));
  }

  close(): void {
    this.mine();
    this.client.close();
  }
}

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

/** Lets the next tab in the queue open its stream: it first gives the others time to say that the session is over. */
export async function passes(): Promise<void> {
  await vi.advanceTimersByTimeAsync(600);
}
