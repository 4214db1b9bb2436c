self.addEventListener("activate", (event) => event.waitUntil(self.registration.navigationPreload.enable()));
self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (event.request.mode !== "navigate" || /^\/(bff|api)\//.test(pathname)) return; // sign-in and APIs are the network's alone
  event.respondWith(
    (async () => {
      const page = await ((await event.preloadResponse) ?? fetch(event.request));
      const answer = new Response(page.body, page);
      answer.headers.set("X-Through", "service worker");
      return answer;
    })(),
  );
});
