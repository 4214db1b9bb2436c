import type { CloakroomError } from "@cloakroom/client";
import { client, useClock } from "./gateway.ts";
import { Notice } from "./Notice.tsx";
import { outage } from "./words.ts";

/** The gateway cannot tell who is signed in: nobody is signed out by that, and the client asks again by itself. */
export function Outage({ error, retryAt, signedIn }: { error: CloakroomError; retryAt: number; signedIn: boolean }) {
  return (
    <>
      <Notice tone="warn" title={outage(error)} actions={<Again retryAt={retryAt} />}>
        {signedIn ? "You are still signed in." : "So we cannot tell whether you are signed in."}
      </Notice>
      {!signedIn && (
        <div className="blank">
          <h1 tabIndex={-1}>One moment, please</h1>
          <p>As soon as the gateway can answer, this page goes on by itself. Signing in anew would not help.</p>
          {error.requestId !== undefined && <p className="fine">Request {error.requestId}</p>}
        </div>
      )}
    </>
  );
}

/** Not part of what is read out: it changes every second. */
function Again({ retryAt }: { retryAt: number }) {
  const left = Math.ceil((retryAt - useClock()) / 1000);
  return (
    <div className="again">
      <span aria-live="off">{left > 0 ? `Trying again in ${left} s` : "Trying again…"}</span>
      <button onClick={() => void client.check()}>Try now</button>
    </div>
  );
}
