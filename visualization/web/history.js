/*
 * The page of how attention is learned: a slider over training steps.
 *
 * `show` draws the whole page from `state`, and every action changes `state` first. shared.js runs before this script.
 */

"use strict";

const KINDS = {
  encoder_self: { name: "Encoder self-attention", query: "source", key: "source" },
  decoder_self: { name: "Decoder self-attention", query: "output", key: "input" },
  cross: { name: "Cross-attention", query: "output", key: "source" },
};
const MILLISECONDS = 700; // that playing shows each step

// `t` index of the step, `s` sentence, `k` kind of attention, `l` layer, `h` head: named as in the URL fragment.
const state = { t: 0, s: 0, k: "cross", l: 0, h: 0 };
let timer = null; // of playing

const sentenceAt = (t) => DATA.steps[t].sentences[state.s];
const shapeOf = (k) => DATA.steps[0].sentences[0].maps[k].shape;
const lastStep = () => DATA.steps.length - 1;

/* ---- Data ---- */

const decodedWeights = new Map(); // from "step sentence kind" to Float32Array

/** Return the weights (layer, head, query, key) of a step, flat, decoded once. */
async function weightsOf(t, s, k) {
  const name = `${t} ${s} ${k}`;
  if (!decodedWeights.has(name)) {
    const packed = new Blob([decodeBase64(DATA.steps[t].sentences[s].maps[k].weights)]);
    const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
    const view = new DataView(await new Response(stream).arrayBuffer());
    const weights = new Float32Array(view.byteLength / 2);
    for (let i = 0; i < weights.length; i++) weights[i] = view.getUint16(2 * i, true) / DATA.scale;
    decodedWeights.set(name, weights);
  }
  return decodedWeights.get(name);
}

/** Return the weights (query, key) of one head. */
function headWeights(weights, shape, l, h) {
  const [, nHeads, rows, columns] = shape;
  const start = (l * nHeads + h) * rows * columns;
  return weights.subarray(start, start + rows * columns);
}

/* ---- State and URL fragment ---- */

function readFragment() {
  const fields = fragmentFields();
  state.t = indexField(fields, "t", DATA.steps.length, 0);
  state.s = indexField(fields, "s", DATA.steps[0].sentences.length, 0);
  state.k = Object.hasOwn(KINDS, fields.get("k") ?? "") ? fields.get("k") : "cross";
  state.l = indexField(fields, "l", shapeOf(state.k)[0], shapeOf(state.k)[0] - 1);
  state.h = indexField(fields, "h", shapeOf(state.k)[1], 0);
}

let writeTimer = 0; // browsers refuse more than 100 changes of the URL in 30 seconds

function writeFragment() {
  clearTimeout(writeTimer);
  writeTimer = setTimeout(() => history.replaceState(null, "", `#${new URLSearchParams(state)}`), 350);
}

function choose(changes) {
  Object.assign(state, changes);
  state.l = clamp(state.l, 0, shapeOf(state.k)[0] - 1);
  writeFragment();
  return show();
}

/** Show one step after the other; at the last one, playing begins again at the first. */
function play() {
  if (timer !== null) return pause();
  if (state.t === lastStep()) choose({ t: 0 });
  timer = setInterval(() => {
    choose({ t: Math.min(state.t + 1, lastStep()) });
    if (state.t === lastStep()) pause();
  }, MILLISECONDS);
  showPlay();
}

function pause() {
  clearInterval(timer);
  timer = null;
  showPlay();
}

function showPlay() {
  byId("play").textContent = timer === null ? "Play" : "Pause";
  byId("play").setAttribute("aria-pressed", String(timer !== null));
}

/* ---- Drawing ---- */

const RAMP_SIZE = 5;

/** Return the colour of a weight, from 0 to 1, as [red, green, blue]. */
function weightColour(ramp, weight) {
  const position = clamp(weight, 0, 1) * (RAMP_SIZE - 1);
  const low = Math.min(Math.floor(position), RAMP_SIZE - 2);
  return ramp[low].map((value, i) => Math.round(value + (ramp[low + 1][i] - value) * (position - low)));
}

const isMasked = (q, c) => state.k === "decoder_self" && c > q;

let latestShow = 0; // number of the latest call of `show`

async function show() {
  const call = ++latestShow;
  document.body.dataset.ready = "false";
  const weights = await weightsOf(state.t, state.s, state.k);
  if (call !== latestShow) return; // a later call draws a newer state
  const ramp = range(RAMP_SIZE).map((i) => themeColour(`ramp-${i}`));
  showTexts();
  showHeads(weights, ramp);
  showMap(weights, ramp);
  showCurves();
  document.body.dataset.ready = "true";
}

function stepText({ step, bleu }) {
  return `step ${step.toLocaleString("en")}, ${bleu === null ? "no BLEU measured" : `BLEU ${bleu.toFixed(1)}`}`;
}

function showTexts() {
  const sentence = sentenceAt(state.t);
  byId("slider").value = state.t;
  byId("slider").setAttribute("aria-valuetext", stepText(DATA.steps[state.t]));
  byId("step").textContent = stepText(DATA.steps[state.t]);
  byId("sentence").value = state.s;
  byId("source").textContent = sentence.source;
  byId("translation").textContent = sentence.translation || "(an empty translation)";
  for (const button of byId("kinds").children)
    button.setAttribute("aria-pressed", String(button.dataset.kind === state.k));
}

/** Draw a thumbnail of each head with its entropy below; the buttons are made once, so that they keep the focus. */
function showHeads(weights, ramp) {
  const { shape, entropy } = sentenceAt(state.t).maps[state.k];
  const [nLayers, nHeads, rows, columns] = shape;
  const kind = byId("heads").dataset.kind;
  if (kind !== state.k) makeHeads(nLayers, nHeads);
  for (const button of byId("heads").querySelectorAll("button")) {
    const [l, h] = [Number(button.dataset.l), Number(button.dataset.h)];
    button.setAttribute("aria-pressed", String(l === state.l && h === state.h));
    button.nextElementSibling.textContent = entropy[l][h].toFixed(2);
    const canvas = button.firstElementChild;
    canvas.width = columns;
    canvas.height = rows;
    const image = new ImageData(columns, rows);
    headWeights(weights, shape, l, h).forEach((weight, i) => {
      if (isMasked(Math.floor(i / columns), i % columns)) return;
      image.data.set([...weightColour(ramp, weight), 255], 4 * i);
    });
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

function makeHeads(nLayers, nHeads) {
  byId("heads").dataset.kind = state.k;
  const headings = range(nHeads).map((h) => element("th", { scope: "col" }, `head ${h}`));
  const cell = (l, h) => {
    const label = `layer ${l}, head ${h}`;
    const button = element("button", { type: "button", "data-l": l, "data-h": h, "aria-label": label });
    button.append(element("canvas"));
    button.addEventListener("click", () => choose({ l, h }));
    return element("td", {}, button, element("span", { title: "entropy, 0 to 1" }));
  };
  const rows = range(nLayers).map((l) =>
    element("tr", {}, element("th", { scope: "row" }, `layer ${l}`), ...range(nHeads).map((h) => cell(l, h))),
  );
  const note = element("p", { class: "soft" }, "Below each head: its entropy, from 0 (one key) to 1 (uniform)");
  const head = element("thead", {}, element("tr", {}, element("td"), ...headings));
  const table = element("table", {}, head, element("tbody", {}, ...rows));
  byId("heads").replaceChildren(note, element("div", { class: "scroll" }, table));
}

/** Draw the chosen head as a table with the tokens beside it. */
function showMap(weights, ramp) {
  const sentence = sentenceAt(state.t);
  const { shape } = sentence.maps[state.k];
  const columns = shape[3];
  const head = headWeights(weights, shape, state.l, state.h);
  const queries = sentence.sides[KINDS[state.k].query].tokens;
  const keys = sentence.sides[KINDS[state.k].key].tokens;
  byId("title").textContent = `${KINDS[state.k].name}, layer ${state.l}, head ${state.h}`;
  const cell = (q, c) => {
    if (isMasked(q, c)) return element("td", { class: "hatched" });
    const weight = head[q * columns + c];
    const td = element("td", { title: `${queries[q]} → ${keys[c]}: ${formatWeight(weight)}` });
    td.style.background = `rgb(${weightColour(ramp, weight).join(",")})`;
    return td;
  };
  const heading = keys.map((token) => element("th", { scope: "col" }, token));
  const rows = queries.map((token, q) =>
    element("tr", {}, element("th", { scope: "row" }, token), ...keys.map((_, c) => cell(q, c))),
  );
  byId("map").replaceChildren(
    element("thead", {}, element("tr", {}, element("th"), ...heading)),
    element("tbody", {}, ...rows),
  );
}

/** Draw BLEU and the entropies of all heads of this kind over the steps. */
function showCurves() {
  const [nLayers, nHeads] = shapeOf(state.k);
  const points = DATA.steps.map(({ bleu }, t) => [t, bleu]).filter(([, bleu]) => bleu !== null);
  byId("bleu-caption").textContent = "BLEU of the validation split, 0 to 100, over the kept steps";
  byId("entropy-caption").textContent = `Entropy of each head, 0 to 1, over the kept steps; thick: layer ${state.l}, head ${state.h}`;
  drawCurves("bleu", [{ points: points.map(([t, bleu]) => [t, bleu / 100]), chosen: true }]);
  const lines = [];
  for (const l of range(nLayers))
    for (const h of range(nHeads))
      lines.push({
        points: DATA.steps.map((_, t) => [t, sentenceAt(t).maps[state.k].entropy[l][h]]),
        chosen: l === state.l && h === state.h,
      });
  drawCurves("entropy", lines.sort((a, b) => a.chosen - b.chosen));
}

/** Draw lines through points (index of a step, value from 0 to 1), and a mark at the shown step. */
function drawCurves(id, lines) {
  const [width, height] = [Math.max(1, lastStep()), 1];
  const svg = byId(id);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(
    ...lines.map(({ points, chosen }) =>
      svgElement("polyline", {
        points: points.map(([t, value]) => `${t},${height - value}`).join(" "),
        class: chosen ? "chosen" : "",
      }),
    ),
    svgElement("line", { x1: state.t, x2: state.t, y1: 0, y2: height }),
  );
}

/* ---- Start ---- */

const KEYS = {
  ArrowLeft: () => choose({ t: Math.max(state.t - 1, 0) }),
  ArrowRight: () => choose({ t: Math.min(state.t + 1, lastStep()) }),
  " ": play,
  k: () => choose({ k: Object.keys(KINDS)[(Object.keys(KINDS).indexOf(state.k) + 1) % 3] }),
  s: () => choose({ s: (state.s + 1) % DATA.steps[0].sentences.length }),
};

function start() {
  byId("name").textContent = DATA.name;
  byId("slider").max = lastStep();
  byId("sentence").append(
    ...DATA.steps[0].sentences.map(({ source }, s) => element("option", { value: s }, source)),
  );
  byId("kinds").append(
    ...Object.entries(KINDS).map(([kind, { name }]) => {
      const button = element("button", { type: "button", "data-kind": kind }, name);
      button.addEventListener("click", () => choose({ k: kind }));
      return button;
    }),
  );
  byId("play").addEventListener("click", play);
  byId("slider").addEventListener("input", () => choose({ t: Number(byId("slider").value) }));
  byId("sentence").addEventListener("change", () => choose({ s: Number(byId("sentence").value) }));
  document.addEventListener("keydown", (event) => {
    // Buttons, selects and the slider handle these keys themselves.
    if (hasModifier(event) || event.target.closest("button, select, input")) return;
    if (!Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  addEventListener("hashchange", () => {
    readFragment();
    show();
  });
  onThemeChange(show);
  readFragment();
  show();
}

start();
