import { expect } from "vitest";
import { CloakroomError } from "../src/index.ts";

export const origin = "https://app.example.com";

/** A gateway that answers what a test lines up, in that order, and keeps what it was asked. */
export class Gateway {
  readonly asked: { path: string; method: string; headers: Headers; init: RequestInit }[] = [];
  private readonly answers: (Response | Error | Promise<Response>)[] = [];

  will(...answers: (Response | Error | Promise<Response>)[]): this {
    this.answers.push(...answers);
    return this;
  }

  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const { pathname, search } = new URL(input instanceof Request ? input.url : input);
    this.asked.push({ path: pathname + search, method: init.method ?? "GET", headers: new Headers(init.headers), init });
    const answer = await this.answers.shift();
    if (answer === undefined) {
      throw new Error(`asked for ${pathname}, which the test does not expect`);
    }
    if (answer instanceof Error) {
      throw answer;
    }
    return answer;
  };
}

export function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}

export function signedIn({ id = "s1", expiresIn = 43_200, idle = 1_800 } = {}): Response {
  return json({
    authenticated: true,
    user: { sub: "usr_1", name: "Ada" },
    session: { id, created_at: "2026-11-22T00:00:00Z", expires_in: expiresIn, idle_expires_in: idle },
    logout_url: "/bff/logout?token=t",
  });
}

export const signedOut = (): Response => json({ authenticated: false });

export function problem(status: number, code: string, more: Record<string, unknown> = {}): Response {
  const body = { type: `urn:cloakroom:problem:${code}`, title: code, status, code, request_id: "r1", ...more };
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/problem+json" } });
}

/** An answer that the test gives when it likes. */
export function later(): { answer: Promise<Response>; give: (r: Response) => void } {
  let give!: (r: Response) => void;
  const answer = new Promise<Response>((resolve) => {
    give = resolve;
  });
  return { answer, give };
}

/** The error that a call must reject with. */
export const failing = async (call: Promise<unknown>): Promise<CloakroomError> => {
  const error: unknown = await call.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(CloakroomError);
  return error as CloakroomError;
};
