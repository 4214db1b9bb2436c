import { createContext, type ReactNode, useContext, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { QueryClientProvider, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { State } from "@cloakroom/client";
import { useSession } from "@cloakroom/client/react";
import { createExport, type Export, type ExportState } from "./export.ts";
import { createFeed, type Feed, type FeedState } from "./feed.ts";
import { client } from "./gateway.ts";
import { createCache, type Orders, ordersKey, placing, readOrders, refunding, take } from "./orders.ts";

/** What the pages of the shop have in common. */
interface Counter {
  subject: string; // "" without anybody
  feed: Feed;
  exporting: Export;
}

const Shared = createContext<Counter | null>(null);

function useCounter(): Counter {
  const counter = useContext(Shared);
  if (counter === null) {
    throw new Error("A page of the shop stands outside of <Shop>");
  }
  return counter;
}

/** Whose page this is; nobody's while it is not known. In an outage it stays who it was. */
function knownIn(state: State): { subject: string; session: string } {
  const known = state.status === "signed-in" || state.status === "unavailable" ? state : undefined;
  return { subject: known?.user?.sub ?? "", session: known?.session?.id ?? "" };
}

/** What shows that somebody is at the page. */
const signs = ["pointerdown", "keydown", "focus"] as const;

/** Milliseconds for which somebody who gave such a sign is taken to be there: a feed that broke is made again by itself for so long. */
const attendedFor = 5 * 60_000;

/**
 * Keeps what the API says, for one user at a time: with the user goes all that was read, the feed, and an export that is under
 * way. The feed is there for as long as somebody is signed in, on whatever page.
 */
export function Shop({ children }: { children: ReactNode }) {
  const state = useSession();
  const { subject, session } = knownIn(state);
  const [cache] = useState(createCache);
  const seen = useRef(Date.now());
  const [feed] = useState(() =>
    createFeed({
      attended: () => Date.now() - seen.current < attendedFor,
      open: () => new WebSocket("/api/orders/feed"),
      hear: (happening) => void take(cache, knownIn(client.getState()).subject, happening),
      doubt: () => void client.check(),
    }),
  );
  const [exporting] = useState(() =>
    createExport({ open: () => new EventSource("/api/orders/export"), doubt: () => void client.check() }),
  );

  useEffect(() => {
    if (subject === "") {
      return;
    }
    return () => {
      cache.clear();
      exporting.cancel();
      feed.close();
    };
  }, [cache, exporting, feed, subject]);

  useEffect(() => {
    if (session === "") {
      return;
    }
    // A page that goes into the browser's memory, for Back, leaves no connection open: with one it might not be kept.
    const wake = (event: PageTransitionEvent): void => void (event.persisted && feed.connect());
    feed.connect();
    window.addEventListener("pagehide", feed.rest);
    window.addEventListener("pageshow", wake);
    window.addEventListener("online", feed.connect);
    const attend = (): void => {
      seen.current = Date.now();
      feed.attend();
    };
    signs.forEach((sign) => window.addEventListener(sign, attend));
    return () => {
      signs.forEach((sign) => window.removeEventListener(sign, attend));
      window.removeEventListener("pagehide", feed.rest);
      window.removeEventListener("pageshow", wake);
      window.removeEventListener("online", feed.connect);
      feed.rest();
    };
  }, [feed, session]);

  useEffect(() => {
    if (state.status === "signed-in") {
      // After an outage: what could not be read is read now.
      void cache.refetchQueries({ type: "active", predicate: (query) => query.state.error !== null });
    }
  }, [cache, state.status]);

  return (
    <QueryClientProvider client={cache}>
      <Shared value={{ subject, feed, exporting }}>{children}</Shared>
    </QueryClientProvider>
  );
}

/** The user's orders, newest first. */
export function useOrders(): Orders {
  const { subject } = useCounter();
  const query = useQuery({ queryKey: ordersKey(subject), queryFn: ({ signal }) => readOrders({ signal }), enabled: subject !== "" });
  return {
    list: query.data,
    error: query.error,
    reading: query.isFetching,
    reload: () => void query.refetch(),
  };
}

/** Places orders. */
export function usePlacing() {
  return useMutation(placing(useQueryClient(), useCounter().subject));
}

/** Gives money back. */
export function useRefunding() {
  return useMutation(refunding(useQueryClient(), useCounter().subject));
}

/** What happens to the user's orders, and a way to connect at once. */
export function useFeed(): FeedState & { connect(): void } {
  const { feed } = useCounter();
  return { ...useSyncExternalStore(feed.subscribe, feed.getState), connect: feed.connect };
}

/** The export that is under way, if one is. */
export function useExport(): ExportState & Pick<Export, "start" | "cancel"> {
  const { exporting } = useCounter();
  return { ...useSyncExternalStore(exporting.subscribe, exporting.getState), start: exporting.start, cancel: exporting.cancel };
}
