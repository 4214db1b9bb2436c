import { useState, useSyncExternalStore } from "react";
import { useRemaining, useSession } from "@cloakroom/client/react";
import { useExtend } from "./Ending.tsx";
import { client } from "./gateway.ts";
import { hearingOf, span } from "./words.ts";

/** When the session ends, and the way to keep it. */
export function SessionCard() {
  const state = useSession();
  const soon = "ending" in state && state.ending !== undefined;
  const hearing = useSyncExternalStore(client.subscribe, client.hearing);
  const left = useRemaining() ?? { session: 0, idle: 0 };
  const [longest, setLongest] = useState(left.idle); // what the bar is a part of: nobody tells how long an idle session lasts
  if (left.idle > longest) {
    setLongest(left.idle);
  }
  const { busy, failed, extend } = useExtend();
  return (
    <section className="card" aria-labelledby="session">
      <h2 id="session">Session</h2>
      <p className={soon ? "figure hot" : "figure"}>
        <small>idle end in</small> <span className="digits">{span(left.idle)}</span>
      </p>
      <progress max={longest || 1} value={left.idle} aria-label="Time until the idle end" />
      <p>
        However much it is used, it ends in <span className="digits">{span(left.session)}</span>.
      </p>
      <p className="fine">{hearingOf(hearing)}</p>
      <p className="row">
        <button onClick={extend} aria-disabled={busy}>
          Stay signed in
        </button>
        {failed !== "" && (
          <span className="bad" role="alert">
            {failed}
          </span>
        )}
      </p>
    </section>
  );
}
