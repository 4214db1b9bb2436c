import type { User } from "@cloakroom/client";
import { Link, neighbours, type Place } from "./address.tsx";
import { initials, nameOf } from "./words.ts";

interface Props {
  user: User | undefined;
  place: Place;
  leaving: boolean;
  onLeave: () => void;
}

/** Brand, places, and the way out. */
export function Header({ user, place, leaving, onLeave }: Props) {
  return (
    <header className="top">
      <Link className="brand" href="/" aria-label="Cloakroom Coats, to the start">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="8" />
          <path d="M13.3 11.2a2.7 2.7 0 1 1 3.9 2.4c-.8.4-1.2.9-1.2 1.7v.7l9 5.6c1.3.8.7 2.9-.8 2.9H7.8c-1.5 0-2.1-2.1-.8-2.9l9-5.6" />
        </svg>
        <span>
          Cloakroom <small>Coats</small>
        </span>
      </Link>
      {user !== undefined && (
        <>
          <nav className="places" aria-label="Pages">
            <Tab href="/" here={place.page === "overview"} name="Overview" />
            <Tab href="/orders" here={place.page === "orders" || place.page === "order"} name="Orders" />
            <Tab href="/export" here={place.page === "export"} name="Export" />
            <Tab href="/account" here={place.page === "account"} name="Account" />
          </nav>
          <div className="leave">
            <span className="avatar small" aria-hidden="true">
              {initials(nameOf(user))}
            </span>
            <button onClick={onLeave} disabled={leaving}>
              {leaving ? "Signing out…" : "Sign out"}
            </button>
          </div>
        </>
      )}
    </header>
  );
}

function Tab({ href, here, name }: { href: string; here: boolean; name: string }) {
  return (
    <Link href={href} aria-current={here ? "page" : undefined}>
      {name}
    </Link>
  );
}

/** What this is, and the other apps that the same sign-in opens. */
export function Footer({ known }: { known: boolean }) {
  const others = known ? neighbours() : [];
  return (
    <footer>
      <p>A demo of Cloakroom. The one cookie of this page is your session, and no script can read it.</p>
      {others.length > 0 && (
        <nav aria-label="Other apps">
          <span>The same sign-in opens</span>
          {others.map(({ name, url }) => (
            <a key={name} href={url}>
              {name}
            </a>
          ))}
        </nav>
      )}
    </footer>
  );
}
