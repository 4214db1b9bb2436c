import type { User } from "@cloakroom/client";
import { LiveView } from "./LiveView.tsx";
import { OrdersCard } from "./OrdersPage.tsx";
import { SessionCard } from "./SessionCard.tsx";
import { greeting } from "./words.ts";

/** The day at a glance: what is open, what happens now, and how long the session lasts. */
export function Overview({ user }: { user: User }) {
  return (
    <>
      <h1 tabIndex={-1}>{greeting(user, new Date())}</h1>
      <div className="desk">
        <OrdersCard />
        <div className="aside">
          <LiveView />
          <SessionCard />
        </div>
      </div>
    </>
  );
}
