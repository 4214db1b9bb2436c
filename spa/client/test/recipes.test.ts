// @vitest-environment happy-dom
// @vitest-environment-options { "url": "https://app.example.com/orders" }

// The recipes of the documentation, run as they stand there: the page's own client, in a browser whose every request a fake
// gateway answers.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Client, CloakroomError, User } from "../src/index.ts";
import { createFakeGateway, type FakeGateway } from "../src/testing.ts";
import { foldersOf, pages, shown } from "./docs.ts";

/** Imports a file of a page anew. */
async function recipe<T>(name: string, page = "browser"): Promise<T> {
  return (await import(/* @vite-ignore */ shown(page, name))) as T;
}

let gateway: FakeGateway;

/** The client that the page's files share. */
async function shared(): Promise<Client> {
  return (await recipe<{ client: Client }>("client.ts")).client;
}

beforeEach(() => {
  vi.resetModules();
  sessionStorage.clear();
  gateway = createFakeGateway();
  vi.stubGlobal("fetch", gateway.options.fetch);
  vi.stubGlobal("EventSource", class {
    constructor(url: string, init: EventSourceInit) {
      return gateway.options.events(url, init);
    }
  });
  vi.spyOn(location, "assign").mockImplementation((url) => gateway.options.navigate(String(url)));
});

afterEach(async () => {
  (await shared()).close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("axios", () => {
  interface Http {
    http: { get(url: string): Promise<{ status: number; data: unknown }>; post(url: string, body: unknown): Promise<{ data: unknown }> };
    gatewayError(error: unknown): CloakroomError | undefined;
  }

  test("calls with the header, and sends JSON", async () => {
    gateway.signIn();
    gateway.route("POST /api/orders", async (request) => ({ got: await request.json() }));
    const { http } = await recipe<Http>("http.ts");
    expect((await http.post("/api/orders", { item: "hat" })).data).toEqual({ got: { item: "hat" } });
  });

  test("tells the gateway's error from the API's", async () => {
    gateway.signIn();
    gateway.route("GET /api/orders", () => new Response("{}", { status: 409, headers: { "Content-Type": "application/json" } }));
    const { http, gatewayError } = await recipe<Http>("http.ts");
    const conflict: unknown = await http.get("/api/orders").catch((error: unknown) => error);
    expect(conflict).toMatchObject({ status: 409 });
    expect(gatewayError(conflict)).toBeUndefined();
    const page = await shared();
    await page.check();
    gateway.signOut("admin");
    const ended: unknown = await http.get("/api/orders").catch((error: unknown) => error);
    expect(gatewayError(ended)).toMatchObject({ code: "session_ended", reason: "admin" });
    expect(page.getState()).toMatchObject({ status: "signed-out", reason: "admin" });
  });
});

describe("TanStack Query", () => {
  interface Query {
    queries: {
      fetchQuery(options: object): Promise<unknown>;
      getQueryData(key: string[]): unknown;
      setQueryData(key: string[], data: unknown): void;
    };
    getJSON(path: string): Promise<unknown>;
  }

  const counted = (answers: (() => Response | object)[]): (() => number) => {
    let asked = 0;
    gateway.route("GET /api/orders", () => answers[Math.min(asked++, answers.length - 1)]?.());
    return () => asked;
  };

  test("tries again what may pass", async () => {
    vi.useFakeTimers();
    gateway.signIn();
    const asked = counted([() => new Response(null, { status: 503 }), () => ({ orders: [] })]);
    const { queries, getJSON } = await recipe<Query>("query.ts");
    const got = queries.fetchQuery({ queryKey: ["orders"], queryFn: () => getJSON("/api/orders") });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await got).toEqual({ orders: [] });
    expect(asked()).toBe(2);
  });

  test("tries nothing again that stays", async () => {
    vi.useFakeTimers();
    gateway.signIn();
    const asked = counted([() => new Response(null, { status: 404 })]);
    const { queries, getJSON } = await recipe<Query>("query.ts");
    const got = queries.fetchQuery({ queryKey: ["orders"], queryFn: () => getJSON("/api/orders") }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await got).toMatchObject({ status: 404 });
    expect(asked()).toBe(1);
  });

  test("forgets what a user has seen when another signs in, and at the sign-out", async () => {
    const page = await shared();
    gateway.signIn({ sub: "ada" });
    const { queries } = await recipe<Query>("query.ts");
    await page.check();
    queries.setQueryData(["orders"], ["of Ada"]);
    gateway.signIn({ sub: "bo" });
    await page.check();
    expect(queries.getQueryData(["orders"])).toBeUndefined();
    queries.setQueryData(["orders"], ["of Bo"]);
    gateway.outage("store_unavailable");
    await page.check();
    expect(queries.getQueryData(["orders"])).toEqual(["of Bo"]);
    gateway.outage(null);
    gateway.signOut();
    await page.check();
    expect(queries.getQueryData(["orders"])).toBeUndefined();
  });
});

describe("a router's guard", () => {
  interface Guard {
    signedIn(path: string): Promise<User>;
  }

  test("lets a user pass", async () => {
    gateway.signIn({ sub: "ada" });
    expect(await (await recipe<Guard>("guard.ts")).signedIn("/orders")).toMatchObject({ sub: "ada" });
    expect(gateway.navigations).toEqual([]);
  });

  test("sends a visitor to the sign-in, which comes back to the path, once", async () => {
    const { signedIn } = await recipe<Guard>("guard.ts");
    void signedIn("/orders/7?tab=notes");
    await vi.waitFor(() => expect(gateway.navigations).toHaveLength(2));
    expect(gateway.navigations[0]).toContain(`return_to=${encodeURIComponent("/orders/7?tab=notes")}`);
    expect(gateway.navigations[1]).toContain("/orders/7?tab=notes");
  });

  test("does not go in circles with a sign-in that was refused", async () => {
    history.replaceState(null, "", "/orders?login_error=access_denied");
    const { signedIn } = await recipe<Guard>("guard.ts");
    await expect(signedIn("/orders")).rejects.toThrow("access_denied");
    expect(gateway.navigations).toEqual([]);
    expect(location.href).toBe("https://app.example.com/orders");
  });

  test("tells an outage apart, and keeps whoever was known", async () => {
    const page = await shared();
    const { signedIn } = await recipe<Guard>("guard.ts");
    gateway.outage("draining");
    await expect(signedIn("/orders")).rejects.toMatchObject({ code: "draining" });
    gateway.outage(null);
    gateway.signIn({ sub: "ada" });
    await page.check();
    gateway.outage("store_unavailable");
    await page.check();
    expect(await signedIn("/orders")).toMatchObject({ sub: "ada" });
    expect(gateway.navigations).toEqual([]);
  });
});

describe("an upload", () => {
  /** An XMLHttpRequest whose request the fake gateway answers. */
  class Request extends EventTarget {
    upload: { onprogress?: (event: object) => void } = {};
    status = 0;
    onload?: () => void;
    onerror?: () => void;
    readonly #headers = new Headers();
    #asked: [string, string] = ["", ""];
    open(method: string, path: string): void {
      this.#asked = [method, path];
    }
    setRequestHeader(name: string, value: string): void {
      this.#headers.set(name, value);
    }
    async send(body: Blob): Promise<void> {
      for (const loaded of [body.size / 2, body.size]) {
        this.upload.onprogress?.({ lengthComputable: true, loaded, total: body.size });
      }
      try {
        const [method, path] = this.#asked;
        const answer = await gateway.options.fetch(path, { method, headers: this.#headers, body: await body.text() });
        this.status = answer.status;
      } catch {
        return this.onerror?.();
      }
      this.onload?.();
    }
  }

  type Upload = (path: string, file: Blob, told: (share: number) => void) => Promise<number>;
  const upload: Upload = async (...all) => (await recipe<{ upload: Upload }>("upload.ts")).upload(...all);

  test("tells how far it is, and passes the guard", async () => {
    vi.stubGlobal("XMLHttpRequest", Request);
    gateway.signIn();
    gateway.route("POST /api/files", async (request) => new Response(await request.text(), { status: 201 }));
    const told: number[] = [];
    expect(await upload("/api/files", new Blob(["twelve bytes"]), (share) => told.push(share))).toBe(201);
    expect(told).toEqual([0.5, 1]);
  });

  test("of a session that is over has the state say so", async () => {
    vi.stubGlobal("XMLHttpRequest", Request);
    gateway.route("POST /api/files", () => new Response(null, { status: 201 }));
    gateway.signIn();
    const page = await shared();
    await page.check();
    gateway.signOut("admin");
    expect(await upload("/api/files", new Blob(["x"]), () => undefined)).toBe(401);
    await vi.waitFor(() => expect(page.getState().status).toBe("signed-out"));
  });

  test("without an answer rejects", async () => {
    vi.stubGlobal("XMLHttpRequest", Request);
    gateway.signIn();
    gateway.outage("network");
    await expect(upload("/api/files", new Blob(["x"]), () => undefined)).rejects.toThrow("no answer");
  });
});

describe("a download", () => {
  type Download = (path: string, name: string) => Promise<void>;

  test("is saved under its name", async () => {
    gateway.signIn();
    gateway.route("GET /api/orders.csv", () => new Response("id\n7\n"));
    const saved: [string, Blob | undefined][] = [];
    let blob: Blob | undefined;
    vi.spyOn(URL, "createObjectURL").mockImplementation((given) => ((blob = given as Blob), "blob:made"));
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      saved.push([this.download, this.href === "blob:made" ? blob : undefined]);
    });
    await (await recipe<{ download: Download }>("download.ts")).download("/api/orders.csv", "orders.csv");
    expect(saved).toHaveLength(1);
    expect([saved[0]?.[0], await saved[0]?.[1]?.text()]).toEqual(["orders.csv", "id\n7\n"]);
  });

  test("that the API refuses is no file", async () => {
    gateway.signIn();
    gateway.route("GET /api/orders.csv", () => new Response("no", { status: 403 }));
    const click = vi.spyOn(HTMLAnchorElement.prototype, "click");
    await expect((await recipe<{ download: Download }>("download.ts")).download("/api/orders.csv", "orders.csv")).rejects.toThrow("403");
    expect(click).not.toHaveBeenCalled();
  });
});

describe("a WebSocket", () => {
  /** The sockets that were opened, oldest first. */
  const sockets: Socket[] = [];

  class Socket {
    readonly url: string;
    onopen?: () => void;
    onmessage?: (event: { data: string }) => void;
    onclose?: (event: { code: number }) => void;
    closed = false;
    constructor(url: URL) {
      this.url = url.href;
      sockets.push(this);
    }
    close(): void {
      this.closed = true;
      this.onclose?.({ code: 1005 });
    }
  }

  type Listen = (path: string, heard: (message: string) => void) => () => void;

  beforeEach(() => {
    sockets.length = 0;
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", Socket);
    gateway.signIn();
  });

  test("is opened at this origin, heard, and comes back after it broke, later each time", async () => {
    const heard: string[] = [];
    const { listen } = await recipe<{ listen: Listen }>("socket.ts");
    const stop = listen("/api/feed", (message) => heard.push(message));
    expect(sockets[0]?.url).toBe("wss://app.example.com/api/feed");
    sockets[0]?.onopen?.();
    sockets[0]?.onmessage?.({ data: "placed" });
    for (const [opened, wait] of [[1, 1_100], [2, 2_100], [3, 4_100]] as const) {
      expect(sockets).toHaveLength(opened);
      sockets.at(-1)?.onclose?.({ code: 1006 });
      await vi.advanceTimersByTimeAsync(wait);
    }
    expect(sockets).toHaveLength(4);
    stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(heard).toEqual(["placed"]);
    expect(sockets).toHaveLength(4);
  });

  test("stays closed once the session is over", async () => {
    const { listen } = await recipe<{ listen: Listen }>("socket.ts");
    listen("/api/feed", () => undefined);
    gateway.signOut("admin");
    sockets[0]?.onclose?.({ code: 1008 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(1);
  });
});

describe("the other recipes", () => {
  test("a poll is no use of the session", async () => {
    gateway.signIn();
    gateway.route("GET /api/unread", () => ({ unread: 3 }));
    const { unread } = await recipe<{ unread(): Promise<number> }>("poll.ts");
    expect(await unread()).toBe(3);
    expect(gateway.requests.at(-1)?.headers.get("X-Background")).toBe("1");
  });

  test("a draft is given back once, to its user alone", async () => {
    const { keepDraft, takeDraft } = await recipe<{
      keepDraft(sub: string, form: string, values: Record<string, string>): void;
      takeDraft(sub: string, form: string): Record<string, string> | null;
    }>("draft.ts");
    keepDraft("ada", "order", { item: "hat" });
    expect(takeDraft("bo", "order")).toBeNull();
    expect(takeDraft("ada", "order")).toEqual({ item: "hat" });
    expect(takeDraft("ada", "order")).toBeNull();
  });

  test("a page without a framework sends a visitor to the sign-in, and nobody whose session has ended", async () => {
    const page = await shared();
    gateway.signIn();
    await recipe("plain.ts");
    await vi.waitFor(() => expect(document.body.dataset.session).toBe("signed-in"));
    gateway.signOut("admin");
    await vi.waitFor(() => expect(document.body.dataset.session).toBe("signed-out"));
    expect(page.getState()).toMatchObject({ reason: "admin" });
    expect(gateway.navigations).toEqual([]);
  });

  test("all others are signed out, after another sign-in where that is asked for", async () => {
    gateway.signIn(undefined, { ago: 7200 });
    gateway.elsewhere();
    const { endOthers } = await recipe<{ endOthers(): Promise<void> }>("devices.ts");
    await (await shared()).check();
    await endOthers();
    await vi.waitFor(() => expect(gateway.navigations.length).toBeGreaterThan(0));
    expect(gateway.sessions).toHaveLength(2);
    await endOthers();
    expect(gateway.sessions).toHaveLength(1);
  });
});

// Tests that the pages show are tests.
await recipe("orders.test.ts");
const [readme] = foldersOf("README", pages().get("README") ?? "");
await recipe([...(readme?.files ?? [])].find(([, code]) => code.includes('"vitest"'))?.[0] ?? "no test", "README");
