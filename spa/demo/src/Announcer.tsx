import { createContext, type ReactNode, useCallback, useContext, useEffect, useState } from "react";

const Announce = createContext<(text: string) => void>(() => {});

/** Says a change aloud to who listens to the page. Not for countdowns: nobody wants each second read out. */
export function useAnnounce(): (text: string) => void {
  return useContext(Announce);
}

/** Milliseconds until what was said is taken away: who reads on to the end of the page is not to meet old news. */
const keptFor = 20_000;

/** The one live region of the page: it is there from the start, for what is added later is not heard everywhere. */
export function Announcer({ children }: { children: ReactNode }) {
  const [said, setSaid] = useState({ text: "", times: 0 });
  const announce = useCallback((text: string) => setSaid(({ times }) => ({ text, times: times + 1 })), []);
  useEffect(() => {
    const timer = setTimeout(() => setSaid(({ times }) => ({ text: "", times })), keptFor);
    return () => clearTimeout(timer);
  }, [said.times]);
  return (
    <Announce value={announce}>
      {children}
      <div className="unseen" role="status" aria-live="polite">
        <span key={said.times}>{said.text}</span>
      </div>
    </Announce>
  );
}
