"use strict";
// Chooses the maps of a cell and filters by axis levels. Without it the page shows all of its numbers and pictures.
(function () {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const cells = Array.from(document.querySelectorAll("td[data-i]"));
  const viewer = document.getElementById("viewer");
  const filters = document.getElementById("filters");
  const shown = new Set(data.networks.map((_, k) => k));
  const state = { i: 0, j: Math.min(1, data.networks.length - 1), image: 0 };
  const element = (tag, text) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // The picture of an image holds the maps of all networks: rows are models, columns seeds.
  function drawMap(canvas, network) {
    const sheet = document.querySelector('img.maps[data-image="' + state.image + '"]');
    const context = canvas.getContext("2d");
    canvas.width = data.width;
    canvas.height = data.height;
    const x = network.column * (data.width + data.gap);
    const y = network.row * (data.height + data.gap);
    context.drawImage(sheet, x, y, data.width, data.height, 0, 0, data.width, data.height);
    canvas.setAttribute("aria-label", "Relevance map of " + network.name);
  }

  function draw() {
    if (!viewer || !data.networks.length) return;
    const sheet = document.querySelector('img.maps[data-image="' + state.image + '"]');
    sheet.decode().then(() => {
      drawMap(document.getElementById("source"), data.networks[state.i]);
      drawMap(document.getElementById("target"), data.networks[state.j]);
      viewer.dataset.drawn = state.i + "," + state.j + "," + state.image;
    });
    const photo = document.querySelector('img.photo[data-image="' + state.image + '"]');
    document.getElementById("photo-figure").hidden = !photo;
    if (photo) document.getElementById("photo").src = photo.src;
    document.getElementById("from").value = String(state.i);
    document.getElementById("on").value = String(state.j);
  }

  function say(cell) {
    const told = document.getElementById("chosen");
    if (!told) return;
    const pair = "maps from " + data.networks[state.i].name + ", tested on " + data.networks[state.j].name;
    if (!cell) told.textContent = "Shown: " + pair;
    else told.textContent = cell.firstChild.textContent + ": " + place(cell) + (place(cell) === pair ? "" : " (shown: " + pair + ")");
  }

  function place(cell) {
    const table = cell.closest("table");
    const column = table.tHead.rows[0].cells[cell.cellIndex].textContent;
    return "maps from " + cell.parentNode.cells[0].textContent + ", tested on " + column;
  }

  // Levels stand for several networks: where the filter hides the first of them, the next one is shown.
  function nearest(k, avoid) {
    if (shown.has(k)) return k;
    const wanted = data.networks[k].axes;
    const score = (n) => data.networks[n].axes.filter((level, a) => level === wanted[a]).length - (n === avoid ? 0.5 : 0);
    const left = Array.from(shown).sort((a, b) => score(b) - score(a) || a - b);
    return left.length ? left[0] : k;
  }

  function choose(cell) {
    for (const other of cells) other.classList.toggle("on", other === cell);
    state.i = nearest(Number(cell.dataset.i), -1);
    state.j = nearest(Number(cell.dataset.j), state.i);
    draw();
    say(cell);
  }

  function visible(cell) {
    return !cell.hidden && !cell.parentNode.hidden;
  }

  function move(event) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const step = steps[event.key];
    const cell = event.target.closest("td[data-i]");
    if (!step || !cell) return;
    event.preventDefault();
    const rows = Array.from(cell.closest("tbody").rows);
    let row = rows.indexOf(cell.parentNode);
    let column = cell.cellIndex;
    for (;;) {
      row += step[0];
      column += step[1];
      const next = rows[row] && rows[row].cells[column];
      if (!next) return;
      if (next.dataset.i !== undefined && visible(next)) {
        next.focus();
        return;
      }
    }
  }

  // One cell of each matrix is reached with the tab key, the others from it with the arrow keys.
  function rove(cell) {
    for (const other of cell.closest("table").querySelectorAll("td[data-i]")) other.tabIndex = other === cell ? 0 : -1;
  }

  function listen(table) {
    const of = (event) => event.target.closest("td[data-i]");
    table.addEventListener("mouseover", (event) => of(event) && choose(of(event)));
    table.addEventListener("click", (event) => of(event) && choose(of(event)));
    table.addEventListener("keydown", move);
    table.addEventListener("focusin", (event) => {
      if (!of(event)) return;
      rove(of(event));
      choose(of(event));
    });
    const first = table.querySelector("td[data-i]");
    if (first) rove(first);
  }

  function applyFilter() {
    shown.clear();
    data.networks.forEach((network, k) => {
      const kept = network.axes.every((level, a) => boxes.some((box) => box.axis === a && box.level === level && box.input.checked) || level === "");
      if (kept) shown.add(k);
    });
    for (const table of document.querySelectorAll("table.pairs")) {
      const columns = Array.from(table.tHead.rows[0].cells).map((cell) => cell.dataset.network);
      for (const row of table.rows) {
        if (row.dataset.network !== undefined) row.hidden = !shown.has(Number(row.dataset.network));
        Array.from(row.cells).forEach((cell, k) => {
          if (columns[k] !== undefined) cell.hidden = !shown.has(Number(columns[k]));
        });
      }
      const reachable = Array.from(table.querySelectorAll("td[data-i]")).find(visible);
      if (reachable) rove(reachable);
    }
    fillSelects();
    count.textContent = shown.size + " of " + data.networks.length + " networks shown";
    state.i = nearest(state.i, -1);
    state.j = nearest(state.j, state.i);
    draw();
    say();
  }

  const boxes = [];
  const count = element("p");
  count.setAttribute("aria-live", "polite");
  count.className = "small";

  function buildFilters() {
    data.axes.forEach((axis, a) => {
      const group = element("fieldset");
      group.append(element("legend", axis));
      for (const level of new Set(data.networks.map((network) => network.axes[a]))) {
        const label = element("label");
        const input = element("input");
        input.type = "checkbox";
        input.checked = true;
        input.addEventListener("change", applyFilter);
        label.append(input, " " + level);
        group.append(label);
        boxes.push({ axis: a, level: level, input: input });
      }
      filters.append(group);
    });
    filters.append(count);
    filters.hidden = !data.axes.length;
  }

  function fillSelects() {
    for (const id of ["from", "on"]) {
      const select = document.getElementById(id);
      if (!select) return;
      select.replaceChildren();
      for (const k of shown) {
        const option = element("option", data.networks[k].name);
        option.value = String(k);
        select.append(option);
      }
    }
  }

  function listenSelects() {
    if (!viewer) return;
    viewer.hidden = false;
    const on = (id, set) => document.getElementById(id).addEventListener("change", (event) => {
      set(Number(event.target.value));
      draw();
      say();
    });
    on("image", (k) => { state.image = k; });
    on("from", (k) => { state.i = k; });
    on("on", (k) => { state.j = k; });
  }

  buildFilters();
  fillSelects();
  listenSelects();
  for (const table of document.querySelectorAll("table.cells")) listen(table);
  if (cells.length) choose(cells.find((cell) => cell.dataset.i !== cell.dataset.j) || cells[0]);
  else draw();
})();
