import { follow } from "./events.ts";
import { Refused, type Gateway } from "./gateway.ts";
import type { Pair } from "./handles.ts";

/** What differs between a desktop app and a mobile one. */
export interface App {
  gateway: Gateway;
  /** Signs a person in with the system browser. */
  signIn(): Promise<Pair>;
  /** Shows an address in the system browser. */
  browse(address: string): Promise<void>;
  say(line: string): void;
}

interface Order {
  id: string;
  item: string;
  quantity: number;
}

/** The commands of both examples, by name. */
export const commands: Record<string, (app: App) => Promise<void>> = { tour, login, orders, devices, rotate, logout };

/** Does everything once, and says what it does. */
export async function tour(app: App): Promise<void> {
  const stop = new AbortController();
  let followed: Promise<void> = Promise.resolve();
  const steps: [string, () => Promise<void>][] = [
    ["Sign in. The browser asks who you are and whether this app may come in; the app sees no password.", () => login(app)],
    ["In the background, follow what the gateway says of this session.", () =>
      new Promise((opened) => {
        followed = listen(app, stop.signal, opened).finally(opened);
      })],
    ["Call the API. The gateway takes the handle off and puts an access token on.", () => orders(app)],
    ["Place an order.", () => order(app, "Darjeeling, 100 g", 2)],
    ["Trade both handles for their successors, as happens every quarter of an hour by itself.", () => rotate(app)],
    ["The new ones are good.", () => orders(app)],
    ["Where you are signed in.", () => devices(app)],
    ["Sign out: here, in every app of the same sign-in, and in the browser at the provider.", () => logout(app)],
    ["Whoever follows the session has been told.", () => followed],
  ];
  try {
    for (const [i, [about, step]] of steps.entries()) {
      app.say(`\n${i + 1}. ${about}`);
      await step();
    }
  } finally {
    stop.abort();
  }
  app.say("\nThat was all.");
}

async function login(app: App): Promise<void> {
  await app.gateway.handles.keep(await app.signIn());
  const session = (await app.gateway.call("GET", "/mobile/session")) as { user: { name?: string; sub?: string } };
  app.say(`Signed in as ${session.user.name ?? session.user.sub}.`);
}

async function orders(app: App): Promise<void> {
  const list = (await app.gateway.call("GET", "/api/orders")) as { orders: Order[] };
  app.say(`${list.orders.length} order(s)`);
  for (const o of list.orders) {
    app.say(`  ${o.id}  ${o.quantity} × ${o.item}`);
  }
}

async function order(app: App, item: string, quantity: number): Promise<void> {
  const placed = (await app.gateway.call("POST", "/api/orders", { item, quantity })) as Order;
  app.say(`Placed ${placed.id}: ${quantity} × ${item}`);
}

async function devices(app: App): Promise<void> {
  for (const d of await app.gateway.devices()) {
    app.say(`  ${d.device}, ${d.platform} (${d.app})${d.current ? ", this one" : `, last used ${d.last_active_at}`}`);
  }
}

/** Forces what {@link Handles.current} does by itself when the access handle has ended. */
async function rotate(app: App): Promise<void> {
  const before = await app.gateway.handles.current();
  if (before.refresh === "") {
    app.say(`  access handle   ${masked(before.access)}  is bound to this app's key, and lasts as long as the session`);
    return;
  }
  const after = await app.gateway.handles.renew(before);
  if (after.access === before.access || after.refresh === before.refresh) {
    throw new Error("The gateway answered with the same handles.");
  }
  app.say(`  access handle   ${masked(before.access)} → ${masked(after.access)}`);
  app.say(`  refresh handle  ${masked(before.refresh)} → ${masked(after.refresh)}`);
}

async function logout(app: App): Promise<void> {
  const before = await app.gateway.handles.current();
  const address = await app.gateway.signOut();
  app.say("Signed out.");
  if (address !== null) {
    await app.browse(address);
  }
  const answer = await app.gateway.send(before, "GET", "/api/orders");
  if (answer.status !== 401) {
    throw new Error(`The old handle should be refused with 401, and was answered with ${answer.status}.`);
  }
  app.say("The old handle is refused.");
}

async function listen(app: App, signal: AbortSignal, opened: () => void): Promise<void> {
  await follow(app.gateway, (event) => {
    if (event.name === "session") {
      app.say("Following the session: should it end elsewhere, this app knows at once.");
      opened();
    } else if (event.name === "session-ended") {
      app.say(`The gateway says that the session is over: ${event.data.reason}`);
    }
  }, signal);
}

/** Which kind of handle, and its last four characters: they belong to its checksum, and tell nothing of the secret. */
function masked(handle: string): string {
  return `${handle.slice(0, 4)}…${handle.slice(-4)}`;
}

/** What to tell a person. */
export function explain(problem: unknown): string {
  if (problem instanceof Refused && problem.status >= 500) {
    return `${problem.message}. You are still signed in; try again in a while.`;
  }
  if (problem instanceof TypeError) { // fetch has no other word for it
    return "The gateway cannot be reached. Whoever was signed in still is; try again in a while.";
  }
  return problem instanceof Error ? problem.message : String(problem);
}
