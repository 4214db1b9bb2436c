import type { User } from "@cloakroom/client";
import { CallCard } from "./CallCard.tsx";
import { DevicesCard } from "./DevicesCard.tsx";
import { HoldsCard } from "./HoldsCard.tsx";
import { OrdersCard } from "./OrdersPage.tsx";
import { ProfileCard } from "./ProfileCard.tsx";
import { SessionCard } from "./SessionCard.tsx";
import { TokenCard } from "./TokenCard.tsx";
import { useWhoami } from "./whoami.ts";
import { initials } from "./words.ts";

/** Everything about the session at a glance. */
export function Overview({ user }: { user: User }) {
  const whoami = useWhoami();
  const name = user.name ?? user.email ?? user.sub;
  return (
    <>
      <div className="who">
        <span className="avatar" aria-hidden="true">
          {initials(name)}
        </span>
        <div>
          <h1 tabIndex={-1}>{name}</h1>
          <p>
            {user.email !== undefined && user.email !== name && <>{user.email} · </>}
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
        <OrdersCard />
        <ProfileCard />
        <CallCard whoami={whoami} />
      </div>
    </>
  );
}
