import { useState } from "react";
import { CloakroomError } from "@cloakroom/client";
import { useRemaining } from "@cloakroom/client/react";
import { useAnnounce } from "./Announcer.tsx";
import { Dialog } from "./Dialog.tsx";
import { client } from "./gateway.ts";
import { Notice } from "./Notice.tsx";
import { Failed, useSignIn } from "./SignIn.tsx";
import { callFailed, countdown, span } from "./words.ts";

interface Props {
  ending: "idle" | "absolute"; // which end is near: only the first can be moved
  onLeave: () => void;
}

/** Warns before the session ends. Closed without an answer it goes on as a notice: what is typed can still be sent. */
export function Ending({ ending, onLeave }: Props) {
  const left = useRemaining()?.idle ?? 0; // never more than the whole, so that it is the nearer end
  const [closed, setClosed] = useState(false);
  const { failed, busy, extend } = useExtend();
  const way = useSignIn();
  const on =
    ending === "idle" ? (
      <button className="primary" onClick={extend} aria-disabled={busy}>
        Stay signed in
      </button>
    ) : (
      <button className="primary" onClick={() => way.signIn()}>
        Sign in again
      </button>
    );
  if (closed) {
    return (
      <Notice tone="warn" title={<Title left={left} />} quiet actions={on}>
        {failed || way.failed}
      </Notice>
    );
  }
  return (
    <Dialog title={<Title left={left} />} onClose={() => setClosed(true)}>
      <p>
        {ending === "idle"
          ? "Nobody has used it for a while. Stay, and nothing of what you see is lost."
          : "It has lasted as long as it may. Finish what you are at, or sign in again: you come back to this page."}
      </p>
      <Failed text={failed || way.failed} />
      <p className="row">
        {on}
        {ending === "idle" ? <button onClick={onLeave}>Sign out</button> : <button onClick={() => setClosed(true)}>Not now</button>}
      </p>
      <span className="unseen" role="status">
        {countdown(left)}
      </span>
    </Dialog>
  );
}

function Title({ left }: { left: number }) {
  return (
    <>
      Your session ends in <span className="digits">{span(left)}</span>
    </>
  );
}

/** Staying signed in: on the way, and why it did not work. Where it worked, the client's state says so, and the warning goes. */
export function useExtend(): { busy: boolean; failed: string; extend: () => void } {
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState("");
  const announce = useAnnounce();
  const extend = async (): Promise<void> => {
    setBusy(true);
    setFailed("");
    try {
      await client.extend();
      announce("You stay signed in.");
    } catch (error) {
      setFailed(error instanceof CloakroomError ? callFailed(error).text : "That did not work.");
    }
    setBusy(false);
  };
  return { busy, failed, extend: () => void extend() };
}
