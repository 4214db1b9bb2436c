(() => {
  const form = document.forms[0], after = document.getElementById("after"), waits = "waits" in form.dataset;
  const enable = (yes) => form.querySelectorAll("button").forEach((b) => (b.disabled = !yes));
  let later;
  const sent = () => {
    // Not at once: the form is read after this event, and of a disabled button nothing is sent.
    if (waits) setTimeout(enable, 0, false);
    // An app that is there has opened within two seconds. Whoever is slower than that reads nothing wrong.
    later = setTimeout(() => {
      after.replaceChildren(document.getElementById("said").content.cloneNode(true));
      after.focus(); // which the button has lost: the next stop by keyboard is the way on
    }, 2000);
  };
  if (after) {
    form.addEventListener("submit", sent);
    // Whoever comes back to the page has left it for an answer, which may have been "try again".
    addEventListener("pageshow", (e) => {
      if (!e.persisted) return;
      clearTimeout(later);
      after.replaceChildren();
      enable(true);
    });
  }
  if (waits) return;
  if (after) sent();
  form.submit();
})();
