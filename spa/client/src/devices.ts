import { isRecord, text } from "./error.ts";

/** One of the user's sessions, over all apps and devices. */
export interface Device {
  /** As {@link Session.id}: a public name. */
  id: string;
  /** The app it is of, by its name in the gateway's configuration. */
  app: string;
  /** What that is: `spa`, `web`, `mobile` or `desktop`; "" of an app that is not configured any more. */
  kind: string;
  /** A few words, as "Firefox on Linux"; "" when it is not known. A native app says it of itself: show it as text. */
  device: string;
  /** What a native app said that it runs on; else "". */
  platform: string;
  /** When the user signed in there. */
  createdAt: Date;
  /** When it was last used. */
  lastActiveAt: Date;
  /** Whether it is the session that asks. */
  current: boolean;
}

/** Reads the list of the user's sessions. What is none is null, or throws. */
export function readDevices(body: unknown): Device[] | null {
  const { sessions } = body as { sessions: unknown[] };
  return sessions.every(isRecord) ? sessions.map(readDevice) : null;
}

function readDevice(one: Record<string, unknown>): Device {
  const word = (name: string): string => text(one[name]) ?? "";
  return {
    id: word("id"),
    app: word("app"),
    kind: word("kind"),
    device: word("device"),
    platform: word("platform"),
    createdAt: new Date(word("created_at")),
    lastActiveAt: new Date(word("last_active_at")),
    current: one.current === true,
  };
}
