import type { Held } from "./ledger.ts";

/** Answers one request of the app: an answer of its own, or what is to be told as JSON; nothing is 204. */
export type RouteHandler = (request: Request, path: Record<string, string>) => unknown;

/** What a route wants of a request, as in the gateway's configuration. */
export interface RouteOptions {
  /** Who may call: whoever is signed in, or anybody. Default `user`. */
  token?: "user" | "user-or-none" | "none";
  /** What shows that the app itself asks: the header `X-CSRF`, or that the request is of this origin. Default `header`. */
  guard?: "header" | "origin";
}

/** What an API wants of the sign-in (RFC 9470). Without either, a new one is asked for. */
export interface StepUpRule {
  /** How many seconds ago the sign-in may be. */
  maxAge?: number;
  /** What it must be, any one of these. */
  acrValues?: readonly string[];
}

/** A thing that holds for requests of a method to a path. */
interface Entry<T> {
  method: string;
  segments: string[];
  prefix: boolean;
  value: T;
}

/** A table of what holds for which requests; of two that match, the one that was added last. */
export interface Table<T> {
  add(pattern: string, value: T): void;
  find(method: string, path: string): { value: T; path: Record<string, string> } | null;
  /** The methods that a path takes. */
  methods(path: string): string[];
}

/** Makes a table. A pattern is a method and a path; segments may be `{name}`, and what ends in a slash stands for itself and all below. */
export function createTable<T>(): Table<T> {
  const entries: Entry<T>[] = [];
  return {
    add(pattern, value) {
      const [method, path, ...more] = pattern.split(" ");
      if (method === undefined || path === undefined || !path.startsWith("/") || more.length > 0) {
        throw new Error(`A pattern is a method and a path, as "GET /api/orders": ${pattern}`);
      }
      const prefix = path.endsWith("/");
      entries.unshift({ method, prefix, segments: path.split("/").slice(1, prefix ? -1 : undefined), value });
    },
    find(method, path) {
      for (const entry of entries.filter((one) => one.method === method)) {
        const matched = match(entry, path);
        if (matched !== null) {
          return { value: entry.value, path: matched };
        }
      }
      return null;
    },
    methods: (path) => [...new Set(entries.filter((entry) => match(entry, path) !== null).map((entry) => entry.method))].sort(),
  };
}

function match({ segments, prefix }: Entry<unknown>, path: string): Record<string, string> | null {
  const asked = path.slice(1).split("/");
  if (prefix ? asked.length < segments.length : asked.length !== segments.length) {
    return null;
  }
  const found: Record<string, string> = {};
  for (const [i, segment] of segments.entries()) {
    const value = asked[i] ?? "";
    if (segment.startsWith("{") && segment.endsWith("}") && value !== "") {
      found[segment.slice(1, -1)] = decodeURIComponent(value);
    } else if (segment !== value) {
      return null;
    }
  }
  return found;
}

/** A sign-in of this very minute is as new as one gets: who asks for one that is newer still would ask for ever. */
const justNow = 60_000;

/** Reports whether a session's sign-in is what a rule asks for: `settled` where a newer one would bring nothing more. */
export function meets(session: Held, rule: StepUpRule, now: number): "yes" | "no" | "settled" {
  const { acrValues = [] } = rule;
  const age = rule.maxAge ?? (acrValues.length === 0 ? 0 : undefined);
  const fitting = acrValues.length === 0 || (session.acr !== undefined && acrValues.includes(session.acr));
  if (!fitting) {
    return "no";
  }
  const passed = now - session.authTime;
  if (age === undefined || passed <= age * 1000) {
    return "yes";
  }
  return passed <= justNow ? "settled" : "no";
}
