import { isRecord, text } from "./error.ts";
import type { Session } from "./state.ts";

const hearings = ["at-once", "connecting", "when-looked-at"] as const;

/** How a page hears that its session is over: at once, soon again, or only when it is looked at. */
export type Hearing = (typeof hearings)[number];

/** The part of the browser's EventSource that is used. */
export interface EventSourceLike {
  readonly readyState: number;
  addEventListener(event: string, listener: (event: Event) => void): void;
  close(): void;
}

/** What a tab does about what it hears. */
export interface Hears {
  /** Something may have changed: ask. because: as in {@link Client.check}; any other text is none. */
  check(because?: string): void;
  /** The gateway told, this tab or another, that a session is over. */
  ended(session: string, reason?: string): void;
  /** {@link Tabs.hearing} may be another. */
  changed(): void;
}

/** One tab among those of a browser that show the same app. */
export interface Tabs {
  /**
   * Fits this tab's part to what is known here. listening: somebody wants to hear; last: the session that there is or was last;
   * reason: why there is none any more.
   */
  fit(listening: boolean, session?: string, last?: string, reason?: string): void;
  /** The page is looked at: time to know whether what is told of the hearing still holds. */
  look(): void;
  hearing(): Hearing;
}

/**
 * What tabs tell each other on the channel, all of the same page's script: a session that is there, with the hearing if who
 * tells it leads, and without it to be told that; nothing, to be told that alone; a session that is over; or that the gateway
 * has something to say.
 */
type Message = { session?: string; hearing?: Hearing } | { ended: string; reason?: string } | { check: "" | "replaced" };

/** Milliseconds, each drawn between so many and twice that: one tab, and one browser, comes before the others. */
const refusedFor = 15_000; // until a stream that was refused is tried anew
const passesWithin = 300; // the others may say by then that the session is over: locks and messages keep no order
const answersWithin = 3_000; // or the leader is frozen: it has nothing else to do for so long
const holdsFor = 15_000; // the leader's word, until it is asked for again; as often the gateway looks whether a stream is read

const closed = 2; // EventSource.CLOSED

/**
 * Lets all tabs of one origin share one stream of the gateway's events. The tab that holds the lock opens it, and tells the others
 * on the channel; when it goes, the next in the queue leads. On the channel a tab also tells what it learnt otherwise: that its
 * session is over, or which session there is. Without locks or a channel nothing of that happens.
 *
 * A browser may freeze a page without a word, as iOS does with tabs in the background, and then it keeps the lock. So a tab that
 * is looked at asks now and then for the leader, on the channel; the first that gets no answer takes the lock.
 */
export function share(name: string, open: () => EventSourceLike, hears: Hears): Tabs {
  let channel: BroadcastChannel | undefined;
  let session: string | undefined; // this tab's
  let why: string | undefined; // what was told of its end
  let about: string | undefined; // the one that the stream is about
  let source: EventSourceLike | undefined;
  let turn: AbortController | undefined; // in the queue for the lead, or leading: aborted to leave either
  let lead: AbortController | undefined; // the turn that has come: this tab leads
  let hearing: Hearing = "when-looked-at";
  let timer: ReturnType<typeof setTimeout> | undefined; // to open the stream, of who leads; of who follows, to ask who does

  const tell = (message: Message): void => channel?.postMessage(message);

  function hear(next: Hearing): void {
    const before = hearing;
    hearing = next;
    if (lead) {
      tell({ session, hearing });
    }
    if (before !== next) {
      hears.changed();
    }
  }

  function fit(listening: boolean, next?: string, gone?: string, reason?: string): void {
    const before = channel && session; // what the other tabs know of this one
    session = next;
    if (listening) {
      channel ??= join(name, heard);
    }
    if (gone && !session && (before || reason !== why)) {
      tell({ ended: gone, reason }); // also once more, where the reason comes after the end
    }
    why = reason;
    if (listening && channel && session) {
      if (!turn) {
        queue();
      }
      if (lead && about !== session) {
        listen();
      }
      if (before !== session) {
        ask({ session });
      }
      return;
    }
    leave();
    hearing = "when-looked-at";
    if (!listening) {
      channel?.close();
      channel = undefined;
    }
  }

  /** Takes a place in the queue for the lead; or, by force, the lead itself. */
  function queue(steal?: true): void {
    leave();
    const mine = new AbortController();
    const { signal } = mine;
    turn = mine;
    const leading = (): unknown =>
      // Who left the queue at the moment of being let in holds nobody up.
      signal.aborted ||
      new Promise((done) => {
        signal.onabort = done;
        lead = mine;
        wait(hearing === "when-looked-at" ? 0 : passesWithin, listen); // at once where nobody has led before
      });
    // What takes the lock by force takes no signal.
    navigator.locks.request(name, steal ? { steal } : { signal }, leading).catch(() => {
      // Aborted in the queue, or locks are not for this page; or else another tab has found this one frozen, and leads now.
      if (lead === mine) {
        queue();
      }
    });
  }

  function leave(): void {
    stop();
    turn?.abort();
    lead = turn = undefined;
  }

  /** Asks who leads. Without an answer this tab does, if it is looked at: one that is not may be frozen next. */
  function ask(message: Message = {}): void {
    if (turn && !lead) {
      tell(message);
      wait(answersWithin, () => isLookedAt() && queue(true));
    }
  }

  function look(): void {
    if (isLookedAt()) {
      ask();
    }
  }

  function wait(ms: number, act: () => void): void {
    clearTimeout(timer);
    timer = setTimeout(act, ms * (1 + Math.random()));
  }

  function stop(): void {
    clearTimeout(timer);
    source?.close();
    source = undefined;
  }

  function listen(): void {
    stop();
    const mine = open();
    source = mine;
    about = session;
    const on = (event: string, act: (data: Record<string, unknown>) => void): void =>
      mine.addEventListener(event, (e) => source === mine && act(dataOf(e)));
    const check = (because: "" | "replaced" = ""): void => {
      tell({ check: because });
      hears.check(because);
    };
    on("open", () => hear("at-once"));
    on("error", () => {
      const refused = mine.readyState === closed; // else the browser opens it again by itself
      hear(refused ? "when-looked-at" : "connecting");
      if (refused) {
        wait(refusedFor, listen);
        hears.check(); // 401 is the usual cause
      }
    });
    on("session", (data) => {
      // The first word of each stream: whatever was missed, another session shows by its name. An end is a refusal.
      about = text((data.session as Partial<Session> | null | undefined)?.id) ?? about;
      if (about !== session) {
        check();
      }
    });
    on("session-extended", () => check());
    on("session-replaced", () => {
      stop(); // or it would come back before the cookie has changed
      check("replaced");
    });
    on("session-ended", ({ reason }) => {
      stop();
      hears.ended(about ?? "", text(reason));
    });
    hear("connecting");
  }

  /** Takes a message for what it may be: it ends the session that it names, and else makes this tab ask at most. */
  function heard(message: unknown): void {
    if (!isRecord(message)) {
      return;
    }
    const ended = text(message.ended);
    const theirs = text(message.session);
    const reason = text(message.reason);
    const because = text(message.check);
    const said = hearings.find((one) => one === message.hearing);
    if (ended && lead && !reason) {
      hears.check(); // the stream may be about to say why: it is not closed for one who does not know
    } else if (ended) {
      hears.ended(ended, reason);
    } else if (because !== undefined) {
      hears.check(because);
    } else {
      if (theirs && theirs !== session) {
        hears.check();
      }
      if (!message.hearing) {
        hear(hearing); // who leads, says it again
      } else if (turn && !lead && said) {
        hear(said);
        wait(holdsFor, look);
      }
    }
  }

  return { fit, look, hearing: () => hearing };
}

/** Undefined where there is no channel, or no lock: outside a secure context, or with cookies blocked and all that tabs share. */
function join(name: string, heard: (message: unknown) => void): BroadcastChannel | undefined {
  try {
    if (navigator.locks) {
      const channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => heard(data);
      return channel;
    }
  } catch {
    // There is none.
  }
  return undefined;
}

/** Whether the page is shown: what is not needs no timer, and may be frozen at any moment. */
export function isLookedAt(): boolean {
  return globalThis.document?.visibilityState === "visible";
}

function dataOf(event: Event): Record<string, unknown> {
  try {
    const data: unknown = JSON.parse((event as MessageEvent<string>).data);
    return isRecord(data) ? data : {};
  } catch {
    return {};
  }
}
