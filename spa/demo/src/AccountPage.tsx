import type { User } from "@cloakroom/client";
import { CallCard } from "./CallCard.tsx";
import { DevicesCard } from "./DevicesCard.tsx";
import { HoldsCard } from "./HoldsCard.tsx";
import { ProfileCard } from "./ProfileCard.tsx";
import { SessionCard } from "./SessionCard.tsx";
import { TokenCard } from "./TokenCard.tsx";
import { useWhoami } from "./whoami.ts";
import { initials, nameOf } from "./words.ts";

/** Everything about the session: who it is, where it is open, and how little of it is in this browser. */
export function AccountPage({ user }: { user: User }) {
  const whoami = useWhoami();
  const name = nameOf(user);
  return (
    <>
      <div className="who">
        <span className="avatar" aria-hidden="true">
          {initials(name)}
        </span>
        <div>
          <h1 tabIndex={-1}>{name}</h1>
          <p>
            {user.email !== undefined && user.email !== name && <span>{user.email}</span>}
            <span className="fine">
              subject <code>{user.sub}</code>
            </span>
          </p>
        </div>
      </div>
      <div className="cards">
        <SessionCard />
        <TokenCard whoami={whoami} />
        <HoldsCard />
        <DevicesCard />
        <ProfileCard />
        <CallCard whoami={whoami} />
      </div>
    </>
  );
}
