import { useState } from "react";
import { CloakroomError, type State } from "../../client/src/index.ts";
import { handbookURL, Link } from "./address.tsx";
import { client } from "./gateway.ts";
import { callFailed, initials } from "./words.ts";

/** Brand, places, and the way out. onStay is told why a sign-out did not work; null while one is tried. */
export function Header({ state, path, onStay }: { state: State; path: string; onStay: (why: string | null) => void }) {
  const user = state.status === "signed-in" || state.status === "unavailable" ? state.user : undefined;
  const handbook = handbookURL();
  const here = (at: boolean): "page" | undefined => (at ? "page" : undefined);
  return (
    <header className="top">
      <Link className="brand" href="/" aria-label="Cloakroom demo, to the start">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="8" />
          <path d="M8 10h16a1 1 0 0 1 1 1v3a2 2 0 0 0 0 4v3a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1v-3a2 2 0 0 0 0-4v-3a1 1 0 0 1 1-1z" />
        </svg>
        <span>
          Cloakroom <small>demo</small>
        </span>
      </Link>
      {user !== undefined && (
        <nav aria-label="This app">
          <Link href="/" aria-current={here(path === "/")}>
            Overview
          </Link>
          <Link href="/orders" aria-current={here(path.startsWith("/orders"))}>
            Orders
          </Link>
          {handbook !== null && <a href={handbook}>Handbook</a>}
        </nav>
      )}
      {user !== undefined && (
        <div className="account">
          <span className="avatar small" aria-hidden="true">
            {initials(user.name ?? user.email ?? user.sub)}
          </span>
          <SignOut onStay={onStay} />
        </div>
      )}
    </header>
  );
}

function SignOut({ onStay }: { onStay: (why: string | null) => void }) {
  const [leaving, setLeaving] = useState(false);
  const leave = async (): Promise<void> => {
    setLeaving(true);
    onStay(null);
    try {
      await client.logout();
    } catch (error) {
      onStay(error instanceof CloakroomError ? callFailed(error).text : "That did not work.");
    }
    setLeaving(false);
  };
  return (
    <button onClick={leave} disabled={leaving}>
      {leaving ? "Signing out…" : "Sign out"}
    </button>
  );
}
