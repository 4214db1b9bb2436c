import { useEffect } from "react";
import { useAnnounce } from "./Announcer.tsx";
import { Notice } from "./Notice.tsx";
import { sessionOver } from "./words.ts";

/** Says that a session that was there is over, and why: on the page, and aloud in the region that was there before it. */
export function Over({ reason }: { reason: string | undefined }) {
  const { title, text } = sessionOver(reason);
  const announce = useAnnounce();
  useEffect(() => announce(`${title}. ${text}`), [announce, title, text]);
  return (
    <Notice tone="warn" title={title} quiet>
      {text}
    </Notice>
  );
}
