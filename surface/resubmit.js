(() => {
  const state = document.getElementById("state"), send = document.getElementById("send");
  const newer = "newer" in document.body.dataset;
  let told = "", first;
  // Whoever comes back to this tab is told whether, and as whom, they are signed in. The form goes off by a click alone.
  const look = async () => {
    if (document.visibilityState !== "visible") return;
    let text;
    try {
      const answer = await fetch("/bff/session", { headers: { "X-CSRF": "1" }, cache: "no-store" });
      const { authenticated, user = {}, session = {} } = await answer.json();
      if (!authenticated) return;
      first ??= session.id;
      if (newer && first === session.id) return; // the session whose sign-in did not do
      const who = user.name || user.email || "";
      text = (who ? `You are signed in as ${who}. ` : "You are signed in. ") +
        (send ? "You can send the form now." : "You can go back one page now.");
    } catch {
      return; // the button works all the same
    }
    if (text === told) return;
    state.textContent = told = text;
    if (send) send.focus();
  };
  if (newer) look(); // to know which session that is
  addEventListener("focus", look);
  document.addEventListener("visibilitychange", look);
})();
