/**
 * Web Locks for an environment that has none, as jsdom and happy-dom: without them the tabs of a page share no event stream,
 * and a test would never see what a page does about an event. Exclusive locks alone, as the client asks for.
 */
export function lendLocks(): void {
  const navigator = globalThis.navigator as (Navigator & { locks?: unknown }) | undefined;
  if (navigator === undefined || (navigator.locks ?? null) !== null) {
    return;
  }
  const held = new Map<string, Promise<unknown>>(); // by name: when the last in the queue is done

  type Granted = LockGrantedCallback<unknown>;

  function request(name: string, options: LockOptions | Granted, granted?: Granted): Promise<unknown> {
    const signal = typeof options === "function" ? undefined : options.signal;
    const act = typeof options === "function" ? options : granted;
    const mine = (held.get(name) ?? Promise.resolve()).then(() => {
      signal?.throwIfAborted();
      return act?.({ name, mode: "exclusive" } as Lock);
    });
    held.set(name, mine.catch(() => {}));
    return mine;
  }

  Object.defineProperty(navigator, "locks", { configurable: true, value: { request } });
}
