import { useEffect } from "react";
import type { Place } from "./address.tsx";
import { useAnnounce } from "./Announcer.tsx";
import { Failed, useSignIn } from "./SignIn.tsx";
import { sessionOver, wayBack } from "./words.ts";

interface Props {
  reason: string | undefined;
  place: Place;
}

/** In the place of a page whose session is over: that it is, why, and the way on, which leads back to here. */
export function Over({ reason, place }: Props) {
  const { title, text } = sessionOver(reason);
  const { leaving, failed, signIn } = useSignIn();
  const announce = useAnnounce();
  useEffect(() => announce(`${title}. ${text}`), [announce, title, text]); // the tab may be one that nobody looks at
  return (
    <div className="blank">
      <span className="sign" aria-hidden="true">
        <svg viewBox="0 0 24 24">
          <path d="M10 4H5v16h5M14 8l4 4-4 4M18 12H9" />
        </svg>
      </span>
      <h1 tabIndex={-1}>{title}</h1>
      <p>{text}</p>
      <button className="primary big" onClick={() => signIn()} disabled={leaving}>
        {leaving ? "One moment…" : "Sign in"}
      </button>
      <Failed text={failed} />
      <p className="fine">{wayBack(place)}</p>
    </div>
  );
}
