/*
 * The heatmap of the live page: colours of weights, thumbnails, and one large map with a cursor.
 *
 * Weights are a matrix (queries, keys) of live_transformer.js. With `causal`, the keys after a query are masked.
 */

"use strict";

const MAX_CELL = 26; // pixels
const MIN_CELL = 12;

let palette = []; // 256 colours from weight 0 to the largest weight

/** Interpolate the five colours of the ramp in shared.css, in the current colour scheme. */
function readPalette() {
  const stops = range(5).map((i) => themeColour(`ramp-${i}`));
  palette = range(256).map((i) => {
    const position = (i / 255) * 4;
    const stop = Math.min(3, Math.floor(position));
    return [0, 1, 2].map((c) => stops[stop][c] + (position - stop) * (stops[stop + 1][c] - stops[stop][c]));
  });
}

const largestWeight = ({ values }) => values.reduce((largest, value) => Math.max(largest, value), 0);

/** Draw weights with one pixel a cell; masked cells stay transparent, and the hatched background shows. */
function paintWeights(canvas, weights, causal) {
  [canvas.width, canvas.height] = [weights.columns, weights.rows];
  const image = new ImageData(canvas.width, canvas.height);
  const top = largestWeight(weights) || 1;
  weights.values.forEach((weight, at) => {
    if (causal && at % weights.columns > Math.floor(at / weights.columns)) return;
    image.data.set(palette[Math.round(255 * clamp(weight / top, 0, 1))], 4 * at);
    image.data[4 * at + 3] = 255;
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Draw the large map into `body`, the element of that id in live.html; labels are arrays of tokens. */
function drawMap(body, weights, causal, queries, keys, name) {
  const cell = clamp(Math.floor(620 / Math.max(weights.rows, weights.columns)), MIN_CELL, MAX_CELL);
  const chart = body.querySelector(".chart");
  chart.classList.toggle("small", cell < 16);
  chart.style.setProperty("--cell", `${cell}px`);
  chart.querySelector(".columns").replaceChildren(...keys.map((token) => element("bdi", {}, token)));
  chart.querySelector(".rows").replaceChildren(...queries.map((token) => element("bdi", {}, token)));
  const canvas = chart.querySelector("canvas");
  paintWeights(canvas, weights, causal);
  canvas.style.width = `${cell * weights.columns}px`;
  canvas.style.height = `${cell * weights.rows}px`;
  canvas.setAttribute("aria-label", name);
}

/** Mark a cell of the large map; null marks none. */
function markCell(body, cell) {
  const mark = body.querySelector(".mark");
  mark.hidden = cell === null;
  for (const node of body.querySelectorAll(".on")) node.classList.remove("on");
  if (cell === null) return;
  const size = parseInt(body.querySelector(".chart").style.getPropertyValue("--cell"), 10);
  mark.style.left = `${cell.key * size}px`;
  mark.style.top = `${cell.query * size}px`;
  mark.style.width = mark.style.height = `${size}px`;
  body.querySelector(".columns").children[cell.key]?.classList.add("on");
  body.querySelector(".rows").children[cell.query]?.classList.add("on");
}

/** Return the cell of the large map below the pointer. */
function cellAt(body, event, weights) {
  const box = body.querySelector("canvas").getBoundingClientRect();
  const key = Math.floor(((event.clientX - box.left) / box.width) * weights.columns);
  const query = Math.floor(((event.clientY - box.top) / box.height) * weights.rows);
  return { query: clamp(query, 0, weights.rows - 1), key: clamp(key, 0, weights.columns - 1) };
}
