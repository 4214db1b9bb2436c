import { useEffect, useRef } from "react";
import { Link } from "./address.tsx";
import { useAnnounce } from "./Announcer.tsx";
import { digestOf, type Entry, type FeedState } from "./feed.ts";
import { useFeed } from "./Shop.tsx";

const words: Record<FeedState["status"], string> = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  over: "Ended with the session",
};

/** What happens to this user's orders, as it happens: here, in another tab, or in the warehouse. */
export function LiveView() {
  const { status, entries, connect } = useFeed();
  useDigest(entries);
  return (
    <section className="card" aria-labelledby="live">
      <div className="title">
        <h2 id="live">Live</h2>
        <p className={`signal ${status}`} role="status">
          {words[status]}
        </p>
      </div>
      {status === "reconnecting" && (
        <div className="row">
          <p className="fine">The connection broke. It is made again by itself, and nothing is missed.</p>
          <button onClick={connect}>Connect now</button>
        </div>
      )}
      {entries.length === 0 ? (
        <p className="nothing">Nothing has happened since this page was opened. What you order in any tab shows up here, and what the warehouse does.</p>
      ) : (
        <ol className="happenings">
          {entries.map((entry) => (
            <Happened key={entry.n} entry={entry} />
          ))}
        </ol>
      )}
    </section>
  );
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function Happened({ entry: { at, status, order } }: { entry: Entry }) {
  return (
    <li>
      <span className={`status ${status}`}>{status}</span>
      <span className="item">
        <Link href={`/orders/${encodeURIComponent(order.id)}`}>{order.id}</Link> {order.item}
      </span>
      <time className="fine digits" dateTime={new Date(at).toISOString()}>
        {clock.format(at)}
      </time>
    </li>
  );
}

/** Milliseconds between two announcements: many changes at once are said as one. */
const saidEvery = 5_000;

/** Says aloud what the warehouse did, but never a flood of it. */
function useDigest(entries: readonly Entry[]): void {
  const announce = useAnnounce();
  const latest = useRef(entries);
  const said = useRef(entries[0]?.n ?? 0);
  useEffect(() => {
    latest.current = entries;
  }, [entries]);
  useEffect(() => {
    const timer = setInterval(() => {
      const text = digestOf(latest.current.filter(({ n }) => n > said.current));
      said.current = latest.current[0]?.n ?? said.current;
      if (text !== "") {
        announce(text);
      }
    }, saidEvery);
    return () => clearInterval(timer);
  }, [announce]);
}
