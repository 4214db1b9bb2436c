import type { FakeGateway } from "../src/testing.ts";

/** Where the app of these tests is. */
export const origin = "http://localhost:5173";

/** Asks as a page of the app does, unless headers say otherwise. */
export function ask(gateway: FakeGateway, line: string, headers: Record<string, string> = { "X-CSRF": "1" }, body?: BodyInit): Promise<Response> {
  const [method = "", path = ""] = line.split(" ");
  return gateway.handle(new Request(origin + path, { method, headers, body, redirect: "manual" }));
}

/** Status and code of an answer. */
export async function told(answer: Promise<Response> | Response): Promise<[number, string?]> {
  const got = await answer;
  const isProblem = got.headers.get("Content-Type") === "application/problem+json";
  return isProblem ? [got.status, ((await got.json()) as { code: string }).code] : [got.status];
}
