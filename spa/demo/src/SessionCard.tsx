import { useEffect, useRef, useState } from "react";
import { CloakroomError } from "@cloakroom/client";
import { useAnnounce } from "./Announcer.tsx";
import { client, useHearing, useRemaining } from "./gateway.ts";
import { callFailed, hearingOf, span } from "./words.ts";

/** Seconds before the idle end when the page warns. */
const warnAt = 60;

/** When the session ends, and the way to keep it. */
export function SessionCard() {
  const left = useRemaining();
  const longest = useRef(0);
  longest.current = Math.max(longest.current, left.idle);
  const soon = left.idle <= warnAt;
  useWarning(soon);
  return (
    <section className="card" aria-labelledby="session">
      <h2 id="session">Session</h2>
      <p className={soon ? "figure hot" : "figure"}>
        <small>idle end in</small> <span className="digits">{span(left.idle)}</span>
      </p>
      <progress max={longest.current || 1} value={left.idle} aria-label="Time until the idle end" />
      <p>
        However much it is used, it ends in <span className="digits">{span(left.session)}</span>.
      </p>
      <p className="fine">{hearingOf(useHearing())}</p>
      <StaySignedIn primary={soon} />
    </section>
  );
}

/** Says once that the end is near, not each second. */
function useWarning(soon: boolean): void {
  const announce = useAnnounce();
  useEffect(() => {
    if (soon) {
      announce("Your session ends in a minute unless you use it.");
    }
  }, [announce, soon]);
}

function StaySignedIn({ primary }: { primary: boolean }) {
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState("");
  const announce = useAnnounce();
  useEffect(() => {
    const timer = setTimeout(() => setOutcome(""), 5_000); // long enough to be read; it is true for a moment only
    return () => clearTimeout(timer);
  }, [outcome]);
  const extend = async (): Promise<void> => {
    setBusy(true);
    const said = await client.extend().then(
      () => "Extended.",
      (error: unknown) => (error instanceof CloakroomError ? callFailed(error).text : "That did not work."),
    );
    setBusy(false);
    setOutcome(said);
    announce(said);
  };
  return (
    <p className="row">
      <button className={primary ? "primary" : ""} onClick={extend} aria-disabled={busy}>
        Stay signed in
      </button>
      <span className="fine" aria-hidden="true">
        {outcome}
      </span>
    </p>
  );
}
