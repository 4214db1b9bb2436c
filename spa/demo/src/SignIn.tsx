import { useState } from "react";
import type { LoginOptions } from "@cloakroom/client";
import { client } from "./gateway.ts";
import { useLeaving } from "./page.ts";

/** The way to the sign-in, which comes back to the address that the browser shows now. */
export interface Way {
  leaving: boolean; // the page is on its way
  failed: string; // why it is not; "" for nothing
  signIn: (options?: LoginOptions) => void;
}

/** Goes to the sign-in. Where the page cannot, it says so and stays as it is. */
export function useSignIn(): Way {
  const [leaving, setLeaving] = useLeaving();
  const [failed, setFailed] = useState("");
  const signIn = (options?: LoginOptions): void => {
    setLeaving(true);
    setFailed("");
    client.login(options).catch(() => {
      setLeaving(false);
      setFailed("This page cannot go to the sign-in. Reload it, and try again.");
    });
  };
  return { leaving, failed, signIn };
}

/** What went wrong, where it went wrong. "": nothing is there. */
export function Failed({ text }: { text: string }) {
  return text === "" ? null : (
    <p className="bad" role="alert">
      {text}
    </p>
  );
}
