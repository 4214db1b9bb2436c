// On a server: plain Node, without anything of a browser.
import type { ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import { CloakroomProvider, RequireSession, SignedIn, SignedOut, useRemaining, useSession, useUser } from "../src/react.tsx";

const Words = (): ReactNode => `${useSession().status}, ${useUser()?.name ?? "nobody"}, ${useRemaining()?.idle ?? "no end"}`;

test("a server shows loading to everybody, and asks nobody anything", () => {
  expect([typeof window, typeof document, typeof location]).toEqual(["undefined", "undefined", "undefined"]);
  let asked = 0;
  const client = createClient({
    fetch: () => {
      asked++;
      return Promise.reject(new Error("asked"));
    },
  });
  const page = renderToString(
    <CloakroomProvider client={client}>
      <Words />
      <SignedIn>; in</SignedIn>
      <SignedOut>; out</SignedOut>
      <RequireSession loading="; waiting" signedOut="; over" unavailable="; away">
        ; inside
      </RequireSession>
    </CloakroomProvider>,
  );
  expect(page.replaceAll("<!-- -->", "")).toBe("loading, nobody, no end; waiting");
  expect(asked).toBe(0);
});
