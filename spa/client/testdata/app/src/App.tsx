import { SignedIn, SignedOut, useClient, useUser } from "@cloakroom/client/react";
import { useState } from "react";

export function App() {
  const client = useClient();
  const user = useUser();
  const [answer, setAnswer] = useState("");
  const call = async () => setAnswer(JSON.stringify(await (await client.fetch("/api/whoami")).json()));
  return (
    <main>
      <SignedOut>
        <button onClick={() => void client.login()}>Sign in</button>
      </SignedOut>
      <SignedIn>
        <h1>Hello {user?.name}</h1>
        <button onClick={() => void call()}>Call</button>
        <button onClick={() => void client.logout()}>Sign out</button>
        <output>{answer}</output>
      </SignedIn>
    </main>
  );
}
