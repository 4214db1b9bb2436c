/**
 * The demo frontend: what a browser app behind Cloakroom looks like to its user and to who builds it.
 *
 * It knows the client, the demo API and three addresses (/, /orders, /orders/…). It knows no token, and keeps nothing in the
 * browser: that is what it shows.
 *
 * The journey: App.tsx chooses a view by who is signed in and by the address (address.ts); the views ask the API through the
 * client (gateway.ts), and say what went wrong in words of their own (words.ts).
 */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.tsx";
import "./style.css";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
