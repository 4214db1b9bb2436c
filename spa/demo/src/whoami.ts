import { useQuery } from "@tanstack/react-query";
import { api } from "./api.ts";

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
  error: Error | null;
}

/** Gentle enough for any API, often enough to see a token being renewed that lives a minute. */
const pollEvery = 5_000;

/** Asks the API who asks, again and again while somebody looks. It counts as no use of the session: the page does it by itself. */
export function useWhoami(): Asked {
  const { data, error } = useQuery({
    queryKey: ["whoami"],
    queryFn: async ({ signal }) => {
      const answer = await api<Whoami>("/api/whoami", { headers: { "X-Background": "1" }, signal });
      return { answer, at: performance.now() };
    },
    refetchInterval: pollEvery,
    staleTime: 0,
    retry: false, // the next one comes soon enough
  });
  return { answer: data?.answer ?? null, at: data?.at ?? 0, error };
}
