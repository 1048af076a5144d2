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
  const shape = { timeZone: zone, year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
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

/* A form that was refused comes back with what was typed. */
const refused = document.querySelector("[data-typed]");
if (refused) {
  const form = [...document.forms].find((one) => new URL(one.action, location).pathname === refused.dataset.typedIn);
  const fields = JSON.parse(refused.dataset.typed);
  for (const field of form?.elements || []) {
    const typed = fields.filter(([name]) => name === field.name).map(([, value]) => value);
    if (!typed.length || field.type === "hidden") continue;
    if (field.multiple) for (const option of field.options) option.selected = typed.includes(option.value);
    else if (field.type === "checkbox" || field.type === "radio") field.checked = typed.includes(field.value);
    else field.value = typed[0];
  }
  form?.querySelector("input:not([type=hidden])")?.focus();
}

/* One menu is open at a time, and none once another thing is touched. */
document.addEventListener("click", (event) => document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") document.querySelectorAll("details.menu[open]").forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); }); });

/* The chart is one tab stop: arrows go from stop to stop, Enter opens its run. */
document.addEventListener("keydown", (event) => {
  const chart = event.target.closest?.(".chart-keys");
  if (!chart) return;
  const blocks = [...chart.querySelectorAll("rect.block[data-run]")];
  const at = blocks.findIndex((one) => one.classList.contains("chosen"));
  const row = (step) => { const runs = [...new Set(blocks.map((one) => one.dataset.run))]; const next = runs[(runs.indexOf(blocks[Math.max(at, 0)].dataset.run) + step + runs.length) % runs.length]; return blocks.findIndex((one) => one.dataset.run === next); };
  const to = { ArrowRight: () => at + 1, ArrowLeft: () => at - 1, ArrowDown: () => at < 0 ? 0 : row(1), ArrowUp: () => row(-1), Home: () => 0, End: () => -1 }[event.key];
  if (to && blocks.length) {
    event.preventDefault();
    blocks[at]?.classList.remove("chosen");
    const block = blocks[(to() + blocks.length) % blocks.length];
    block.classList.add("chosen");
    block.scrollIntoView({ block: "nearest", inline: "nearest" });
    chart.querySelector("[role=status]").textContent = block.querySelector("title").textContent;
  } else if (event.key === "Enter" && at >= 0) {
    event.preventDefault();  /* else the summary that gets the focus closes it again */
    const list = document.getElementById(`run-${blocks[at].dataset.run}`);
    if (list) { list.open = true; list.querySelector("summary").focus(); }
  }
});

/* A link to a run opens its stops. */
document.addEventListener("click", (event) => { const link = event.target.closest("[data-open]"); const run = link && document.getElementById(link.dataset.open); if (run) run.open = true; });
