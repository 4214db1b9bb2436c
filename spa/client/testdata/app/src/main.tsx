import { createClient } from "@cloakroom/client";
import { CloakroomProvider } from "@cloakroom/client/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.tsx";
import "./index.css";

const client = createClient();

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <CloakroomProvider client={client}>
      <App />
    </CloakroomProvider>
  </StrictMode>,
);
