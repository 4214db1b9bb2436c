import { createClient, type State, type User } from "@cloakroom/client";
import { CloakroomProvider, RequireSession, SignedIn, SignedOut, useClient, useRemaining, useSession, useUser } from "@cloakroom/client/react";
import type { ReactElement } from "react";

const client = createClient();

function Inside(): ReactElement {
  const state: State = useSession();
  const user: User | undefined = useUser();
  const remaining = useRemaining();
  const { logout } = useClient();
  return (
    <p>
      {state.status} {user?.email} {remaining?.idle} <button onClick={() => void logout()}>Sign out</button>
    </p>
  );
}

export const app: ReactElement = (
  <CloakroomProvider client={client}>
    <SignedIn>in</SignedIn>
    <SignedOut>out</SignedOut>
    <RequireSession loading={<p>…</p>} signedOut={(reason, signIn) => <button onClick={signIn}>{reason}</button>} unavailable={<p>Later</p>}>
      <Inside />
    </RequireSession>
  </CloakroomProvider>
);
