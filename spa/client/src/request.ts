import { localError, problemOf } from "./error.ts";

/** Sends to one gateway, and to nobody else. */
export interface Gateway {
  /** Whether it stands at another origin than the page. */
  split(): boolean;
  /** Reads an address; one that is not of the gateway's origin is thrown as `foreign_url`. */
  resolve(address: string | URL): URL;
  /**
   * As fetch, to an address that resolves. What the gateway itself refuses rejects; what an API answers does not. limit: of the
   * client's own, by which there is an answer or none.
   */
  request(input: RequestInfo | URL, init?: RequestInit, limit?: AbortSignal): Promise<Response>;
}

/** Makes the sender. base: where the gateway's endpoints are, a path of the page's origin or a whole address. */
export function gatewayAt(base: string, send: typeof globalThis.fetch): Gateway {
  // Read each time, for a single-page app changes its address. A server has none: there what is relative leads nowhere.
  const page = (): string => globalThis.location?.href ?? "nowhere:/";
  const home = (): URL => new URL(base, page());
  const split = (): boolean => home().origin !== new URL(page()).origin;

  function resolve(address: string | URL): URL {
    const url = new URL(address, split() ? home() : page());
    // As a text, for the origin alone is also that of what is no address there: blob:https://app.example.com/…, or of every data:
    // where there is no page. Nor is one with a name and a password in it.
    if (!url.href.startsWith(`${home().origin}/`)) {
      throw localError("foreign_url", `Not an address of ${home().origin}: nothing was sent`);
    }
    return url;
  }

  async function request(input: RequestInfo | URL, init?: RequestInit, limit?: AbortSignal): Promise<Response> {
    const whole = input instanceof Request ? input : undefined;
    const url = resolve(whole?.url ?? (input as string | URL));
    const headers = new Headers(init?.headers ?? whole?.headers);
    headers.set("X-CSRF", "1");
    // "same-origin" also where a redirect leads: the browser refuses to follow one to another origin. Between origins there is no
    // such mode, so none is followed at all: no body and no cookie of anybody else's goes where a redirect says.
    const mine: RequestInit = split()
      ? { mode: "cors", credentials: "include", redirect: "error" }
      : { mode: "same-origin", credentials: "same-origin" };
    const signal = limit ?? init?.signal;
    const answer = await send(whole ?? url.href, { ...init, headers, signal, ...mine }).catch((cause: unknown) => {
      throw (init?.signal ?? whole?.signal)?.aborted ? cause : localError("network", "No answer", cause);
    });
    const problem = await problemOf(answer);
    if (problem) {
      throw problem;
    }
    return answer;
  }

  return { split, resolve, request };
}
