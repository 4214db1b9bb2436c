import "./look.css";
import { tried } from "./tried.js";

// A piece of a build that is gone: the page is reloaded, once, and has the new build then.
addEventListener("vite:preloadError", (event) => {
  const last = Number(sessionStorage.getItem("reloaded"));
  if (Date.now() - last > 60_000) {
    sessionStorage.setItem("reloaded", String(Date.now()));
    event.preventDefault();
    location.reload();
  }
});

document.querySelector("#more").addEventListener("click", async () => {
  const more = await import("./more.js");
  document.querySelector("#said").textContent = more?.text ?? "";
});

/** What works here and what does not, by name. */
window.tried = tried;
