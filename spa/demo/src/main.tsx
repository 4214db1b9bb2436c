/**
 * The demo frontend: the back office of a small shop, as an app behind Cloakroom looks to its user and to who builds it.
 *
 * It knows the client, the demo API and its own addresses (address.tsx). It knows no token, and keeps nothing in the browser but
 * which order was to be refunded, while its user is away to sign in again for it (draft.ts): that is what it shows.
 *
 * The journey: App.tsx chooses a page by who is signed in and by the address. The pages of the shop read and write through
 * Shop.tsx, those about the session ask the gateway, both by the one client of gateway.ts. What happened is said in words.ts.
 */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { CloakroomProvider } from "@cloakroom/client/react";
import { tidyAddress } from "./address.tsx";
import { Announcer } from "./Announcer.tsx";
import { App } from "./App.tsx";
import { client } from "./gateway.ts";
import { coverWhileAway, keepFocus } from "./page.ts";
import { Shop } from "./Shop.tsx";
import "./tokens.css";
import "./style.css";
import "./frame.css";
import "./visitor.css";
import "./shop.css";
import "./account.css";

tidyAddress();
coverWhileAway(client.check);

const root = document.getElementById("root")!;
keepFocus(root);

createRoot(root).render(
  <StrictMode>
    <CloakroomProvider client={client}>
      <Shop>
        <Announcer>
          <App />
        </Announcer>
      </Shop>
    </CloakroomProvider>
  </StrictMode>,
);
