/*
 * The lesson: the steps of one attention, one at a time.
 *
 * The URL fragment holds the step and the head (#step=softmax&head=1). shared.js, matrices.js, lesson_attention.js,
 * lesson_explanations.js and lesson_grid.js run before this script.
 */

"use strict";

const selectAll = (selector, within = document) => [...within.querySelectorAll(selector)];

// Elements with `data-if` belong to one kind of attention, to pre-norm or post-norm, to the first layer or later ones.
const conditions = new Set([
  DATA.kind,
  DATA.kind === "cross" ? "cross" : "self",
  DATA.norm,
  isFirst ? "first" : "later",
]);
for (const node of selectAll("[data-if]")) if (!conditions.has(node.dataset.if)) node.remove();

/* ---- Values in the text ---- */

/** Return in words where the largest weight of the head is. */
function largestWeightText() {
  const weights = ofHead("weights");
  const hasChoice = (n) => DATA.mask[Math.floor(n / nKeys)].filter(Boolean).length > 1;
  const candidates = range(weights.values.length).filter(hasChoice);
  if (!candidates.length) return "each row has only one key that is not masked.";
  const n = candidates.reduce((best, other) => (weights.values[other] > weights.values[best] ? other : best));
  const [i, j] = [Math.floor(n / nKeys), n % nKeys];
  const predicts = DATA.predicted.length ? `, which predicts ${quote(DATA.predicted[i])},` : "";
  const weight = format4(weights.values[n]);
  return `the largest weight is ${weight}: row ${i}, ${quote(queryNames[i])}${predicts} attends to ${quote(keyNames[j])}.`;
}

function placeText() {
  const names = {
    encoder_self: "Self-attention of the encoder",
    decoder_self: "Masked self-attention of the decoder",
    cross: "Cross-attention from the decoder to the encoder",
  };
  const heads = `${nHeads} ${nHeads === 1 ? "head" : "heads"}`;
  return `${names[DATA.kind]}, layer ${DATA.layer} (of 0 to ${DATA.n_layers - 1}), ${heads}`;
}

/** Return “one layer” or “2 layers”; before cross-attention, “2 layers and ”, or nothing for layer 0. */
function layersBeforeText() {
  const layers = DATA.layer === 1 ? "one layer" : `${DATA.layer} layers`;
  if (DATA.kind !== "cross") return layers;
  return DATA.layer ? `${layers} and ` : "";
}

// The texts of elements with `data-value`.
const texts = {
  source: () => DATA.source,
  translation: () => DATA.translation,
  place: placeText,
  layers_before: layersBeforeText,
  vocab_size: () => DATA.vocab_size,
  d_model: () => dModel,
  half_d_model: () => dModel / 2,
  d_k: () => dK,
  n_heads: () => nHeads,
  sqrt_d_model: () => format4(Math.sqrt(dModel)),
  sqrt_d_k: () => format4(Math.sqrt(dK)),
  head: () => state.head,
  first_column: () => state.head * dK,
  last_column: () => (state.head + 1) * dK - 1,
  divided: () => (state.divide ? " / √dₖ" : ", not divided"),
  strongest: largestWeightText,
};

/** Return a table row of a name, further cells, and a bar as wide as a weight. */
function barRow(weight, ...cells) {
  const bar = element("span", { class: "bar" });
  bar.style.width = `${100 * weight}%`;
  return element("tr", {}, ...cells, element("td", {}, bar));
}

/* ---- The first step: attention as a dictionary of hours and temperatures ---- */

const ENTRIES = [
  { hour: 0, value: 7 },
  { hour: 6, value: 9 },
  { hour: 12, value: 18 },
  { hour: 18, value: 14 },
];
const hand = (hour) => [Math.sin((Math.PI * hour) / 12), -Math.cos((Math.PI * hour) / 12)]; // y points down on a screen
const clock = (hour) => `${Math.floor(hour)}:${hour % 1 ? "30" : "00"}`;
const dot = (left, right) => sum(left.map((value, n) => value * right[n]));

/** Show the results of both dictionaries for the query and the sharpness of the sliders. */
function showDictionary() {
  const hour = Number(byId("hour").value);
  const sharpness = (Number(byId("sharpness").value) / 100) ** 2 * 60;
  const similarities = ENTRIES.map((entry) => dot(hand(entry.hour), hand(hour)));
  const weights = row(softmaxRows(matrix(1, ENTRIES.length, (_, n) => sharpness * similarities[n])), 0);
  byId("hour-text").textContent = clock(hour);
  byId("sharpness-text").textContent = `× ${sharpness.toFixed(1)}`;
  const exact = ENTRIES.find((entry) => entry.hour === hour);
  byId("exact").textContent = exact ? `${exact.value} °C` : `no key ${clock(hour)}`;
  byId("similar").textContent = `${sum(ENTRIES.map((entry, n) => entry.value * weights[n])).toFixed(2)} °C`;
  document.querySelector(".example tbody").replaceChildren(
    ...ENTRIES.map((entry, n) => {
      const numbers = [clock(entry.hour), `${entry.value} °C`, formatCell(similarities[n]), formatWeight(weights[n])];
      return barRow(weights[n], ...numbers.map((text) => element("td", {}, text)));
    }),
  );
  drawDial(hour, weights);
}

/** Draw the keys on the dial, filled as far as their weight, and the query as a hand. */
function drawDial(hour, weights) {
  const dial = document.querySelector(".example svg");
  dial.replaceChildren(svgElement("circle", { class: "dial", r: 84 }));
  ENTRIES.forEach((entry, n) => {
    const [x, y] = hand(entry.hour);
    const centre = { cx: 84 * x, cy: 84 * y };
    dial.append(
      svgElement("circle", { class: "ring", ...centre, r: 12 }),
      svgElement("circle", { class: "key", ...centre, r: 12 * Math.sqrt(weights[n]) }),
      svgElement("text", { x: 116 * x, y: 107 * y }, clock(entry.hour)),
    );
  });
  const [x, y] = hand(hour);
  dial.append(
    svgElement("line", { class: "hand", x1: 0, y1: 0, x2: 66 * x, y2: 66 * y }),
    svgElement("text", { x: -34 * x, y: -34 * y }, "query"),
  );
}

/* ---- Parts of the steps ---- */

/** List the tokens of the queries or keys with their ids, and what each row of the decoder predicts. */
function listTokens(list) {
  const { tokens, ids } = DATA[list.dataset.tokens];
  const predicted = list.dataset.tokens === "queries" ? DATA.predicted : [];
  const items = tokens.map((token, i) => {
    const item = element("li", {}, tokenElement(token), element("small", {}, ids[i]));
    if (predicted.length) item.append(element("br"), element("small", {}, "predicts ", tokenElement(predicted[i])));
    return item;
  });
  list.append(...items);
}

function headButton(h, ...content) {
  const button = element("button", { type: "button", "data-head": h }, ...content);
  button.addEventListener("click", () => go({ head: h }));
  return button;
}

function addHeadButtons(container) {
  container.className = "choice";
  container.setAttribute("role", "group");
  container.setAttribute("aria-label", "Head");
  container.append("Head", ...range(nHeads).map((h) => headButton(h, h)));
}

/** Add a small image of the weights of each head. */
function addThumbnails() {
  const canvas = () => element("canvas", { width: nKeys, height: nQueries, "aria-hidden": "true" });
  document.querySelector(".thumbnails").append(...range(nHeads).map((h) => headButton(h, canvas(), `Head ${h}`)));
}

/** Draw each weight as one pixel, whose opacity is the weight. */
function paintThumbnails() {
  const colour = themeColour("positive");
  selectAll(".thumbnails canvas").forEach((canvas, h) => {
    const { weights } = computed().perHead[h];
    const image = new ImageData(nKeys, nQueries);
    weights.values.forEach((weight, n) => image.data.set([...colour, Math.round(255 * weight)], 4 * n));
    canvas.getContext("2d").putImageData(image, 0, 0);
  });
}

/** Compare the largest weights of the rows with and without the division. */
function compareSaturation() {
  const saturationRow = (values, name, divide) => {
    const { weights } = values.perHead[state.head];
    const largest = range(nQueries).map((i) => Math.max(...row(weights, i)));
    const mean = sum(largest) / nQueries;
    const cells = [element("th", { scope: "row" }, name), element("td", { class: "mean" }, formatWeight(mean))];
    const line = barRow(mean, ...cells);
    line.classList.toggle("current", divide === state.divide);
    return line;
  };
  document
    .querySelector(".saturation tbody")
    .replaceChildren(saturationRow(divided, "divided by √dₖ", true), saturationRow(undivided, "not divided", false));
}

/** Write below each step how far its numbers are from those of the model. */
function writeChecks() {
  for (const step of selectAll("[data-check]")) {
    const compared = step.dataset.check.split(" ").filter((name) => name in differences);
    const paragraph = element("p", { class: "soft check" });
    if (compared.length) {
      const largest = Math.max(...compared.map((name) => differences[name]));
      const lead = step.dataset.related
        ? `The model does not export these numbers, but ${step.dataset.related} agree. Largest difference: `
        : "Computed in this browser. Largest difference from the model’s values: ";
      paragraph.append(lead, element("data", { value: largest }, formatScientific(largest)), ".");
    } else paragraph.append("These numbers were exported from the model.");
    step.append(paragraph);
  }
  const largest = Math.max(...Object.values(differences));
  const shown = document.querySelector("#difference data");
  shown.value = largest;
  shown.textContent = formatScientific(largest);
  if (!(largest < 1e-4)) {
    byId("difference").className = "error";
    byId("difference").append(", more than 0.0001: this page and the model disagree");
  }
}

/* ---- Steps ---- */

const steps = selectAll(".step");
const grids = [];

/** Add what the page's template does not hold: navigation, grids, buttons, checks. */
function build() {
  for (const step of steps) {
    addNavigationLink(step);
    addGrids(step);
  }
  selectAll("[data-tokens]").forEach(listTokens);
  selectAll("[data-heads]").forEach(addHeadButtons);
  addThumbnails();
  writeChecks();
}

function addNavigationLink(step) {
  const heading = step.querySelector("h2");
  const link = element("a", { title: heading.textContent });
  link.append(element("span", {}, ...heading.cloneNode(true).childNodes));
  link.addEventListener("click", (event) => {
    if (hasModifier(event) || event.shiftKey) return; // the browser opens another tab or window
    event.preventDefault();
    go({ step: step.id });
  });
  document.querySelector("nav ol").append(element("li", {}, link));
}

/** Add the grids of a step, and one panel for the explanations of their cells. */
function addGrids(step) {
  const panel = element("div", { class: "explanation", hidden: "" });
  for (const figure of selectAll("[data-matrix]", step)) {
    const name = figure.dataset.matrix;
    const grid = new Grid(figure, matrices[name], (selected) => showExplanation(panel, selected, figure));
    grid.element.id = `${step.id}-${name}`;
    grid.step = step;
    grid.panel = panel;
    grids.push(grid);
  }
  const hint =
    "Positive numbers are orange, negative numbers blue. Click a cell to see how it is computed, or move to it with Tab and the arrow keys and press Enter. Esc leaves the matrix.";
  const last = selectAll(".matrices", step).pop();
  last?.after(element("p", { class: "soft hint" }, hint));
}

/** Show everything that depends on the head and the division. */
function refresh() {
  for (const node of selectAll("[data-value]")) node.textContent = texts[node.dataset.value]();
  for (const button of selectAll("[data-head]"))
    button.setAttribute("aria-pressed", Number(button.dataset.head) === state.head);
  byId("divide").checked = state.divide;
  byId("undivided").hidden = state.divide;
  compareSaturation();
  paintThumbnails();
  for (const grid of grids) {
    grid.refresh();
    grid.panel.hidden = true; // it explains numbers that may have changed
  }
}

/** Show the current step only. */
function showStep() {
  const number = steps.findIndex((step) => step.id === state.step);
  steps.forEach((step, n) => {
    step.hidden = n !== number;
  });
  selectAll("nav a").forEach((link, n) => {
    link.href = fragment({ step: steps[n].id });
    if (n === number) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  });
  const list = document.querySelector("nav ol");
  const current = list.children[number];
  list.scrollLeft = current.offsetLeft - list.clientWidth / 2;
  byId("step-number").textContent = `${number} / ${steps.length - 1}`;
  byId("previous").disabled = number === 0;
  byId("following").disabled = number === steps.length - 1;
  for (const grid of grids) if (grid.step === steps[number]) grid.showHead();
}

const fragment = (changes) => `#${new URLSearchParams({ step: state.step, head: state.head, ...changes })}`;

/**
 * Show another step or head, and write it into the URL.
 *
 * Chromium refuses to follow a link to a fragment in a frame from a Blob, which is how the live page shows the lesson.
 */
function go(changes) {
  history.pushState(null, "", fragment(changes));
  readFragment();
}

function moveStep(by) {
  const step = steps[steps.findIndex(({ id }) => id === state.step) + by];
  if (step) go({ step: step.id });
}

/** Show the step and the head of the URL fragment. */
function readFragment() {
  const fields = fragmentFields();
  const step = steps.find(({ id }) => id === fields.get("step")) ?? steps[0];
  const hasMoved = step.id !== state.step;
  state.step = step.id;
  state.head = indexField(fields, "head", nHeads, 0);
  showStep(); // before refresh, so that the grids of hidden steps are not painted
  refresh();
  if (hasMoved) window.scrollTo(0, 0);
}

function setDivision(divide) {
  state.divide = divide;
  refresh();
}

function onKey(event) {
  if (hasModifier(event) || event.target.matches("input, .scrolled")) return;
  if (event.key === "ArrowRight") moveStep(1);
  if (event.key === "ArrowLeft") moveStep(-1);
}

build();
showDictionary();
readFragment();
document.title = `${DATA.source} · attention, step by step`;
addEventListener("hashchange", readFragment);
onThemeChange(paintThumbnails);
byId("hour").addEventListener("input", showDictionary);
byId("sharpness").addEventListener("input", showDictionary);
byId("previous").addEventListener("click", () => moveStep(-1));
byId("following").addEventListener("click", () => moveStep(1));
byId("divide").addEventListener("change", (event) => setDivision(event.target.checked));
byId("divide-again").addEventListener("click", () => setDivision(true));
document.addEventListener("keydown", onKey);
