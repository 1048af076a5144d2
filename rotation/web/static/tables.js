/* Every table that has a name sorts and filters; both stand in the address, where a spreadsheet of it finds them too. */
"use strict";

const WORDS = document.documentElement.lang.startsWith("zh")
  ? { find: "筛选", sort: "排序", of: (n, all) => `${all} 行中的 ${n} 行` }
  : { find: "Filter", sort: "Sort by", of: (n, all) => `${n} of ${all} rows` };
const LEAST_ROWS = 2; // below it there is nothing to sort

const named = () => Map.groupBy([...document.querySelectorAll("main table[data-table]")], (table) => table.dataset.table);
const asked = (what, name) => new URLSearchParams(location.search).get(`${what}-${name}`) || "";
function keep(what, name, value) {
  const address = new URL(location.href);
  if (value) address.searchParams.set(`${what}-${name}`, value); else address.searchParams.delete(`${what}-${name}`);
  history.replaceState(history.state, "", address);
}

function textOf(cell) {
  if (cell.dataset.value !== undefined) return cell.dataset.value;
  const copy = cell.cloneNode(true);
  copy.querySelectorAll("form, select, svg, script").forEach((one) => one.remove());
  return copy.textContent.trim();
}
function valueOf(row, column) {
  const cell = row.cells[column];
  if (!cell) return "";
  const text = textOf(cell);
  if (cell.dataset.value === undefined && !cell.classList.contains("n")) return text;
  const bare = text.replace(/[,%\s]/g, "").replace("−", "-");
  return bare !== "" && !Number.isNaN(Number(bare)) ? Number(bare) : text;
}
const order = new Intl.Collator(document.documentElement.lang, { numeric: true });
/* Numbers before words, what is empty at the end. */
function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  if (!one || !other) return (one === "") - (other === "");
  return order.compare(one, other);
}

function sort(table, by) {
  const column = Math.abs(by) - 1;
  table.querySelectorAll("thead tr:last-child > th").forEach((head, number) => {
    if (by && number === column) head.setAttribute("aria-sort", by > 0 ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  });
  if (!by) return;
  for (const body of table.tBodies) {
    const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
    rows.sort((one, other) => (by < 0 ? compare(other[0], one[0]) : compare(one[0], other[0])));
    body.append(...rows.map(([, row]) => row));
  }
}

function find(tables, text, said) {
  const wanted = text.toLocaleLowerCase();
  let shown = 0;
  let all = 0;
  for (const table of tables) for (const body of table.tBodies) for (const row of body.rows) {
    row.hidden = wanted !== "" && ![...row.cells].map(textOf).join(" ").toLocaleLowerCase().includes(wanted);
    all += 1;
    shown += !row.hidden;
  }
  said.textContent = wanted ? WORDS.of(shown, all) : "";
}

function file(name, form) {
  const address = new URL(location.href);
  address.searchParams.set("table", name);
  address.searchParams.set("form", form);
  address.hash = "";
  return address.href;
}

function tools(name, tables) {
  const bar = document.createElement("div");
  bar.className = "table-tools";
  bar.dataset.toolsOf = name;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = WORDS.find;
  field.setAttribute("aria-label", WORDS.find);
  field.value = asked("find", name);
  const said = document.createElement("small");
  said.setAttribute("role", "status");
  field.addEventListener("input", () => {
    keep("find", name, field.value);
    find(named().get(name) || [], field.value, said);
  });
  bar.append(field, said);
  for (const form of ["csv", "xlsx"]) {
    const link = document.createElement("a");
    link.textContent = form.toUpperCase();
    link.href = file(name, form);
    link.addEventListener("click", () => { link.href = file(name, form); });
    bar.append(link);
  }
  const first = tables[0].closest(".scroll") || tables[0];
  const cause = first.closest("details");
  (cause || first).before(bar);
  return { field, said };
}

/* The filter that somebody types in: the swap takes it away, and the focus with it. */
let typing;
function noteTyping() {
  const at = document.activeElement;
  if (at && at !== document.body) typing = at.closest("[data-tools-of]")?.dataset.toolsOf;
}

function equip() {
  noteTyping();
  for (const [name, tables] of named()) {
    let bar = document.querySelector(`[data-tools-of="${CSS.escape(name)}"]`);
    const count = tables.reduce((sum, table) => sum + [...table.tBodies].reduce((rows, body) => rows + body.rows.length, 0), 0);
    if (count < LEAST_ROWS && !asked("find", name)) { bar?.remove(); continue; }
    const made = bar ? { field: bar.querySelector("input"), said: bar.querySelector("small") } : tools(name, tables);
    for (const table of tables) {
      table.querySelectorAll("thead tr:last-child > th").forEach((head, number) => {
        if (head.querySelector("button.sort") || !head.textContent.trim()) return;
        const button = document.createElement("button");
        button.type = "button";
        button.className = "sort";
        if (head.querySelector("a, input")) {
          button.textContent = "↕";
          button.setAttribute("aria-label", `${WORDS.sort} ${head.textContent.trim()}`);
          head.append(" ");
        } else button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
          const before = Number(asked("sort", name));
          const isNumber = head.classList.contains("n");
          const first = isNumber ? -(number + 1) : number + 1;
          const next = Math.abs(before) !== number + 1 ? first : before === first ? -first : 0;
          keep("sort", name, next || "");
          if (next) named().get(name).forEach((one) => sort(one, next)); else location.reload();
        });
      });
      sort(table, Number(asked("sort", name)) || 0);
    }
    find(tables, made.field.value, made.said);
    if (typing === name) made.field.focus();
  }
}
equip();
/* Live updates bring the rows as the server has them. */
document.body.addEventListener("htmx:before:swap", noteTyping);
document.body.addEventListener("htmx:after:swap", equip);
