/* The map: the network's outline or the tiles that are set, places, and runs or imbalance over them. */
"use strict";

(() => {
  const box = document.getElementById("map");
  if (!box) return;
  const { source, outline, language, tiles, attribution, changes } = box.dataset;
  const map = L.map(box, { zoomControl: true, attributionControl: Boolean(attribution), zoomSnap: 0.25, renderer: L.svg({ padding: 0.3 }) });
  const back = (point) => [point[1], point[0]];
  const named = (thing) => thing[language] || thing.zh;
  const text = (words) => { const node = document.createElement("span"); node.textContent = words; return node; };
  L.control.scale({ imperial: false }).addTo(map);
  map.setView([0, 0], 2);
  if (tiles) L.tileLayer(tiles, { attribution, maxZoom: 19 }).addTo(map);
  map.createPane("areas").style.zIndex = 250;  /* below everything that is drawn on it, whichever comes first */
  const drawn = L.layerGroup().addTo(map);
  let placed = false;

  const area = (feature) => {
    const { kind } = feature.properties;
    const shape = L.polygon(feature.geometry.coordinates[0].map(back), { pane: "areas", className: `area ${kind}`, interactive: false, smoothFactor: 0.5 }).addTo(map);
    if (kind === "district") shape.bindTooltip(text(named(feature.properties)), { permanent: true, direction: "top", className: "area-name", offset: [0, 0] }).openTooltip(L.latLng(shape.getBounds().getNorth(), shape.getBounds().getCenter().lng));
  };

  const place = (one) => {
    const short = one.short || 0;
    const surplus = one.surplus || 0;
    const kind = short > surplus ? "short" : surplus ? "surplus" : "short" in one ? "even" : "";
    const size = "short" in one ? 4 + Math.min(12, Math.sqrt(Math.max(short, surplus)) * 1.1) : one.hub ? 7 : one.tier === "room" ? 2.5 : 4;
    const dot = L.circleMarker(back(one.at), { radius: size, className: `dot ${kind} ${one.hub ? "hub" : ""}`, stroke: true, fillOpacity: 0.9 }).addTo(drawn);
    const more = "short" in one ? ` ▼${short} ${box.dataset.short} ▲${surplus} ${box.dataset.surplus}` : "";
    dot.bindTooltip(text(named(one) + more));
    if ("short" in one) dot.on("click", () => { location.search = `?place=${encodeURIComponent(one.id)}`; });
  };

  const run = (one, names) => {
    const line = L.polyline(one.line.map(back), { className: `route c${one.colour}`, fill: false }).addTo(drawn);
    line.bindTooltip(text(one.van), { sticky: true });
    line.on("click", () => open(one.id));
    for (const stop of one.stops) {
      const visit = L.circleMarker(back(stop.at), { radius: 5, className: `visit ${stop.status}`, fillOpacity: 1 }).addTo(drawn);
      visit.bindTooltip(text(`${one.van} ${stop.n} ${names.get(stop.place) || stop.place}`));
      visit.on("click", () => open(one.id));
    }
  };

  const open = (id) => {
    const list = document.getElementById(`run-${id}`);
    if (list) { list.open = true; list.scrollIntoView({ behavior: "smooth", block: "nearest" }); }
  };

  async function draw() {
    const answer = await fetch(source);
    if (!answer.ok) return;
    const found = await answer.json();
    drawn.clearLayers();
    const names = new Map(found.places.map((one) => [one.id, named(one)]));
    found.places.forEach(place);
    (found.runs || []).forEach((one) => run(one, names));
    if (!placed && found.places.length) {
      map.fitBounds(L.latLngBounds(found.places.map((one) => back(one.at))), { padding: [18, 18] });
      placed = true;
    }
    box.dataset.drawn = String(found.places.length);
  }

  if (!tiles) fetch(outline).then((answer) => answer.json()).then((found) => found.features.forEach(area)).catch(() => {});
  draw().catch(() => { box.dataset.drawn = "0"; });
  let waiting = false;
  document.body.addEventListener(`changed-${changes}`, () => {
    if (waiting) return;
    waiting = true;  /* the map follows at its ease: once in two seconds */
    setTimeout(() => { waiting = false; draw().catch(() => {}); }, 2000);
  });
})();
