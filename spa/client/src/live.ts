import { isRecord, text } from "./error.ts";

/** How a page hears that its session is over: at once, soon again, or only when it is looked at. */
export type Hearing = "at-once" | "connecting" | "when-looked-at";

/** The part of the browser's EventSource that is used. */
export interface EventSourceLike {
  readonly readyState: number;
  addEventListener(event: string, listener: (event: Event) => void): void;
  close(): void;
}

/** What a tab does about what it hears. */
export interface Hears {
  /** Something may have changed: ask. */
  check(because?: "replaced"): void;
  /** The gateway told, this tab or another, that a session is over. */
  ended(session: string, reason?: string): void;
  /** {@link Tabs.hearing} may be another. */
  changed(): void;
}

/** One tab among those of a browser that show the same app. */
export interface Tabs {
  /** Fits this tab's part to what is known here. listening: somebody wants to hear; reason: why there is no session any more. */
  fit(listening: boolean, session?: string, reason?: string): void;
  hearing(): Hearing;
}

/**
 * What tabs tell each other on the channel, all of the same page's script: a session that is there, with the hearing if who
 * tells it leads, and without it to be told that; a session that is over; or that the gateway has something to say.
 */
type Message = { session?: string; hearing?: Hearing } | { ended: string; reason?: string } | { check: "" | "replaced" };

/** A stream that is refused is tried anew after so many milliseconds. */
const refusedFor = 30_000;

const closed = 2; // EventSource.CLOSED

/**
 * Lets all tabs of one origin share one stream of the gateway's events. The tab that holds the lock opens it, and tells the others
 * on the channel; when it goes, the next in the queue leads. On the channel a tab also tells what it learnt otherwise: that its
 * session is over, or which session there is. Without locks or a channel nothing of that happens.
 */
export function share(name: string, open: () => EventSourceLike, hears: Hears): Tabs {
  let channel: BroadcastChannel | undefined;
  let session: string | undefined; // this tab's
  let gone: string | undefined; // the one that this tab had last
  let why: string | undefined; // what was told of its end
  let about: string | undefined; // the one that the stream is about
  let source: EventSourceLike | undefined;
  let turn: AbortController | undefined; // in the queue for the lead, or leading: aborted to leave either
  let leading = false;
  let hearing: Hearing = "when-looked-at";
  let retry: ReturnType<typeof setTimeout> | undefined;

  const tell = (message: Message): void => channel?.postMessage(message);

  function hear(next: Hearing): void {
    hearing = next;
    if (leading) {
      tell({ session, hearing });
    }
    hears.changed();
  }

  function fit(listening: boolean, next?: string, reason?: string): void {
    const before = channel && session; // what the other tabs know of this one
    session = next;
    if (listening) {
      channel ??= join(name, heard);
    }
    gone = before || gone;
    if (gone && !session && (before || reason !== why)) {
      tell({ ended: gone, reason }); // also once more, where the reason comes after the end
    }
    why = reason;
    if (listening && channel && session) {
      turn ??= queue();
      if (leading && about !== session) {
        listen();
      }
      if (before !== session) {
        tell({ session });
      }
      return;
    }
    turn?.abort();
    turn = undefined;
    hearing = "when-looked-at";
    if (!listening) {
      channel?.close();
      channel = undefined;
    }
  }

  function queue(): AbortController {
    const mine = new AbortController();
    const { signal } = mine;
    const lead = (): unknown =>
      // Who left the queue at the moment of being let in holds nobody up.
      signal.aborted ||
      new Promise<void>((done) => {
        signal.onabort = () => {
          leading = false;
          stop();
          done();
        };
        leading = true;
        listen();
      });
    navigator.locks.request(name, { signal }, lead).catch(() => {}); // aborted in the queue, or locks are not for this page
    return mine;
  }

  function stop(): void {
    clearTimeout(retry);
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
    const check = (because?: "replaced"): void => {
      tell({ check: because ?? "" });
      hears.check(because);
    };
    on("open", () => hear("at-once"));
    on("error", () => {
      const refused = mine.readyState === closed; // else the browser opens it again by itself
      hear(refused ? "when-looked-at" : "connecting");
      if (refused) {
        retry = setTimeout(listen, refusedFor);
        hears.check(); // 401 is the usual cause
      }
    });
    on("session", (data) => {
      // The first word of each stream: whatever was missed, another session shows by its name. An end is a refusal.
      about = (isRecord(data.session) && text(data.session.id)) || about;
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
    if (ended && leading && !reason) {
      hears.check(); // the stream may be about to say why: it is not closed for one who does not know
    } else if (ended) {
      hears.ended(ended, reason);
    } else if (message.check === "" || message.check === "replaced") {
      hears.check(message.check || undefined);
    } else if (theirs) {
      if (theirs !== session) {
        hears.check();
      }
      if (leading && !message.hearing) {
        tell({ session, hearing });
      } else if (turn && !leading && isHearing(message.hearing)) {
        hear(message.hearing);
      }
    }
  }

  return { fit, hearing: () => hearing };
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

function isHearing(value: unknown): value is Hearing {
  return value === "at-once" || value === "connecting" || value === "when-looked-at";
}

function dataOf(event: Event): Record<string, unknown> {
  try {
    const data: unknown = JSON.parse((event as MessageEvent<string>).data);
    return isRecord(data) ? data : {};
  } catch {
    return {};
  }
}
