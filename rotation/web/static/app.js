/* Live: one stream tells which kinds of things changed; htmx asks again for the parts that show them. */
"use strict";

const RETRY_MS = 2000;
const trouble = (name, is) => document.querySelectorAll(`[data-trouble="${name}"]`).forEach((one) => { if (one.matches(".banner")) one.hidden = !is; });
const changed = (kinds) => kinds.forEach((kind) => document.body.dispatchEvent(new CustomEvent(`changed-${kind}`)));
let stream = null;
let retry = null;

function listen(address) {
  clearTimeout(retry);
  stream?.close();
  stream = new EventSource(address);
  stream.addEventListener("open", () => { trouble("offline", false); trouble("session", false); });
  stream.addEventListener("changed", (event) => changed(JSON.parse(event.data)));
  stream.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    trouble("database", !state.database);
    trouble("kafka", !state.kafka);
  });
  stream.addEventListener("error", () => {
    stream.close();
    clearTimeout(retry);
    retry = setTimeout(() => ask(address), RETRY_MS);
  });
}

/* Why was the stream refused? Say so, and come back when it will not be. */
async function ask(address) {
  let status = 0;
  try { status = (await fetch("/shell", { headers: { "HX-Request": "true" } })).status; } catch { /* nobody answers */ }
  trouble("offline", status === 0 || (status >= 500 && status !== 503));
  trouble("database", status === 503);
  trouble("session", status === 401);
  if (status === 200) listen(address);
  else retry = setTimeout(() => ask(address), RETRY_MS);
}

const live = document.body.dataset.live;
if (live) {
  listen(live);
  /* A hidden page holds no stream: browsers allow six to a server. It catches up when it is looked at again. */
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { stream?.close(); clearTimeout(retry); } else listen(live);
  });
  addEventListener("pagehide", () => stream?.close());
  document.body.addEventListener("htmx:after:request", (event) => {
    const status = event.detail?.ctx?.response?.raw?.status;
    if (status === 401) trouble("session", true);
  });
}

/* The network's clock runs by itself between two looks at the server. */
function tick() {
  const clock = document.querySelector(".clock");
  if (!clock) return;
  const { network, wall, speed, zone } = clock.dataset;
  const at = new Date(Date.parse(network) + (Date.now() - Date.parse(wall)) * Number(speed));
  const shape = { timeZone: zone, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  clock.textContent = new Intl.DateTimeFormat(document.documentElement.lang, shape).format(at);
}
setInterval(tick, 1000);

/* Sending back asks why: one dialog, outside what live updates replace. */
const dialog = document.getElementById("send-back");
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-send-back]");
  if (button && dialog) {
    for (const name of ["day", "hub", "run", "seen"]) dialog.querySelector(`[name=${name}]`).value = button.form.elements[name].value;
    dialog.showModal();
  }
  if (event.target.closest("[data-close]")) dialog.close();
});
