/* Changing a plan: stops are dragged in the list, or chosen by key; every change is a form, judged by the server. */
"use strict";

(() => {
  const list = document.getElementById("runs");
  const moved = document.getElementById("moved");
  if (!list || !moved) return;
  const rows = () => [...list.querySelectorAll("[data-visit][draggable]")];
  let dragged = null;

  const send = (fields) => {
    for (const [name, value] of Object.entries(fields)) moved.elements[name].value = value;
    moved.requestSubmit();
  };
  const target = (event) => event.target.closest("tr[data-visit]");

  list.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("[data-visit]");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.visit);
  });
  list.addEventListener("dragover", (event) => {
    const over = target(event);
    list.querySelectorAll(".drop").forEach((one) => one.classList.remove("drop"));
    if (dragged && over && over !== dragged) { event.preventDefault(); over.classList.add("drop"); }
  });
  list.addEventListener("drop", (event) => {
    const over = target(event);
    if (!dragged || !over || over === dragged) return;
    event.preventDefault();
    send({ kind: "move", visit: dragged.dataset.visit, van: over.closest("table").dataset.van, before: over.dataset.visit });
  });
  list.addEventListener("dragend", () => { dragged = null; list.querySelectorAll(".drop").forEach((one) => one.classList.remove("drop")); });

  const focus = (row) => { if (row) { rows().forEach((one) => one.setAttribute("tabindex", "-1")); row.setAttribute("tabindex", "0"); row.focus(); } };
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea, summary") || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = event.target.closest("[data-visit][draggable]");
    const all = rows();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const key = event.key.toLowerCase();  /* with Caps Lock too */
    if (step && (row || event.target === document.body || event.target === list)) { event.preventDefault(); focus(all[row ? all.indexOf(row) + step : 0]); }
    else if (row && event.key === "Home") { event.preventDefault(); focus(all[0]); }
    else if (row && event.key === "End") { event.preventDefault(); focus(all.at(-1)); }
    else if (row && (key === "m" || key === "enter") && event.target === row) row.querySelector("a").click();
    else if (row && key === "s") location.href = row.querySelector("a").href.replace("#move", "#split");
    else if (row && key === "l") send({ kind: row.dataset.locked === "1" ? "unlock" : "lock", visit: row.dataset.visit, van: "", before: "" });
    else if (row && key === "r") send({ kind: "remove", visit: row.dataset.visit, van: "", before: "" });
    else if (["a", "z"].includes(key)) document.querySelector(`[data-key="${key === "z" && event.shiftKey ? "Z" : key}"]:not(:disabled)`)?.click();
  });
  /* After a change in place: the same stop keeps the focus, the dialog about a stop takes it, and the map follows. */
  let focused = null;
  document.addEventListener("htmx:before:swap", (event) => {
    focused = document.activeElement?.closest("[data-visit][draggable]")?.dataset.visit ?? event.target.elements?.visit?.value;
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const address = event.detail?.ctx?.target?.id === "main" && event.detail.ctx.response?.raw?.url;
    if (!address) return;
    history.replaceState(null, "", address);  /* a reload shows the same again */
    const all = rows();
    all.forEach((row, n) => row.setAttribute("tabindex", n ? "-1" : "0"));
    const dialog = document.querySelector("#move [autofocus]");
    if (dialog) { dialog.focus(); document.getElementById("move").scrollIntoView({ block: "nearest" }); }
    else focus(all.find((row) => row.dataset.visit === focused));
    document.getElementById("map")?.dispatchEvent(new Event("redraw"));
  });
  /* A refused form is sent once more as browsers do: its answer is a page that says why. */
  document.addEventListener("htmx:after:request", (event) => {
    const form = event.target, status = event.detail?.ctx?.response?.raw?.status;
    if (form instanceof HTMLFormElement && form.closest("main") && status >= 400 && status !== 401) form.submit();
  });
  if (location.hash === "#split") document.getElementById("split")?.focus();
  rows().forEach((row, n) => row.setAttribute("tabindex", n ? "-1" : "0"));
})();
