import { CloakroomError, type Hearing, type User } from "@cloakroom/client";
import type { Place } from "./address.tsx";
import { ApiError } from "./api.ts";

/** What to tell a person: what happened, and what that means to them. */
export interface Words {
  title: string;
  text: string;
}

/** Texts by code. A Map, for a code comes from outside, and an object has an answer to "constructor". */
function table<T>(texts: Record<string, T>): Map<string, T> {
  return new Map(Object.entries(texts));
}

const ended = table<Words>({
  signed_out: {
    title: "You have signed out",
    text: "It happened in another app or on another page of the same sign-in, so this page is signed out as well.",
  },
  provider_logout: { title: "Your session at the sign-in service has ended", text: "It has told every app of the same sign-in, so this page is signed out as well." },
  admin: { title: "An administrator has signed you out", text: "Nothing of yours is lost. You may sign in again, unless you are told otherwise." },
  limit: { title: "You have signed in elsewhere", text: "There are as many of your sessions as this app allows, and this one was the oldest." },
  replaced: { title: "Somebody signed in anew", text: "A new sign-in in this browser took the place of this one." },
  idle: { title: "You were away for a while", text: "Nobody used this session for so long that it ended. Nothing of yours is lost." },
  absolute: { title: "Your session is over", text: "It has reached its longest life, however much it is used. Sign in to go on." },
  refresh_rejected: { title: "Your sign-in was withdrawn", text: "The sign-in service does not renew it any more. Sign in to go on." },
  refresh_lost: { title: "Your session could not be renewed", text: "An answer of the sign-in service was lost on the way. Nothing of yours is lost. Sign in to go on." },
  no_refresh_token: { title: "Your session could not be renewed", text: "The sign-in service gives this app no way to. Sign in to go on." },
  identity_changed: { title: "The sign-in was about somebody else", text: "The sign-in service told of another account than yours, so this page is signed out." },
  key_retired: { title: "Your session is over", text: "Whoever runs this service has ended all sessions of its age. Nothing of yours is lost. Sign in to go on." },
  login_undone: { title: "You have signed out", text: "A sign-out came in while you were signing in, and it counts. Sign in again if you like." },
});

/** Why a session that was there is over. */
export function sessionOver(reason: string | undefined): Words {
  return (
    ended.get(reason ?? "") ?? {
      title: "You are signed out",
      text: "The session of this browser has ended: you signed out in another tab, or it ran out. Sign in to go on where you were.",
    }
  );
}

const refused = table<Words>({
  access_denied: { title: "You did not sign in", text: "The sign-in was cancelled or not allowed. Nothing has changed; try again whenever you like." },
  login_required: { title: "You are not signed in there", text: "The sign-in service wants to see you first." },
  interaction_required: { title: "There is a question to answer", text: "The sign-in service could not let you in without asking you something." },
  consent_required: { title: "Your consent is missing", text: "The sign-in service could not let you in without asking for it." },
  step_up_unmet: {
    title: "That sign-in does not do",
    text: "It was not as recent or as strong as was needed, or it was somebody else’s. You are signed in as before, and nothing was sent.",
  },
  unmet_authentication_requirements: {
    title: "You cannot sign in like that",
    text: "The sign-in service has no sign-in for you that is as strong as was needed. You are signed in as before, and nothing was sent.",
  },
  account_selection_required: { title: "Which account is it?", text: "The sign-in service knows more than one of yours and has to ask." },
});

/** Why a sign-in failed, by the code in the address. A code nobody knows is told without it: the address is anybody's to write. */
export function loginFailed(code: string): Words {
  return refused.get(code) ?? { title: "The sign-in did not work", text: "Try again; if it happens again, tell whoever runs this service." };
}

const outages = table<string>({
  network: "We cannot reach the gateway",
  bad_answer: "Something else answers in the gateway’s place",
  draining: "The gateway is restarting",
  store_unavailable: "We cannot reach the session store",
  key_unknown: "The gateway cannot open your session yet",
  rate_limited: "These are too many requests at once",
  internal: "Something went wrong at the gateway",
  csrf_failed: "The gateway takes this page for somebody else’s",
  misdirected: "The gateway knows no app at this address",
});

/** What is out of order, as the gateway says it where it has no words of ours. A browser that has no network need not have asked to know. */
export function outage(error: CloakroomError | null, online: boolean): string {
  if (!online || error === null) {
    return "You are offline";
  }
  return outages.get(error.code) ?? error.title;
}

const lasting = new Set(["csrf_failed", "misdirected"]);

/** Whether what is out of order is so until somebody mends it. Anything else passes by itself. */
export function lasts(error: CloakroomError | null): boolean {
  return error !== null && lasting.has(error.code);
}

const failures = table<Words>({
  network: { title: "No answer", text: "The gateway cannot be reached. Are you offline?" },
  store_unavailable: { title: "Not possible at the moment", text: "The gateway cannot reach its session store. You are still signed in." },
  idp_unavailable: { title: "Not possible at the moment", text: "The sign-in service does not answer, and the token has to be renewed. You are still signed in." },
  upstream_unavailable: { title: "The API does not answer", text: "You are still signed in. It is the service behind the gateway that cannot be reached." },
  upstream_timeout: { title: "The API took too long", text: "You are still signed in. It is the service behind the gateway that was too slow." },
  upstream_unauthorized: { title: "The API refuses the token", text: "The gateway renewed it, and the API still says no. Your session lives on." },
  insufficient_user_authentication: {
    title: "Please sign in again",
    text: "For a refund the API wants a sign-in of the last five minutes. You come back to this very order, and nothing is paid back before you confirm it.",
  },
  step_up_not_satisfiable: {
    title: "Signing in does not help",
    text: "You have just signed in as the API asks, and it asks again. Whoever runs it has to look.",
  },
  recent_sign_in_required: { title: "Is it still you?", text: "Other sign-ins are ended only shortly after signing in. Sign in again, then repeat it." },
  management_api_disabled: { title: "Not allowed", text: "The sign-in service does not let this app use its Management API." },
  app_not_allowed: { title: "Not open to this app", text: "The gateway’s configuration gives this route to other apps." },
});

/** What went wrong with a call: the gateway's word, the API's, or whatever else was thrown. */
export function callFailed(cause: unknown): Words {
  if (cause instanceof CloakroomError) {
    return failures.get(cause.code) ?? { title: cause.title, text: cause.detail };
  }
  return cause instanceof ApiError ? { title: "The API refuses", text: cause.message } : { title: "That did not work", text: String(cause) };
}

/** Whether a call that failed may have been carried out all the same. */
function unsure(cause: unknown): boolean {
  if (cause instanceof CloakroomError) {
    return ["network", "upstream_timeout", "upstream_unavailable"].includes(cause.code);
  }
  return !(cause instanceof ApiError && cause.status < 500); // an API that refuses has done nothing, one that breaks may have
}

/** What became of an order whose call failed: without an answer that is not known. */
export function orderFailed(cause: unknown): string {
  return unsure(cause) ? "Whether it was placed is not known: look at your orders before you try again." : "Your order is not placed.";
}

/** What became of a refund whose call failed. */
export function refundFailed(cause: unknown): string {
  return unsure(cause) ? "Whether it was refunded is not known: this page shows it as soon as it is." : "Nothing is paid back.";
}

/** A title as the beginning of a text: with a full stop, unless it ends in a mark of its own. */
export function sentence(title: string): string {
  return /[.!?…]$/.test(title) ? title : `${title}.`;
}

/** A duration for a glance: `11 h 59 min`, which no line break tears apart, or `29:41`. */
export function span(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s >= 3600) {
    return `${Math.floor(s / 3600)}\u00a0h\u00a0${Math.floor((s % 3600) / 60)}\u00a0min`;
  }
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

const hearings: Record<Hearing, string> = {
  "at-once": "Live: should you sign out elsewhere, this page knows within a second.",
  connecting: "Connecting to the gateway’s events…",
  "when-looked-at": "Not live: this page asks again when it is looked at.",
};

/** How soon the page learns of a sign-out elsewhere. */
export function hearingOf(hearing: Hearing): string {
  return hearings[hearing];
}

const kinds = table<string>({ spa: "single-page app", web: "website", mobile: "mobile app", desktop: "desktop app" });

/** What kind of app it is; "" for one that nobody knows. */
export function kindOf(kind: string): string {
  return kinds.get(kind) ?? "";
}

/** How long ago something was, for a glance. The clocks of browser and gateway differ, so that the last minute is "just now". */
export function ago(when: Date, now: number): string {
  const minutes = Math.floor((now - when.getTime()) / 60_000);
  if (!(minutes >= 1)) {
    return "just now";
  }
  const [n, unit] = minutes < 60 ? [minutes, "minute"] : minutes < 24 * 60 ? [Math.floor(minutes / 60), "hour"] : [Math.floor(minutes / 60 / 24), "day"];
  return `${n} ${unit}${n === 1 ? "" : "s"} ago`;
}

/** What is said aloud of a countdown: few times, for nobody wants each second read out. */
export function countdown(seconds: number): string {
  return seconds <= 10 ? "10 seconds left." : seconds <= 30 ? "30 seconds left." : "";
}

/** Where a sign-in leads back to. */
export function wayBack(place: Place): string {
  switch (place.page) {
    case "order":
      return `Afterwards you see order ${place.id}.`;
    case "orders":
      return "Afterwards you see your orders.";
    case "export":
      return "Afterwards you see the export.";
    case "account":
      return "Afterwards you see your account.";
    default:
      return "";
  }
}

/** What the window is called. */
export function titleOf(place: Place): string {
  const titles = { overview: "", orders: "Orders", order: "Order", export: "Export", account: "Account", unknown: "Nothing here" };
  return titled(place.page === "order" ? `Order ${place.id}` : titles[place.page]);
}

/** A window's title: what it shows, then whose it is. */
export function titled(what: string): string {
  return what === "" ? "Cloakroom Coats" : `${what} · Cloakroom Coats`;
}

/** What to call a user. */
export function nameOf(user: User): string {
  return user.name ?? user.email ?? user.sub;
}

/** A greeting for the time of day. */
export function greeting(user: User, at: Date): string {
  const hour = at.getHours();
  const part = hour < 5 ? "Good night" : hour < 12 ? "Good morning" : hour < 18 ? "Good afternoon" : "Good evening";
  return `${part}, ${nameOf(user)}`;
}

/** The letters of an avatar: of the first and the last name, else of what there is. */
export function initials(name: string): string {
  const words = name.split(/[\s@.]+/u).filter((word) => word !== "");
  const letters = words.length > 1 && !name.includes("@") ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...(word ?? "?")][0]).join("").toUpperCase();
}
