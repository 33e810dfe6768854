/*
 * The attention page: every layer, head and weight of some translations.
 *
 * `show` draws the whole page from `state`, and every action changes `state` first. shared.js runs before this script,
 * attention_downloads.js too.
 */

"use strict";

/* ---- Data ---- */

const MEAN = "mean"; // in place of a head index: the mean over all heads

// Kinds of attention. `query` and `key` name the sides of a sentence whose tokens label the rows and the columns.
const KINDS = {
  encoder_self: {
    name: "Encoder self-attention",
    tab: "Encoder",
    query: "source",
    key: "source",
    description: "Each source token attends to all source tokens.",
  },
  decoder_self: {
    name: "Decoder self-attention",
    tab: "Decoder",
    query: "output",
    key: "input",
    description: "Each decoder step attends to the tokens read so far; later tokens are masked.",
  },
  cross: {
    name: "Cross-attention",
    tab: "Cross",
    query: "output",
    key: "source",
    description: "Each decoder step attends to all source tokens.",
  },
};

const decodedWeights = new Map(); // from "sentence kind" to Float32Array

/** Return all weights of one kind of attention of sentence `s`: (layer, head, query, key), flat, decoded once. */
async function weightsOf(s, kind) {
  const name = `${s} ${kind}`;
  if (!decodedWeights.has(name)) {
    let buffer = decodeBase64(DATA.sentences[s].maps[kind].weights);
    if (DATA.compressed) {
      const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
      buffer = await new Response(stream).arrayBuffer();
    }
    const view = new DataView(buffer); // reads little-endian numbers on every machine
    const weights = new Float32Array(buffer.byteLength / 2);
    for (let i = 0; i < weights.length; i++) weights[i] = view.getUint16(2 * i, true) / DATA.scale;
    decodedWeights.set(name, weights);
  }
  return decodedWeights.get(name);
}

/** Return the tokens of a word as the word is written. */
function wordText(tokens) {
  return tokens.join("").replaceAll("▁", " ").trim() || tokens.join("");
}

/** Return the tokens or words of one side: token span, label, and whether it is a special token (PAD, BOS, EOS). */
function unitsOf(side, words) {
  const spans = words ? side.words : side.tokens.map((_, i) => [i, i + 1]);
  return spans.map(([start, stop], index) => ({
    index,
    start,
    stop,
    special: side.special.includes(start),
    label: words ? wordText(side.tokens.slice(start, stop)) : side.tokens[start],
  }));
}

/** Return the text that the decoder reads in the steps that predict a unit. */
function inputOf(unit, input, words) {
  const tokens = input.tokens.slice(unit.start, unit.stop);
  return words ? wordText(tokens) : tokens.join("");
}

/** Return whether a key is masked: decoder self-attention hides the positions after the query. */
function isMasked(kind, query, key) {
  return kind === "decoder_self" && key.start >= query.stop;
}

/** Return the weights (query, key) of one layer and head, or the mean over all heads, as a flat array. */
function headWeights({ s, k, l, h }) {
  const [, nHeads, rows, columns] = DATA.sentences[s].maps[k].shape;
  const heads = h === MEAN ? range(nHeads) : [h];
  const all = decodedWeights.get(`${s} ${k}`);
  const weights = new Float64Array(rows * columns);
  for (const head of heads) {
    const first = (l * nHeads + head) * rows * columns;
    for (let i = 0; i < weights.length; i++) weights[i] += all[first + i] / heads.length;
  }
  return weights;
}

/** Return the weight of a query on a key: the sum over the key's tokens, the mean over the query's. */
function unitWeight(weights, nColumns, query, key) {
  let total = 0;
  for (let q = query.start; q < query.stop; q++)
    for (let c = key.start; c < key.stop; c++) total += weights[q * nColumns + c];
  return total / (query.stop - query.start);
}

/**
 * Return a map as a panel shows it: `queries`, `keys`, and `weight(query, key)`, which is null where masked.
 *
 * Weights of words add up over keys and are averaged over queries, so that each row still sums to 1.
 */
function buildMap(panel, { words, hide }) {
  const { s, k } = panel;
  const sentence = DATA.sentences[s];
  const nColumns = sentence.maps[k].shape[3];
  const tokenWeights = headWeights(panel);
  const queries = unitsOf(sentence.sides[KINDS[k].query], words);
  const keys = unitsOf(sentence.sides[KINDS[k].key], words);
  const values = new Float64Array(queries.length * keys.length);
  for (const query of queries)
    for (const key of keys)
      values[query.index * keys.length + key.index] = unitWeight(tokenWeights, nColumns, query, key);
  if (KINDS[k].query === "output")
    for (const query of queries) query.reads = inputOf(query, sentence.sides.input, words);
  const isShown = (unit) => !(hide && unit.special);
  const weight = (query, key) => (isMasked(k, query, key) ? null : values[query.index * keys.length + key.index]);
  const map = {
    panel,
    sentence,
    kind: k,
    weight,
    allKeys: keys,
    queries: queries.filter(isShown),
    keys: keys.filter(isShown),
    hiddenKeys: keys.filter((key) => !isShown(key)),
  };
  map.largest = 0;
  for (const query of map.queries) for (const key of map.keys) map.largest = Math.max(map.largest, weight(query, key));
  return map;
}

/** Return the weight of a query on hidden special tokens. */
function hiddenWeight(map, query) {
  return sum(map.hiddenKeys.map((key) => map.weight(query, key) ?? 0));
}

/** Return the entropy of a row in bits and its upper bound, log2 of the number of unmasked keys (hidden ones too). */
function rowEntropy(map, query) {
  const row = map.allKeys.map((key) => map.weight(query, key)).filter((weight) => weight !== null);
  return { bits: sum(row.map((w) => (w > 0 ? -w * Math.log2(w) : 0))), maximum: Math.log2(row.length) };
}

function titleOf({ s, k, l, h }) {
  const which = state.panels.some((panel) => panel.s !== s) ? `Sentence ${s} · ` : "";
  return `${which}${KINDS[k].name} · layer ${l} · ${h === MEAN ? "mean of heads" : `head ${h}`}`;
}

/* ---- State, which the URL fragment holds completely ---- */

// Fields of a panel are named as in the URL fragment: `s` sentence, `k` kind of attention, `l` layer, `h` head or MEAN,
// `q` and `c` row and column of the cursor, `p` the pinned row; `q`, `c` and `p` are null where there is none.
const state = { panels: [], active: 0, lines: false, words: false, hide: false };
let hover = null; // {panel, q, c}: the cell under the mouse, which is not part of the URL fragment

const depth = (panel) => DATA.sentences[panel.s].maps[panel.k].shape[0];
const nHeads = (panel) => DATA.sentences[panel.s].maps[panel.k].shape[1];
const active = () => state.panels[state.active];

/** Return a panel read from the fields `s k l h q c p` with a suffix; missing and invalid fields have defaults. */
function parsePanel(fields, suffix) {
  const index = (name, size, fallback) => indexField(fields, name + suffix, size, fallback);
  const kind = fields.get(`k${suffix}`);
  const panel = { s: index("s", DATA.sentences.length, 0), k: Object.hasOwn(KINDS, kind ?? "") ? kind : "cross" };
  panel.l = index("l", depth(panel), depth(panel) - 1);
  panel.h = index("h", nHeads(panel), MEAN);
  const [queries, keys] = sizes(panel);
  return { ...panel, q: index("q", queries, null), c: index("c", keys, null), p: index("p", queries, null) };
}

function sizes({ s, k }) {
  const { sides } = DATA.sentences[s];
  return [KINDS[k].query, KINDS[k].key].map((side) => unitsOf(sides[side], state.words).length);
}

function readFragment(fragment) {
  const fields = fragmentFields(fragment);
  state.lines = fields.get("v") === "lines";
  state.words = fields.get("w") === "1";
  state.hide = fields.get("x") === "1";
  state.panels = [parsePanel(fields, "")];
  if (fields.has("s2")) state.panels.push(parsePanel(fields, "2"));
  state.active = fields.get("a") === "2" && state.panels.length === 2 ? 1 : 0;
}

function stateFragment() {
  const fields = new URLSearchParams();
  state.panels.forEach((panel, i) => {
    for (const name of ["s", "k", "l", "h", "q", "c", "p"])
      if (panel[name] !== null) fields.set(name + (i ? "2" : ""), panel[name]);
  });
  if (state.active) fields.set("a", "2");
  if (state.lines) fields.set("v", "lines");
  if (state.words) fields.set("w", "1");
  if (state.hide) fields.set("x", "1");
  return `#${fields}`;
}

let writeTimer = 0; // runs while the URL must not change again
let isStale = false; // whether `state` has changed since the URL was written

/** Write `state` into the URL at most every 350 ms: browsers refuse more than 100 changes in 30 seconds. */
function writeFragment() {
  isStale = true;
  if (writeTimer) return;
  history.replaceState(null, "", stateFragment());
  isStale = false;
  writeTimer = setTimeout(() => {
    writeTimer = 0;
    if (isStale) writeFragment();
  }, 350);
}

/** Show another map in the active panel; cursor and pin stay if rows or columns are the same, or are removed. */
function choose(changes) {
  const before = { ...active() };
  const panel = Object.assign(active(), changes);
  panel.l = clamp(panel.l, 0, depth(panel) - 1);
  if (panel.h !== MEAN) panel.h = clamp(panel.h, 0, nHeads(panel) - 1);
  for (const [name, axis] of [
    ["q", "query"],
    ["p", "query"],
    ["c", "key"],
  ])
    if (!sameAxis(before, panel, axis)) panel[name] = null;
  return show();
}

/** Return whether two panels have the same rows (axis "query") or columns (axis "key"). */
function sameAxis(one, other, axis) {
  return one.s === other.s && KINDS[one.k][axis] === KINDS[other.k][axis];
}

/** Move the cursor or the pin in the active panel, and in the other panel too where both have the same axis. */
function place(cursor) {
  for (const panel of state.panels) {
    for (const [name, value] of Object.entries(cursor))
      if (sameAxis(panel, active(), name === "c" ? "key" : "query")) panel[name] = value;
  }
  writeFragment();
  showCursor();
}

/** Return the cell that a panel describes: the cell under the mouse, or else the cursor. */
function cellOf(panel) {
  if (!hover) return { q: panel.q, c: panel.c };
  return {
    q: sameAxis(panel, hover.panel, "query") ? hover.q : panel.q,
    c: sameAxis(panel, hover.panel, "key") ? hover.c : panel.c,
  };
}

/** Make a panel the active one. The panels are not redrawn, so that a click into one still reaches its cell. */
function activate(panel) {
  if (panel === active()) return;
  state.active = state.panels.indexOf(panel);
  writeFragment();
  showControls();
  showHeads();
  showCursor();
}

/** Move the cursor by one shown unit along an axis ("query" or "key"). */
function step(axis, by) {
  const map = maps[state.active];
  const name = axis === "query" ? "q" : "c";
  const units = axis === "query" ? map.queries : map.keys;
  const other = axis === "query" ? map.keys : map.queries;
  if (!units.length || !other.length) return;
  const position = units.findIndex((unit) => unit.index === active()[name]);
  const next = position < 0 ? 0 : clamp(position + by, 0, units.length - 1);
  const partner = name === "q" ? "c" : "q";
  hover = null;
  place({ [name]: units[next].index, [partner]: active()[partner] ?? other[0].index });
  scrollToCursor();
}

function scrollToCursor() {
  document.querySelector(".panel.active .scroll-here")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Pin the query under the cursor, or unpin it. */
function pin() {
  if (active().q !== null) place({ p: active().p === active().q ? null : active().q });
}

/** Return whether there is a pin or a cursor to remove. */
function hasCursor() {
  const { q, c, p } = active();
  return [q, c, p].some((index) => index !== null);
}

/** Remove the pin, or else the cursor. */
function release() {
  hover = null;
  place(active().p !== null ? { p: null } : { q: null, c: null });
}

/** Switch between tokens and words; cursor and pin stay at the same place of the sentence. */
function toggleWords() {
  const convert = (panel, name, axis) => {
    const { words } = DATA.sentences[panel.s].sides[KINDS[panel.k][axis]];
    if (panel[name] === null) return;
    panel[name] = state.words ? words[panel[name]][0] : words.findIndex(([, stop]) => panel[name] < stop);
  };
  for (const panel of state.panels) {
    convert(panel, "q", "query");
    convert(panel, "p", "query");
    convert(panel, "c", "key");
  }
  state.words = !state.words;
  return show();
}

/** Open a second panel with the next head of the first, or close the inactive panel. */
function toggleCompare() {
  const panel = active();
  const next = panel.h === MEAN ? 0 : (panel.h + 1) % nHeads(panel);
  state.panels = state.panels.length === 2 ? [panel] : [panel, { ...panel, h: next }];
  state.active = state.panels.length - 1;
  return show();
}

function toggle(name) {
  state[name] = !state[name];
  return show();
}

/* ---- Colours ---- */

let colours; // of the current colour scheme: `palette` has 256 [red, green, blue] from weight 0 to the largest

function readColours() {
  const ramp = range(5).map((i) => themeColour(`ramp-${i}`));
  colours = { ramp, palette: range(256).map((i) => interpolated(ramp, i / 255)) };
  for (const name of ["paper", "ink", "soft", "line"]) colours[name] = cssColour(themeColour(name));
}

const cssColour = (rgb) => `rgb(${rgb.join(", ")})`;

/** Return the colour at a fraction between 0 and 1 of the ramp. */
function interpolated(ramp, fraction) {
  const position = fraction * (ramp.length - 1);
  const low = Math.min(Math.floor(position), ramp.length - 2);
  return ramp[low].map((value, i) => Math.round(value + (ramp[low + 1][i] - value) * (position - low)));
}

/** Return the colour of a weight on a scale from 0 to `top`. */
function weightColour(weight, top) {
  return colours.palette[Math.round(255 * clamp(weight / (top || 1), 0, 1))];
}

/* ---- Drawing ---- */

const note = (text) => element("p", { class: "soft" }, text);

/** Draw a map with one pixel a cell; masked cells stay transparent, and the hatched background shows. */
function paint(canvas, map, top) {
  canvas.width = map.keys.length;
  canvas.height = map.queries.length;
  const image = new ImageData(canvas.width, canvas.height);
  let pixel = 0;
  for (const query of map.queries)
    for (const key of map.keys) {
      const weight = map.weight(query, key);
      if (weight !== null) {
        image.data.set(weightColour(weight, top), pixel);
        image.data[pixel + 3] = 255;
      }
      pixel += 4;
    }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

let maps = []; // of the panels, as `buildMap` returns them
let largest = 1; // weight at the end of the colour scale that all panels use
let latestShow = 0; // number of the latest call of `show`
let isReady = false; // whether `maps` belong to `state`; mouse events are ignored while weights are decoded

/** Draw the whole page from `state`, after the weights are decoded. */
async function show() {
  const call = ++latestShow;
  const main = document.querySelector("main");
  main.ariaBusy = "true";
  isReady = false;
  await Promise.all(state.panels.map(({ s, k }) => weightsOf(s, k)));
  if (call !== latestShow) return; // a later call draws a newer state
  hover = null;
  maps = state.panels.map((panel) => buildMap(panel, state));
  largest = Math.max(...maps.map((map) => map.largest));
  writeFragment();
  showControls();
  showHeads();
  showPanels();
  showLegend();
  showCursor();
  isReady = true;
  main.ariaBusy = "false";
}

/** Show the active panel's sentence, kind of attention and the pressed buttons. */
function showControls() {
  const { s, k } = active();
  byId("sentence").value = String(s);
  byId("source").textContent = DATA.sentences[s].source;
  byId("translation").textContent = DATA.sentences[s].translation;
  const pressed = { lines: state.lines, words: state.words, hide: state.hide, compare: state.panels.length === 2 };
  for (const [id, on] of Object.entries(pressed)) byId(id).ariaPressed = String(on);
  shells.forEach(({ shell }, i) => shell.classList.toggle("active", i === state.active));
  for (const tab of byId("kinds").children) {
    const selected = tab.id === `tab-${k}`;
    tab.ariaSelected = String(selected);
    tab.tabIndex = selected ? 0 : -1;
  }
  byId("heads").setAttribute("aria-labelledby", `tab-${k}`);
}

let headsShown = ""; // sentence, kind and colours of the current grid of heads, which is rebuilt only when they change

/** Show the grid of heads, and the active panel's head as pressed. */
function showHeads() {
  const { s, k, l, h } = active();
  const wanted = `${s} ${k} ${colours.paper}`;
  if (headsShown !== wanted) byId("heads").replaceChildren(...headGrid(s, k));
  headsShown = wanted;
  for (const button of byId("heads").querySelectorAll("button")) {
    const chosen = button.id === `head-${l}-${h}`;
    button.ariaPressed = String(chosen);
    button.tabIndex = chosen ? 0 : -1; // one tab stop; arrow keys move inside the grid
  }
}

/** Return a map of at most `size` rows and columns; each cell is the maximum of the cells that it replaces. */
function downsample(map, size) {
  const groups = (units) => {
    const width = Math.ceil(units.length / size);
    return range(Math.ceil(units.length / width)).map((i) => units.slice(i * width, (i + 1) * width));
  };
  const weight = (queries, keys) => {
    let maximum = null; // stays null if all cells are masked
    for (const query of queries)
      for (const key of keys) {
        const value = map.weight(query, key);
        if (value !== null) maximum = Math.max(maximum, value);
      }
    return maximum;
  };
  return { queries: groups(map.queries), keys: groups(map.keys), weight };
}

/** Return the thumbnails of all heads: a row for each layer, the mean over its heads last. */
function headGrid(s, k) {
  const {
    shape: [nLayers, n],
    entropy,
  } = DATA.sentences[s].maps[k];
  const heads = [...range(n), MEAN];
  const size = clamp(Math.floor(300 / heads.length) - 6, 29, 56);
  const rows = range(nLayers).map((l) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, `L${l}`),
      ...heads.map((h, i) => {
        const map = buildMap({ s, k, l, h }, { words: false, hide: false });
        const canvas = element("canvas", { "aria-hidden": "true" });
        paint(canvas, downsample(map, size), map.largest);
        const relativeEntropy = entropy[l][i].toFixed(2);
        const name = `layer ${l}, ${h === MEAN ? "mean of heads" : `head ${h}`}, entropy ${relativeEntropy}`;
        const button = element(
          "button",
          { type: "button", id: `head-${l}-${h}`, "aria-label": name, title: name },
          canvas,
        );
        button.onclick = () => choose({ l, h });
        return element("td", { class: h === MEAN ? "mean" : "" }, button, relativeEntropy);
      }),
    ),
  );
  const names = heads.map((h) => element("th", { scope: "col" }, h === MEAN ? h : `H${h}`));
  const table = element(
    "table",
    { "aria-label": "Layers and heads, with their entropy" },
    element("thead", {}, element("tr", {}, element("td"), ...names)),
    element("tbody", {}, ...rows),
  );
  const grid = element("div", { class: "heads" }, table);
  grid.style.setProperty("--thumb", `${size}px`);
  return [note(KINDS[k].description), grid];
}

/** The elements of both panels. They are kept, and with them the focus; only their contents are redrawn. */
const shells = [0, 1].map((i) => {
  const heading = element("h2", { id: `title-${i}` });
  const body = element("div", { class: "body", tabindex: 0, role: "application" });
  body.setAttribute("aria-labelledby", heading.id);
  body.setAttribute("aria-describedby", "readout");
  const shell = element("section", { class: "panel" }, heading, body);
  shell.setAttribute("aria-labelledby", heading.id);
  body.addEventListener("focus", () => isReady && activate(state.panels[i]));
  return { shell, heading, body, cell: 0 };
});

function showPanels() {
  byId("panels").classList.toggle("two", state.panels.length === 2);
  shells.forEach((shell, i) => {
    const map = maps[i];
    shell.shell.hidden = !map;
    if (!map) return shell.body.replaceChildren();
    shell.heading.textContent = titleOf(map.panel);
    const { scrollLeft, scrollTop } = shell.body;
    if (!map.queries.length || !map.keys.length)
      shell.body.replaceChildren(note("All tokens of this sentence are special tokens, which are hidden."));
    else if (state.lines) showLines(shell, map);
    else showHeatmap(shell, map);
    shell.body.scrollTo(scrollLeft, scrollTop);
  });
}

/** Return a label of a row (name "q") or column (name "c"); decoder rows have two labels. */
function label(unit, name, text = unit.label, className = "") {
  const node = element("span", { class: `label ${className}`, dir: "auto", title: text }, text);
  node.dataset[name] = unit.index;
  return node;
}

/** Return the labels of all rows, in two columns. */
function rowLabels(map) {
  return element(
    "div",
    { class: "rows" },
    ...map.queries.flatMap((query) =>
      query.reads === undefined
        ? [element("span"), label(query, "q")]
        : [label(query, "q", query.reads, "reads"), label(query, "q")],
    ),
  );
}

/** Return the cell above the row labels: titles of the axes, and of the two labels of a decoder row. */
function cornerOf(map, ...axes) {
  const isDecoder = map.queries[0].reads !== undefined;
  return element(
    "div",
    { class: "corner" },
    element("div", {}, ...axes.map((axis) => element("span", {}, axis))),
    ...(isDecoder ? ["reads", "predicts"] : []).map((text) => element("span", {}, text)),
  );
}

/** Draw a map as a heatmap: one cell a weight, as large as the panel allows. */
function showHeatmap(shell, map) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  paint(canvas, map, largest);
  const cells = element("div", { class: "cells hatched" }, canvas, element("div", { class: "lattice" }));
  const columns = element("div", { class: "columns" }, ...map.keys.map((key) => label(key, "c")));
  const corner = cornerOf(map, "query ↓", "key →");
  const chart = element("div", { class: "chart" }, corner, columns, rowLabels(map), cells);
  shell.body.replaceChildren(chart);

  const fits = Math.floor((shell.body.clientWidth - corner.offsetWidth - 4) / map.keys.length);
  shell.cell = clamp(fits, 14, 46);
  chart.classList.toggle("small", shell.cell < 18);
  chart.style.setProperty("--cell", `${shell.cell}px`);
  canvas.style.width = `${map.keys.length * shell.cell}px`;
  canvas.style.height = `${map.queries.length * shell.cell}px`;
  if (shell.cell >= 32) cells.append(cellNumbers(map, shell.cell));
  shell.body.style.scrollPadding = `${columns.offsetHeight + 8}px 8px 8px ${corner.offsetWidth + 8}px`;

  const cellAt = (event) => {
    const box = canvas.getBoundingClientRect();
    const column = clamp(Math.floor((event.clientX - box.left) / shell.cell), 0, map.keys.length - 1);
    const row = clamp(Math.floor((event.clientY - box.top) / shell.cell), 0, map.queries.length - 1);
    return { q: map.queries[row].index, c: map.keys[column].index };
  };
  cells.onpointermove = (event) => event.pointerType === "mouse" && preview(map.panel, cellAt(event));
  cells.onpointerleave = () => preview(null);
  cells.onclick = (event) => pinAt(map.panel, cellAt(event));
  listenToLabels(chart, map);
}

/** Add mouse events to labels: a row label previews and pins its query, a column label moves the cursor. */
function listenToLabels(chart, map) {
  for (const node of chart.querySelectorAll(".label")) {
    const { q, c } = node.dataset;
    const cell = () => ({ q: q === undefined ? map.panel.q : Number(q), c: c === undefined ? map.panel.c : Number(c) });
    node.onpointerenter = (event) => event.pointerType === "mouse" && preview(map.panel, cell());
    node.onpointerleave = () => preview(null);
    node.onclick = () => (q === undefined ? moveTo : pinAt)(map.panel, cell());
  }
}

/** Return the weights as text over the cells; masked cells stay empty. */
function cellNumbers(map, cell) {
  const grid = element("div", { class: "numbers", "aria-hidden": "true" });
  grid.style.gridTemplateColumns = `repeat(${map.keys.length}, ${cell}px)`;
  for (const query of map.queries)
    for (const key of map.keys) {
      const weight = map.weight(query, key);
      const [red, green, blue] = weightColour(weight ?? 0, largest);
      const isDark = 0.299 * red + 0.587 * green + 0.114 * blue < 128;
      const text = weight === null || weight < 0.005 ? "" : weight.toFixed(2).replace(/^0/, "");
      grid.append(element("span", { class: isDark ? "on-dark" : "on-light" }, text));
    }
  return grid;
}

/** Draw a map as lines between queries on the left and keys on the right. */
function showLines(shell, map) {
  shell.cell = Math.max(map.queries.length, map.keys.length) > 60 ? 17 : 26;
  const all = element("canvas", { "aria-hidden": "true", class: "all" });
  const selected = element("canvas", { "aria-hidden": "true", class: "selected" });
  const lines = element("div", { class: "connections" }, all, selected);
  const keys = element("div", { class: "keys" }, ...map.keys.map((key) => label(key, "c")));
  const chart = element(
    "div",
    { class: "chart lines" },
    cornerOf(map, "query ↓"),
    element("span"),
    element("span", { class: "title" }, "key ↓"),
    rowLabels(map),
    lines,
    keys,
  );
  chart.style.setProperty("--cell", `${shell.cell}px`);
  shell.body.replaceChildren(chart);
  shell.body.style.scrollPadding = "40px 8px";
  drawLines(all, map, shell.cell, map.queries);
  listenToLabels(chart, map);
}

const FAINTEST = 0.01; // fraction of the largest weight below which no line is drawn

/** Return the width and opacity of a line, or null for a weight that is too small to be drawn. */
function strokeOf(weight) {
  const fraction = (weight ?? 0) / (largest || 1);
  return fraction < FAINTEST ? null : { width: 0.6 + 3.4 * fraction, opacity: Math.sqrt(fraction) };
}

/** Draw the lines of some queries; `cell` is the height of a label in pixels. */
function drawLines(canvas, map, cell, queries) {
  const { clientWidth: width } = canvas;
  const height = Math.max(map.queries.length, map.keys.length) * cell;
  canvas.parentElement.style.height = `${height}px`;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  pen.strokeStyle = cssColour(colours.ramp[3]);
  for (const query of queries)
    map.keys.forEach((key, j) => {
      const stroke = strokeOf(map.weight(query, key));
      if (!stroke) return;
      pen.globalAlpha = stroke.opacity;
      pen.lineWidth = stroke.width;
      pen.beginPath();
      pen.moveTo(0, (map.queries.indexOf(query) + 0.5) * cell);
      pen.lineTo(width, (j + 0.5) * cell);
      pen.stroke();
    });
}

function showLegend() {
  const masked = element("span", {}, element("span", { class: "swatch hatched" }), "masked: later tokens");
  const scale = element("span", { class: state.lines ? "scale lines" : "scale" });
  const lineNote = element("span", {}, `no line below ${formatWeight(FAINTEST * largest)}`);
  const notes = [
    element("span", {}, "0", scale, `${formatWeight(largest)} weight`),
    ...(maps.some((map) => map.kind === "decoder_self") && !state.lines ? [masked] : []),
    ...(state.lines ? [lineNote] : []),
    ...(state.hide ? [element("span", {}, "special tokens are hidden; the other weights are unchanged")] : []),
  ];
  byId("legend").replaceChildren(...notes);
}

/* ---- The cursor and its description ---- */

/** Describe the cell under the mouse, or the cursor again if `panel` is null. */
function preview(panel, cell) {
  if (!isReady) return;
  hover = panel && { panel, ...cell };
  showCursor();
}

function moveTo(panel, cell) {
  if (!isReady) return;
  activate(panel);
  place(cell);
}

/** Pin the query of a clicked cell, or unpin it if it was pinned. */
function pinAt(panel, { q, c }) {
  moveTo(panel, { q, c, p: panel.p === q ? null : q });
}

function showCursor() {
  maps.forEach((map, i) => {
    const { q, c } = cellOf(map.panel);
    for (const node of shells[i].body.querySelectorAll(".label")) {
      const isRow = node.dataset.q !== undefined;
      node.classList.toggle("on", isRow ? Number(node.dataset.q) === q : Number(node.dataset.c) === c);
      node.classList.toggle("pinned", isRow && Number(node.dataset.q) === map.panel.p);
    }
    if (state.lines) showSelectedLines(shells[i], map, hover ? q : (map.panel.p ?? q));
    else showMarks(shells[i], map, q, c);
  });
  showReadout();
  showDetails();
}

/** Frame the pinned row and the row, column and cell of the cursor. */
function showMarks(shell, map, q, c) {
  const cells = shell.body.querySelector(".cells");
  if (!cells) return;
  cells.querySelectorAll(".mark").forEach((mark) => mark.remove());
  const row = map.queries.findIndex((query) => query.index === q);
  const column = map.keys.findIndex((key) => key.index === c);
  const pinned = map.queries.findIndex((query) => query.index === map.panel.p);
  const mark = (className, x, y, width, height) => {
    const node = element("div", { class: `mark ${className}` });
    const box = { left: x, top: y, width, height };
    for (const side in box) node.style[side] = `${box[side] * shell.cell}px`;
    cells.append(node);
  };
  if (pinned >= 0) mark(row < 0 ? "pin scroll-here" : "pin", 0, pinned, map.keys.length, 1);
  if (row >= 0) mark("band", 0, row, map.keys.length, 1);
  if (column >= 0) mark("band down", column, 0, 1, map.queries.length);
  if (row >= 0 && column >= 0) mark("scroll-here", column, row, 1, 1);
}

/** Draw the lines of one query in full colour and fade all others. */
function showSelectedLines(shell, map, q) {
  const selected = shell.body.querySelector("canvas.selected");
  if (!selected) return;
  const query = map.queries.find((unit) => unit.index === q);
  shell.body.querySelector("canvas.all").classList.toggle("faded", Boolean(query));
  drawLines(selected, map, shell.cell, query ? [query] : []);
  shell.body.querySelector(".scroll-here")?.classList.remove("scroll-here");
  shell.body.querySelector(`.label[data-q="${q}"]`)?.classList.add("scroll-here");
}

/** Return the name of a query; a decoder step is named by the token that it reads and the token that it predicts. */
function queryName(query) {
  if (query.reads === undefined) return [tokenElement(query.label)];
  return ["reads ", tokenElement(query.reads), ", predicts ", tokenElement(query.label)];
}

/** Describe the cell under the mouse or the cursor in one line. */
function showReadout() {
  const map = maps[hover ? state.panels.indexOf(hover.panel) : state.active];
  const { q, c } = cellOf(map.panel);
  const query = map.queries.find((unit) => unit.index === q);
  const key = map.keys.find((unit) => unit.index === c);
  const parts = [];
  if (query) parts.push([`Query ${q} `, ...queryName(query)]);
  if (key) parts.push([`key ${c} `, tokenElement(key.label)]);
  if (query && key) {
    const weight = map.weight(query, key);
    parts.push([weight === null ? "masked: the key comes after the query" : `weight ${formatWeight(weight)}`]);
  }
  if (query && state.hide) parts.push([`weight on hidden tokens ${formatWeight(hiddenWeight(map, query))}`]);
  if (!parts.length)
    parts.push(["Point at a cell or press an arrow key. A click or Enter pins a query. Press ? for help."]);
  byId("readout").replaceChildren(...parts.flatMap((part, i) => (i ? [" · ", ...part] : part)));
}

function showDetails() {
  byId("details").replaceChildren(...maps.map(detailsOf));
}

/** Return the numbers of the pinned query, or else of the query under the mouse or the cursor. */
function detailsOf(map) {
  const index = map.panel.p ?? cellOf(map.panel).q;
  const query = map.queries.find((unit) => unit.index === index);
  const box = element("section", { class: "details" });
  if (maps.length > 1) box.append(element("h3", {}, titleOf(map.panel)));
  if (!query) {
    const hint = note("Point at a row to see the keys with the largest weights. Click to pin the row.");
    box.append(element("h2", {}, "No query selected"), hint);
    return box;
  }
  const title = map.panel.p === index ? `Query ${index}, pinned` : `Query ${index}`;
  box.append(element("h2", {}, title), factsOf(map, query), strongestKeys(map, query));
  return box;
}

/** Return the token, probability and entropy of a query as a list. */
function factsOf(map, query) {
  const { bits, maximum } = rowEntropy(map, query);
  const facts = [];
  if (query.reads === undefined) facts.push([state.words ? "word" : "token", [tokenElement(query.label)]]);
  else {
    const logProb = sum(map.sentence.logProbs.slice(query.start, query.stop));
    facts.push(["reads", [tokenElement(query.reads)]]);
    facts.push(["predicts", [tokenElement(query.label), ` with probability ${formatWeight(Math.exp(logProb))}`]]);
  }
  const entropy = `${(bits / maximum).toFixed(2)} (${bits.toFixed(2)} of ${maximum.toFixed(2)} bits)`;
  facts.push(["entropy", [maximum > 0 ? entropy : "undefined: one unmasked key"]]);
  if (state.hide) facts.push(["hidden weight", [formatWeight(hiddenWeight(map, query))]]);
  return element(
    "dl",
    { class: "facts" },
    ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, ...value)]),
  );
}

const N_STRONGEST = 10; // keys in the table of a query

/** Return a table of the keys with the largest weights. */
function strongestKeys(map, query) {
  const visible = map.keys.filter((key) => map.weight(query, key) !== null);
  const strongest = visible.sort((a, b) => map.weight(query, b) - map.weight(query, a)).slice(0, N_STRONGEST);
  const rows = strongest.map((key) => {
    const weight = map.weight(query, key);
    const bar = element("div", { class: "bar" });
    bar.style.width = `${(100 * weight) / (largest || 1)}%`;
    return element(
      "tr",
      {},
      element("th", { scope: "row", dir: "auto", title: key.label }, key.label),
      element("td", {}, key.index),
      element("td", {}, formatWeight(weight)),
      element("td", { class: "bars" }, bar),
    );
  });
  const isAll = rows.length === visible.length;
  const count = isAll ? "Keys by weight" : `The ${rows.length} keys of ${visible.length} with the largest weights`;
  const head = ["key", "position", "weight"].map((name) => element("th", { scope: "col" }, name));
  return element(
    "table",
    {},
    element("caption", {}, count),
    element("thead", {}, element("tr", {}, ...head, element("td"))),
    element("tbody", {}, ...rows),
  );
}

/* ---- Input ---- */

/** Return the value `by` places after another in a list; after the last value comes the first. */
function next(list, value, by = 1) {
  return list[(list.indexOf(value) + by + list.length) % list.length];
}

function nextLayer(by) {
  return choose({ l: next(range(depth(active())), active().l, by) });
}

function nextHead(by) {
  return choose({ h: next([...range(nHeads(active())), MEAN], active().h, by) });
}

const KEYS = {
  ArrowUp: () => step("query", -1),
  ArrowDown: () => step("query", 1),
  ArrowLeft: () => step("key", -1),
  ArrowRight: () => step("key", 1),
  Enter: pin,
  Escape: release,
  l: () => nextLayer(1),
  L: () => nextLayer(-1),
  h: () => nextHead(1),
  H: () => nextHead(-1),
  m: () => choose({ h: MEAN }),
  k: () => choose({ k: next(Object.keys(KINDS), active().k) }),
  s: () => choose({ s: (active().s + 1) % DATA.sentences.length }),
  v: () => toggle("lines"),
  w: toggleWords,
  x: () => toggle("hide"),
  c: toggleCompare,
  o: () => activate(next(state.panels, active())),
  "?": () => byId("help").showModal(),
};

// In the tabs and in the grid of heads, arrow keys move the selection.
const TAB_KEYS = {
  ArrowLeft: () => choose({ k: next(Object.keys(KINDS), active().k, -1) }),
  ArrowRight: () => choose({ k: next(Object.keys(KINDS), active().k) }),
};
const HEAD_KEYS = {
  ArrowLeft: () => nextHead(-1),
  ArrowRight: () => nextHead(1),
  ArrowUp: () => nextLayer(-1),
  ArrowDown: () => nextLayer(1),
};

let keysHandled = Promise.resolve(); // resolves when all pressed keys are handled, one after the other

/** Run the action of a pressed key; inside the tabs and the grid of heads, focus follows the selection. */
function onKey(event) {
  const { target, key } = event;
  if (hasModifier(event) || target.closest("select, dialog")) return;
  if (key === "Enter" && target.closest("button")) return; // Enter presses the focused button
  const [selected, special] = target.closest("[role=tab]")
    ? ["[role=tab][aria-selected=true]", TAB_KEYS]
    : target.closest(".heads")
      ? [".heads button[aria-pressed=true]", HEAD_KEYS]
      : [null, {}];
  const action = special[key] ?? (Object.hasOwn(KEYS, key) ? KEYS[key] : null);
  if (!action || (action === release && !hasCursor())) return;
  event.preventDefault();
  keysHandled = keysHandled
    .then(action)
    .then(() => special[key] && document.querySelector(selected).focus())
    .catch(console.error);
}

function start() {
  document.title = DATA.title;
  byId("title").textContent = DATA.title;
  const options = DATA.sentences.map(({ source }, i) => element("option", { value: i }, `${i}: ${source}`));
  byId("sentence").append(...options);
  byId("kinds").append(
    ...Object.entries(KINDS).map(([kind, { tab, name }]) => {
      const attributes = { type: "button", role: "tab", id: `tab-${kind}`, title: name, "aria-controls": "heads" };
      const button = element("button", attributes, tab);
      button.onclick = () => choose({ k: kind });
      return button;
    }),
  );
  byId("panels").append(...shells.map(({ shell }) => shell));
  byId("sentence").onchange = (event) => choose({ s: Number(event.target.value) });
  byId("lines").onclick = () => toggle("lines");
  byId("words").onclick = toggleWords;
  byId("hide").onclick = () => toggle("hide");
  byId("compare").onclick = toggleCompare;
  byId("svg").onclick = () => save(svgBlob(svgPicture()), "svg");
  byId("png").onclick = savePng;
  byId("csv").onclick = () => save(new Blob([csv()], { type: "text/csv" }), "csv");
  byId("reset").onclick = () => restore(DATA.start);
  byId("help-button").onclick = () => byId("help").showModal();
  byId("help-close").onclick = () => byId("help").close();
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => restore(location.hash.slice(1)));
  addEventListener("resize", show);
  onThemeChange(() => {
    readColours();
    show();
  });
  readColours();
  restore(location.hash.slice(1) || DATA.start);
}

/** Show what a URL fragment describes. */
async function restore(fragment) {
  readFragment(fragment);
  await show();
  const top = scrollY;
  scrollToCursor();
  scrollTo(0, top); // scrollToCursor scrolls the page too, which is undone
}

start();
