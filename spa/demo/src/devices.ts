import { useCallback, useEffect, useState } from "react";
import type { CloakroomError } from "@cloakroom/client";
import { client } from "./gateway.ts";
import { asError } from "./orders.ts";

/** One of the user's sessions, over all apps and devices. */
export interface Device {
  id: string;
  app: string;
  kind: string;
  device: string; // "" = not known
  created_at: string;
  last_active_at: string;
  current: boolean; // the one that asks
}

/** The list, and what can be done with it. */
export interface Devices {
  list: Device[] | null; // null = not known yet
  error: CloakroomError | null;
  busy: boolean;
  /** Ends one, with every app that shares its sign-in; without an id all but those of this sign-in. */
  end(id?: string): Promise<void>;
}

/** Asks for the list when it is shown, and when the page is looked at again. That is no use of the session. */
export function useDevices(): Devices {
  const [list, setList] = useState<Device[] | null>(null);
  const [error, setError] = useState<CloakroomError | null>(null);
  const [busy, setBusy] = useState(false);
  const load = useCallback(async () => {
    try {
      const answer = await client.fetch("/bff/sessions");
      setList(((await answer.json()) as { sessions: Device[] }).sessions);
    } catch (cause) {
      setError(asError(cause));
    }
  }, []);
  useEffect(() => {
    const look = (): void => void (document.visibilityState === "visible" && load());
    look();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [load]);
  const end = async (id?: string): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      const answer = await client.fetch(id === undefined ? "/bff/sessions" : `/bff/sessions/${encodeURIComponent(id)}`, { method: "DELETE" });
      const next = answer.status === 200 ? new URL(((await answer.json()) as { redirect_to: string }).redirect_to, location.href) : null;
      if (next?.origin === location.origin) {
        location.assign(next); // it was of this very sign-in: on to the provider's sign-out
      }
      await load();
    } catch (cause) {
      setError(asError(cause));
    } finally {
      setBusy(false);
    }
  };
  return { list, error, busy, end };
}
