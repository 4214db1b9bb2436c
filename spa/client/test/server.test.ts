import { describe, expect, test, vi } from "vitest";
import { CloakroomError, createClient, takeLoginError } from "../src/index.ts";

// Plain Node: no location, no window, no document, no EventSource.
describe.each([["/bff"], ["https://app.example.com/bff"]])("on a server, with the base %s", (base) => {
  test("nothing is asked, kept or thrown", async () => {
    const globals = Object.getOwnPropertyNames(globalThis);
    const sent = vi.fn();
    const client = createClient({ base, fetch: sent });
    const listener = vi.fn();
    const leave = client.subscribe(listener);
    expect(await client.check()).toBe(client.getServerState());
    expect(client.getState()).toBe(client.getServerState());
    expect(client.getServerState()).toEqual({ status: "loading" });
    expect([client.remaining(), client.hearing()]).toEqual([null, "when-looked-at"]);
    client.dismissStepUp();
    leave();
    client.close();
    expect(sent).not.toHaveBeenCalled();
    expect(listener).not.toHaveBeenCalled();
    expect(takeLoginError()).toBeNull();
    expect(Object.getOwnPropertyNames(globalThis)).toEqual(globals);
  });
});

test("a call on a server goes nowhere: there is no page whose cookies it could take along", async () => {
  const error: unknown = await createClient().fetch("/api/orders").catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(CloakroomError);
  for (const address of ["https://app.example.com/api/orders", "data:application/json,{}", "javascript:alert(1)"]) {
    await expect(createClient().fetch(address), address).rejects.toMatchObject({ code: "foreign_url" });
  }
});

test.each<[string, string | null, string | undefined]>([
  ["https://app.example.com/orders?login_error=access_denied&tab=a#top", "access_denied", "https://app.example.com/orders?tab=a#top"],
  ["https://app.example.com/?login_error=", "", "https://app.example.com/"],
  ["https://app.example.com/?a=b", null, undefined],
])("why a sign-in failed is taken out of %s once", (href, code, left) => {
  const history = { state: { key: 1 }, replaceState: vi.fn() };
  vi.stubGlobal("location", { href });
  vi.stubGlobal("history", history);
  expect(takeLoginError()).toBe(code);
  expect(history.replaceState.mock.calls).toEqual(left === undefined ? [] : [[{ key: 1 }, "", left]]);
  vi.unstubAllGlobals();
});
