import { useEffect, useState } from "react";
import { CloakroomError } from "@cloakroom/client";
import { client } from "./gateway.ts";

/** What the demo API says of the call that reached it. */
export interface Whoami {
  sub: string;
  scope: string;
  headers: Record<string, string[]>;
  token?: { number: number; age: number; expires_in: number };
}

/** The last answer, when it came (on the clock of `performance.now()`), and what went wrong since. */
export interface Asked {
  answer: Whoami | null;
  at: number;
  error: CloakroomError | null;
}

/** Gentle enough for any API, often enough to see a token being renewed that lives a minute. */
const pollEvery = 5_000;

/** Asks the API who asks, again and again while somebody looks. It counts as no use of the session: the page does it by itself. */
export function useWhoami(): Asked {
  const [asked, setAsked] = useState<Asked>({ answer: null, at: 0, error: null });
  useEffect(() => {
    const left = new AbortController();
    const ask = (): void => {
      if (document.visibilityState === "visible") {
        whoami(left.signal).then(
          (answer) => setAsked({ answer, at: performance.now(), error: null }),
          (error: unknown) => error instanceof CloakroomError && setAsked((before) => ({ ...before, error })),
        );
      }
    };
    ask();
    const timer = setInterval(ask, pollEvery);
    document.addEventListener("visibilitychange", ask);
    return () => {
      left.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, []);
  return asked;
}

async function whoami(signal: AbortSignal): Promise<Whoami> {
  const answer = await client.fetch("/api/whoami", { headers: { "X-Background": "1" }, signal });
  if (!answer.ok) {
    throw new CloakroomError({ code: "api", title: "The API refuses", status: answer.status, detail: `It answers ${answer.status}.` });
  }
  return (await answer.json()) as Whoami;
}
