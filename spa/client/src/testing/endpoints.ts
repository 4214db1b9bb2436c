import type { User } from "../state.ts";
import { type Code, isAnswer, json, type More, nothing, problem, refusesCaller, streaming, unmatched, withoutError } from "./answers.ts";
import { type Held, type Ledger, wholeSecond } from "./ledger.ts";
import { createTable, meets, type RouteHandler, type RouteOptions, type StepUpRule } from "./routes.ts";
import type { Opening, Streams } from "./streams.ts";

/** What may be wrong: a code of the gateway's, or no answer at all. */
export type Outage = "store_unavailable" | "key_unknown" | "idp_unavailable" | "draining" | "network";

/** What the endpoints are made from. */
interface Parts {
  base: string;
  user: User;
  ledger: Ledger;
  streams: Streams;
  now(): number;
}

/** The gateway's endpoints and the app's routes. */
export interface Endpoints {
  extendable: boolean;
  outage: Outage | null;
  refusal: string | null;
  origin(): string;
  handle(request: Request): Promise<Response>;
  /** Where a navigation to an address of the gateway's ends; null for a page that stays, or an address that is not the gateway's. */
  visit(to: URL): string | null;
  /** What an EventSource at this address gets. */
  streamAt(url: string): Opening;
  route(pattern: string, handler: RouteHandler, options?: RouteOptions): void;
  stepUp(pattern: string, rule?: StepUpRule): void;
}

/** How recent the sign-in must be of who ends other sessions: `session.recent` by default, in seconds. */
const recent = 600;

/** One session may have so many streams at an instance. */
const mostStreams = 20;

/** One step of a navigation through the gateway. */
type Step = { to: string } | { code: Code };

type Endpoint = (request: Request, path: Record<string, string>) => Response | Promise<Response>;

/** Makes the endpoints. */
export function createEndpoints({ base, user, ledger, streams, now }: Parts): Endpoints {
  const split = /^https?:/.test(base);
  const mount = split ? new URL(base).pathname.replace(/\/+$/, "") : base.replace(/\/+$/, "");
  const own = createTable<Endpoint>();
  const routes = createTable<{ handler: RouteHandler; options: RouteOptions }>();
  const rules = createTable<StepUpRule>();
  const tickets = new Map<string, StepUpRule>(); // of step-ups
  const leaving = new Set<string>(); // tickets of sign-outs, each good once
  let left = 0; // how many there were

  const self: Endpoints = { extendable: true, outage: null, refusal: null, origin, handle, visit, streamAt, route, stepUp };

  function origin(): string {
    return split ? new URL(base).origin : (globalThis.location?.origin ?? "http://localhost");
  }

  /** A problem that a sign-in helps with says where one starts. */
  const offer = (code: Code, more: More = {}): Response => problem(code, { login_url: `${mount}/login`, ...more });

  /** Reports whether a request shows that the app itself asks (docs/security.md, guards), as far as a test can see that. */
  function guarded(request: Request, guard: "header" | "origin"): boolean {
    const site = request.headers.get("Sec-Fetch-Site");
    const near = site === null || site === "same-origin" || (split && site === "same-site");
    const header = request.headers.get("X-CSRF") === "1";
    const safe = request.method === "GET" || request.method === "HEAD";
    return near && (guard === "header" ? header : safe);
  }

  /** The session of a request, or the answer to who has none. Who holds no cookie is told so before anything else. */
  function admit(request: Request, guard: "header" | "origin"): Held | Response {
    if (ledger.current() === null) {
      return offer("session_required");
    }
    if (!guarded(request, guard)) {
      return problem("csrf_failed");
    }
    const down = storeOutage();
    if (down !== null) {
      return problem(down);
    }
    const opened = ledger.open();
    return "session" in opened ? opened.session : offer(opened.code, opened.reason === undefined ? {} : { reason: opened.reason });
  }

  function storeOutage(): "store_unavailable" | "key_unknown" | null {
    return self.outage === "store_unavailable" || self.outage === "key_unknown" ? self.outage : null;
  }

  /** admit, which is a use of the session unless the request says that the page makes it on its own. */
  function admitUser(request: Request, guard: "header" | "origin" = "header"): Held | Response {
    const session = admit(request, guard);
    if (!(session instanceof Response) && request.headers.get("X-Background") !== "1") {
      use(session, false);
    }
    return session;
  }

  function use(session: Held, asked: boolean): void {
    if (ledger.touch(session, asked)) {
      streams.say("session-extended", leftOf(session), session.id);
    }
  }

  const leftOf = ({ endsAt, idleEndsAt }: Held): { expires_in: number; idle_expires_in: number } => {
    const seconds = (at: number): number => Math.max(0, Math.floor((at - now()) / 1000));
    return { expires_in: seconds(endsAt), idle_expires_in: seconds(Math.min(endsAt, idleEndsAt)) };
  };

  function tell(session: Held): Response {
    const { id, createdAt, acr, authTime } = session;
    return json({
      authenticated: true,
      user: session.user,
      session: { id, created_at: wholeSecond(createdAt), ...leftOf(session), acr, auth_time: Math.floor(authTime / 1000) },
      logout_url: `${mount}/logout?token=${tokenOf(session)}`,
    });
  }

  const tokenOf = ({ id }: Held): string => `logout-${id}`; // of the gateway it is no word that could be guessed

  /** Ends the session of the cookie, and returns where the browser is to go next. */
  function leave(): string {
    const session = ledger.current();
    const live = session !== null && session.end === undefined;
    ledger.forget();
    if (!live) {
      return `${mount}/logged-out`;
    }
    ledger.end(session, "signed_out");
    const ticket = `ticket-${++left}`;
    leaving.add(ticket);
    return `${mount}/logout/${ticket}`;
  }

  const clears = { "Clear-Site-Data": '"cache", "storage"' };
  const signedOut = (): Response => json({ redirect_to: origin() + leave() }, clears);

  /** What ends other sessions takes a sign-in of some minutes ago at most. */
  function settle(request: Request, act: (session: Held) => Response): Response {
    const session = admitUser(request);
    if (session instanceof Response) {
      return session;
    }
    if (now() - session.authTime >= recent * 1000) {
      return problem("recent_sign_in_required", { login_url: `${mount}/login?max_age=${recent}`, max_age: recent });
    }
    return act(session);
  }

  function addEndpoints(): void {
    own.add(`GET ${mount}/session`, (request) => {
      if (!guarded(request, "header")) {
        return problem("csrf_failed");
      }
      const session = admit(request, "header");
      if (session instanceof Response) {
        return session.status === 401 ? json({ authenticated: false }) : session;
      }
      return tell(session);
    });
    own.add(`POST ${mount}/session/extend`, (request) => {
      const session = admit(request, "header");
      if (session instanceof Response) {
        return session;
      }
      use(session, true); // first: that the provider is down is no reason to let a session lapse
      return self.extendable && self.outage !== "idp_unavailable" ? tell(session) : problem("idp_unavailable");
    });
    own.add(`GET ${mount}/sessions`, (request) => {
      const session = admit(request, "header");
      return session instanceof Response ? session : json({ sessions: ledger.listed() });
    });
    own.add(`DELETE ${mount}/sessions`, (request) =>
      settle(request, (session) => {
        for (const { id } of ledger.listed()) {
          const other = ledger.find(id);
          if (other !== undefined && other !== session) {
            ledger.end(other, "signed_out");
          }
        }
        return nothing();
      }),
    );
    own.add(`DELETE ${mount}/sessions/{id}`, (request, { id = "" }) =>
      settle(request, (session) => {
        const meant = ledger.find(id);
        if (meant === undefined) {
          return problem("not_found");
        }
        if (meant === session) {
          return signedOut();
        }
        ledger.end(meant, "signed_out");
        return nothing();
      }),
    );
    own.add(`GET ${mount}/events`, (request) => {
      const session = admit(request, request.headers.has("X-CSRF") ? "header" : "origin");
      if (session instanceof Response) {
        return session;
      }
      const opened = opening();
      return typeof opened === "string" ? problem("rate_limited") : streaming(streams.body(opened));
    });
    addDepartures();
  }

  /** What a browser opens rather than a script asks, and the sign-out, which is both. */
  function addDepartures(): void {
    own.add(`POST ${mount}/logout`, (request) => {
      const form = /^(application\/x-www-form-urlencoded|multipart\/form-data)/.test(request.headers.get("Content-Type") ?? "");
      if (!form && !guarded(request, "header")) {
        return problem("csrf_failed");
      }
      const down = ledger.current() === null ? null : storeOutage();
      if (down !== null) {
        return problem(down);
      }
      return form ? nothing(leave()) : signedOut();
    });
    for (const opened of ["login", "logout", "logout/{ticket}", "logged-out"]) {
      own.add(`GET ${mount}/${opened}`, (request) => {
        const mode = request.headers.get("Sec-Fetch-Mode");
        if (mode === null ? request.headers.has("X-CSRF") : mode !== "navigate") {
          return problem("csrf_failed"); // these are opened in the window: a script cannot go where they lead
        }
        const next = step(new URL(request.url));
        return "to" in next ? nothing(next.to) : problem(next.code);
      });
    }
  }

  /** Where one address of the gateway's sends the browser on to, or what the page says that it shows instead. */
  function step(from: URL): Step {
    const [start, ticket] = from.pathname.slice(mount.length + 1).split("/");
    if (start === "login") {
      return login(from.searchParams);
    }
    if (start === "logged-out") {
      return { to: "/" };
    }
    if (ticket !== undefined) {
      return leaving.delete(ticket) ? { to: `${mount}/logged-out` } : { code: "gone" };
    }
    const session = ledger.current();
    if (session !== null && from.searchParams.get("token") !== tokenOf(session)) {
      return { code: "csrf_failed" };
    }
    const down = session === null ? null : storeOutage();
    return down === null ? { to: leave() } : { code: down };
  }

  /** A sign-in, from its start to where it comes back to: the user is asked nothing here, and agrees. */
  function login(asked: URLSearchParams): Step {
    const returnTo = asked.get("return_to") ?? "/";
    const ticket = asked.get("step_up");
    const rule = ticket === null ? undefined : tickets.get(ticket);
    if (!mayReturn(returnTo) || (ticket !== null && rule === undefined)) {
      return { code: "bad_request" };
    }
    if (self.outage !== null) {
      return { code: self.outage === "network" ? "internal" : self.outage }; // without a network the page is the browser's
    }
    if (self.refusal !== null) {
      const error = self.refusal;
      self.refusal = null;
      const [address = "", ...hash] = returnTo.split("#");
      return { to: [`${address}${address.includes("?") ? "&" : "?"}login_error=${encodeURIComponent(error)}`, ...hash].join("#") };
    }
    const acr = rule?.acrValues?.[0] ?? asked.get("acr_values")?.split(" ")[0];
    ledger.begin(ledger.current()?.user ?? user, { acr, raisedFor: rule });
    return { to: withoutError(returnTo) };
  }

  /** RFC 9700 section 4.11.1: a path of this app; in split hosting, of the origin that the app's pages are of. */
  function mayReturn(to: string): boolean {
    const path = /^\/(?![/\\])/.test(to) && !to.startsWith(`${mount}/`);
    return path || (split && URL.canParse(to) && new URL(to).origin === globalThis.location?.origin);
  }

  function visit(to: URL): string | null {
    let at = to;
    while (at.origin === origin() && at.pathname.startsWith(`${mount}/`)) {
      const next = step(at);
      if ("code" in next) {
        return null;
      }
      if (!next.to.startsWith(`${mount}/`)) {
        return next.to;
      }
      at = new URL(next.to, origin());
    }
    return null;
  }

  function streamAt(url: string): Opening {
    const at = new URL(url, globalThis.location?.href ?? origin());
    return at.origin === origin() && at.pathname === `${mount}/events` ? opening() : "refused";
  }

  function opening(): Opening {
    if (self.outage === "network") {
      return "unreachable";
    }
    const opened = self.outage === null || self.outage === "idp_unavailable" ? ledger.open() : { code: self.outage };
    if (!("session" in opened) || streams.count() >= mostStreams) {
      return "refused";
    }
    const { session } = opened;
    return { session: session.id, hello: { authenticated: true, session: { id: session.id, ...leftOf(session) } } };
  }

  function route(pattern: string, handler: RouteHandler, options: RouteOptions = {}): void {
    routes.add(pattern, { handler, options });
  }

  function stepUp(pattern: string, rule: StepUpRule = {}): void {
    rules.add(pattern, rule);
    const session = ledger.current();
    if (session !== null && (rule.maxAge !== undefined || rule.acrValues === undefined)) {
      session.authTime = Math.min(session.authTime, now() - Math.max(rule.maxAge ?? 0, 60) * 1000 - 1000);
    }
  }

  /** An API's routes: HEAD goes where GET goes (RFC 9110, section 9.3.2), unless a route is for HEAD itself. */
  async function forward(request: Request, path: string): Promise<Response> {
    const methods = routes.methods(path);
    const method = request.method === "HEAD" && !methods.includes("HEAD") ? "GET" : request.method;
    const found = routes.find(method, path);
    if (found === null) {
      return unmatched(methods.includes("GET") ? [...new Set([...methods, "HEAD"])].sort() : methods);
    }
    const { handler, options } = found.value;
    const refused = options.token === "none" ? null : refusal(request, options, rules.find(method, path)?.value);
    if (refused !== null) {
      return refused;
    }
    const carries = options.token !== "none" && ledger.current() !== null && guarded(request, options.guard ?? "header");
    const answer: unknown = await handler(request, found.path);
    if (isAnswer(answer)) {
      return carries && refusesCaller(answer) ? offer("upstream_unauthorized") : answer;
    }
    return answer === undefined ? nothing() : json(answer);
  }

  /** What stands before a route; null lets the request pass. */
  function refusal(request: Request, { token, guard }: RouteOptions, rule: StepUpRule | undefined): Response | null {
    if (token === "user-or-none" && !guarded(request, guard ?? "header")) {
      return null; // nobody
    }
    const session = admitUser(request, guard);
    if (session instanceof Response) {
      return token === "user-or-none" && session.status === 401 ? null : session;
    }
    if (self.outage === "idp_unavailable") {
      return problem("idp_unavailable"); // as where the session's token has ended
    }
    return rule === undefined ? null : challenge(session, rule);
  }

  /** RFC 9470 section 3: what the sign-in would have to be like, and where one starts that is. */
  function challenge(session: Held, rule: StepUpRule): Response | null {
    switch (meets(session, rule, now())) {
      case "yes":
        return null;
      case "settled":
        return session.raisedFor === rule ? null : problem("step_up_not_satisfiable");
      default: {
        const ticket = `step-${tickets.size + 1}`;
        tickets.set(ticket, rule);
        const { maxAge: max_age, acrValues: acr_values } = rule;
        return offer("insufficient_user_authentication", { login_url: `${mount}/login?step_up=${ticket}`, max_age, acr_values });
      }
    }
  }

  async function handle(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname;
    if (self.outage === "network") {
      return Response.error();
    }
    if (self.outage === "draining") {
      return problem("draining");
    }
    if (!path.startsWith(`${mount}/`)) {
      return forward(request, path);
    }
    const found = own.find(request.method, path);
    return found === null ? unmatched(own.methods(path)) : found.value(request, found.path);
  }

  addEndpoints();
  return self;
}
