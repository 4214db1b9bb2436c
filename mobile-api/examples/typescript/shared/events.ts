import { opensNothing, read, type Gateway } from "./gateway.ts";
import { SignedOut } from "./handles.ts";

/** What the gateway says of a session: `session`, `session-extended`, `session-ended` (with `reason`) or `session-replaced`. */
export interface SessionEvent {
  name: string;
  data: { reason?: string };
}

/** A stream may be quiet for this long: the gateway sends something at least every 25 s, so that two of those may get lost. */
const silence = 60_000;

/** How long to wait before a broken stream is opened again, until the gateway says how long. */
const pause = 3_000;

/**
 * Follows the session and calls back for each event, until it is over or `signal` says so. A stream that breaks is opened
 * again: what happened meanwhile, the new one tells. To be stopped when the app goes to the background, and started again when
 * it comes back: a phone closes connections of apps that nobody sees, and does not say so.
 */
export async function follow(gateway: Gateway, heard: (event: SessionEvent) => void, signal: AbortSignal): Promise<void> {
  let wait = pause;
  while (!signal.aborted) {
    try {
      for await (const event of listen(gateway, signal, (asked) => (wait = asked))) {
        heard(event);
        if (event.name === "session-ended" || event.name === "session-replaced") {
          // Another window may have signed in since. What is kept is dropped if the gateway refuses it, and not else.
          await gateway.handles.renew(await gateway.handles.current());
          return;
        }
      }
    } catch (problem) {
      if (problem instanceof SignedOut || signal.aborted) {
        return;
      }
      // No network, a gateway that is being restarted, an outage: the session may well live. Again, after a while.
    }
    await sleep(wait, signal);
  }
}

/** One stream, until it ends. */
async function* listen(gateway: Gateway, signal: AbortSignal, retry: (wait: number) => void): AsyncGenerator<SessionEvent> {
  const quiet = new AbortController();
  const stop = () => quiet.abort();
  signal.addEventListener("abort", stop);
  let timer = setTimeout(stop, silence);
  try {
    const pair = await gateway.handles.current();
    const answer = await gateway.send(pair, "GET", "/mobile/events", undefined, quiet.signal);
    if (!answer.ok || !answer.body) {
      await read(answer).catch(async (problem) => {
        if (opensNothing(problem)) {
          await gateway.handles.renew(pair); // the handle may only have been replaced: rejects if the session is over
        }
      });
      return;
    }
    for await (const block of blocks(answer.body)) {
      clearTimeout(timer);
      timer = setTimeout(stop, silence);
      const event = take(block, retry);
      if (event) {
        yield event;
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    quiet.abort();
  }
}

/** The event that a block of lines is; null for a comment, and for what says how long to wait. */
function take(block: string[], retry: (wait: number) => void): SessionEvent | null {
  const fields = new Map(block.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()]));
  const asked = Number(fields.get("retry"));
  if (asked >= 0 && asked <= 60_000) { // a minute: longer nobody should be told late
    retry(asked);
  }
  const name = fields.get("event");
  return name === undefined ? null : { name, data: JSON.parse(fields.get("data") ?? "{}") as SessionEvent["data"] };
}

/** The blocks of a stream of server-sent events (HTML standard, section 9.2), as far as the gateway's go: one line of data each. */
async function* blocks(body: ReadableStream<Uint8Array>): AsyncGenerator<string[]> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return; // what was cut off in the middle is no event
    }
    text += decoder.decode(value, { stream: true });
    const whole = text.split("\n\n");
    text = whole.pop() ?? "";
    for (const block of whole) {
      yield block.split("\n");
    }
  }
}

/** Waits, but no longer than the signal. */
function sleep(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, signal.aborted ? 0 : time);
    signal.addEventListener("abort", done);
  });
}
