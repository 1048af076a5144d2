// Pages for hands: a scan is sent with an id made here, so that sent twice it counts once; the answer is heard, seen and read.
const all = (query, from = document) => [...from.querySelectorAll(query)];
const trouble = document.getElementById("trouble");
const STATUS = { 401: "signedOut", 403: "refused", 429: "busy", 503: "busy" };

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is there on HTTPS only
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A beep for each tone: high for done, low twice for wrong, middle for the rest. Browsers allow it after the first key or touch.
const BEEPS = { good: [[1320, 0, 0.09]], info: [[880, 0, 0.09]], warn: [[660, 0, 0.12], [660, 0.16, 0.12]], bad: [[220, 0, 0.2], [220, 0.26, 0.2]] };
let sound;
function beep(tone) {
  try {
    sound ??= new AudioContext();
    for (const [hertz, begin, length] of BEEPS[tone] ?? []) {
      const voice = sound.createOscillator(), loud = sound.createGain();
      voice.frequency.value = hertz; loud.gain.value = 0.12;
      voice.connect(loud).connect(sound.destination);
      voice.start(sound.currentTime + begin); voice.stop(sound.currentTime + begin + length);
    }
  } catch { /* no sound here: words and colour say the same */ }
}

function complain(kind) {
  trouble.hidden = !kind;
  trouble.textContent = kind ? trouble.dataset[kind] : "";
  if (kind) beep("bad");
}

async function send(fields, address) {
  const all = Object.entries({ ...fields, sent: new Date().toISOString() }), isPhoto = all.some(([, value]) => value instanceof Blob);
  const body = isPhoto ? new FormData() : new URLSearchParams();
  all.forEach(([name, value]) => body.append(name, value));
  return fetch(address, { method: "POST", body, headers: { Accept: "application/json" }, redirect: "manual" });
}

async function refresh() {
  for (const part of all("[data-part]")) {
    const address = new URL(location.href);
    address.searchParams.delete("said"); address.searchParams.set("part", part.dataset.part);
    const answer = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer?.ok) { part.innerHTML = await answer.text(); ready(part); }
  }
}

function show(html, tone) {
  const said = document.getElementById("said");
  if (said) said.innerHTML = html;
  beep(tone);
}

async function scan(form, submitter) {
  const fields = Object.fromEntries(new FormData(form, submitter));
  fields.scan = newId(); fields.at = new Date().toISOString();
  if (form.dataset.queue !== undefined) return window.queued(fields, form.action);
  const answer = await send(fields, form.action).catch(() => null);
  if (!answer?.ok) return complain(STATUS[answer?.status] ?? "noAnswer");
  complain("");
  const { html, tone } = await answer.json();
  show(html, tone);
  refresh();
}

function ready(root) {
  all("form[data-scan]", root).forEach((form) => form.addEventListener("submit", (event) => {
    event.preventDefault();
    scan(form, event.submitter);
    const field = form.querySelector("input[name=code]:not([type=hidden])");
    if (field) { field.value = ""; field.focus(); }
  }));
  all("[data-step]", root).forEach((button) => button.addEventListener("click", () => {
    const field = button.parentNode.querySelector("input");
    field.value = Math.max(0, Number(field.value) + Number(button.dataset.step));
  }));
  all("[data-print]", root).forEach((button) => button.addEventListener("click", () => print()));
}
ready(document);

// Overruling: the copy of the answer goes into the dialog's form.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-overrule]"), dialog = document.getElementById("overrule");
  if (opener) { dialog.querySelector("[name=code]").value = opener.dataset.overrule; dialog.showModal(); }
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  const camera = event.target.closest("[data-camera]");
  if (camera) scanByCamera(camera.form);
});
all("dialog form").forEach((form) => form.addEventListener("submit", () => form.closest("dialog").close()));

// The camera and its reader are fetched when they are asked for first. Browsers give a camera to secure addresses only.
async function scanByCamera(form) {
  if (!window.isSecureContext || !navigator.mediaDevices) return complain("insecure");
  try {
    const { open } = await import("/static/camera.js");
    complain("");
    await open(form, document.getElementById("camera"));
  } catch { complain("noCamera"); }
}
// Tiles of the run's map are fetched when it is opened.
document.getElementById("map")?.addEventListener("toggle", () => all("[data-tile]").forEach((tile) => tile.setAttribute("href", tile.dataset.tile)));

// A scanner types anywhere: its keys go to the scan field unless another field or a dialog has them.
const field = document.querySelector("[data-focus]");
if (field && matchMedia("(pointer: fine)").matches) field.focus();
addEventListener("keydown", (event) => {
  if (!field || event.ctrlKey || event.metaKey || event.altKey || event.key.length !== 1) return;
  if (!document.activeElement?.closest("input, select, textarea, dialog, button, a, summary")) field.focus();
});

// Scans in a dead zone: kept in the phone's own database, and sent in their order when there is a signal. Each has an id made here,
// and the server counts an id once. A scan leaves the queue when the server has answered it; what is answered with 401, 409, 429 or
// 503, or with any other error of the server, stays.
function keepQueue() {
  const STORE = "scans";
  const opened = new Promise((resolve, reject) => {
    const request = indexedDB.open("hands", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "number", autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

  async function inStore(mode, act) {
    const store = (await opened).transaction(STORE, mode).objectStore(STORE), request = act(store);
    return new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  const bar = document.getElementById("offline"), place = document.getElementById("said");
  async function count(offline) {
    const waiting = await inStore("readonly", (store) => store.count());
    bar.hidden = !waiting && !offline;
    bar.classList.toggle("online", !offline);
    const words = bar.querySelector("[data-waiting]");
    words.textContent = waiting ? "· " + words.dataset.waiting.replace("#", waiting) : "";
  }

  // 413, 422 and 403 will never be answered otherwise; the page says so, and the scan stays recorded nowhere else, so it is shown, not kept.
  const NEVER = new Set([400, 403, 404, 413, 422]);
  // Whoever asks while the queue is being sent is heard when that ends: a scan, or a signal, that came meanwhile waits for nobody.
  let busy = false, wanted = false, again = 0;
  async function flush() {
    wanted = true;
    if (busy) return;
    busy = true;
    try {
      while (wanted) { wanted = false; await sendQueue(); }
    } finally { busy = false; }
  }

  async function sendQueue() {
    const all = await inStore("readonly", (store) => store.getAll());
    for (const kept of all) {
      const answer = await send(kept.fields, kept.address).catch(() => null);
      if (!answer || !(answer.ok || NEVER.has(answer.status))) {
        if (answer) complain(STATUS[answer.status] ?? "noAnswer");
        clearTimeout(again); again = setTimeout(flush, 5_000);
        return count(!answer);
      }
      await inStore("readwrite", (store) => store.delete(kept.number));
      if (answer.ok) { const { html, tone } = await answer.json(); complain(""); show(html, tone); } else complain("refused");
    }
    await count(false);
    if (all.length) refresh();
  }

  // A crate of the list is called as people read it; any other code as it was scanned.
  const read = (code) => document.querySelector(`[data-crate="${CSS.escape(code)}"]`)?.textContent ?? code;

  const queued = async (fields, address) => {
    await inStore("readwrite", (store) => store.add({ fields, address }));
    if (!navigator.onLine) show(`<div class="result info" role="status"><p class="word"></p><p class="why"></p></div>`, "info");
    const word = place.querySelector(".result.info .word");
    if (!navigator.onLine && word) { word.textContent = `${place.dataset.waits}: ${read(fields.code ?? "")}`; place.querySelector(".why").textContent = place.dataset.kept; }
    await count(!navigator.onLine);
    return flush();
  };
  addEventListener("online", flush);
  addEventListener("offline", () => count(true));
  // The worker copies the page's files, so it comes when the page is there: the first view is not slower by it.
  addEventListener("load", () => navigator.serviceWorker?.register("/worker.js"));
  flush();
  Object.assign(window, { queued, flush });
}
if (document.querySelector("form[data-queue]")) keepQueue();
