import { vi } from "vitest";
import { type Client, createClient, type EventSourceLike, type Options, type State } from "../src/index.ts";
import { json, origin } from "./gateway.ts";

/** Web Locks as far as they are used: exclusive, in the order of asking. */
export class Locks {
  private readonly queues = new Map<string, (() => void)[]>();

  async request<T>(name: string, { signal }: { signal: AbortSignal }, act: () => Promise<T>): Promise<T> {
    const queue = this.queues.get(name) ?? [];
    this.queues.set(name, queue);
    await new Promise<void>((granted, refused) => {
      queue.push(granted);
      if (queue.length === 1) {
        granted();
      }
      signal.addEventListener("abort", () => {
        const at = queue.indexOf(granted);
        if (at > 0) {
          queue.splice(at, 1);
          refused(signal.reason);
        }
      });
    });
    try {
      return await act();
    } finally {
      queue.shift();
      queue[0]?.();
    }
  }
}

/** BroadcastChannel as a browser has it: to all others of the name, later, and as copies. */
export class Channel {
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
        queueMicrotask(() => Channel.open.has(other) && other.onmessage?.({ data }));
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

  constructor() {
    Channel.open.clear();
    Channel.said = [];
    vi.stubGlobal("location", { origin, href: `${origin}/` });
    vi.stubGlobal("navigator", { locks: new Locks() });
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
