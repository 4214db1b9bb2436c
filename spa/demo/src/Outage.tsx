import { useEffect, useRef } from "react";
import type { CloakroomError } from "@cloakroom/client";
import { useSession } from "@cloakroom/client/react";
import { useAnnounce } from "./Announcer.tsx";
import { client } from "./gateway.ts";
import { Notice } from "./Notice.tsx";
import { useClock, useOnline } from "./page.ts";
import { lasts, outage, sentence } from "./words.ts";

/** Under a page that stays: whoever was signed in still is, and the client asks again by itself. */
export function OutageNotice() {
  const out = useOutage();
  const title = out === null ? "" : sentence(outage(out.error, out.online));
  const text = out !== null && lasts(out.error) ? stays : goesOn;
  useSaid(title === "" ? "" : `${title} ${text}`);
  if (out === null) {
    return null;
  }
  return (
    <Notice tone="warn" title={title} quiet actions={out.error !== null && <Again retryAt={out.retryAt} />}>
      {text}
    </Notice>
  );
}

const goesOn = "You are still signed in. What you see may be out of date; it goes on by itself.";
const stays = "You are still signed in. What you see may be out of date, until whoever runs this service has looked.";

/** Says an outage aloud, and its end. "": there is none. */
function useSaid(text: string): void {
  const announce = useAnnounce();
  const last = useRef("");
  useEffect(() => {
    if (text !== last.current) {
      announce(text === "" ? "It works again." : text);
    }
    last.current = text;
  }, [announce, text]);
}

/** In a page's place, while it is not known who is signed in. No way to sign in is offered: it would not help. */
export function OutagePage() {
  const out = useOutage();
  if (out === null) {
    return null;
  }
  return (
    <div className="blank">
      <span className="sign" aria-hidden="true">
        <svg viewBox="0 0 24 24">
          <path d={out.online ? server : offline} />
        </svg>
      </span>
      <h1 tabIndex={-1}>{outage(out.error, out.online)}</h1>
      <p>
        So this page cannot tell whether you are signed in.{" "}
        {lasts(out.error) ? "Whoever runs this service has to look" : "It goes on by itself as soon as that is known"}; signing in anew
        would not help.
      </p>
      <Again retryAt={out.retryAt} />
      {out.error?.requestId !== undefined && <p className="fine">Request {out.error.requestId}</p>}
    </div>
  );
}

const server = "M5 4h14v6H5zM5 14h14v6H5zM8 7h.01M8 17h.01M12 7h4M12 17h4";
const offline = "M2 8.5a15 15 0 0 1 20 0M5.5 12.5a10 10 0 0 1 13 0M9 16.5a4.5 4.5 0 0 1 6 0M12 20h.01M3 3l18 18";

/** What is out of order; null when nothing is. Without an error nothing was asked yet, and the browser says that it has no network. */
function useOutage(): { error: CloakroomError | null; retryAt: number; online: boolean } | null {
  const state = useSession();
  const online = useOnline();
  if (state.status === "unavailable") {
    return { error: state.error, retryAt: state.retryAt, online };
  }
  return online ? null : { error: null, retryAt: 0, online };
}

/** Not part of what is read out: it changes every second. */
function Again({ retryAt }: { retryAt: number }) {
  const left = Math.ceil((retryAt - useClock()) / 1000);
  return (
    <div className="again">
      <button onClick={() => void client.check()}>Try now</button>
      <span className="fine" aria-live="off">
        {left > 0 ? `Trying again in ${left} s` : "Trying again…"}
      </span>
    </div>
  );
}
