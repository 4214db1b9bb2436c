/** What an EventSource does, as far as the client uses it. */
export interface FakeEventSource {
  readonly url: string;
  readonly readyState: number;
  addEventListener(event: string, listener: (event: Event) => void): void;
  removeEventListener(event: string, listener: (event: Event) => void): void;
  close(): void;
}

/** One stream at the gateway: what it says goes to an EventSource, or into the body of an answer. */
interface Stream {
  readonly session: string;
  say(event: string, data: unknown): void;
  /** Ends it: `broken` is a connection that was cut, which an EventSource makes anew. */
  end(broken: boolean): void;
}

/** What is said to who opens a stream: the session that it is about and the first event, or that it is refused or cannot be had now. */
export type Opening = { session: string; hello: unknown } | "refused" | "unreachable";

/** All that hang on the gateway's event streams. */
export interface Streams {
  /** How many are open. */
  count(): number;
  /** Stands in for the browser's EventSource. */
  source(url: string): FakeEventSource;
  /** The body of an answer that is a stream. */
  body(opening: { session: string; hello: unknown }): ReadableStream<Uint8Array>;
  /** Says something on all streams about a session, or on all there are. */
  say(event: string, data: unknown, session?: string): void;
  /** Says the last there is to say, and ends the streams of a session. */
  finish(event: string, data: unknown, session: string): void;
  /** Breaks all connections without a word. */
  cut(): void;
  /** Has the EventSources whose connection broke try again, as they do after some seconds. */
  reconnect(): void;
}

const connecting = 0;
const open = 1;
const closed = 2;

/** Makes the streams. opening is asked whenever one is to be opened. */
export function createStreams(opening: (url: string) => Opening, changed: () => void): Streams {
  const streams = new Set<Stream>();
  const waiting = new Set<() => void>();

  function add(stream: Stream): void {
    streams.add(stream);
    changed();
  }

  function drop(stream: Stream, broken: boolean): void {
    if (streams.delete(stream)) {
      stream.end(broken);
      changed();
    }
  }

  function source(url: string): FakeEventSource {
    const target = new EventTarget();
    let readyState = connecting;
    let stream: Stream | null = null;

    const emit = (event: string, data?: unknown): void => {
      target.dispatchEvent(data === undefined ? new Event(event) : new MessageEvent(event, { data: JSON.stringify(data) }));
    };

    /** As the standard has it: an answer that is not 200 ends it for good, a connection that breaks is made anew. */
    function connect(): void {
      if (readyState !== connecting) {
        return;
      }
      const answer = opening(url);
      if (answer === "refused") {
        readyState = closed;
        emit("error");
      } else if (answer === "unreachable") {
        waiting.add(connect);
        emit("error");
      } else {
        readyState = open;
        stream = { session: answer.session, say: emit, end };
        add(stream);
        emit("open");
        emit("session", answer.hello);
      }
    }

    function end(broken: boolean): void {
      stream = null;
      if (readyState !== closed) {
        readyState = connecting;
        waiting.add(connect);
        emit("error");
        if (!broken) {
          queueMicrotask(() => waiting.delete(connect) && connect()); // it comes back to a gateway that is there
        }
      }
    }

    queueMicrotask(connect); // who makes one has no listener on it yet
    return {
      url,
      get readyState() {
        return readyState;
      },
      addEventListener: (event, listener) => target.addEventListener(event, listener),
      removeEventListener: (event, listener) => target.removeEventListener(event, listener),
      close() {
        readyState = closed; // so that it is not made anew, should it wait for that
        if (stream !== null) {
          drop(stream, true);
        }
      },
    };
  }

  function body({ session, hello }: { session: string; hello: unknown }): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    let stream: Stream;
    return new ReadableStream<Uint8Array>({
      start(controller) {
        const write = (text: string): void => controller.enqueue(encoder.encode(text));
        stream = {
          session,
          say: (event, data) => write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
          end: (broken) => (broken ? controller.error(new TypeError("terminated")) : controller.close()),
        };
        write("retry: 1000\n\n");
        stream.say("session", hello);
        add(stream);
      },
      cancel() {
        streams.delete(stream); // who reads no more needs no end
        changed();
      },
    });
  }

  const about = (session?: string): Stream[] => [...streams].filter((stream) => session === undefined || stream.session === session);
  return {
    count: () => streams.size,
    source,
    body,
    say(event, data, session) {
      for (const stream of about(session)) {
        stream.say(event, data);
      }
    },
    finish(event, data, session) {
      for (const stream of about(session)) {
        stream.say(event, data);
        drop(stream, false);
      }
    },
    cut() {
      for (const stream of [...streams]) {
        drop(stream, true);
      }
    },
    reconnect() {
      for (const connect of [...waiting]) {
        waiting.delete(connect);
        connect();
      }
    },
  };
}
