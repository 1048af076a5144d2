// Keeps the last seen page of a run with its style and scripts, for places without a signal. Whatever the network answers comes first.
const KEPT = "hands-3", FILES = ["/static/hands.css", "/static/hands.js"];
const isKept = (url) => url.pathname.startsWith("/driver/") || FILES.includes(url.pathname)
  || url.pathname === "/static/camera.js" || url.pathname.startsWith("/assets/zxing/");

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || !isKept(url) || url.searchParams.has("part")) return;
  event.respondWith((async () => {
    const cache = await caches.open(KEPT);
    try {
      const answer = await fetch(event.request);
      if (answer.ok && !answer.redirected) await cache.put(url.pathname + url.search, answer.clone());
      return answer;
    } catch (error) {
      const kept = (await cache.match(url.pathname + url.search)) ?? (await cache.match(url.pathname, { ignoreSearch: true }));
      if (kept) return kept;
      throw error;
    }
  })());
});
