/* The map: the network's outline or the tiles that are set, places, and runs or imbalance over them. */
"use strict";

(() => {
  const box = document.getElementById("map");
  if (!box) return;
  const { source, outline, language, tiles, attribution, changes } = box.dataset;
  const map = L.map(box, { zoomControl: true, keyboard: false, attributionControl: Boolean(attribution), zoomSnap: 0.25, renderer: L.svg({ padding: 0.3 }) });
  const back = (point) => [point[1], point[0]];
  const named = (thing) => thing[language] || thing.zh;
  const text = (words) => { const node = document.createElement("span"); node.textContent = words; return node; };
  L.control.scale({ imperial: false }).addTo(map);
  map.setView([0, 0], 2);
  if (tiles) L.tileLayer(tiles, { attribution, maxZoom: 19 }).addTo(map);
  map.createPane("areas").style.zIndex = 250;  /* below everything that is drawn on it, whichever comes first */
  const drawn = new Map();  /* by run, and of the places: its layer, and the data that it was drawn from */
  let placed = false;

  const area = (feature) => {
    const { kind } = feature.properties;
    const shape = L.polygon(feature.geometry.coordinates[0].map(back), { pane: "areas", className: `area ${kind}`, interactive: false, smoothFactor: 0.5 }).addTo(map);
    if (kind === "district") shape.bindTooltip(text(named(feature.properties)), { permanent: true, direction: "top", className: "area-name", offset: [0, 0] }).openTooltip(L.latLng(shape.getBounds().getNorth(), shape.getBounds().getCenter().lng));
  };

  const place = (one, layer) => {
    const short = one.short || 0;
    const surplus = one.surplus || 0;
    const kind = short > surplus ? "short" : surplus ? "surplus" : "short" in one ? "even" : "";
    const size = "short" in one ? 4 + Math.min(12, Math.sqrt(Math.max(short, surplus)) * 1.1) : one.hub ? 7 : one.tier === "room" ? 2.5 : 4;
    const dot = L.circleMarker(back(one.at), { radius: size, className: `dot ${kind} ${one.hub ? "hub" : ""}`, stroke: true, fillOpacity: 0.9 }).addTo(layer);
    const more = "short" in one ? ` ▼${short} ${box.dataset.short} ▲${surplus} ${box.dataset.surplus}` : "";
    dot.bindTooltip(text(named(one) + more));
    if ("short" in one) says(dot, named(one) + more);
    if ("short" in one) dot.on("click", () => { location.search = `?place=${encodeURIComponent(one.id)}`; });
  };

  /* A small head in the middle of each leg that is long enough says which way the van goes. */
  const LONG_PX = 46;
  const heads = L.layerGroup().addTo(map);
  let ways = [];
  const point = () => {
    heads.clearLayers();
    for (const { line, colour } of ways) for (let n = 1; n < line.length; n++) {
      const [from, to] = [line[n - 1], line[n]].map((at) => map.latLngToLayerPoint(back(at)));
      const way = to.subtract(from), length = Math.hypot(way.x, way.y);
      if (length < LONG_PX) continue;
      const along = way.divideBy(length), across = L.point(-along.y, along.x), tip = from.add(way.divideBy(2)).add(along.multiplyBy(4));
      const wings = [1, -1].map((side) => tip.subtract(along.multiplyBy(8)).add(across.multiplyBy(4 * side)));
      L.polyline([wings[0], tip, wings[1]].map((at) => map.layerPointToLatLng(at)), { className: `head c${colour}`, fill: false, interactive: false }).addTo(heads);
    }
  };
  map.on("zoomend", point);

  const run = (one, names, layer) => {
    const line = L.polyline(one.line.map(back), { className: `route c${one.colour}`, fill: false }).addTo(layer);
    line.bindTooltip(text(one.van), { sticky: true });
    if (one.was?.length) L.polyline(one.was.map(back), { className: "was", fill: false, interactive: false }).addTo(layer);
    line.on("click", () => open(one.id));
    for (const stop of one.stops) {
      const kind = `visit pin c${one.colour} ${stop.status} ${stop.late ? "late" : ""}`;
      const visit = L.marker(back(stop.at), { icon: L.divIcon({ className: kind, html: String(stop.n), iconSize: [19, 19] }), keyboard: false }).addTo(layer);
      const words = `${one.van} · ${stop.n} ${names.get(stop.place) || stop.place}`;
      visit.bindTooltip(text(words));
      says(visit, words);
      visit.on("click", () => open(one.id));
    }
  };

  /* One tab stop: the first time on the whole map, then on what was chosen last; arrows go from one to the next. */
  let chosen = -1;
  const points = () => [...box.querySelectorAll(".visit, .dot[data-said]")];
  const choose = (number) => {
    const all = points();
    if (!all.length) return;
    chosen = (number + all.length) % all.length;
    all.forEach((one, n) => one.setAttribute("tabindex", n === chosen ? "0" : "-1"));
    all[chosen].focus();
  };
  const quiet = () => {
    box.querySelectorAll("a, path").forEach((one) => one.setAttribute("tabindex", "-1"));
    box.setAttribute("tabindex", "0");
    chosen = -1;
  };
  box.addEventListener("focus", () => { if (chosen >= 0) points()[chosen]?.focus(); });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); choose(chosen < 0 && step < 0 ? -1 : chosen + step); box.setAttribute("tabindex", "-1"); }
    else if (event.key === "Home") { event.preventDefault(); choose(0); }
    else if (event.key === "End") { event.preventDefault(); choose(-1); }
    else if (event.key === "+" || event.key === "=") map.zoomIn();
    else if (event.key === "-") map.zoomOut();
    else if (event.key === "Enter" && chosen >= 0) points()[chosen].dispatchEvent(new MouseEvent("click", { bubbles: true }));
  });
  const says = (layer, words) => { const path = layer.getElement(); path.setAttribute("role", "button"); path.setAttribute("aria-label", words); path.dataset.said = words; };

  const open = (id) => {
    const list = document.getElementById(`run-${id}`);
    if (list) { list.open = true; list.scrollIntoView({ behavior: "smooth", block: "nearest" }); }
  };

  /* Draw anew what is other than it was; 300 stops take a tenth of a second. */
  const redraw = (id, data, how) => {
    const text = JSON.stringify(data), before = drawn.get(id);
    if (before?.text === text) return;
    before?.layer.remove();
    const layer = L.layerGroup().addTo(map);
    drawn.set(id, { layer, text });
    how(layer);
  };

  /* The data stand in the page, or are fetched. */
  const current = async () => {
    const here = document.getElementById("map-now");
    return here ? JSON.parse(here.textContent) : fetch(source).then((answer) => (answer.ok ? answer.json() : null));
  };

  async function draw() {
    const found = await current();
    if (!found) return;
    const runs = found.runs || [], names = new Map(found.places.map((one) => [one.id, named(one)]));
    redraw("", found.places, (layer) => found.places.forEach((one) => place(one, layer)));
    for (const id of drawn.keys()) if (id && !runs.some((one) => one.id === id)) { drawn.get(id).layer.remove(); drawn.delete(id); }
    runs.forEach((one) => redraw(one.id, one, (layer) => run(one, names, layer)));
    ways = runs;
    if (!placed && found.places.length) {
      map.fitBounds(L.latLngBounds(found.places.map((one) => back(one.at))), { padding: [18, 18] });
      placed = true;
    }
    point();
    quiet();
    box.dataset.drawn = String(found.places.length);
  }

  if (!tiles) fetch(outline).then((answer) => answer.json()).then((found) => found.features.forEach(area)).catch(() => {});
  draw().catch(() => { box.dataset.drawn = "0"; });
  box.addEventListener("redraw", () => draw().catch(() => {}));
  let waiting = false;
  document.body.addEventListener(`changed-${changes}`, () => {
    if (waiting) return;
    waiting = true;  /* the map follows at its ease: once in two seconds */
    setTimeout(() => { waiting = false; draw().catch(() => {}); }, 2000);
  });
})();
