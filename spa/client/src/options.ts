import type { CloakroomError } from "./error.ts";
import type { EventSourceLike } from "./live.ts";
import type { State } from "./state.ts";

/** What a client is made from. */
export interface Options {
  /**
   * Where the gateway's own endpoints are. Default `/bff`, on this page's origin. A whole address, as
   * `https://app.example.com/bff`, where the gateway stands at another origin of the same site, which must list this page's: every
   * call then goes there, relative addresses too.
   */
  base?: string;
  /** Sends requests. Default: the browser's `fetch`. */
  fetch?: typeof globalThis.fetch;
  /**
   * Whether the gateway tells at once what becomes of the session, by one stream of events for all tabs, and tabs tell each other.
   * The stream is open while somebody is signed in and somebody subscribes. Without it, or where a browser has no Web Locks, the
   * client asks when the page is looked at. Default true.
   */
  live?: boolean;
  /** How many seconds before an end of the session the state says `ending`. Default 60. */
  warn?: number;
  /** Opens a stream of events. Default: the browser's `EventSource`. */
  events?: (url: string, init: EventSourceInit) => EventSourceLike;
  /** Leaves the page, for the sign-in or the sign-out. Default: `location.assign`; an app may save something first. */
  navigate?: (url: string) => void;
}

/** How a sign-in is to be. */
export interface LoginOptions {
  /**
   * Where to come back to: an address of this app, from the slash after its origin on, at most 1 KiB. Default: the one that the
   * browser shows.
   */
  returnTo?: string;
  /** As in OpenID Connect: `login` asks for a credential anew, `none` asks nobody anything. Default: the provider decides. */
  prompt?: string;
  /**
   * An error of {@link Client.fetch} with `loginUrl`, as one of `insufficient_user_authentication`, or the state that holds one as
   * `stepUp`: the sign-in is one that will do for what was refused. The user comes back to `returnTo`; what was refused is then to
   * be tried again, once. Default: an ordinary sign-in, whatever the state holds.
   */
  stepUp?: CloakroomError | State;
  /** More for the sign-in's address, as `login_hint` or `organization_id`: what app and provider do not allow is dropped there. */
  params?: Record<string, string>;
}
