import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A port of this machine, on which the browser brings the answer. */
export interface Loopback {
  redirectUri: string;
  /** The address that the browser came back with. */
  answer: Promise<URL>;
  close(): void;
}

/** A person may take this long to sign in: to find the password, the phone and the reading glasses. */
const patience = 10 * 60_000;

/**
 * Listens for the one answer with this `state`. RFC 8252 section 7.3: loopback, any free port; the address rather than the name
 * localhost, which may lead elsewhere. Everything else at this port, such as a page of another site that guesses it, is sent
 * away and changes nothing.
 */
export async function listen(state: string): Promise<Loopback> {
  const server = createServer();
  const answer = new Promise<URL>((resolve, reject) => {
    setTimeout(() => reject(new Error("Nobody came back from the browser.")), patience).unref();
    server.on("request", (request, response) => {
      const url = new URL(request.url ?? "/", "http://127.0.0.1");
      const ours = request.method === "GET" && url.pathname === "/callback" && url.searchParams.get("state") === state;
      if (ours) {
        resolve(url);
      }
      const text = ours ? "The app goes on by itself. You can close this window." : "This is not an answer that the app waits for.";
      // The address of this page holds the code, so it loads nothing, sends nobody there and is kept nowhere.
      response.writeHead(ours ? 200 : 404, {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        Connection: "close",
      });
      response.end(page(ours ? "Thank you" : "Nothing here", text));
    });
  });
  answer.catch(() => {}); // whoever waits for it is told; nobody may be waiting
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return { redirectUri: `http://127.0.0.1:${portOf(server)}/callback`, answer, close: () => server.close() };
}

/** What a person sees at the end: it fits a phone, and a browser in the dark. Both texts are our own: nothing of the request. */
const page = (title: string, text: string) => `<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
  :root { color-scheme: light dark; font: 1.125rem/1.6 system-ui, sans-serif }
  body { max-width: 26rem; margin: 20vh auto 0; padding: 0 1.5rem; text-align: center; text-wrap: balance }
</style>
<h1>${title}</h1>
<p>${text}</p>
</html>
`;

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
