import type { State } from "@cloakroom/client";
import { Link, neighbours } from "./address.tsx";
import { initials } from "./words.ts";

interface Props {
  state: State;
  path: string;
  leaving: boolean;
  onLeave: () => void;
}

/** Brand, places, and the way out. */
export function Header({ state, path, leaving, onLeave }: Props) {
  const user = state.status === "signed-in" || state.status === "unavailable" ? state.user : undefined;
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
          {neighbours().map(({ name, url }) => (
            <a key={name} href={url}>
              {name}
            </a>
          ))}
        </nav>
      )}
      {user !== undefined && (
        <div className="account">
          <span className="avatar small" aria-hidden="true">
            {initials(user.name ?? user.email ?? user.sub)}
          </span>
          <button onClick={onLeave} disabled={leaving}>
            {leaving ? "Signing out…" : "Sign out"}
          </button>
        </div>
      )}
    </header>
  );
}
